"""A verb with a sub-command for every corpus of the registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from typer.core import TyperGroup

if TYPE_CHECKING:
    from unsilent.corpora.registry import CorpusInfo

__all__ = ["corpora_group"]


def corpora_group(command: Callable[[CorpusInfo], Any]) -> type[TyperGroup]:
    """A group that asks ``command`` for every corpus; the registry is not imported before the verb is invoked."""

    class CorporaGroup(TyperGroup):
        def __init__(self, **settings: Any) -> None:
            from unsilent.corpora.registry import CORPORA

            settings["commands"] = {name: command(info) for name, info in CORPORA.items()} | settings["commands"]
            super().__init__(**settings)

    return CorporaGroup
