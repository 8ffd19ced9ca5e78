"""Reading a talker corpus that :mod:`unsilent.corpora.talker.generate` made."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from unsilent.corpora.base import Clip, Grammar, Word
from unsilent.corpora.grid import GridCorpus
from unsilent.errors import CorpusError

__all__ = ["MANIFEST", "SPLITS", "TalkerCorpus", "read_manifest"]

_log = logging.getLogger(__name__)

MANIFEST: Final = "talker.json"
SPLITS: Final = {
    "talker-train": "to train on",
    "talker-val": "sentences of no other split, talkers of talker-train",
    "talker-test": "sentences of no other split, talkers of talker-train",
    "talker-unseen": "sentences that are not trained on, by talkers that are not trained on",
}


class TalkerCorpus:
    """The clips of a talker corpus; all of them are synthetic.

    Attributes:
        dropped: name of a file that is left out -> why.
        notes: how many clips were kept with a fault, by fault (always empty here).
        sentences: the kind of sentences, ``grid`` or ``open``.
        grammar: GRID's for sentences of the kind ``grid``, else None.

    Raises:
        CorpusError: the folder holds no talker corpus, or no clip.
    """

    name = "talker"

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        manifest = self.root / MANIFEST
        if not manifest.is_file():
            raise CorpusError(f"{self.root}: holds no {MANIFEST}; make a corpus with `unsilent talker {self.root}`")
        self.sentences = str(read_manifest(manifest)["spec"].get("sentences"))
        self.grammar: Grammar | None = GridCorpus.grammar if self.sentences == "grid" else None
        self.dropped: dict[str, str] = {}
        self.notes: Counter[str] = Counter()
        self._clips = sorted(self._read(), key=lambda clip: clip.id)
        if not self._clips:
            raise CorpusError(f"{self.root}: holds no clip; make some with `unsilent talker {self.root}`")

    def clips(self, split: str | None = None, *, speakers: Collection[str] | None = None) -> list[Clip]:
        """The clips, all or those of a split (:data:`SPLITS`) and of some speakers, in order of their ids.

        Raises:
            CorpusError: there is no such split or clip.
        """
        if split is not None and split not in SPLITS:
            raise CorpusError(f"{split}: no split of the talker corpus; there is: {', '.join(SPLITS)}")
        chosen = [c for c in self._clips if split in (None, c.split) and (speakers is None or c.speaker in speakers)]
        if not chosen:
            raise CorpusError(
                f"{self.root}: holds no clip of split {split or 'any'} and those speakers; make more clips, or choose "
                "others"
            )
        return chosen

    def _read(self) -> list[Clip]:
        found = []
        for notes in sorted(self.root.glob("*/*.json")):
            video = notes.with_suffix(".mp4")
            try:
                if not video.is_file():
                    raise CorpusError("has no video beside it")
                found.append(_clip(notes, video))
            except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, CorpusError) as error:
                self.dropped[notes.relative_to(self.root).as_posix()] = "damaged notes, or no video"
                _log.warning("%s: left out (%s)", notes, error)
        return found


def read_manifest(path: Path) -> dict[str, Any]:
    """Read ``talker.json``: ``spec`` is what the corpus was made from.

    Raises:
        CorpusError: it cannot be read, or is no manifest.
    """
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CorpusError(f"{path}: cannot be read as a manifest ({error}); make the corpus again") from error
    if not isinstance(read, dict) or read.get("synthetic") is not True or not isinstance(read.get("spec"), dict):
        raise CorpusError(f"{path}: is no manifest of a talker corpus; make the corpus again")
    return read


def _clip(notes: Path, video: Path) -> Clip:
    read = json.loads(notes.read_text(encoding="utf-8"))
    words = tuple(Word(str(w["word"]), float(w["start"]), float(w["end"])) for w in read["words"])
    if read["split"] not in SPLITS:
        raise CorpusError(f"{read['split']} is no split")
    return Clip(str(read["id"]), "talker", str(read["speaker"]), video, str(read["text"]), words, str(read["split"]))
