"""pytest as it runs where the core alone is installed: ``python -m tests.core [ARGUMENTS]``.

Packages that neither the core nor the runner of its tests asks for cannot be found, although they are installed here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import metadata
from importlib.machinery import ModuleSpec, PathFinder
from typing import ClassVar

import pytest
from packaging.requirements import Requirement

INSTALLED = ("unsilent", "pytest", "pytest-timeout", "hypothesis")
"""What the workflow's job for other platforms installs."""


def distributions(names: Sequence[str]) -> set[str]:
    """The distributions of these names, and all that they need."""
    found: set[str] = set()
    waiting = [Requirement(name) for name in names]
    while waiting:
        wanted = waiting.pop()
        if wanted.name not in found:
            found.add(wanted.name)
            waiting += _needs(wanted)
    return {_spelt(name) for name in found}


def _needs(wanted: Requirement) -> list[Requirement]:
    try:
        needed = [Requirement(line) for line in metadata.requires(wanted.name) or ()]
    except metadata.PackageNotFoundError:
        return []  # not needed on this platform
    chosen = ("", *wanted.extras)
    return [each for each in needed if not each.marker or any(each.marker.evaluate({"extra": e}) for e in chosen)]


def _spelt(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def hidden() -> frozenset[str]:
    """Modules that are installed here and would not be there."""
    kept = distributions(INSTALLED)
    owners = metadata.packages_distributions().items()
    return frozenset(module for module, names in owners if kept.isdisjoint(map(_spelt, names)))


class Core(PathFinder):
    """Finds modules on the path but those that are hidden."""

    hidden: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def find_spec(cls, fullname: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        """As `PathFinder`, or nothing."""
        return None if fullname.partition(".")[0] in cls.hidden else super().find_spec(fullname, path)


if __name__ == "__main__":
    os.environ["UNSILENT_EXTRAS"] = "none"
    # Here and no earlier: processes that tests start import this module again, and some of them are timed.
    Core.hidden = hidden()
    sys.meta_path[:] = [Core if finder is PathFinder else finder for finder in sys.meta_path]
    sys.exit(pytest.main(sys.argv[1:]))
