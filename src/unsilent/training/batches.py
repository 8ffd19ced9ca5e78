"""What every batch can do: go to a device, and be where a device can fetch it while it computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor

__all__ = ["TensorBatch"]


class TensorBatch:
    """Base of dataclasses whose fields are tensors that begin with the batch axis."""

    def to(self, device: torch.device) -> Self:
        """The batch on ``device``; of a pinned one, the copy goes on while this returns."""
        return self._each(lambda value: value.to(device, non_blocking=True))

    def pin_memory(self) -> Self:
        """The batch in page-locked memory; `torch.utils.data.DataLoader` asks for it where it feeds a GPU."""
        return self._each(lambda value: value.pin_memory())

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        return type(self)(**{name: change(value) for name, value in vars(self).items()})
