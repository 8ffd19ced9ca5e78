"""What is called with a damaged file or folder: the public entry points, as a program or a verb calls them."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from unsilent.cli import main
from unsilent.corpora.fetch import unpack
from unsilent.corpora.folder import FolderCorpus
from unsilent.corpora.grid import GridCorpus, read_alignment
from unsilent.corpora.speech import open_speech
from unsilent.errors import MediaError, UnsilentError
from unsilent.export.reading import open_parts
from unsilent.media import mux_speech, probe, read_audio, read_video
from unsilent.models.pretrained import load_reconstructor, load_vocoder
from unsilent.models.public_vocoders.checkpoint import read_checkpoint, read_settings
from unsilent.models.public_vocoders.convert import convert_vocoder
from unsilent.shards import ShardReader, SpeechReader
from unsilent.shards.speech import open_speech_shards
from unsilent.synthesis import load
from unsilent.training.checkpoint import newest_snapshot
from unsilent.training.run import load_any_recipe
from unsilent.web.limits import Limits, Refused
from unsilent.web.store import Store
from unsilent.web.uploads import receive

__all__ = ["ENTRIES", "MOST_FRAMES"]

MOST_FRAMES = 3000
"""Pictures that are taken of one video: a damaged clock may rightly hold one for ten minutes."""


def media(given: Path, output: Path) -> None:
    """Everything that speaking does with a file but the networks: header, picture, sound, and picture with speech."""
    info = probe(given)
    if info.has_video:
        for _ in islice(read_video(given, 25, grey=True), MOST_FRAMES):
            pass
    if info.has_audio:
        read_audio(given)
    if info.has_video and info.duration < MOST_FRAMES / 25:
        mux_speech(given, np.zeros(24_000, np.float32), 24_000, output / f"spoken{_suffix(given)}")


def _suffix(given: Path) -> str:
    return given.suffix if given.suffix in (".mp4", ".mov", ".mkv", ".webm", ".avi") else ".mp4"


def sound(given: Path, output: Path) -> None:
    """A recording alone."""
    read_audio(given)


def clips(given: Path, output: Path) -> None:
    """A folder of shards of clips: all rows, their pictures and their sound."""
    for row in ShardReader(given):
        row.crops()
        row.audio()


def speech(given: Path, output: Path) -> None:
    """A folder of shards of speech, and the same files as a stranger's data set."""
    for row in SpeechReader(given):
        row.audio()
    open_speech_shards(given)


def foreign(given: Path, output: Path) -> None:
    """A folder, table or list of recordings."""
    for recording in islice(open_speech(str(given)).recordings(), 50):
        assert recording.id


def model(given: Path, output: Path) -> None:
    """A model folder of any kind."""
    try:
        reconstructor = load_reconstructor(given)[0]
    except UnsilentError:
        load_vocoder(given)
        return
    hears = reconstructor.modality == "audio"
    given_to_it = torch.zeros(1, 1920) if hears else torch.zeros(1, 2, 16, 16, dtype=torch.uint8)
    reconstructor(given_to_it, torch.ones(1, 2, dtype=torch.bool))


def run(given: Path, output: Path) -> None:
    """The checkpoints of a training run."""
    newest_snapshot(given)


def public(given: Path, output: Path) -> None:
    """A stranger's checkpoint with its settings."""
    convert_vocoder(given / "generator.pth", output / "model", licence="unknown")


def stranger(given: Path, output: Path) -> None:
    """Whatever a folder or file may be taken for: a model, a run, a data set, a recipe, an exported network."""
    calls: list[Callable[[], object]] = [
        lambda: load_reconstructor(given),
        lambda: load_vocoder(given),
        lambda: load(str(given)),
        lambda: newest_snapshot(given),
        lambda: ShardReader(given),
        lambda: list(islice(open_speech(str(given)).recordings(), 5)),
        lambda: load_any_recipe(str(given), []),
        lambda: probe(given),
        *(lambda path=path: load_any_recipe(str(path), []) for path in _files(given)),
        *(lambda path=path: open_parts(path, 1) for path in _files(given)),
        *(lambda path=path: read_checkpoint(path) for path in _files(given)),
        *(lambda path=path: read_settings(path) for path in _files(given)),
    ]
    for call in calls:
        with suppress(UnsilentError):
            call()


def _files(given: Path) -> list[Path]:
    return sorted(path for path in given.rglob("*") if path.is_file()) if given.is_dir() else [given]


def command(given: Path, output: Path) -> None:
    """The command line: a verb's answer is one line that starts with error, or nothing is wrong."""
    said = io.StringIO()
    with redirect_stderr(said), redirect_stdout(io.StringIO()):
        code = main(["inspect", str(given), "-o", str(output / "sheet.png"), "-q"])
    lines = said.getvalue().splitlines()
    if code == 2:
        if len(lines) != 1 or not lines[0].startswith("error: ") or not lines[0].isprintable():
            raise AssertionError(f"{len(lines)} lines: {said.getvalue()[:300]!r}")
        raise MediaError(lines[0])
    if code:
        raise AssertionError(f"exit code {code}")


def recipe(given: Path, output: Path) -> None:
    """A recipe for `unsilent train`, with an override."""
    load_any_recipe(str(given), ["run.seed=3"])


def align(given: Path, output: Path) -> None:
    """A GRID alignment."""
    read_alignment(given)


def grid(given: Path, output: Path) -> None:
    """A copy of GRID."""
    GridCorpus(given).clips()


def folder(given: Path, output: Path) -> None:
    """A folder of clips with transcripts."""
    FolderCorpus(given).clips()


def archive(given: Path, output: Path) -> None:
    """A fetched archive."""
    unpack(given, output)


def upload(given: Path, output: Path) -> None:
    """The body of a request to the server; its first line is the content type."""
    from starlette.requests import Request
    from tests.web.asking import Receiver, scope_of

    kind, _, body = given.read_bytes().partition(b"\n")
    store = Store(Limits(max_mb=0.05, stall=2.0), output)
    session = store.session("a" * 32)
    pieces = [body[begin : begin + 700] for begin in range(0, len(body), 700)]
    scope = scope_of("/api/speak", "POST", {"content-type": kind.decode("latin-1")})
    try:
        received = asyncio.run(receive(Request(scope, Receiver(pieces)), store, session, files=2))
        if not all(output in file.path.parents for file in received.files):
            raise AssertionError("a file lies outside the session's folder")
    except Refused as error:
        raise MediaError(str(error)) from error
    finally:
        store.close()


ENTRIES: dict[str, Callable[[Path, Path], None]] = {
    entry.__name__: entry
    for entry in (
        media, sound, clips, speech, foreign, model, run, public, stranger, command, recipe, align, grid, folder,
        archive, upload,
    )
}  # fmt: skip
"""Entry points by name; each gets the damaged file or folder, and a folder that it may write to."""
