"""Reading what others have published, without running any code of theirs.

A PyTorch checkpoint is a pickle. `torch.load` with ``weights_only`` reads tensors, numbers, strings and plain
containers of them by an interpreter of its own, and refuses everything else before anything is called.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file
from torch import Tensor

from unsilent.errors import CheckpointError

__all__ = ["fold_weight_norms", "generator_tensors", "read_checkpoint", "read_settings", "read_statistics"]

_MAX_SETTINGS = 1_000_000
_NORMS = (("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1"))
"""Names of magnitude and direction under torch's older and newer weight normalisation."""


def read_checkpoint(path: Path) -> Any:
    """Contents of a PyTorch checkpoint: tensors, numbers, strings and containers of them.

    Raises:
        CheckpointError: it cannot be read, is damaged, or holds anything else, which is never run.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; give a checkpoint of a public vocoder")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # a damaged file can fail anywhere in the reader, with any exception
        reason = _first_line(error).removesuffix(".")
        raise CheckpointError(
            f"{path}: is no checkpoint of tensors alone ({reason}); nothing in it was run; download it again, or save "
            f"the generator's state_dict by itself"
        ) from error


def generator_tensors(content: Any, path: Path) -> dict[str, Tensor]:
    """The generator's tensors in a checkpoint of HiFi-GAN's authors, of kan-bayashi's, or of one network alone.

    Raises:
        CheckpointError: there is no such thing in it, or it holds infinite numbers.
    """
    found = content
    for key in ("model", "generator"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    tensors = found if isinstance(found, Mapping) else {}
    if not tensors or not all(isinstance(name, str) and isinstance(tensors[name], Tensor) for name in tensors):
        raise CheckpointError(f"{path}: holds no generator; give a generator's checkpoint, not a discriminator's")
    plain = {name: value.detach().float().contiguous() for name, value in tensors.items()}
    for name, value in plain.items():
        if not value.isfinite().all():
            raise CheckpointError(f"{path}: {name} holds values that are no finite numbers; download it again")
    return plain


def fold_weight_norms(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Replace magnitude and direction of weight normalisation by the weight; everything else stays."""
    folded = dict(tensors)
    for magnitude, direction in _NORMS:
        for name in [name for name in folded if name.endswith(f".{magnitude}")]:
            prefix = name.removesuffix(magnitude)
            if f"{prefix}{direction}" not in folded:
                continue
            # torch's own fused operation: the weight is that of the published code to the last bit.
            weight = torch._weight_norm(folded.pop(f"{prefix}{direction}"), folded.pop(name), 0)
            folded[f"{prefix}weight"] = weight.contiguous()
    return folded


def read_settings(path: Path) -> dict[str, Any]:
    """Settings that were published with a checkpoint, JSON or YAML.

    Raises:
        CheckpointError: the file cannot be read, or is no mapping.
    """
    try:
        raw = path.read_bytes() if path.stat().st_size <= _MAX_SETTINGS else b"\0"
        loaded = json.loads(raw) if path.suffix == ".json" else yaml.safe_load(raw)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error}); give the settings file") from error
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: is neither JSON nor plain YAML ({_first_line(error)}); give the config.json or config.yml that "
            f"was published with the checkpoint"
        ) from error
    if not isinstance(loaded, dict):
        raise CheckpointError(f"{path}: holds no settings; give the config that was published with the checkpoint")
    return loaded


def read_statistics(path: Path, bands: int) -> tuple[Tensor, Tensor]:
    """Mean and scale, (bands,) each, of the mels that a network was trained on.

    Args:
        path: .npy of (2, bands); .safetensors or, where h5py is installed, .h5 with ``mean`` and ``scale``.
        bands: mel bands.

    Raises:
        CheckpointError: the file cannot be read, is of another kind or size, or holds impossible numbers.
    """
    readers: dict[str, Callable[[Path], dict[str, NDArray[Any]]]]
    readers = {".npy": _from_npy, ".safetensors": load_file, ".h5": _from_hdf5, ".hdf5": _from_hdf5}
    reader = readers.get(path.suffix)
    if reader is None:
        raise CheckpointError(f"{path}: statistics are read from {', '.join(readers)}; convert them to one of these")
    try:
        stored = reader(path)
        mean, scale = (np.asarray(stored[name], np.float32).reshape(-1) for name in ("mean", "scale"))
    except (OSError, ValueError, KeyError, TypeError, EOFError, SafetensorError) as error:
        raise CheckpointError(f"{path}: holds no readable mean and scale ({_first_line(error)})") from error
    if len(mean) != bands or len(scale) != bands:
        raise CheckpointError(f"{path}: mean and scale are of {len(mean)} and {len(scale)} bands, the mel of {bands}")
    if not (np.isfinite(mean).all() and np.isfinite(scale).all() and (scale > 0).all()):
        raise CheckpointError(f"{path}: mean must be finite and scale above zero; give the right statistics")
    return torch.from_numpy(mean.copy()), torch.from_numpy(scale.copy())


def _from_npy(path: Path) -> dict[str, NDArray[Any]]:
    stored = np.load(path, allow_pickle=False)
    if not isinstance(stored, np.ndarray) or stored.ndim != 2 or len(stored) != 2:
        raise ValueError("its array is not one of two rows")
    return {"mean": stored[0], "scale": stored[1]}


def _from_hdf5(path: Path) -> dict[str, NDArray[Any]]:
    try:
        h5py = importlib.import_module("h5py")
    except ImportError as error:
        raise CheckpointError(
            f"{path}: needs h5py, which is not installed; pip install h5py, or store mean and scale as .npy of two rows"
        ) from error
    with h5py.File(path, "r") as handle:
        return {name: handle[name][()] for name in ("mean", "scale")}


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip()[:200] if lines else type(error).__name__
