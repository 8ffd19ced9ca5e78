"""From a published checkpoint to a model folder: safetensors and a card, like every other model.

Two families are understood. HiFi-GAN's authors (github.com/jik876/hifi-gan) and those who took over their code keep
``{"generator": tensors}`` and a flat ``config.json``. kan-bayashi's ParallelWaveGAN keeps
``{"model": {"generator": tensors}}``, a ``config.yml`` whose ``generator_type`` names the network, and the statistics
of the mels (``stats.h5``) by which they are normalised.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unsilent.config import validate_recipe
from unsilent.errors import CheckpointError, RecipeError
from unsilent.files import sha256_file
from unsilent.models.budget import built_for
from unsilent.models.pretrained import save_model
from unsilent.models.public_vocoders.checkpoint import (
    fold_weight_norms,
    generator_tensors,
    read_checkpoint,
    read_settings,
    read_statistics,
)
from unsilent.models.public_vocoders.config import HifiganConfig, ParallelWaveganConfig
from unsilent.models.public_vocoders.vocoder import PublicVocoder

__all__ = ["Converted", "convert_vocoder", "public_config"]

PublicConfig = HifiganConfig | ParallelWaveganConfig

SETTINGS = ("config.yml", "config.yaml", "config.json")
STATISTICS = ("stats.npy", "stats.safetensors", "stats.h5")
LICENCE = "unknown; it is that of the checkpoint"
_FLOORS = {"e": 1e-5, "10": 1e-10}
"""Amplitudes below which mels are cut, in HiFi-GAN's code and in kan-bayashi's."""

# kan-bayashi's names of the parts of HiFi-GAN, and the authors'.
_RENAMED = (
    (r"input_conv\.", "conv_pre."),
    (r"upsamples\.(\d+)\.1\.", r"ups.\1."),
    (r"blocks\.(\d+)\.(convs[12])\.(\d+)\.1\.", r"resblocks.\1.\2.\3."),
    (r"output_conv\.1\.", "conv_post."),
)


@dataclass(frozen=True)
class Converted:
    """What became of a checkpoint."""

    folder: Path
    config: PublicConfig
    parameters: int


def convert_vocoder(
    checkpoint: Path,
    folder: Path,
    *,
    settings: Path | None = None,
    statistics: Path | None = None,
    name: str | None = None,
    licence: str = LICENCE,
) -> Converted:
    """Write a published vocoder as a model folder, in full precision.

    Args:
        checkpoint: the published .pkl, .pth or .tar; only tensors are read, nothing in it is run.
        folder: of the model; made if missing.
        settings: config.yml or config.json; the one beside the checkpoint if not given.
        statistics: mean and scale of the mels, where the network needs them; the file called stats beside the
            checkpoint, or what the checkpoint itself holds, if not given.
        name: on the card; the checkpoint's folder's if not given.
        licence: on the card.

    Raises:
        CheckpointError: a file is missing, damaged, or of a network that is not known.
        OutputError: the folder cannot be written.
    """
    tensors = generator_tensors(read_checkpoint(checkpoint), checkpoint)
    source = settings or _beside(checkpoint, SETTINGS)
    if source is None:
        raise CheckpointError(
            f"{checkpoint}: there is no {' or '.join(SETTINGS)} beside it; name its settings with --settings"
        )
    config = public_config(read_settings(source), source)
    with built_for(sum(value.numel() for value in tensors.values()), source):
        model = PublicVocoder(config).eval()
    own: dict[str, Tensor] = {key: tensors.pop(key) for key in ("mean", "scale") if key in tensors}
    _load(model, tensors, checkpoint)
    if config.normalised:
        model.mean, model.scale = _statistics(checkpoint, statistics, own, config.mel.n_mels)
    card = {
        "name": name or checkpoint.resolve().parent.name,
        "converted_from": {"checkpoint": checkpoint.name, "sha256": sha256_file(checkpoint)},
        "licence": licence,
    }
    save_model(folder, model, config, card, torch.float32)
    return Converted(folder, config, sum(parameter.numel() for parameter in model.parameters()))


def public_config(settings: Mapping[str, Any], source: Path) -> PublicConfig:
    """Our settings of a published network's own.

    Raises:
        CheckpointError: they are of a network that is not known, or incomplete.
    """
    try:
        if "generator_params" not in settings:
            return validate_recipe(_hifigan(settings), HifiganConfig, str(source))
        kind = settings.get("generator_type", "ParallelWaveGANGenerator")
        if kind == "ParallelWaveGANGenerator":
            return validate_recipe(_parallel_wavegan(settings), ParallelWaveganConfig, str(source))
        if kind == "HiFiGANGenerator":
            return validate_recipe(_hifigan_of_kan_bayashi(settings), HifiganConfig, str(source))
    except RecipeError as error:
        raise CheckpointError(str(error)) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{source}: lacks a vocoder's settings ({error}); give the right file") from error
    except _UnknownError as error:
        raise CheckpointError(f"{source}: {error}, which this version does not know") from error
    raise CheckpointError(f"{source}: generator_type {kind} is not known; ParallelWaveGAN and HiFiGAN are")


class _UnknownError(Exception):
    """A setting that is valid for the published code and has no counterpart here."""


def _only(given: Mapping[str, Any], known: Mapping[str, Any], used: tuple[str, ...]) -> None:
    """Refuse settings that are not ``used`` and are not as ``known`` says they must be."""
    for key, value in given.items():
        if key not in used and (key not in known or value != known[key]):
            raise _UnknownError(f"{key} is {value!r:.80}")


def _hifigan(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of the authors' flat settings."""
    if str(settings.get("resblock", "1")) != "1":
        raise _UnknownError(f"resblock is {settings['resblock']!r:.80}")
    rates, kernels = settings["upsample_rates"], settings["upsample_kernel_sizes"]
    if any((kernel - rate) % 2 for rate, kernel in zip(rates, kernels, strict=False)):
        raise _UnknownError(f"upsample_kernel_sizes is {kernels} at upsample_rates {rates}: uneven padding")
    return {
        "channels": settings["upsample_initial_channel"],
        "rates": rates,
        "rate_kernels": kernels,
        "block_kernels": settings["resblock_kernel_sizes"],
        "block_dilations": settings["resblock_dilation_sizes"],
        "log_base": "e",
        "normalised": False,
        "centred": False,
        "mel": {
            "sample_rate": settings["sampling_rate"],
            "n_fft": settings["n_fft"],
            "hop_length": settings["hop_size"],
            "win_length": settings["win_size"],
            "n_mels": settings["num_mels"],
            "f_min": settings["fmin"],
            "f_max": settings["fmax"] or settings["sampling_rate"] / 2,
            "floor": _FLOORS["e"],
        },
    }


