"""Protocol splits as data files, and their small reader.

A packaged split is a list of clips (``s1-train.txt``, one ``speaker/clip`` a line; lines with ``#`` say where it is
from) or a part (train, val, test) of an entry of ``protocols.json``. An entry names the speakers of each part; or its
speakers and which parts are lists of clips, and what is in none of them is train; or its speakers and our rule, by
which a clip with SHA-256(``speaker/clip``) / 2^256 below .90 is train, below .95 val, else test. A split that follows a
rule of ours, because no list was ever published, has a name that begins with ``unsilent-``.

A user's own list is a text file of the same kind; the folders and suffixes that published lists carry
(``s1/video/mpg_6000/bbaf2n.mpg``) are understood, and ``lists.txt#val`` takes only the lines that begin with ``val/``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import Any, Final

from unsilent.errors import CorpusError

__all__ = [
    "Split",
    "describe_splits",
    "has_lists",
    "hashed_part",
    "listed_lines",
    "load_split",
    "packaged_lists",
    "split_names",
]

_PARTS: Final = ("train", "val", "test")


def hashed_part(identity: str) -> str:
    """``train``, ``val`` or ``test`` (90 / 5 / 5 %), a pure function of a clip's name."""
    fraction = int.from_bytes(hashlib.sha256(identity.encode("utf-8")).digest()[:8], "big") / 2**64
    return "train" if fraction < 0.90 else "val" if fraction < 0.95 else "test"


@dataclass(frozen=True, slots=True)
class Split:
    """A set of clips: listed by name, or those of some speakers. Use ``clip_id in split``.

    Attributes:
        name: of the split.
        members: the clips, or None where the speakers say which.
        speakers: all of their clips, or
        part: those that :func:`hashed_part` puts there, and
        without: none of these.
    """

    name: str
    members: frozenset[str] | None = None
    speakers: frozenset[str] = field(default_factory=frozenset)
    part: str | None = None
    without: frozenset[str] = field(default_factory=frozenset)

    def __contains__(self, identity: object) -> bool:
        if self.members is not None:
            return identity in self.members
        if not isinstance(identity, str) or identity.split("/")[0] not in self.speakers or identity in self.without:
            return False
        return self.part is None or hashed_part(identity) == self.part

    def missing(self, here: Collection[str]) -> list[str]:
        """What the split asks for and is not ``here``: clips of a list, or speakers without any clip."""
        if self.members is not None:
            return sorted(self.members.difference(here))
        return sorted(self.speakers - {identity.split("/")[0] for identity in here})


def has_lists(corpus: str) -> bool:
    """Whether the splits of a corpus are packaged here."""
    return (_folder(corpus) / "protocols.json").is_file()


def split_names(corpus: str) -> list[str]:
    """Every packaged split of a corpus."""
    return sorted(describe_splits(corpus))


@cache
def describe_splits(corpus: str) -> Mapping[str, str]:
    """Every packaged split of a corpus -> what is in it and who made it; lists first, then by protocol."""
    lists = {name: _about(file) for name, file in _list_files(corpus) if name not in _parts(corpus)}
    return lists | {name: str(_protocols(corpus)[protocol]["about"]) for name, (protocol, _) in _parts(corpus).items()}


@cache
def packaged_lists(corpus: str) -> dict[str, frozenset[str]]:
    """The packaged lists of clips that are no part of a protocol: name of the split -> ids of its clips."""
    return {name: _read(file) for name, file in _list_files(corpus) if name not in _parts(corpus)}


def load_split(corpus: str, name: str) -> Split:
    """A packaged split by its name, or the list in a file (``path`` or ``path#part``).

    Raises:
        CorpusError: there is no such split or file, or the file holds no clip.
    """
    lists = packaged_lists(corpus)
    if name in lists:
        return Split(name, lists[name])
    if name in _parts(corpus):
        return _part(corpus, name, *_parts(corpus)[name])
    file, _, prefix = name.partition("#")
    members = frozenset(_listed(listed_lines(corpus, file, split_names(corpus)), prefix))
    if not members:
        raise CorpusError(f"{name}: lists no clip; give one speaker/clip a line")
    return Split(f"{Path(file).stem}-{prefix}" if prefix else Path(file).stem, members)


def listed_lines(corpus: str, name: str, known: Iterable[str]) -> list[str]:
    """The lines of a user's list of clips, without blank ones and those that begin with ``#``.

    Args:
        corpus: whose clips they are, for the message.
        name: path of the list.
        known: the splits that could be meant instead, for the message.

    Raises:
        CorpusError: there is no such file, or it is no UTF-8 text.
    """
    path = Path(name)
    if not path.is_file():
        raise CorpusError(f"{name}: neither a file nor a split of {corpus}; there is: {', '.join(known)}")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: cannot be read as a list of clips; give one clip a line, in UTF-8") from error
    return [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]


# --- the data files ------------------------------------------------------------------------------------------------


def _folder(corpus: str) -> Traversable:
    return resources.files(__name__) / corpus.replace("-", "_")


@cache
def _protocols(corpus: str) -> dict[str, dict[str, Any]]:
    loaded: dict[str, dict[str, Any]] = json.loads((_folder(corpus) / "protocols.json").read_text(encoding="utf-8"))
    return loaded


@cache
def _parts(corpus: str) -> dict[str, tuple[str, str]]:
    """Name of a split -> its protocol and the part of it."""
    return {
        f"{protocol}-{part}": (protocol, part)
        for protocol, entry in _protocols(corpus).items()
        for part in _PARTS
        if part in entry or "rule" in entry or "lists" in entry
    }


def _part(corpus: str, name: str, protocol: str, part: str) -> Split:
    entry = _protocols(corpus)[protocol]
    if "rule" in entry:
        return Split(name, speakers=frozenset(entry["speakers"]), part=part)
    if "lists" in entry:
        files = dict(_list_files(corpus))
        lists = {listed: _read(files[f"{protocol}-{listed}"]) for listed in entry["lists"]}
        if part in lists:
            return Split(name, lists[part])
        return Split(name, speakers=frozenset(entry["speakers"]), without=frozenset[str]().union(*lists.values()))
    return Split(name, speakers=frozenset(entry[part]))


def _list_files(corpus: str) -> Iterator[tuple[str, Traversable]]:
    for file in sorted(_folder(corpus).iterdir(), key=lambda file: file.name):
        if file.name.endswith(".txt"):
            yield file.name.removesuffix(".txt"), file


def _read(file: Traversable) -> frozenset[str]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def _about(file: Traversable) -> str:
    lines = file.read_text(encoding="utf-8").splitlines()
    return " ".join(line.removeprefix("#").strip() for line in lines if line.startswith("#"))


def _listed(lines: Iterable[str], prefix: str) -> Iterator[str]:
    for line in lines:
        parts = PurePosixPath(line).parts
        if prefix and parts[:1] != (prefix,):
            continue
        parts = parts[1:] if parts[:1] and parts[0] in _PARTS else parts
        if len(parts) >= 2:
            yield f"{parts[0]}/{PurePosixPath(parts[-1]).stem}"
