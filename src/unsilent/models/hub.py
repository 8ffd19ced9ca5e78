"""Models on the Hugging Face hub: the folders of `unsilent.models.pretrained`, shared.

Of a repository, the cards and the weights are fetched by name and nothing else: neither code nor pickles come along.
`huggingface_hub` takes a third of a second to import, so it is imported by the first call that needs it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from unsilent.errors import CheckpointError, OutputError, UnsilentError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["HubModel", "download_model", "is_hub_id"]

RECONSTRUCTOR, VOCODER = "reconstructor", "vocoder"
"""Kinds on a card."""
FOLDER = "vocoder"
"""Where a model keeps its vocoder."""
PART = r"[A-Za-z0-9_][\w.-]*"
REPOSITORY = re.compile(rf"{PART}/{PART}", re.ASCII)


def is_hub_id(name: str) -> bool:
    """Whether a name can be that of a model on the hub: ``user/model``, ``user/model@revision``."""
    repository, at, revision = name.partition("@")
    return REPOSITORY.fullmatch(repository) is not None and bool(revision) == bool(at)


def download_model(
    name: str,
    *,
    revision: str | None = None,
    kind: str = RECONSTRUCTOR,
    subfolder: str = "",
    force_download: bool = False,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
) -> Path:
    """Fetch a model to the hub's own cache, where it stays.

    Args:
        name: ``user/model`` or ``user/model@revision``.
        revision: a branch, tag or commit; the same as after the ``@``.
        kind: of the model that must lie there; the vocoder of a reconstructor is fetched with it.
        subfolder: of the repository, for a model that does not lie at its top.
        force_download: even if it is in the cache.
        token: as `huggingface_hub` takes it.
        cache_dir: in place of the hub's cache.
        local_files_only: use what is in the cache, without a connection.

    Returns:
        The model folder.

    Raises:
        CheckpointError: there is no such model or connection, or it is none of ours.
    """
    from unsilent.models.pretrained import CARD, WEIGHTS, read_card

    repository, _, after = name.partition("@")
    revision = revision or after or None
    with _plainly(name):
        from huggingface_hub import hf_hub_download, snapshot_download

        options: dict[str, Any] = {
            "force_download": force_download,
            "token": token,
            "cache_dir": cache_dir,
            "local_files_only": local_files_only,
        }
        inside = f"{subfolder}/" if subfolder else ""
        # The card first: of a repository that is none of ours, the weights may be of any size.
        card = Path(hf_hub_download(repository, f"{inside}{CARD}", revision=revision, **options))
        found = read_card(card.parent)["config"].get("kind")
        if found != kind:
            raise CheckpointError(f"{name}: holds a model of kind {found!r}, but {kind!r} is needed here")
        top = card.parent.parent if subfolder else card.parent
        wanted = [f"{inside}{WEIGHTS}"]
        if kind == RECONSTRUCTOR:
            wanted += [f"{inside}{FOLDER}/{CARD}", f"{inside}{FOLDER}/{WEIGHTS}"]
        # The cache names a folder by the commit: all files come from that of the card.
        snapshot_download(repository, revision=top.name, allow_patterns=wanted, **options)
    return card.parent


class HubModel:
    """`from_pretrained`, `save_pretrained` and `push_to_hub` with the arguments of huggingface_hub's ModelHubMixin."""

    card: dict[str, Any] | None = None
    """What is known about the model (data, licence, metrics); `from_pretrained` fills it, and it is pushed along."""

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        force_download: bool = False,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        revision: str | None = None,
        **model_kwargs: Any,
    ) -> Self:
        """Load a model from a folder or the hub, in evaluation mode.

        Args:
            pretrained_model_name_or_path: a model folder, ``user/model`` or ``user/model@revision``.
            force_download: even if it is in the cache.
            token: as huggingface_hub takes it.
            cache_dir: in place of the hub's cache.
            local_files_only: use what is in the cache.
            revision: a branch, tag or commit.
            model_kwargs: ``subfolder``, where the model does not lie at the top: ``vocoder`` for that of a model.

        Raises:
            CheckpointError: it cannot be found, reached or used.
        """
        from unsilent.models.hub_mixin import SharedModel

        made = SharedModel._from_pretrained(
            model_id=str(pretrained_model_name_or_path),
            revision=revision,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
            token=token,
            model_class=cls,
            **model_kwargs,
        )
        assert isinstance(made.model, cls)
        return made.model

    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        config: dict[str, Any] | None = None,
        repo_id: str | None = None,
        push_to_hub: bool = False,
        model_card_kwargs: dict[str, Any] | None = None,
        vocoder: nn.Module | None = None,
        **push_to_hub_kwargs: Any,
    ) -> str | None:
        """Write a model folder with a README.md that is filled from the card.

        Args:
            save_directory: made if missing.
            config: written to ``config.json`` as it is; nothing of ours reads it.
            repo_id: for `push_to_hub`.
            push_to_hub: push it as well.
            model_card_kwargs: ``repo_id`` and ``title`` of the README.
            vocoder: of a reconstructor, saved into ``vocoder/``.
            push_to_hub_kwargs: for `push_to_hub`.

        Returns:
            Address of the commit, if it was pushed.

        Raises:
            OutputError: the folder cannot be written, or the model not pushed.
        """
        from unsilent.models.hub_mixin import SharedModel

        with _plainly(str(save_directory), OutputError):
            address: str | None = SharedModel(self, vocoder).save_pretrained(
                save_directory,
                config=config,
                repo_id=repo_id,
                push_to_hub=push_to_hub,
                model_card_kwargs=model_card_kwargs,
                **push_to_hub_kwargs,
            )
        return address

    def push_to_hub(
        self,
        repo_id: str,
        *,
        config: dict[str, Any] | None = None,
        commit_message: str = "Push model using huggingface_hub.",
        private: bool | None = None,
        token: str | None = None,
        branch: str | None = None,
        create_pr: bool | None = None,
        allow_patterns: list[str] | str | None = None,
        ignore_patterns: list[str] | str | None = None,
        delete_patterns: list[str] | str | None = None,
        model_card_kwargs: dict[str, Any] | None = None,
        vocoder: nn.Module | None = None,
    ) -> str:
        """Push the model with its card and a README.md; the repository is made if it is not there.

        Args:
            repo_id: ``user/model``.
            config: written to ``config.json`` as it is; nothing of ours reads it.
            commit_message: of the one commit.
            private: whether a new repository is.
            token: as huggingface_hub takes it; by default that of ``hf auth login``.
            branch: ``main`` by default.
            create_pr: open a pull request instead.
            allow_patterns: of files to push.
            ignore_patterns: of files not to push.
            delete_patterns: of remote files that go in the same commit.
            model_card_kwargs: ``title`` of the README.
            vocoder: of a reconstructor, pushed into ``vocoder/``, so that ``unsilent.load`` speaks through it.

        Returns:
            Address of the commit.

        Raises:
            OutputError: the hub cannot be reached, or refuses.
        """
        from unsilent.models.hub_mixin import SharedModel

        with _plainly(repo_id, OutputError):
            return str(
                SharedModel(self, vocoder).push_to_hub(
                    repo_id,
                    config=config,
                    commit_message=commit_message,
                    private=private,
                    token=token,
                    branch=branch,
                    create_pr=create_pr,
                    allow_patterns=allow_patterns,
                    ignore_patterns=ignore_patterns,
                    delete_patterns=delete_patterns,
                    model_card_kwargs={"repo_id": repo_id, **(model_card_kwargs or {})},
                )
            )