def _shared_by_kan_bayashi(settings: Mapping[str, Any]) -> dict[str, Any]:
    rate = settings["sampling_rate"]
    _only(
        {key: settings[key] for key in ("window", "sampling_rate_for_feats", "log_base") if key in settings},
        {"window": "hann", "sampling_rate_for_feats": rate, "log_base": 10.0},
        (),
    )
    return {
        "log_base": "10",
        "normalised": True,
        "centred": True,
        "mel": {
            "sample_rate": rate,
            "n_fft": settings["fft_size"],
            "hop_length": settings["hop_size"],
            "win_length": settings.get("win_length") or settings["fft_size"],
            "n_mels": settings["num_mels"],
            "f_min": settings.get("fmin") or 0,
            "f_max": settings.get("fmax") or rate / 2,
            "floor": _FLOORS["10"],
        },
    }


def _parallel_wavegan(settings: Mapping[str, Any]) -> dict[str, Any]:
    given = settings["generator_params"]
    known = {
        "in_channels": 1,
        "out_channels": 1,
        "aux_channels": settings["num_mels"],
        "dropout": 0.0,
        "bias": True,
        "use_weight_norm": True,
        "use_causal_conv": False,
        "upsample_conditional_features": True,
        "upsample_net": "ConvInUpsampleNetwork",
    }
    names = {
        "layers": "layers",
        "stacks": "stacks",
        "kernel_size": "kernel",
        "residual_channels": "residual_channels",
        "gate_channels": "gate_channels",
        "skip_channels": "skip_channels",
        "aux_context_window": "context",
    }
    _only(given, known, (*names, "upsample_params"))
    stretched = given["upsample_params"]
    # Saved settings may repeat what the published code puts in by itself.
    copied = {"aux_channels": settings["num_mels"], "aux_context_window": given.get("aux_context_window", 2)}
    plain = {"interpolate_mode": "nearest", "freq_axis_kernel_size": 1, "use_causal_conv": False}
    _only(stretched, {**copied, **plain}, ("upsample_scales",))
    own = {ours: given[theirs] for theirs, ours in names.items() if theirs in given}
    return {**_shared_by_kan_bayashi(settings), **own, "rates": stretched["upsample_scales"]}


