"""Any folder of clips with sound: no protocol, no download, nothing to write.

    clips/anna/hello.mp4  clips/anna/hello.txt  clips/ben/take 2.mov

The speaker is the name of the first folder below the root (or of the root itself), the text what ``hello.txt``
beside ``hello.mp4`` says. A clip belongs to train, val or test (90 / 5 / 5 %) by a stable hash of its name, unless the
folders below the root are called ``train``, ``val`` or ``test``.
"""

from __future__ import annotations

import logging
import os
import unicodedata
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Final

from unsilent.corpora.base import Clip, Grammar
from unsilent.corpora.splits import hashed_part
from unsilent.errors import CorpusError

__all__ = ["VIDEO_SUFFIXES", "FolderCorpus"]

_log = logging.getLogger(__name__)

VIDEO_SUFFIXES: Final = frozenset(
    [
        ".3gp",
        ".asf",
        ".avi",
        ".flv",
        ".m2ts",
        ".m4v",
        ".mkv",
        ".mov",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".mts",
        ".ogv",
        ".ts",
        ".vob",
        ".webm",
        ".wmv",
    ]
)
"""Files with other suffixes are no clips."""
_SPLITS: Final = {"train": "train", "val": "val", "valid": "val", "dev": "val", "test": "test"}


class FolderCorpus:
    """The clips of a folder, at any depth. Hidden files and folders are left out; links to folders are not followed.

    Attributes:
        dropped: name of a file that is left out -> why (always empty here; other corpora have reasons).
        notes: how many clips were kept with a fault, by fault.

    Raises:
        CorpusError: the folder does not exist or holds no video.
    """

    name = "folder"
    grammar: Grammar | None = None

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise CorpusError(f"{self.root}: is no folder; name one that holds video clips")
        self.dropped: dict[str, str] = {}
        self.notes: Counter[str] = Counter()
        self._paths = _video_files(self.root)
        if not self._paths:
            raise CorpusError(f"{self.root}: holds no video ({' '.join(sorted(VIDEO_SUFFIXES))}); name another folder")

    def clips(self, split: str | None = None, *, speakers: Collection[str] | None = None) -> list[Clip]:
        """The clips, all or those of ``train``, ``val`` or ``test`` and of some speakers, in order of their ids.

        Raises:
            CorpusError: there is no such clip.
        """
        stems = Counter(path.relative_to(self.root).with_suffix("").as_posix() for path in self._paths)
        clips = [self._clip(path, stems) for path in self._paths]
        chosen = [c for c in clips if split in (None, c.split) and (speakers is None or c.speaker in speakers)]
        if not chosen:
            asked = [f"split {split}"] * bool(split) + [f"speakers {', '.join(speakers or ())}"] * bool(speakers)
            splits, people = sorted({str(c.split) for c in clips}), sorted({str(c.speaker) for c in clips})
            raise CorpusError(
                f"{self.root}: holds no clip of {' and '.join(asked) or 'any kind'}; there are splits "
                f"{', '.join(splits)}, speakers {', '.join(people[:5])}"
            )
        return sorted(chosen, key=lambda clip: clip.id)

    def _clip(self, path: Path, stems: Counter[str]) -> Clip:
        relative = path.relative_to(self.root)
        stem = relative.with_suffix("").as_posix()
        # macOS spells accents apart, Linux together: one spelling, or splits would differ between machines.
        identity = unicodedata.normalize("NFC", stem if stems[stem] == 1 else relative.as_posix())
        folders = list(relative.parts[:-1])
        named = _SPLITS.get(folders[0].lower()) if folders else None
        if named is not None:
            folders = folders[1:]
        speaker = unicodedata.normalize("NFC", folders[0] if folders else self.root.resolve().name)
        split = named or hashed_part(identity)
        return Clip(identity, self.name, speaker, path, self._text(path.with_suffix(".txt")), (), split)

    def _text(self, path: Path) -> str | None:
        if not path.is_file():
            return None
        try:
            return " ".join(path.read_text(encoding="utf-8-sig").split()) or None
        except (OSError, UnicodeDecodeError) as error:
            self.notes["kept without text: transcript is no UTF-8"] += 1
            _log.warning("%s: cannot be read as UTF-8 text, the clip is kept without (%s)", path, error)
            return None


def _video_files(root: Path) -> list[Path]:
    found: list[Path] = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        found += [
            Path(folder, name)
            for name in files
            if Path(name).suffix.lower() in VIDEO_SUFFIXES and not name.startswith(".")
        ]
    return sorted(found)
