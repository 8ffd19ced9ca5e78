"""huggingface_hub's ModelHubMixin over our model folders. Importing this imports huggingface_hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from huggingface_hub import ModelCard, ModelHubMixin
from torch import nn

from unsilent.errors import CheckpointError, OutputError
from unsilent.models.hub import FOLDER, RECONSTRUCTOR, VOCODER, download_model, is_hub_id
from unsilent.models.hub_readme import readme
from unsilent.models.pretrained import CARD, load_reconstructor, load_vocoder, read_card, save_model
from unsilent.models.vocoder import Vocoder

__all__ = ["SharedModel"]

OWN = ("format", "config", "parameters", "sha256")
"""What `save_model` says about the weights that it writes; an older card's values must not stand in for it."""


class SharedModel(ModelHubMixin):
    """A model on its way to or from the hub.

    It holds the model instead of being one, so that the models themselves do not import huggingface_hub.

    Args:
        model: a `Reconstructor` or `Vocoder`.
        vocoder: of a reconstructor, or None.
    """

    def __init__(self, model: Any, vocoder: nn.Module | None = None) -> None:
        if vocoder is not None and isinstance(model, Vocoder):
            raise OutputError("a vocoder has no vocoder of its own; leave it out")
        self.model, self.vocoder = model, vocoder
        # The mixin would write the arguments above to config.json; ours is card.json.
        self._hub_mixin_config = None

    @property
    def card(self) -> dict[str, Any]:
        """What is known about the model beside its weights."""
        return {name: value for name, value in (self.model.card or {}).items() if name not in OWN}

    def _save_pretrained(self, save_directory: Path) -> None:
        _save(save_directory, self.model, self.card)
        if self.vocoder is not None:
            card = getattr(self.vocoder, "card", None) or {"name": "vocoder"}
            _save(
                save_directory / FOLDER,
                self.vocoder,
                {name: value for name, value in card.items() if name not in OWN},
            )
        self._written = read_card(save_directory)

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        model_class: type | None = None,
        subfolder: str = "",
        **model_kwargs: Any,
    ) -> SharedModel:
        if model_kwargs:
            raise TypeError(f"from_pretrained() got an unexpected keyword argument {next(iter(model_kwargs))!r}")
        kind = VOCODER if model_class is not None and issubclass(model_class, Vocoder) else RECONSTRUCTOR
        folder = Path(model_id) / subfolder
        if not Path(model_id).is_dir():
            if not is_hub_id(model_id):
                raise CheckpointError(f"{model_id}: no such folder; give one that holds {CARD}, or user/model")
            folder = download_model(
                model_id,
                revision=revision,
                kind=kind,
                subfolder=subfolder,
                force_download=force_download,
                token=token,
                cache_dir=cache_dir,
                local_files_only=local_files_only,
            )
        model, _, card = load_vocoder(folder) if kind == VOCODER else load_reconstructor(folder)
        if model_class is not None and not isinstance(model, model_class):
            raise CheckpointError(f"{folder}: holds a public vocoder; load it with unsilent.models.pretrained")
        made = cls(model)
        made.model.card = card
        return made

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """README.md of what was saved; ``repo_id`` and ``title`` may be given."""
        return ModelCard(readme(self._written, vocoder=self.vocoder is not None, **kwargs))


def _save(folder: Path, model: Any, card: dict[str, Any]) -> None:
    config = getattr(model, "config", None)
    if config is None:
        raise OutputError("a model without settings cannot be saved; make it by build_reconstructor, or set its config")
    floats = [value for value in model.state_dict().values() if value.is_floating_point()]
    # What was loaded from half precision fits into it again; what was just trained is kept in full.
    half = all(torch.equal(value.half().to(value.dtype), value) for value in floats)
    save_model(folder, model, config, card, torch.float16 if half else torch.float32)
