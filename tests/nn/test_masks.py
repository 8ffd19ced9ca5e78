from __future__ import annotations

import torch

from unsilent.nn import length_mask


def test_mask_is_true_where_there_is_data() -> None:
    mask = length_mask(torch.tensor([0, 2, 3]), 3)
    assert mask.dtype == torch.bool
    assert mask.tolist() == [[False] * 3, [True, True, False], [True] * 3]
