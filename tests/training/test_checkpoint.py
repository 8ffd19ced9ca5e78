"""Checkpoints: whole or not there, checked on reading, and never fewer good ones than before."""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from unsilent.errors import CheckpointError, OutputError
from unsilent.training import checkpoint
from unsilent.training.checkpoint import (
    Snapshot,
    flatten_optimizer,
    newest_snapshot,
    read_snapshot,
    restore_optimizer,
    write_snapshot,
)


def snapshot(step: int) -> Snapshot:
    tensors = {"a.weight": torch.full((2, 3), float(step)), "a.count": torch.tensor(step)}
    return Snapshot(step, tensors, {"weight": torch.rand(3)}, {}, {"recipe": {"name": "x"}, "best": 0.25})


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def flip(path: Path, position: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(bytes(data))


def test_round_trip(tmp_path: Path) -> None:
    written = snapshot(12)
    path = write_snapshot(tmp_path, written)
    assert path.name == "step-00000012"
    for read in (read_snapshot(path), newest_snapshot(tmp_path)):
        assert read is not None
        assert read.step == 12
        assert same(read.modules, written.modules)
        assert same(read.ema, written.ema)
        assert read.optimizers == {}
        assert read.state == written.state
    files = sorted(file.name for file in path.iterdir())
    assert files == ["ema.safetensors", "modules.safetensors", "optimizers.safetensors", "state.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000012"]


def test_newest_two_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 30, 4, 31):
        write_snapshot(tmp_path, snapshot(step))
    newest = newest_snapshot(tmp_path)
    assert newest is not None
    assert newest.step == 31
    assert {"step-00000030", "step-00000031"} <= {path.name for path in tmp_path.iterdir()}
    write_snapshot(tmp_path, snapshot(40))
    assert {path.name for path in tmp_path.iterdir()} == {"step-00000031", "step-00000040"}


def test_writing_a_step_again_replaces_it(tmp_path: Path) -> None:
    write_snapshot(tmp_path, snapshot(5))
    other = snapshot(5)
    other.state["best"] = 0.1
    write_snapshot(tmp_path, other)
    read = newest_snapshot(tmp_path)
    assert read is not None
    assert read.state["best"] == 0.1


@pytest.mark.parametrize("file", ["modules", "ema", "optimizers"])
def test_damaged_newest_is_passed_over_aloud(tmp_path: Path, file: str, caplog: pytest.LogCaptureFixture) -> None:
    write_snapshot(tmp_path, snapshot(1))
    newest = write_snapshot(tmp_path, snapshot(2))
    flip(newest / f"{file}.safetensors")
    with caplog.at_level(logging.WARNING):
        read = newest_snapshot(tmp_path)
    assert read is not None
    assert read.step == 1
    assert len(caplog.records) == 1
    assert str(newest) in caplog.text
    assert "SHA-256" in caplog.text
    with pytest.raises(CheckpointError, match=file):
        read_snapshot(newest)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "3", "{}", '{"step": 2}', '{"step": 2, "sha256": 5}'])
