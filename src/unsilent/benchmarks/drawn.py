"""Clips to measure with where nobody names any: of drawn talkers, made on the spot and thrown away."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from unsilent.corpora.talker.generate import Spec, generate_corpus
from unsilent.demonstration import talker_example
from unsilent.errors import CorpusError

__all__ = ["clip_or_drawn", "drawn_corpus"]


@contextmanager
def clip_or_drawn(video: Path | None) -> Iterator[tuple[Path, str]]:
    """Yield ``video``, or a clip that is drawn if it is None, and in a few words which clip that is.

    Raises:
        CorpusError: no clip was named, and what draws one is not installed.
    """
    if video is not None:
        yield video, str(video)
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            example = talker_example(Path(folder))
        except CorpusError as error:
            raise CorpusError(f"no clip was named, and none can be drawn: {error}; or name a video") from error
        yield example.path, f"{example.id}, a drawn talker"


@contextmanager
def drawn_corpus(clips: int, advance: Callable[[], object] = lambda: None) -> Iterator[Path]:
    """Yield the folder of a talker corpus of so many clips.

    Raises:
        CorpusError: what draws them is not installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            generate_corpus(Spec(), folder, clips, advance=advance)
        except CorpusError as error:
            raise CorpusError(f"no corpus was named, and none can be drawn: {error}; or name a corpus") from error
        yield Path(folder)
