"""Conformer: any length, the same alone and in a padded batch, order of time kept."""

from __future__ import annotations

import pytest
import torch

from unsilent.nn import Conformer, length_mask
from unsilent.nn.conformer import rotate


def conformer(blocks: int = 2, dropout: float = 0.0) -> Conformer:
    return Conformer(6, 8, blocks, heads=2, hidden=12, kernel_size=5, dropout=dropout)


def settle(module: torch.nn.Module) -> None:
    """Give every buffer of statistics a value of its own, then switch to evaluation."""
    for name, value in module.named_buffers():
        value.copy_(torch.rand_like(value) + (0.5 if name.endswith("var") else -0.5))
    module.eval()


@pytest.mark.parametrize("length", [1, 2, 3, 31, 200])
def test_any_length(length: int) -> None:
    model = conformer().eval()
    out = model(torch.randn(1, length, 6), torch.ones(1, length, dtype=torch.bool))
    assert out.shape == (1, length, 8)
    assert out.isfinite().all()


def test_padded_batch_is_each_alone() -> None:
    model = conformer()
    settle(model)
    lengths = [9, 4, 1]
    x = torch.randn(3, 9, 6)
    mask = length_mask(torch.tensor(lengths), 9)
    out = model(torch.where(mask[..., None], x, torch.tensor(1e3)), mask)
    for i, length in enumerate(lengths):
        alone = model(x[i : i + 1, :length], torch.ones(1, length, dtype=torch.bool))
        torch.testing.assert_close(out[i : i + 1, :length], alone, atol=1e-5, rtol=1e-5)
        assert not out[i, length:].any()


def test_padding_changes_neither_statistics_nor_gradients_in_training() -> None:
    torch.manual_seed(1)
    narrow, wide = conformer(), conformer()
    wide.load_state_dict(narrow.state_dict())
    x = torch.randn(2, 5, 6)
    out = narrow(x, torch.ones(2, 5, dtype=torch.bool))
    padded = torch.cat((x, torch.full((2, 3, 6), 1e3)), dim=1)
    other = wide(padded, length_mask(torch.tensor([5, 5]), 8))
    torch.testing.assert_close(other[:, :5], out, atol=1e-5, rtol=1e-4)
    target = torch.randn_like(out)
    (out * target).sum().backward()
    (other[:, :5] * target).sum().backward()
    for (name, mine), theirs in zip(narrow.named_parameters(), wide.parameters(), strict=True):
        torch.testing.assert_close(theirs.grad, mine.grad, atol=1e-4, rtol=1e-3, msg=name)
    for (name, before), after in zip(narrow.named_buffers(), wide.buffers(), strict=True):
        torch.testing.assert_close(after, before, msg=name)


def test_gradient_reaches_every_parameter() -> None:
    model = conformer()
    out = model(torch.randn(2, 7, 6), length_mask(torch.tensor([7, 5]), 7))
    (out * torch.randn_like(out)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_order_in_time_matters() -> None:
    model = conformer()
    settle(model)
    x, mask = torch.randn(1, 6, 6), torch.ones(1, 6, dtype=torch.bool)
    assert not torch.allclose(model(x.flip(1), mask).flip(1), model(x, mask), atol=1e-3)


def test_rotation_makes_products_depend_on_distance_alone() -> None:
    query, key = torch.randn(8), torch.randn(8)
    turned_query, turned_key = rotate(query.expand(1, 1, 20, 8)), rotate(key.expand(1, 1, 20, 8))
    products = (turned_query @ turned_key.transpose(-1, -2))[0, 0]
    for distance in (0, 3, 11):
        diagonal = products.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-4, rtol=1e-4)
    assert products[0].std() > 0.01
    torch.testing.assert_close(turned_query.norm(dim=-1), query.norm().expand(1, 1, 20))


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="width 8"):
        Conformer(6, 8, 1, heads=3, hidden=12, kernel_size=5)
