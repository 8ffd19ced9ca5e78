"""Reading files of sound as they are stored, and remembering what was wrong with them for the report."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from unsilent.evaluation.metrics import SAMPLE_RATE, Samples
from unsilent.evaluation.report import some

__all__ = ["ReadsFiles", "SoundFiles"]


class SoundFiles:
    """Reads the files of one system, or the real ones."""

    def __init__(self) -> None:
        self._read: set[Path] = set()
        self._damaged: dict[Path, str] = {}
        self._loud: dict[Path, float] = {}

    def read(self, path: Path) -> Samples:
        """(n,) sound of a file at 24 kHz as it is stored: a file of floats may go beyond ±1.

        Raises:
            MediaError: the file cannot be read, or holds NaN or infinity.
        """
        from unsilent.media.audio import read_stored
        from unsilent.media.container import refusal

        found = read_stored(path, SAMPLE_RATE)
        if found.not_finite:
            raise refusal(path, f"{found.not_finite} of its samples are NaN or infinite; make it again")
        self._read.add(path)
        if found.damage:
            self._damaged[path] = found.damage
        if found.peak > 1:
            self._loud[path] = found.peak
        return found.samples

    def notes(self, name: str) -> list[str]:
        """What a reader of the report must know of the files read so far, called ``name``."""
        notes = []
        if self._damaged:
            which = some([f"{path.name} ({damage})" for path, damage in sorted(self._damaged.items())])
            notes.append(f"{name}: {self._of(self._damaged)} are damaged, and what is left of them is scored: {which}")
        if self._loud:
            notes.append(
                f"{name}: {self._of(self._loud)} go beyond full scale (to {max(self._loud.values()):.3g} times it): "
                "recognisers and DNSMOS hear them clipped there, all else is measured on what is stored"
            )
        return notes

    def _of(self, some_of_them: dict[Path, str] | dict[Path, float]) -> str:
        return f"{len(some_of_them)} of {len(self._read)} files"


@runtime_checkable
class ReadsFiles(Protocol):
    """A system that reads what was made before."""

    @property
    def reader(self) -> SoundFiles:
        """What reads its files."""
        ...
