"""Protocol splits as data files, and their small reader.

A packaged split is a list of clips (``s1-train.txt``, one ``speaker/clip`` a line) or an entry of ``protocols.json``
that names speakers for each part (train, val, test). Where a protocol splits the clips of a speaker and no list of
them was ever published, the parts follow a rule of ours and the name begins with ``unsilent-``: a clip with
SHA-256(``speaker/clip``) / 2^256 below .90 is train, below .95 val, else test.

A user's own list is a text file of the same kind; the folders and suffixes that published lists carry
(``s1/video/mpg_6000/bbaf2n.mpg``) are understood, and ``lists.txt#val`` takes only the lines that begin with ``val/``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any, Final

from unsilent.errors import CorpusError

__all__ = ["Split", "hashed_part", "load_split", "packaged_lists", "split_names"]

_PARTS: Final = ("train", "val", "test")


def hashed_part(identity: str) -> str:
    """``train``, ``val`` or ``test`` (90 / 5 / 5 %), a pure function of a clip's name."""
    fraction = int.from_bytes(hashlib.sha256(identity.encode("utf-8")).digest()[:8], "big") / 2**64
    return "train" if fraction < 0.90 else "val" if fraction < 0.95 else "test"


@dataclass(frozen=True, slots=True)
class Split:
    """A set of clips: listed by name, or all of some speakers, or those of a hashed part. Use ``clip_id in split``."""

    name: str
    members: frozenset[str] | None = None
    speakers: frozenset[str] = field(default_factory=frozenset)
    part: str | None = None

    def __contains__(self, identity: object) -> bool:
        if self.members is not None:
            return identity in self.members
        if not isinstance(identity, str) or identity.split("/")[0] not in self.speakers:
            return False
        return self.part is None or hashed_part(identity) == self.part

    def missing(self, here: Collection[str]) -> list[str]:
        """What the split asks for and is not ``here``: clips of a list, or speakers without any clip."""
        if self.members is not None:
            return sorted(self.members.difference(here))
        return sorted(self.speakers - {identity.split("/")[0] for identity in here})


def split_names(corpus: str) -> list[str]:
    """Every packaged split of a corpus."""
    return sorted([*packaged_lists(corpus), *(f"{name}-{part}" for name in _protocols(corpus) for part in _PARTS)])


@cache
def packaged_lists(corpus: str) -> dict[str, frozenset[str]]:
    """The packaged lists of clips: name of the split -> ids of its clips."""
    folder = resources.files(__name__) / corpus
    lists = {}
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".txt"):
            lists[file.name.removesuffix(".txt")] = frozenset(file.read_text(encoding="utf-8").split())
    return lists


@cache
def _protocols(corpus: str) -> dict[str, dict[str, Any]]:
    loaded: dict[str, dict[str, Any]] = json.loads(
        (resources.files(__name__) / corpus / "protocols.json").read_text(encoding="utf-8")
    )
    return loaded


def load_split(corpus: str, name: str) -> Split:
    """A packaged split by its name, or the list in a file (``path`` or ``path#part``).

    Raises:
        CorpusError: there is no such split or file, or the file holds no clip.
    """
    lists = packaged_lists(corpus)
    if name in lists:
        return Split(name, lists[name])
    protocol, _, part = name.rpartition("-")
    if part in _PARTS and (entry := _protocols(corpus).get(protocol)) is not None:
        if "rule" in entry:
            return Split(name, speakers=frozenset(entry["speakers"]), part=part)
        return Split(name, speakers=frozenset(entry[part]))
    file, _, prefix = name.partition("#")
    path = Path(file)
    if not path.is_file():
        raise CorpusError(f"{name}: neither a file nor a split of {corpus}; there is: {', '.join(split_names(corpus))}")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: cannot be read as a list of clips; give one speaker/clip a line") from error
    members = frozenset(_listed(lines, prefix))
    if not members:
        raise CorpusError(f"{name}: lists no clip; give one speaker/clip a line")
    return Split(f"{path.stem}-{prefix}" if prefix else path.stem, members)


def _listed(lines: Iterable[str], prefix: str) -> Iterable[str]:
    for line in lines:
        parts = PurePosixPath(line.strip()).parts
        if prefix and parts[:1] != (prefix,):
            continue
        parts = parts[1:] if parts[:1] and parts[0] in _PARTS else parts
        if len(parts) >= 2 and not parts[0].startswith("#"):
            yield f"{parts[0]}/{PurePosixPath(parts[-1]).stem}"
