"""From pre-training to fine-tuning: what is handed over, what of it learns when, and how fast."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unsilent.errors import CheckpointError
from unsilent.models.pretrained import init_from, load_reconstructor, model_folder, read_card
from unsilent.models.reconstructor import Reconstructor
from unsilent.nn import ModalityBatchNorm
from unsilent.training.recipe import OptimConfig, RateConfig, StartConfig

__all__ = ["Thaw", "check_start", "hand_over", "listener", "parameter_groups", "start"]


def start(model: Reconstructor, config: StartConfig) -> None:
    """Give ``model`` the weights that the recipe says it starts from.

    Raises:
        CheckpointError: the source cannot be used, or is of other sizes or another mel.
    """
    parts = config.init.split("+")
    if config.encoder_from is not None:
        own = ["encoder", "temporal"] if "temporal" not in parts else ["encoder"]
        hand_over(model, _folder(config.encoder_from), own)
    if config.source is not None:
        if config.init == "model":
            init_from(model, _folder(config.source))
        else:
            hand_over(model, _folder(config.source), parts)


def check_start(config: StartConfig) -> None:
    """Refuse a start from what is not there, before minutes are spent on reading clips.

    Raises:
        CheckpointError: a source is no model folder.
    """
    for name in (config.encoder_from, config.source):
        if name is not None:
            read_card(_folder(name))


def listener(source: str) -> Callable[[Tensor], Tensor]:
    """What a pre-trained model makes of sound (B, N) for its decoder, (B, T, D), its voice untold.

    Raises:
        CheckpointError: the source cannot be used, or does not read sound.
    """
    model, config, _ = load_reconstructor(_folder(source), source="audio")
    rate = config.mel.samples_per_frame

    @torch.no_grad()
    def listen(samples: Tensor) -> Tensor:
        mask = torch.ones(len(samples), samples.shape[1] // rate, dtype=torch.bool)
        return model.latents(samples, mask)

    return listen


def _folder(name: str) -> Path:
    return model_folder(name) or Path(name)


def hand_over(model: Reconstructor, folder: Path, parts: list[str]) -> None:
    """Load named parts of another reconstructor, whatever its input is.

    The speaker encoder comes with them where both models have one. Every modality batch-norm starts its running
    statistics of ``model``'s modality from those of the source's, which is the best guess before the first batch.

    Args:
        model: receives.
        folder: model folder of the source.
        parts: of ``encoder``, ``temporal``, ``decoder``.

    Raises:
        CheckpointError: the folder cannot be used, or a part is of another size or mel; the message names both.
    """
    source, given, _ = load_reconstructor(folder)
    if given.mel != model.mel:
        raise CheckpointError(f"{folder}: its mel ({given.mel}) is not that of the model to start ({model.mel})")
    if model.speaker is not None and source.speaker is not None:
        parts = [*parts, "speaker"]
    for part in parts:
        mine, theirs = getattr(model, part), getattr(source, part)
        _check_sizes(folder, part, mine, theirs)
        mine.load_state_dict(theirs.state_dict())
        for module in mine.modules():
            if isinstance(module, ModalityBatchNorm):
                module.copy_statistics(source.modality, model.modality)


def _check_sizes(folder: Path, part: str, mine: nn.Module, theirs: nn.Module) -> None:
    """Refuse to hand over what does not fit, naming the first tensor that differs with both sizes."""
    wanted = {name: tuple(value.shape) for name, value in mine.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in theirs.state_dict().items()}
    for name in [*wanted, *given]:
        if wanted.get(name) != given.get(name):
            had, need = (sizes.get(name, "nothing") for sizes in (given, wanted))
            raise CheckpointError(
                f"{folder}: its {part} does not fit the model to start ({name}: {had} there, {need} here); "
                f"give the same model.{part}, model.temporal.width and model.split_norm"
            )


def _decoder_layers(decoder: nn.Module) -> list[nn.Module]:
    """Layers of a decoder from its input to its output: children, with lists of blocks taken apart."""
    layers: list[nn.Module] = []
    for child in decoder.children():
        layers += list(child) if isinstance(child, nn.ModuleList) else [child]
    return layers


def parameter_groups(modules: nn.ModuleDict, optim: OptimConfig, rates: RateConfig) -> list[dict[str, Any]]:
    """Groups of AdamW: matrices decay, biases, normalisation and scales do not; each with the ``scale`` of its rate.

    Args:
        modules: ``model``, a `Reconstructor`, and whatever else learns, at the full rate.
        optim: weight decay.
        rates: of the model's parts.
    """
    model = modules["model"]
    parts: list[tuple[float, nn.Module]] = [(rates.encoder, model.encoder), (rates.temporal, model.temporal)]  # type: ignore[list-item]
    layers = _decoder_layers(model.decoder)  # type: ignore[arg-type]
    parts += [(rates.decoder * rates.layer_decay**depth, layer) for depth, layer in enumerate(layers)]
    if model.speaker is not None:
        parts.append((1.0, model.speaker))  # type: ignore[arg-type]
    parts += [(1.0, module) for name, module in modules.items() if name != "model"]
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for scale, module in parts:
        for parameter in module.parameters():
            decay = optim.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((scale, decay), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": decay, "scale": scale} for (scale, decay), parameters in groups.items()
    ]


class Thaw:
    """Keeps what was handed over from learning until its turn comes; its batch-norms use running statistics till then.

    Args:
        model: that received.
        config: what it received, and the strategy.
    """

    def __init__(self, model: Reconstructor, config: StartConfig) -> None:
        self._config = config
        self._layers: list[nn.Module] = []
        if config.strategy != "full":
            if config.init == "decoder+temporal":
                self._layers += [model.temporal.embed, *model.temporal.blocks]  # type: ignore[list-item, misc]
            self._layers += _decoder_layers(model.decoder)

    def apply(self, step: int, total: int) -> None:
        """Freeze and unfreeze for this step; call it after ``train()``, which wakes every batch-norm."""
        first, last = self._config.staged
        for number, layer in enumerate(self._layers):
            begin = first + (last - first) * number / max(1, len(self._layers) - 1)
            learns = self._config.strategy == "staged" and step >= begin * total
            layer.requires_grad_(learns)
            layer.train(learns)
