"""Chunked attention and causal convolutions: a stream gives what a whole clip gives, and nobody hears the future."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from unsilent.nn import Conformer, ResidualBlock1d

CHUNK, HISTORY, KERNEL = 4, 6, 5


def _conformer(chunk: int = CHUNK) -> Conformer:
    torch.manual_seed(1)
    model = Conformer(8, 16, 2, 2, 32, KERNEL, 0.0, True, chunk, HISTORY)
    _stir(model)
    return model.eval()


def _stir(model: nn.Module) -> None:
    """Running statistics and scales as after training, so that none hides a mistake."""
    for name, value in model.state_dict().items():
        if name.endswith("_mean"):
            value.normal_(0, 0.3)
        elif name.endswith("_var"):
            value.uniform_(0.5, 2.0)


def _mask(*lengths: int) -> Tensor:
    return torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]


@pytest.mark.parametrize("frames", [3, 4, 17, 32])
def test_a_stream_gives_what_the_whole_clip_gives(frames: int) -> None:
    model, x = _conformer(), torch.randn(2, frames, 8)
    whole = model(x, _mask(frames, frames))
    pieces, states = [], None
    for start in range(0, frames, CHUNK):
        piece, states = model.step(x[:, start : start + CHUNK], states)
        pieces.append(piece)
    torch.testing.assert_close(torch.cat(pieces, 1), whole, atol=1e-5, rtol=1e-5)


def test_what_is_kept_of_a_stream_does_not_grow() -> None:
    model, states, sizes = _conformer(), None, []
    for _ in range(9):
        _, states = model.step(torch.randn(1, CHUNK, 8), states)
        sizes.append(sum(value.numel() for state in states for value in state))
    assert sizes[-1] == sizes[-2] == sizes[3]


@pytest.mark.parametrize("changed", [0, 5, 11])
def test_nothing_is_heard_of_later_chunks(changed: int) -> None:
    model, x = _conformer(), torch.randn(1, 24, 8)
    other = x.clone()
    other[0, changed] += 1
    moved = (model(x, _mask(24)) - model(other, _mask(24))).abs().amax(2)[0] > 1e-6
    first = changed // CHUNK * CHUNK
    assert not moved[:first].any()
    assert moved[changed : first + CHUNK].any()
    # Two blocks, each of which reaches back over the history and the convolution.
    assert not moved[first + 2 * (HISTORY + CHUNK + KERNEL) :].any()


def test_without_a_chunk_everything_is_heard() -> None:
    model, x = _conformer(chunk=0), torch.randn(1, 24, 8)
    other = x.clone()
    other[0, 20] += 1
    assert ((model(x, _mask(24)) - model(other, _mask(24))).abs().amax(2)[0] > 1e-7).all()


def test_clips_of_a_batch_are_what_they_are_alone() -> None:
    model, x = _conformer(), torch.randn(2, 40, 8)
    both = model(x, _mask(40, 7))
    assert both.isfinite().all()
    torch.testing.assert_close(both[1:, :7], model(x[1:, :7], _mask(7)), atol=1e-5, rtol=1e-5)
    assert not both[1, 7:].any()


def test_a_chunked_model_learns_from_clips_of_unequal_length() -> None:
    model = _conformer().train()
    model(torch.randn(2, 40, 8), _mask(40, 3)).square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())


def test_causal_residual_blocks_stream() -> None:
    block = ResidualBlock1d(6, 3, causal=True)
    _stir(block)
    block.eval()
    x = torch.randn(2, 6, 20)
    whole = block(x, _mask(20, 20))
    state, pieces = block.silence(x), []
    for start in (0, 1, 8, 17):
        stop = {0: 1, 1: 8, 8: 17, 17: 20}[start]
        piece, state = block.step(x[:, :, start:stop], state, "video")
        pieces.append(piece)
    torch.testing.assert_close(torch.cat(pieces, 2), whole, atol=1e-5, rtol=1e-5)
