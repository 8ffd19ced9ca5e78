"""Model folders: ``model.safetensors`` and ``card.json``, nothing that runs code.

The card carries the settings that rebuild the model, the mel definition, what it was trained on, under which
licence, its metrics, and the SHA-256 of the weights, which is checked on loading.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from unsilent.config import RecipeModel, dump_recipe, validate_recipe
from unsilent.errors import CheckpointError, OutputError, RecipeError
from unsilent.files import atomic_path, sha256_file
from unsilent.models.budget import built_for
from unsilent.models.config import ReconstructorConfig, VocoderConfig
from unsilent.models.public_vocoders import PUBLIC_CONFIGS, HifiganConfig, ParallelWaveganConfig, PublicVocoder
from unsilent.models.reconstructor import Reconstructor, build_reconstructor
from unsilent.models.vocoder import Vocoder
from unsilent.nn.residual import TimeConv1d

__all__ = [
    "CARD",
    "SHIPPED",
    "WEIGHTS",
    "amend_card",
    "init_from",
    "load_reconstructor",
    "load_vocoder",
    "model_folder",
    "read_card",
    "save_model",
]

Config = TypeVar("Config", bound=RecipeModel)
Model = TypeVar("Model", bound=nn.Module)
AnyVocoder = Vocoder | PublicVocoder
AnyVocoderConfig = VocoderConfig | HifiganConfig | ParallelWaveganConfig
WEIGHTS, CARD = "model.safetensors", "card.json"
SHIPPED = Path(__file__).parent.parent / "weights"
"""Folder of the models in the package."""
_MOST_CARD_BYTES = 10_000_000


def save_model(
    folder: Path,
    model: nn.Module,
    config: ReconstructorConfig | AnyVocoderConfig,
    card: dict[str, Any],
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write a model folder.

    Args:
        folder: made if missing.
        model: whose ``state_dict`` is stored.
        config: what rebuilds it.
        card: anything else to say about it (data, licence, metrics, recipe), JSON-safe.
        dtype: of stored floating-point weights; they are computed with in float32 again after loading.

    Raises:
        OutputError: the folder cannot be written.
    """
    tensors = {
        name: value.detach().cpu().to(dtype if value.is_floating_point() else value.dtype).contiguous()
        for name, value in model.state_dict().items()
    }
    try:
        with atomic_path(folder / WEIGHTS) as path:
            save_file(tensors, path)
    except SafetensorError as error:
        raise OutputError(
            f"{folder / WEIGHTS}: cannot be written ({error}); make room or choose another place"
        ) from error
    parameters = sum(parameter.numel() for parameter in model.parameters())
    full = {
        "format": 1,
        "config": dump_recipe(config),
        "parameters": parameters,
        **card,
        "sha256": sha256_file(folder / WEIGHTS),
    }
    _write_card(folder, full)


def amend_card(folder: Path, more: Mapping[str, Any]) -> None:
    """Say more on the card of a model folder (data, licence, limits), or say it anew.

    Raises:
        CheckpointError: the folder has no card that can be read.
        OutputError: it cannot be written.
    """
    _write_card(folder, {**read_card(folder), **more})


def _write_card(folder: Path, card: dict[str, Any]) -> None:
    with atomic_path(folder / CARD) as path:
        path.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_card(folder: Path) -> dict[str, Any]:
    """The card of a model folder.

    Raises:
        CheckpointError: there is no folder or card, or the card is not JSON of a known format.
    """
    path = folder / CARD
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such model folder; give a shipped name or a folder with {CARD}")
    try:
        if path.stat().st_size > _MOST_CARD_BYTES:
            raise CheckpointError(f"{path}: is far too large for a model card; copy the model again")
        card = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); is this a model folder?") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: is not valid JSON; copy the model again") from error
    if not isinstance(card, dict) or card.get("format") != 1 or not isinstance(card.get("config"), dict):
        raise CheckpointError(f"{path}: is not a model card that this version reads; copy the model again")
    return card