def _hifigan_of_kan_bayashi(settings: Mapping[str, Any]) -> dict[str, Any]:
    given = settings["generator_params"]
    known = {
        "in_channels": settings["num_mels"],
        "out_channels": 1,
        "kernel_size": 7,
        "use_additional_convs": True,
        "bias": True,
        "nonlinear_activation": "LeakyReLU",
        "nonlinear_activation_params": {"negative_slope": 0.1},
        "use_causal_conv": False,
        "use_weight_norm": True,
    }
    names = {
        "channels": "channels",
        "upsample_scales": "rates",
        "upsample_kernel_sizes": "rate_kernels",
        "upsample_kernal_sizes": "rate_kernels",  # as the first published settings spell it
        "resblock_kernel_sizes": "block_kernels",
        "resblock_dilations": "block_dilations",
    }
    _only(given, known, tuple(names))
    own = {ours: given[theirs] for theirs, ours in names.items() if theirs in given}
    return {**_shared_by_kan_bayashi(settings), **own}


def _beside(checkpoint: Path, names: tuple[str, ...]) -> Path | None:
    return next((path for name in names if (path := checkpoint.parent / name).is_file()), None)


def _load(model: PublicVocoder, tensors: Mapping[str, Tensor], checkpoint: Path) -> None:
    """Put published tensors into ``model``; every one must have its place and every place be filled."""
    renamed = {_renamed(name): value for name, value in fold_weight_norms(tensors).items()}
    wanted = {name: value.shape for name, value in model.generator.state_dict().items()}
    for name in sorted({*wanted, *renamed}):
        given, needed = (tuple(each[name]) if name in each else None for each in (_shapes(renamed), wanted))
        if given != needed:
            raise CheckpointError(
                f"{checkpoint}: {name} is {given or 'missing'}, its settings ask for {needed or 'no such tensor'}; "
                f"give the settings that were published with this checkpoint"
            )
    model.generator.load_state_dict(renamed)


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in tensors.items()}


def _renamed(name: str) -> str:
    for pattern, replacement in _RENAMED:
        if re.match(pattern, name):
            return re.sub(f"^{pattern}", replacement, name)
    return name


def _statistics(checkpoint: Path, given: Path | None, own: Mapping[str, Tensor], bands: int) -> tuple[Tensor, Tensor]:
    if given is None and len(own) == 2 and all(value.shape == (bands,) for value in own.values()):
        return own["mean"], own["scale"]
    path = given or _beside(checkpoint, STATISTICS)
    if path is None:
        raise CheckpointError(
            f"{checkpoint}: its network takes normalised mels, and there is no {', '.join(STATISTICS)} beside it; name "
            f"the statistics with --statistics"
        )
    return read_statistics(path, bands)
