"""Strangers' files: only tensors are read, nothing is run, and damage is one line."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from unsilent.errors import CheckpointError
from unsilent.models.public_vocoders import checkpoint as module
from unsilent.models.public_vocoders.checkpoint import (
    fold_weight_norms,
    generator_tensors,
    read_checkpoint,
    read_statistics,
)


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.path),)


def planted(content: Any, how: str) -> bytes:
    stream = io.BytesIO()
    if how == "plain":
        pickle.dump(content, stream)
    elif how == "zip":
        torch.save(content, stream)
    else:
        torch.save(content, stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


@pytest.mark.parametrize("how", ["plain", "zip", "legacy"])
@pytest.mark.parametrize("where", ["top", "beside", "inside"])
def test_nothing_in_a_checkpoint_is_run(tmp_path: Path, how: str, where: str) -> None:
    trap, path = tmp_path / "ran", tmp_path / "checkpoint.pkl"
    tensors: dict[str, Any] = {"conv_pre.weight": torch.zeros(2)}
    contents = {
        "top": Trap(trap),
        "beside": {"model": {"generator": tensors}, "optimizer": Trap(trap)},
        "inside": {"generator": {**tensors, "x": Trap(trap)}},
    }
    path.write_bytes(planted(contents[where], how))
    with pytest.raises(CheckpointError, match="nothing in it was run") as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not trap.exists()
    # The trap is a trap: plain unpickling springs it.
    if how == "plain":
        pickle.loads(path.read_bytes())
        assert trap.exists()


def test_statistics_are_not_unpickled(tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    np.save(tmp_path / "stats.npy", np.array([Trap(trap), Trap(trap)], dtype=object), allow_pickle=True)
    with pytest.raises(CheckpointError):
        read_statistics(tmp_path / "stats.npy", 1)
    assert not trap.exists()


def test_the_one_place_that_loads_asks_for_tensors_alone() -> None:
    text = Path(module.__file__).read_text(encoding="utf-8")
    assert text.count("torch.load(") == text.count("weights_only=True)") == 1


SMALL = planted({"generator": {"a.weight_g": torch.ones(2, 1), "a.weight_v": torch.ones(2, 3)}}, "zip")
LEGACY = planted({"generator": {"a.weight_g": torch.ones(2, 1), "a.weight_v": torch.ones(2, 3)}}, "legacy")


@given(
    whole=st.sampled_from([SMALL, LEGACY]), cut=st.integers(0, 3000), flips=st.lists(st.integers(0, 9999), max_size=4)
)
def test_a_damaged_checkpoint_is_one_line_or_still_tensors(
    tmp_path_factory: pytest.TempPathFactory, whole: bytes, cut: int, flips: list[int]
) -> None:
    data = bytearray(whole[: len(whole) - cut] if flips else whole[:cut])
    for flip in flips if data else []:
        data[flip % len(data)] ^= 1 << flip % 8
    path = tmp_path_factory.mktemp("damaged") / "checkpoint.pkl"
    path.write_bytes(data)
    said = str(path)
    try:
        tensors = generator_tensors(read_checkpoint(path), path)
        assert all(value.isfinite().all() for value in tensors.values())
    except CheckpointError as error:
        said = str(error)
    assert said.startswith(str(path))
    assert "\n" not in said


@pytest.mark.parametrize("content", [b"", b"RIFF1234WAVE", b"\x80\x02.", b"PK\x03\x04"])
def test_files_of_another_kind(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"x\.pkl"):
        read_checkpoint(path)
    for other in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(CheckpointError, match="no such file"):
            read_checkpoint(other)


def test_an_archive_that_is_no_checkpoint(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.txt", "hello")
    with pytest.raises(CheckpointError, match=r"x\.zip"):
        read_checkpoint(tmp_path / "x.zip")


@pytest.mark.parametrize(
    "content",
    [
        3,
        [],
        {},
        {"generator": {}},
        {"generator": {"a": 1}},
        {"discriminator": {"a": torch.zeros(1)}},
        {1: torch.ones(1)},
    ],
)
def test_a_checkpoint_without_a_generator(content: Any) -> None:
    with pytest.raises(CheckpointError, match="no generator"):
        generator_tensors(content, Path("x.pkl"))


def test_weights_that_are_no_numbers() -> None:
    with pytest.raises(CheckpointError, match=r"x\.pkl: b holds"):
        generator_tensors({"generator": {"a": torch.ones(1), "b": torch.tensor([1.0, torch.nan])}}, Path("x.pkl"))


@pytest.mark.parametrize("layer", [nn.Conv1d(4, 6, 3), nn.ConvTranspose1d(4, 6, 3), nn.Conv2d(1, 2, (1, 5))])
def test_folding_gives_the_weight_of_torchs_own_normalisation(layer: nn.Module) -> None:
    normed = nn.utils.parametrizations.weight_norm(layer)
    with torch.no_grad():
        normed.parametrizations.weight.original0.mul_(1.7)
    folded = fold_weight_norms({f"a.{name}": value for name, value in normed.state_dict().items()})
    assert set(folded) == {"a.weight", "a.bias"}
    assert isinstance(normed.weight, torch.Tensor)
    assert torch.equal(folded["a.weight"], normed.weight.detach())
