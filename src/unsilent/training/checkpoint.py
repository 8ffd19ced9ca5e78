"""Resumable checkpoints: tensors in safetensors, everything else in JSON, never half-written.

A run's folder holds ``checkpoints/step-00001234/`` with ``modules.safetensors``, ``ema.safetensors``,
``optimizers.safetensors`` and ``state.json``, which carries the step, the resolved recipe, the SHA-256 of the other
files and of itself. A folder is written, and removed, under a temporary name; one that is damaged is passed over.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer

from unsilent.errors import CheckpointError, OutputError
from unsilent.files import sha256_file
from unsilent.training.reduce import like_parameter, whole_tensor

__all__ = [
    "Snapshot",
    "flatten_optimizer",
    "newest_snapshot",
    "restore_optimizer",
    "write_snapshot",
]

log = logging.getLogger(__name__)

KEEP = 2
TENSOR_FILES = ("modules", "ema", "optimizers")
STATE = "state"


@dataclass
class Snapshot:
    """Everything that a run needs to go on."""

    step: int
    modules: dict[str, Tensor]
    ema: dict[str, Tensor]
    optimizers: dict[str, Tensor]
    state: dict[str, Any]
    """JSON-safe: recipe, best metric, history."""


def flatten_optimizer(name: str, optimizer: Optimizer) -> dict[str, Tensor]:
    """State tensors of an optimiser as ``name.parameter-index.key``, put together where processes share them."""
    flat: dict[str, Tensor] = {}
    for index, values in optimizer.state_dict()["state"].items():
        for key, value in values.items():
            flat[f"{name}.{index}.{key}"] = whole_tensor(value) if isinstance(value, Tensor) else torch.tensor(value)
    return flat


def restore_optimizer(name: str, optimizer: Optimizer, flat: dict[str, Tensor]) -> None:
    """Put back what `flatten_optimizer` took; learning rates come from the schedule."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in flat.items():
        owner, index, field = key.rsplit(".", 2)
        if owner == name:
            # Fused optimisers walk raw memory: a state must lie in memory as its parameter does (channels_last).
            state.setdefault(int(index), {})[field] = like_parameter(value, parameters[int(index)])
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def write_snapshot(folder: Path, snapshot: Snapshot) -> Path:
    """Write ``folder/step-N`` at once and remove all older ones but one.

    Raises:
        OutputError: the folder cannot be written, or the disk is full; older checkpoints stay as they are.
    """
    target = folder / f"step-{snapshot.step:08d}"
    temporary = _temporary(target)
    try:
        temporary.mkdir(parents=True)
        sums = {}
        for name in TENSOR_FILES:
            tensors = {key: value.detach().cpu().contiguous() for key, value in getattr(snapshot, name).items()}
            path = temporary / f"{name}.safetensors"
            save_file(tensors, path)
            sums[name] = sha256_file(path)
        state = {"step": snapshot.step, **snapshot.state}
        state["sha256"] = {**sums, STATE: _state_sum(state)}
        with open(temporary / "state.json", "w", encoding="utf-8") as handle:
            json.dump(state, handle)
            handle.flush()
            os.fsync(handle.fileno())
        _remove(target)
        temporary.replace(target)
    except (OSError, SafetensorError) as error:
        raise OutputError(f"{target}: checkpoint cannot be written ({error}); make room and run it again") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    # Later ones are damaged, or this run would have gone on from there: they must not push good ones out.
    for old in [path for path in _folders(folder) if path.name <= target.name][:-KEEP]:
        _remove(old)
    return target


def newest_snapshot(folder: Path) -> Snapshot | None:
    """Newest checkpoint under ``folder`` whose checksums hold, or None; damaged ones are reported and passed over."""
    for path in reversed(_folders(folder)):
        try:
            return read_snapshot(path)
        except CheckpointError as error:
            log.warning("%s; trying the one before it", error)
    return None


def read_snapshot(path: Path) -> Snapshot:
    """Read one checkpoint folder.

    Raises:
        CheckpointError: a file is missing or fails its checksum.
    """
    try:
        state = json.loads((path / "state.json").read_text(encoding="utf-8"))
        sums = state.pop("sha256")
        if sums.get(STATE, _state_sum(state)) != _state_sum(state):
            raise CheckpointError(f"{path / 'state.json'}: is damaged (its SHA-256 differs); delete {path}")
        step = int(state.pop("step"))
        tensors = {}
        for name in TENSOR_FILES:
            file = path / f"{name}.safetensors"
            if sha256_file(file) != sums[name]:
                raise CheckpointError(f"{file}: is damaged (its SHA-256 differs); delete {path}")
            tensors[name] = load_file(file)
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise CheckpointError(f"{path}: is not a complete checkpoint ({error}); delete it") from error
    return Snapshot(step, tensors["modules"], tensors["ema"], tensors["optimizers"], state)


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step-*") if path.is_dir())


def _remove(path: Path) -> None:
    """Remove a checkpoint so that one half removed is never taken for one."""
    if path.exists():
        shutil.rmtree(path.replace(_temporary(path)), ignore_errors=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")


def _state_sum(state: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
