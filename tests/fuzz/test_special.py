"""Inputs that somebody made on purpose: bombs, giants, lying headers, odd names, links, and numbers that are none."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("resource", reason="the platform cannot limit memory")

import cv2
import soundfile
from tests.fuzz.harness import Worker
from tests.media_files import make_video
from tests.models.small import CONFIG, reconstructor
from tests.training.small import row, write_shards

from unsilent.models.pretrained import CARD, save_model
from unsilent.shards import CLIPS

Make = Callable[[Path], Path]


def _png(path: Path, width: int, height: int) -> Path:
    small = cv2.imencode(".png", np.zeros((2, 2), np.uint8))[1].tobytes()
    head = struct.pack(">II", width, height) + small[24:29]
    import zlib

    path.write_bytes(small[:16] + head + struct.pack(">I", zlib.crc32(b"IHDR" + head)) + small[33:])
    return path


def _gif(path: Path, side: int, height: int | None = None) -> Path:
    make_video(path, frames=3, size=(64, 48))
    data = bytearray(path.read_bytes())
    data[6:10] = struct.pack("<HH", side, height or side)
    path.write_bytes(data)
    return path


def _patched(path: Path, name: bytes, offset: int, value: bytes) -> Path:
    """A video in which a field of the mp4 boxes of that name is replaced."""
    make_video(path, frames=5, size=(64, 48))
    data = bytearray(path.read_bytes())
    place = data.find(name)
    assert place > 0
    while place > 0:
        data[place + offset : place + offset + len(value)] = value
        place = data.find(name, place + 4)
    path.write_bytes(data)
    return path


def _silence(path: Path, hours: float) -> Path:
    """A file of a few hundred kilobytes that unpacks to gigabytes."""
    with soundfile.SoundFile(path, "w", 1000, 1, format="FLAC") as file:
        block = np.zeros(1000 * 60, np.int16)
        for _ in range(round(hours * 60)):
            file.write(block)
    return path


def _lying_wave(path: Path) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", ""))
        file.writeframes(bytes(100))
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = struct.pack("<I", 0x7FFFFFF0)
    path.write_bytes(data)
    return path


def _not_finite(path: Path) -> Path:
    samples = np.zeros(24_000, np.float32)
    samples[::3], samples[1::3], samples[2::3] = np.nan, np.inf, -1e38
    soundfile.write(path, samples, 24_000, subtype="FLOAT")
    return path


MEDIA: dict[str, Make] = {
    "png of 30,000 x 30,000": lambda folder: _png(folder / "a.mp4", 30_000, 30_000),
    "png of 2 thousand million a side": lambda folder: _png(folder / "a.png", 2**31 - 1, 2**31 - 1),
    "gif of 65,535 x 65,535": lambda folder: _gif(folder / "a.gif", 65_535),
    "gif of 16,384 x 16,384": lambda folder: _gif(folder / "a.gif", 16_384),
    "gif of 8,192 x 8,192": lambda folder: _gif(folder / "a.gif", 8_192),
    "mp4 of 16,384 x 16,384": lambda folder: _patched(folder / "a.mp4", b"avc1", 28, struct.pack(">HH", 16384, 16384)),
    "mp4 of 10 hours": lambda folder: _patched(folder / "a.mp4", b"mvhd", 20, struct.pack(">I", 36_000_000)),
    "track of 10 hours": lambda folder: _patched(folder / "a.mp4", b"mdhd", 20, struct.pack(">I", 2**31)),
    "picture held for days": lambda folder: _patched(folder / "a.mp4", b"stts", 16, struct.pack(">I", 2**30)),
    "two pictures, 10 hours apart": lambda folder: make_video(folder / "a.mkv", frames=2, times=[0, 36_000]),
    "times below zero": lambda folder: make_video(folder / "a.mkv", frames=5, start=-3.0),
    "times below zero, ts": lambda folder: make_video(folder / "a.ts", frames=5, start=-3.0),
    "matroska header alone": lambda folder: _cut(make_video(folder / "a.webm", frames=5), 300),
}  # fmt: skip
SOUNDS: dict[str, Make] = {
    "6 hours of silence": lambda folder: _silence(folder / "a.flac", 6),
    "wave of 2 GB with no data": lambda folder: _lying_wave(folder / "a.wav"),
    "samples that are no numbers": lambda folder: _not_finite(folder / "a.wav"),
}


def _cut(path: Path, size: int) -> Path:
    path.write_bytes(path.read_bytes()[:size])
    return path


@pytest.mark.parametrize("name", MEDIA)
def test_giant_and_lying_videos(name: str, worker: Worker, tmp_path: Path) -> None:
    given = MEDIA[name](tmp_path)
    for entry in ("media", "command"):
        outcome = worker.run(entry, given, tmp_path / "output")
        assert outcome.survived, outcome


@pytest.mark.slow
def test_the_largest_picture_fits_into_memory(worker: Worker, tmp_path: Path) -> None:
    given = _gif(tmp_path / "a.gif", 7680, 4320)
    assert worker.run("media", given, tmp_path / "output").verdict == "read"
    assert worker.run("command", given, tmp_path / "output").verdict == "refused"


@pytest.mark.parametrize("name", SOUNDS)
def test_giant_and_lying_sounds(name: str, worker: Worker, tmp_path: Path) -> None:
    outcome = worker.run("sound", SOUNDS[name](tmp_path), tmp_path / "output")
    assert outcome.survived, outcome
    assert outcome.verdict == ("refused" if "6 hours" in name else "read")


# --- names, links, folders -------------------------------------------------------------------------------------------

NAMES = ["a\nb.mp4", "\x1b[31mred\x1b[0m.mp4", "\u202egpj.mp4", "-o.mp4", "a;b|c&d.mp4", "%s%n.mp4", "é\u0301.mp4",
         "\udcff.mp4", " .mp4", "concat:a|b.mp4", "http:..mp4", "x" * 240 + ".mp4", "subfile,,start,0,end,9,,:a.mp4",
         "image%03d.png", "-.mp4"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=ascii)
@pytest.mark.parametrize("content", [b"", b"junk", None])
def test_odd_names(name: str, content: bytes | None, worker: Worker, tmp_path: Path) -> None:
    given = tmp_path / name
    if content is None:
        given.mkdir()
    else:
        given.write_bytes(content)
    for entry in ("media", "command", "align", "recipe", "stranger"):
        outcome = worker.run(entry, given, tmp_path / "output")
        assert outcome.survived, outcome


def test_links_lead_nowhere_new(worker: Worker, playground: Path, tmp_path: Path) -> None:
    good = make_video(tmp_path / "good.mp4", frames=5, size=(64, 48))
    links = {"good": good, "loop": tmp_path / "loop.mp4", "gone": tmp_path / "nothing", "zero": Path("/dev/zero"),
             "folder": tmp_path, "fifo": tmp_path / "fifo"}  # fmt: skip
    os.mkfifo(tmp_path / "fifo")
    for name, target in links.items():
        link = tmp_path / f"{name}.mp4"
        if name != "good":
            link.symlink_to(target)
        outcome = worker.run("media", link, tmp_path / "output")
        assert outcome.verdict == ("read" if name == "good" else "refused"), (name, outcome)
    corpus = tmp_path / "corpus" / "s1"
    corpus.mkdir(parents=True)
    (corpus / "up").symlink_to(tmp_path / "corpus")
    (corpus / "clip.mp4").symlink_to(good)
    assert worker.run("folder", tmp_path / "corpus", tmp_path / "output").verdict == "read"


# --- archives, documents, shards -------------------------------------------------------------------------------------


def _zip(path: Path, name: str, content: bytes = b"x", *, link: bool = False) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = (0o120777 if link else 0o100644) << 16
        file.writestr("fine.txt", "fine")
        file.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return path


@pytest.mark.parametrize(
    "name",
    ["../evil", "/evil", "a/../../evil", "..\\evil", "C:\\evil", "C:evil", "a/..", "\\\\host\\share", "./../evil"],
)
def test_archives_that_lead_outside(name: str, worker: Worker, tmp_path: Path) -> None:
    outcome = worker.run("archive", _zip(tmp_path / "a.zip", name), tmp_path / "deep" / "output")
    assert outcome.verdict == "refused"
    assert not list(tmp_path.rglob("*evil*"))
    # Nothing at all is unpacked of such an archive.
    assert not list(tmp_path.rglob("fine.txt"))


def test_archives_with_links_and_bombs(worker: Worker, tmp_path: Path) -> None:
    assert (
        worker.run("archive", _zip(tmp_path / "l.zip", "s1", b"/etc", link=True), tmp_path / "o").verdict == "refused"
    )
    assert worker.run("archive", _zip(tmp_path / "b.zip", "s1", bytes(50_000_000)), tmp_path / "o").verdict == "refused"
    twice = io.BytesIO()
    with zipfile.ZipFile(twice, "w") as file:
        for name in ("s1", "s1/a", "s1"):
            with pytest.warns(UserWarning, match="Duplicate") if name in file.namelist() else io.BytesIO():
                file.writestr(name, "x")
    (tmp_path / "t.zip").write_bytes(twice.getvalue())
    assert worker.run("archive", tmp_path / "t.zip", tmp_path / "output").verdict == "refused"


DEEP = 200_000


def test_documents_that_are_too_deep_or_too_large(worker: Worker, tmp_path: Path) -> None:
    documents = {
        "deep.json": "[" * DEEP, "deep.yaml": "a: " + "[" * DEEP, "deeper.yaml": "{a: " * DEEP,
        "digits.yaml": "kind: " + "9" * 100_000, "keys.yaml": "\n".join(f"k{n}: 1" for n in range(10_000)),
        "laughs.yaml": "a: &a [x]\n" + "".join(f"b{n}: [*a, *a]\n" for n in range(9)),
        "long.align": "0 " + "9" * 5000 + " sil\n", "many.align": "0 1 sil\n" * 50_000,
    }  # fmt: skip
    for name, text in documents.items():
        (tmp_path / name).write_text(text)
        for entry in ("recipe", "align", "stranger"):
            outcome = worker.run(entry, tmp_path / name, tmp_path / "output")
            assert outcome.survived, (name, outcome)
    save_model(tmp_path / "model", reconstructor(), CONFIG, {"name": "tiny"})
    card = json.loads((tmp_path / "model" / CARD).read_text())
    for text in ("[" * DEEP, json.dumps(card)[:-1] + ', "x": ' + "[" * DEEP, json.dumps(card) + " " * 11_000_000):
        (tmp_path / "model" / CARD).write_text(text)
        assert worker.run("model", tmp_path / "model", tmp_path / "output").verdict == "refused"
    with gzip.open(tmp_path / "bomb.jsonl.gz", "wb", 1) as file:
        for _ in range(5):
            file.write(bytes(10_000_000))
    assert worker.run("stranger", tmp_path / "bomb.jsonl.gz", tmp_path / "output").survived


def _flac_of(seconds: float) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(round(seconds * 24_000), np.int16), 24_000, format="FLAC")
    return buffer.getvalue()


def test_shards_that_unpack_to_gigabytes(worker: Worker, tmp_path: Path) -> None:
    count = 5_000_000
    columns = {
        field.name: pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int8)), pa.array(["x"]))
        if field.type == pa.string() else pa.nulls(count, field.type) for field in CLIPS.schema
    }  # fmt: skip
    table = pa.table({name: value for name, value in columns.items() if name in ("id", "speaker", "split", "frames")})
    (tmp_path / "rows").mkdir()
    pq.write_table(table, tmp_path / "rows" / "clips-00000.parquet", compression="zstd")
    assert worker.run("clips", tmp_path / "rows", tmp_path / "output").verdict == "refused"

    long = _flac_of(3600)
    changed = bytearray(long)
    changed[21:26] = struct.pack(">BI", changed[21] & 0xF0, 2**31 - 1)
    rows = [row(0, audio={"bytes": bytes(changed), "path": None}, samples=2**31 - 1)]
    write_shards(tmp_path / "sound", rows)
    assert worker.run("clips", tmp_path / "sound", tmp_path / "output").verdict == "refused"

    frames = 10_500
    picture = cv2.imencode(".png", np.zeros((96, 96), np.uint8))[1].tobytes()
    head = struct.pack(">II", 96, 96 * frames) + picture[24:29]
    tall = picture[:16] + head + picture[29:]
    write_shards(tmp_path / "tall", [row(0, frames=12) | {
        "frames": frames, "valid": [True] * frames, "aperture": [0.5] * frames, "crops": tall}])  # fmt: skip
    assert worker.run("clips", tmp_path / "tall", tmp_path / "output").verdict == "refused"


def test_clip_that_is_too_long_for_a_row_is_told_so(tmp_path: Path) -> None:
    from unsilent.errors import ShardError
    from unsilent.shards import encode_crops

    with pytest.raises(ShardError, match="cut the clip"):
        encode_crops(np.zeros((10_500, 96, 96), np.uint8))
