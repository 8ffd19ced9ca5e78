"""Damage to files: what a broken disk, a cut download, a hand that edits and an attacker who knows the format do."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from typing import Any

__all__ = ["ODD_VALUES", "mutate_bytes", "mutate_json", "mutate_text"]

EXTREMES = (0, 1, 2, 127, 255, 65_535, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 2**63 - 1, 2**64 - 1)
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**9, 10**30, 0.5, -0.0, 1e308, float("nan"), float("inf"), "", " ",
    "x", "é\u0301", "\u202egnp.exe", "\x1b[31mred\x1b[0m", "a\nb", "\0", "A" * 5000, "../../../etc/passwd",
    "/etc/passwd", "http://127.0.0.1:9/x", "file:///etc/passwd", "user/model", "!!python/object/apply:os.system",
    "__class__", [], {}, [[]], [None], {"": {}}, [1] * 1000, {"__class__": "os.system", "args": ["touch owned"]},
)  # fmt: skip
WORDS = (
    "null", "true", "-1", "0", "1e400", ".nan", "1e-400", "99999999999999999999", "!!python/object/apply:os.system [x]",
    "!x", "&a", "*a", "<<: *a", "- ", "[", "{", "}", "]", '"', "'", ":", "#", "|", ">", "\t", "\r", "\0", "\x1b[2J",
    "\u2028", "\ufeff", "\U0001f600", "é", "%", "extends: ../../etc/passwd", "sil", "25000",
    "[" * 100_000, "9" * 400, "9" * 5000, "\u0663",
)  # fmt: skip


def mutate_bytes(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """One to four faults; chunks may come from ``other``."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        if out:
            rng.choice(BYTE_FAULTS)(out, other, rng)
    return bytes(out)


def _flip(out: bytearray, other: bytes, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 3, 30))):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)


def _flip_head(out: bytearray, other: bytes, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 3))):
        out[rng.randrange(min(len(out), 512))] = rng.randrange(256)


def _truncate(out: bytearray, other: bytes, rng: random.Random) -> None:
    del out[rng.randrange(len(out)) :]


def _stretch(out: bytearray, rng: random.Random) -> tuple[int, int]:
    begin = rng.randrange(len(out))
    return begin, min(len(out), begin + rng.choice((1, 4, 16, 200, 4000)))


def _delete(out: bytearray, other: bytes, rng: random.Random) -> None:
    begin, end = _stretch(out, rng)
    del out[begin:end]


def _repeat(out: bytearray, other: bytes, rng: random.Random) -> None:
    begin, end = _stretch(out, rng)
    out[end:end] = out[begin:end] * rng.choice((1, 2, 10))


def _splice(out: bytearray, other: bytes, rng: random.Random) -> None:
    begin, end = _stretch(out, rng)
    source = rng.randrange(len(other)) if other else 0
    out[begin:end] = other[source : source + end - begin]


def _fill(out: bytearray, other: bytes, rng: random.Random) -> None:
    begin, end = _stretch(out, rng)
    out[begin:end] = bytes([rng.choice((0, 255, 0x41))]) * (end - begin)


def _number(out: bytearray, other: bytes, rng: random.Random) -> None:
    """Put an extreme number where sizes, counts and offsets stand, in either order of bytes."""
    kind = rng.choice(("<H", ">H", "<I", ">I", "<Q", ">Q"))
    size = struct.calcsize(kind)
    where = rng.randrange(min(len(out), rng.choice((64, 1024, 10**9))))
    out[where : where + size] = struct.pack(kind, rng.choice(EXTREMES) % 2 ** (8 * size))


BYTE_FAULTS: tuple[Callable[[bytearray, bytes, random.Random], None], ...] = (
    _flip, _flip_head, _truncate, _delete, _repeat, _splice, _fill, _number, _number,
)  # fmt: skip


def mutate_text(text: str, rng: random.Random) -> bytes:
    """One to four edits of lines and words, at times of bytes."""
    lines = text.splitlines(keepends=True) or [""]
    for _ in range(rng.choice((1, 1, 2, 4))):
        here = rng.randrange(len(lines))
        match rng.randrange(7):
            case 0:
                lines[here] = ""
            case 1:
                lines.insert(here, lines[rng.randrange(len(lines))] * rng.choice((1, 2, 50)))
            case 2:
                other = rng.randrange(len(lines))
                lines[here], lines[other] = lines[other], lines[here]
            case 3 | 4:
                words = lines[here].split(" ")
                words[rng.randrange(len(words))] = rng.choice(WORDS)
                lines[here] = " ".join(words)
            case 5:
                place = rng.randrange(len(lines[here]) + 1)
                lines[here] = lines[here][:place] + rng.choice(WORDS) + lines[here][place:]
            case _:
                lines[here] = " " * rng.choice((1, 2, 7)) + lines[here]
    data = "".join(lines).encode("utf-8", "surrogatepass")
    return mutate_bytes(data, b"", rng) if rng.random() < 0.2 else data


def mutate_json(text: str, rng: random.Random) -> bytes:
    """One to three values replaced, removed or added; at times an edit of the text."""
    if rng.random() < 0.25:
        return mutate_text(text, rng)
    root = json.loads(text)
    for _ in range(rng.choice((1, 1, 3))):
        node: Any = root
        while True:
            keys: list[Any] = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                break
            key = rng.choice(keys)
            if isinstance(node[key], dict | list) and node[key] and rng.random() < 0.85:
                node = node[key]
                continue
            match rng.randrange(6):
                case 0:
                    del node[key]
                case 1 if isinstance(node, dict):
                    node[rng.choice(("extra", "", "__class__", "kind"))] = rng.choice(ODD_VALUES)
                case _:
                    node[key] = rng.choice(ODD_VALUES)
            break
    return json.dumps(root).encode("utf-8", "surrogatepass")