def model_folder(name: str | Path) -> Path | None:
    """Folder of a model: ``name`` itself, the best model of a run of that name, or the shipped one; None without any.

    A folder without a card that happens to have the name of a shipped model does not hide it.
    """
    places = (Path(name), Path(name) / "best", SHIPPED / name)
    return next((place for place in places if (place / CARD).is_file()), None)


def load_reconstructor(
    folder: Path, *, source: Literal["video", "audio"] | None = None
) -> tuple[Reconstructor, ReconstructorConfig, dict[str, Any]]:
    """Build the reconstructor of a folder, in evaluation mode, with its settings and card.

    Args:
        folder: the model folder.
        source: refuse a model that reads anything else.

    Raises:
        CheckpointError: the folder is incomplete, damaged, or holds another kind of model.
    """
    card = read_card(folder)
    config = _config(folder, card, ReconstructorConfig, ("reconstructor",))
    if source not in (None, config.encoder.input):
        raise CheckpointError(
            f"{folder}: its model reads {config.encoder.input} ({config.path}), {source} is needed here; name another"
        )
    model = _loaded(folder, card, lambda: build_reconstructor(config))
    return model, config, card


def load_vocoder(folder: Path) -> tuple[AnyVocoder, AnyVocoderConfig, dict[str, Any]]:
    """Build the vocoder of a folder, ours or a public one, in evaluation mode, with its settings and card.

    Raises:
        CheckpointError: the folder is incomplete, damaged, or holds another kind of model.
    """
    card = read_card(folder)
    public = PUBLIC_CONFIGS.get(str(card["config"].get("kind")))
    if public is not None:
        settings = _config(folder, card, public, tuple(PUBLIC_CONFIGS))
        made = _loaded(folder, card, lambda: PublicVocoder(settings))
        return made, settings, card
    config = _config(folder, card, VocoderConfig, ("vocoder",))
    model = _loaded(folder, card, lambda: Vocoder(config))
    return model, config, card


def init_from(model: Reconstructor | Vocoder, folder: Path) -> None:
    """Put the weights of a model folder into ``model``, whose settings may differ in what has no weights (dropout).

    Where a convolution is centred in the folder's model and causal in ``model``, the part of its kernel that hears
    later frames is left out.

    Raises:
        CheckpointError: the folder cannot be used, or its model has another mel definition or other sizes.
    """
    source = load_vocoder(folder)[0] if isinstance(model, Vocoder) else load_reconstructor(folder)[0]
    given, wanted = (each.mel if isinstance(each, Reconstructor) else each.config.mel for each in (source, model))
    if given != wanted:
        raise CheckpointError(f"{folder}: its mel ({given}) is not that of the model to start ({wanted})")
    try:
        model.load_state_dict(source.state_dict())
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise CheckpointError(f"{folder}: does not fit the model to start ({reason}); give the same model.*") from error
    for mine, theirs in zip(model.modules(), source.modules(), strict=True):
        if isinstance(mine, TimeConv1d) and isinstance(theirs, TimeConv1d) and mine.past and not theirs.past:
            mine.forget_later()


def _config(folder: Path, card: dict[str, Any], model: type[Config], kinds: tuple[str, ...]) -> Config:
    given = card["config"].get("kind")
    if given not in kinds:
        raise CheckpointError(f"{folder}: holds a model of kind {given!r:.80}, but {kinds[0]!r} is needed here")
    try:
        return validate_recipe(card["config"], model, str(folder / CARD))
    except RecipeError as error:
        raise CheckpointError(str(error)) from error


def _loaded(folder: Path, card: dict[str, Any], build: Callable[[], Model]) -> Model:
    """Build a network, no larger than the folder's weights, and put them into it."""
    path = folder / WEIGHTS
    if not path.is_file():
        raise CheckpointError(f"{path}: is missing; copy the model again")
    try:
        if sha256_file(path) != card.get("sha256"):
            raise CheckpointError(f"{path}: is damaged (its SHA-256 is not the card's); copy the model again")
        tensors = load_file(path)
        with built_for(sum(value.numel() for value in tensors.values()), folder):
            model = build()
        model.load_state_dict(
            {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
        )
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path}: does not fit its card ({reason}); copy the model again") from error
    return model.eval()