def test_damaged_state_is_passed_over(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    write_snapshot(tmp_path, snapshot(1))
    newest = write_snapshot(tmp_path, snapshot(2))
    (newest / "state.json").write_text(text)
    read = newest_snapshot(tmp_path)
    assert read is not None
    assert read.step == 1
    assert str(newest) in caplog.text


@pytest.mark.parametrize("missing", ["state.json", "modules.safetensors", "ema.safetensors", "optimizers.safetensors"])
def test_half_a_folder_is_passed_over(tmp_path: Path, missing: str) -> None:
    write_snapshot(tmp_path, snapshot(1))
    (write_snapshot(tmp_path, snapshot(2)) / missing).unlink()
    read = newest_snapshot(tmp_path)
    assert read is not None
    assert read.step == 1


def test_unfinished_folder_and_strangers_are_ignored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_snapshot(tmp_path, snapshot(1))
    (tmp_path / ".step-00000009.abcd.partial").mkdir()
    (tmp_path / "step-00000009").write_text("a file")
    (tmp_path / "notes").mkdir()
    read = newest_snapshot(tmp_path)
    assert read is not None
    assert read.step == 1
    assert not caplog.records


@pytest.mark.parametrize("seed", range(60))
def test_no_single_fault_is_taken_for_good(tmp_path: Path, seed: int) -> None:
    """A bit, a byte or the end of any file: what is read is what was written, or the checkpoint before it."""
    rng = random.Random(seed)
    first, second = snapshot(1), snapshot(2)
    write_snapshot(tmp_path, first)
    victim = rng.choice(sorted(write_snapshot(tmp_path, second).iterdir()))
    data = bytearray(victim.read_bytes())
    place = rng.randrange(len(data))
    if seed % 3 == 0:
        del data[place:]
    else:
        data[place] ^= 1 << rng.randrange(8) if seed % 3 == 1 else rng.randrange(1, 256)
    victim.write_bytes(bytes(data))
    read = newest_snapshot(tmp_path)
    assert read is not None
    written = second if read.step == 2 else first
    assert (read.step, read.state) == (written.step, written.state)
    assert same(read.modules, written.modules)
    assert same(read.ema, written.ema)


def test_nothing_there(tmp_path: Path) -> None:
    assert newest_snapshot(tmp_path) is None
    assert newest_snapshot(tmp_path / "never-made") is None


def test_damaged_later_ones_never_push_out_a_new_one(tmp_path: Path) -> None:
    for step in (100, 200):
        flip(write_snapshot(tmp_path, snapshot(step)) / "modules.safetensors")
    assert newest_snapshot(tmp_path) is None
    for step in (1, 2, 3):
        write_snapshot(tmp_path, snapshot(step))
        read = newest_snapshot(tmp_path)
        assert read is not None
        assert read.step == step
    assert not (tmp_path / "step-00000001").exists()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SafetensorError("No space left on device")])
@pytest.mark.parametrize("calls_before", [0, 2])
def test_full_disk_leaves_the_older_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, calls_before: int
) -> None:
    for step in (1, 2):
        write_snapshot(tmp_path, snapshot(step))
    real, calls = save_file, []

    def full(tensors: dict[str, Tensor], path: Path) -> None:
        calls.append(path)
        if len(calls) > calls_before:
            path.write_bytes(b"half")
            raise error
        real(tensors, path)

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OutputError, match=r"step-00000003.*No space left") as caught:
        write_snapshot(tmp_path, snapshot(3))
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000001", "step-00000002"]
    read = newest_snapshot(tmp_path)
    assert read is not None
    assert read.step == 2


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_snapshot(tmp_path / "file" / "checkpoints", snapshot(1))


def stepped(optimizer: torch.optim.Optimizer, model: nn.Module, seeds: range) -> None:
    for seed in seeds:
        x = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
        optimizer.zero_grad()
        torch.autograd.backward(model(x.contiguous(memory_format=torch.channels_last)).square().mean())
        optimizer.step()


@pytest.mark.parametrize("fused", [True, False])
def test_restored_optimizer_goes_on_as_if_never_stopped_in_any_memory_layout(fused: bool) -> None:
    def build() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 3, bias=False))
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return model, torch.optim.AdamW(model.parameters(), 1e-2, fused=fused)

    straight, optimizer = build()
    stepped(optimizer, straight, range(3))
    weights = {name: value.clone() for name, value in straight.state_dict().items()}
    kept = {name: value.clone(memory_format=torch.contiguous_format) for name, value in
            flatten_optimizer("adamw", optimizer).items()}  # fmt: skip
    assert {name.split(".")[0] for name in kept} == {"adamw"}
    resumed, other = build()
    resumed.load_state_dict(weights)
    restore_optimizer("adamw", other, {**kept, "critics.0.exp_avg": torch.zeros(1)})
    stepped(optimizer, straight, range(3, 6))
    stepped(other, resumed, range(3, 6))
    assert same(dict(straight.state_dict()), dict(resumed.state_dict()))
    assert same(flatten_optimizer("adamw", optimizer), flatten_optimizer("adamw", other))


def test_optimizer_state_survives_the_disk(tmp_path: Path) -> None:
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    torch.autograd.backward(model(torch.ones(1, 3)).sum())
    optimizer.step()
    flat = flatten_optimizer("adamw", optimizer)
    assert set(flat) == {f"adamw.{i}.{key}" for i in (0, 1) for key in ("step", "exp_avg", "exp_avg_sq")}
    path = write_snapshot(tmp_path, Snapshot(1, {}, {}, flat, {}))
    assert same(read_snapshot(path).optimizers, flat)
    assert json.loads((path / "state.json").read_text())["step"] == 1
