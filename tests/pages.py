"""The documents as tests read them: their fenced blocks, and what is typed in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)


def blocks(path: Path) -> Iterator[tuple[str, str]]:
    """Language and content of every fenced block."""
    for found in FENCE.finditer(path.read_text(encoding="utf-8")):
        yield found[2], re.sub(rf"^{found[1]}", "", found[3], flags=re.MULTILINE)
