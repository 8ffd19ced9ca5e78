"""Docstrings of the package, as Markdown: the roles and the tables of reStructuredText that some of them hold."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|mod|data|attr|meth):`~?([^`]+)`")
RULE = re.compile(r"={3,}(?: +={3,})+ *")
LITERAL = re.compile(r"``([^`]+)``")


class Docstrings(griffe.Extension):
    """Rewrites every docstring before it is rendered."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(text: str) -> str:
    """Turn roles into code and tables, which begin and end with a rule of equal signs, into blocks of code."""
    rules = 0
    lines = []
    for line in ROLE.sub(r"`\1`", text).splitlines():
        if RULE.fullmatch(line):
            rules += 1
            if rules % 3 == 1:
                lines.append("```text")
            if rules % 3 == 0:
                lines.append("```")
        elif rules % 3:
            lines.append(LITERAL.sub(r"\1    ", line))  # as wide as before, so that columns stay in line
        else:
            lines.append(line)
    return "\n".join(lines)