_UPLOAD: dict[type[UnsilentError], tuple[type[Exception], ...]] = {OutputError: (RuntimeError,)}
"""An upload of weights that fails is a RuntimeError to huggingface_hub."""


@contextmanager
def _plainly(name: str, kind: type[UnsilentError] = CheckpointError) -> Iterator[None]:
    """Context in which what huggingface_hub raises becomes one line of ours about ``name``."""
    try:
        from huggingface_hub import errors
    except ImportError as error:
        raise kind(f"{name}: needs huggingface_hub ({error}); pip install huggingface_hub") from error
    try:
        yield
    except errors.GatedRepoError as error:
        raise kind(
            f"{name}: its owner asks for consent first; give it on the model's page, then hf auth login"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise kind(
            f"{name}: no such folder, and no such model on the hub, or it is private; check the name or hf auth login"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise kind(f"{name}: the model has no such revision; give a branch, a tag or a commit of it") from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise kind(
            f"{name}: is not in the cache, and the hub cannot be reached; go online, or give a folder"
        ) from error
    except errors.EntryNotFoundError as error:
        raise kind(f"{name}: is no unsilent model (it holds no card.json); choose one with the tag unsilent") from error
    except errors.HFValidationError as error:
        raise kind(f"{name}: is no name of a model on the hub; give user/model") from error
    except (getattr(errors, "HTTPError", OSError), OSError, *_UPLOAD.get(kind, ())) as error:
        reason = " ".join(str(error).split())[:200]
        raise kind(f"{name}: the hub cannot be used ({reason}); try again, or give a folder") from error
