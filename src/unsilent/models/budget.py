"""A network is built only as large as the weights that are there for it: settings may come from a stranger."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from unsilent.errors import CheckpointError

__all__ = ["built_for"]

_SLACK = 1_000_000


@contextmanager
def built_for(values: int, path: Path) -> Iterator[None]:
    """Context in which a network is built from settings that nobody has looked at.

    A parameter that is one too many ends it before memory is filled, as do settings that make no network.

    Args:
        values: numbers in the weights that will be loaded.
        path: where settings and weights are from, for messages.

    Raises:
        CheckpointError: the network has far more parameters, or cannot be built.
    """
    thread, count = threading.get_ident(), 0

    def register(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal count
        if parameter is None or threading.get_ident() != thread:
            return
        count += parameter.numel()
        # Twice: a layer may replace what it has registered.
        if count > 2 * values + _SLACK:
            raise CheckpointError(
                f"{path}: its settings ask for a far larger network than there are weights for; copy the model again"
            )

    hook = register_module_parameter_registration_hook(register)
    try:
        yield
    except (ArithmeticError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path}: its settings make no network ({reason}); copy the model again") from error
    finally:
        hook.remove()
