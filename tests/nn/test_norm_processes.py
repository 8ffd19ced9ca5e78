"""Batch-norm in two processes is that of one with both batches: outputs, gradients and running statistics."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.processes import WORLD, in_two_processes
from torch import Tensor, nn

from unsilent.nn import GlobalBatchNorm2d, ModalityBatchNorm, length_mask
from unsilent.nn.norm import Modality

pytestmark = pytest.mark.timeout(900)  # two interpreters start, on a machine that may be busy
LENGTHS = {"audio": [6, 4, 1, 5], "video": [0, 3, 0, 2], "all": [6, 6, 6, 6], "far": [6, 5, 6, 4]}
"""Valid positions of four items, of which a process takes every other; the first has none of ``video``."""
Tensors = dict[str, Tensor]


def sequences(case: str, garbage: float) -> tuple[Tensor, Tensor, Tensor]:
    """(4, 3, 6) with ``garbage`` in the padding, its mask, and what the output is weighted with in the loss."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(4, 3, 6, generator=generator) * 2 + (3e4 if case == "far" else 5)
    weights = torch.randn(4, 3, 6, generator=generator)
    mask = length_mask(torch.tensor(LENGTHS[case]), 6)
    return x.masked_fill(~mask[:, None], garbage), mask, weights * mask[:, None]


def over_time(rank: int, world: int, garbage: float) -> Tensors:
    """What one of ``world`` processes has after a batch of each case, all through the same module."""
    norm = ModalityBatchNorm(3, momentum=0.3)
    found: Tensors = {}
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.5, 1.5, -1.0]))
    for case in LENGTHS:
        modality: Modality = "video" if case == "video" else "audio"
        x, mask, weights = (each[rank::world] for each in sequences(case, garbage))
        x.requires_grad_()
        out = norm(x, mask, modality)
        (out * weights).sum().backward()
        assert x.grad is not None
        found |= {f"{case}.out": (out * mask[:, None]).detach(), f"{case}.grad": x.grad}
        found |= {f"{case}.{name}": value.clone() for name, value in norm.named_buffers()}
        for name, parameter in norm.named_parameters():
            assert parameter.grad is not None
            found[f"{case}.{name}"] = parameter.grad.clone()
        norm.zero_grad()
    return found


def over_pictures(rank: int, world: int) -> Tensors:
    torch.manual_seed(4)
    norm, x, weights = GlobalBatchNorm2d(3), torch.randn(6, 3, 4, 5) * 2 - 1, torch.randn(6, 3, 4, 5)
    x = x[rank::world].contiguous(memory_format=torch.channels_last).requires_grad_()
    out = norm(x)
    (out * weights[rank::world]).sum().backward()
    assert x.grad is not None
    assert norm.weight.grad is not None
    assert out.is_contiguous(memory_format=torch.channels_last)
    return {
        "out": out.detach().contiguous(),
        "grad": x.grad.contiguous(),
        "weight": norm.weight.grad,
        **{name: value.clone() for name, value in norm.named_buffers()},
    }


def judged(rank: int) -> Tensors:
    """In evaluation mode, processes do not wait for one another: only the first runs."""
    return {"out": ModalityBatchNorm(3).eval()(*sequences("all", 0.0)[:2])} if rank == 0 else {}


def worker(rank: int, folder: Path) -> None:
    found = {f"time.{name}": value for name, value in over_time(rank, WORLD, 1e3).items()}
    found |= {f"other.{name}": value for name, value in over_time(rank, WORLD, -7.0).items()}
    found |= {f"pictures.{name}": value for name, value in over_pictures(rank, WORLD).items()}
    found |= {f"judged.{name}": value for name, value in judged(rank).items()}
    save_file({name: value.contiguous() for name, value in found.items()}, folder / f"{rank}.safetensors")


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> list[Tensors]:
    folder = tmp_path_factory.mktemp("processes")
    in_two_processes(worker, folder)
    return [load_file(folder / f"{rank}.safetensors") for rank in range(WORLD)]


