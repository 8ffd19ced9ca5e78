"""Manifests of Lhotse (Zelasko et al. 2021): recordings or cuts, ``.jsonl`` or ``.jsonl.gz``.

Recordings and single-track cuts whose sound is a local file are read from the manifest alone. Whatever else Lhotse
knows (mixed cuts, addresses, archives, features of a cut such as changed speed) is loaded through the package
(extra ``lhotse``) and handed on as FLAC.
"""

from __future__ import annotations

import gzip
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import soundfile

from unsilent.corpora.speech import Recording, plain_name
from unsilent.errors import CorpusError

__all__ = ["LhotseSpeech"]

_MOST_LINE_BYTES: Final = 10_000_000


class LhotseSpeech:
    """The recordings or cuts of one manifest.

    Raises:
        CorpusError: it cannot be read, or is no manifest of recordings or cuts.
    """

    def __init__(self, path: Path, corpus: str | None = None) -> None:
        self.path, self.name, self.notes = path, f"lhotse:{path}", Counter[str]()
        self._corpus = corpus or plain_name(path.name.partition(".")[0])
        self._count = 0
        for item in self._items():
            if not self._count and "sources" not in item and "type" not in item:
                raise CorpusError(f"{path}: holds neither recordings nor cuts; combine them with `lhotse cut simple`")
            self._count += 1
        if not self._count:
            raise CorpusError(f"{path}: holds nothing; make it again")

    def count(self) -> int:
        """How many recordings or cuts there are."""
        return self._count

    def recordings(self) -> Iterator[Recording]:
        """The recordings or cuts in their order.

        Raises:
            CorpusError: one of them needs the package ``lhotse``, which is missing.
        """
        for item in self._items():
            whole = item if "sources" in item else item.get("recording") or {}
            file = self._file(whole)
            plain = item.get("type", "MonoCut") == "MonoCut" and not whole.get("transforms")
            if file is None or not plain:
                yield self._loaded(item)
                continue
            start = float(item.get("start") or 0.0) if "sources" not in item else 0.0
            length = item.get("duration") if "sources" not in item else None
            yield self._recording(item, path=file, start=start, end=None if length is None else start + float(length))

    def _items(self) -> Iterator[Mapping[str, Any]]:
        try:
            with open(self.path, "rb") as stored:
                packed = self.path.suffix == ".gz"
                file: IO[bytes] | gzip.GzipFile = gzip.GzipFile(fileobj=stored) if packed else stored
                while line := file.readline(_MOST_LINE_BYTES):
                    if len(line) == _MOST_LINE_BYTES:
                        raise ValueError("a line is far too long")
                    if line.strip():
                        item = json.loads(line)
                        if not isinstance(item, dict):
                            raise CorpusError(f"{self.path}: is no manifest; give recordings or cuts of Lhotse")
                        yield item
        except (OSError, ValueError, RecursionError, EOFError) as error:
            raise CorpusError(f"{self.path}: cannot be read as .jsonl ({error}); make it again") from error

    def _file(self, recording: Mapping[str, Any]) -> Path | None:
        """The one local file of a recording, as Lhotse names it or relative to the manifest."""
        sources = list(recording.get("sources") or [])
        if len(sources) != 1 or sources[0].get("type") != "file":
            return None
        path = Path(str(sources[0]["source"]))
        return path if path.is_absolute() or path.exists() else self.path.parent / path

    def _recording(
        self,
        item: Mapping[str, Any],
        path: Path | None,
        data: bytes | None = None,
        start: float = 0.0,
        end: float | None = None,
    ) -> Recording:
        spoken = (item.get("supervisions") or [{}])[0]
        # Of several supervisions none says what all of the cut is.
        text = None if len(item.get("supervisions") or ()) > 1 else spoken.get("text")
        return Recording(
            id=f"{self._corpus}/{plain_name(str(item['id']))}",
            corpus=self._corpus,
            speaker=plain_name(str(spoken.get("speaker") or self._corpus)),
            text=" ".join(str(text).split()) if text else None,
            language=spoken.get("language"),
            path=path,
            data=data,
            start=start,
            end=end,
        )

    def _loaded(self, item: Mapping[str, Any]) -> Recording:
        try:
            from lhotse.serialization import deserialize_item
        except ImportError as error:
            what = item.get("type", "recording")
            raise CorpusError(
                f"{self.path}: {item.get('id')} is a {what} that needs the package lhotse; pip install lhotse"
            ) from error
        found = deserialize_item(dict(item))
        samples = np.asarray(found.load_audio(), np.float32)
        data = io.BytesIO()
        soundfile.write(data, samples.mean(0), int(found.sampling_rate), format="FLAC", subtype="PCM_24")
        return self._recording(item, None, data.getvalue())
