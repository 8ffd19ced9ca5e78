"""One network on several processes: DDP, or FSDP where a model does not fit.

Both see a network through its ``forward`` alone, so everything that learns in a step has to pass through one.
"""

from __future__ import annotations

import inspect
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from unsilent.errors import RecipeError
from unsilent.models.reconstructor import Reconstructor
from unsilent.nn import ConformerBlock
from unsilent.training.reduce import world_size

__all__ = ["ReconstructorWithHead", "replicate", "shard", "synchronised", "translate"]

_SETTINGS = inspect.signature(DistributedDataParallel).parameters
BUFFERS = "forward_sync_buffers" if "forward_sync_buffers" in _SETTINGS else "broadcast_buffers"
"""DDP's switch for sending the main process's buffers to the others at every step; torch 2.13 renamed it."""


class ReconstructorWithHead(nn.Module):
    """A reconstructor and a linear head on its latents, in one forward pass.

    Args:
        model: the reconstructor.
        head: reads the latents, or None.
    """

    def __init__(self, model: Reconstructor, head: nn.Module | None = None) -> None:
        super().__init__()
        self.model, self.head = model, head

    def forward(self, x: Tensor, mask: Tensor, reference: Tensor, decode: bool = True) -> tuple[Tensor, Tensor | None]:
        """Input, mask (B, T) and voices' log-mels (B, F, M) to the decoder's target and the head's (B, T, classes).

        Without a head, the second is None; with ``decode=False`` the first is what the decoder would read, (B, T, D).
        """
        hidden = self.model.latents(x, mask, self.model.voice_of(reference))
        if not decode:
            return hidden, None
        target: Tensor = self.model.decoder(hidden, mask, self.model.modality)
        return target, None if self.head is None else self.head(hidden)


def translate(network: nn.Module) -> None:
    """Have `torch.compile` translate what ``network`` does when it is first called; its weights keep their names.

    Raises:
        RecipeError: it is on a processor, and there is no compiler for it.
    """
    on_cpu = next(network.parameters()).device.type == "cpu"
    compilers = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++", "cl"]
    if on_cpu and not any(map(shutil.which, compilers)):
        raise RecipeError("run.compile: needs a C++ compiler, and none is installed; install g++, or leave it out")
    network.compile()


def replicate(network: nn.Module, freezes: bool = False) -> nn.Module:
    """``network`` with gradients averaged over processes (DDP); itself in a single process.

    Args:
        network: what learns.
        freezes: some of its parameters do not learn at every step.
    """
    if world_size() == 1:
        return network
    device = next(network.parameters()).device
    # DDP follows what needs a gradient when it is made, so that what is frozen now could never learn.
    learning = {name: parameter.requires_grad for name, parameter in network.named_parameters()}
    network.requires_grad_(True)
    settings: dict[str, Any] = {BUFFERS: False}  # batch-norms compute the same statistics in every process
    wrapped = DistributedDataParallel(
        network,
        device_ids=[device.index] if device.type == "cuda" else None,
        find_unused_parameters=freezes,
        **settings,
    )
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(learning[name])
    return wrapped


def shard(network: nn.Module, optimizers: Iterable[Optimizer]) -> nn.Module:
    """Spread parameters, gradients and optimiser state over processes, in place (FSDP).

    Conformer blocks are gathered one by one, the rest at once. It is still the same module: `synchronised` and a
    ``state_dict`` of spread tensors are all that differs.

    Args:
        network: what learns.
        optimizers: of its parameters; they go on with the spread ones.
    """
    device = next(network.parameters()).device
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    mesh = init_device_mesh(device.type, (world_size(),))
    before = dict(network.named_parameters())
    for module in network.modules():
        if isinstance(module, ConformerBlock):
            fully_shard(module, mesh=mesh)
    fully_shard(network, mesh=mesh)
    spread = {id(before[name]): parameter for name, parameter in network.named_parameters()}
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["params"] = [spread.get(id(parameter), parameter) for parameter in group["params"]]
    return network


@contextmanager
def synchronised(network: nn.Module, last: bool) -> Iterator[None]:
    """The block's forward and backward pass; only the ``last`` of a step's passes exchanges gradients."""
    if isinstance(network, DistributedDataParallel) and not last:
        with network.no_sync():
            yield
        return
    if isinstance(network, FSDPModule):
        network.set_requires_gradient_sync(last)
    yield