@pytest.mark.parametrize("case", list(LENGTHS))
def test_two_processes_compute_what_one_does(processes: list[Tensors], case: str) -> None:
    one = over_time(0, 1, 1e3)
    atol, rtol = (2e-2, 1e-3) if case == "far" else (1e-5, 1e-4)
    for name in (name for name in one if name.startswith(f"{case}.")):
        first, second = (process[f"time.{name}"] for process in processes)
        if name.endswith((".out", ".grad")):
            torch.testing.assert_close(first, one[name][0::2], msg=name, atol=atol, rtol=rtol)
            torch.testing.assert_close(second, one[name][1::2], msg=name, atol=atol, rtol=rtol)
        elif name.endswith(("mean", "var")):
            assert torch.equal(first, second), name
            torch.testing.assert_close(first, one[name], msg=name, atol=atol, rtol=rtol)
        else:  # a parameter's gradients are put together by whoever trains it
            torch.testing.assert_close(first + second, one[name], msg=name, atol=atol, rtol=rtol)


def test_statistics_of_one_modality_never_touch_the_others(processes: list[Tensors]) -> None:
    for process in processes:
        for kind in ("mean", "var"):
            fresh = torch.zeros(3) if kind == "mean" else torch.ones(3)
            assert torch.equal(process[f"time.audio.video_{kind}"], fresh)
            assert not torch.equal(process[f"time.audio.audio_{kind}"], fresh)
            assert torch.equal(process[f"time.video.audio_{kind}"], process[f"time.audio.audio_{kind}"])
            assert not torch.equal(process[f"time.video.video_{kind}"], fresh)
            assert torch.equal(process[f"time.far.video_{kind}"], process[f"time.video.video_{kind}"])


def test_padding_never_counts(processes: list[Tensors]) -> None:
    for process in processes:
        names = [name for name in process if name.startswith("time.")]
        assert len(names) > 20
        for name in names:
            assert torch.equal(process[name], process[name.replace("time.", "other.", 1)]), name


def test_a_process_without_a_valid_position_takes_the_others_statistics(processes: list[Tensors]) -> None:
    assert not processes[0]["time.video.out"].any()
    assert processes[0]["time.video.video_mean"].abs().min() > 0
    assert all(value.isfinite().all() for process in processes for value in process.values())


def test_a_mean_far_from_zero_costs_no_variance(processes: list[Tensors]) -> None:
    x, mask, _ = sequences("far", 0.0)
    wanted = x.double().transpose(1, 2)[mask].T
    normalised = (wanted - wanted.mean(1, keepdim=True)) / wanted.std(1, correction=0, keepdim=True)
    weight = torch.tensor([0.5, 1.5, -1.0], dtype=torch.float64)
    out = torch.empty(4, 3, 6)
    out[0::2], out[1::2] = (process["time.far.out"] for process in processes)
    torch.testing.assert_close(out.double().transpose(1, 2)[mask].T, weight[:, None] * normalised, atol=2e-2, rtol=0)


def test_pictures_too(processes: list[Tensors]) -> None:
    one = over_pictures(0, 1)
    for name in ("out", "grad"):
        for rank, process in enumerate(processes):
            torch.testing.assert_close(process[f"pictures.{name}"], one[name][rank::2], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(sum(process["pictures.weight"] for process in processes), one["weight"])
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        torch.testing.assert_close(processes[0][f"pictures.{name}"], one[name])
        assert torch.equal(processes[1][f"pictures.{name}"], processes[0][f"pictures.{name}"])


def test_evaluation_waits_for_nobody(processes: list[Tensors]) -> None:
    torch.testing.assert_close(processes[0]["judged.out"], sequences("all", 0.0)[0], atol=1e-3, rtol=1e-4)
    assert "judged.out" not in processes[1]


def test_alone_it_is_batch_norm_to_the_bit() -> None:
    mine, theirs = GlobalBatchNorm2d(3), nn.BatchNorm2d(3)
    x = torch.randn(4, 3, 5, 5)
    assert torch.equal(mine(x), theirs(x))
    assert list(mine.state_dict()) == list(theirs.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(mine.buffers(), theirs.buffers(), strict=True))
