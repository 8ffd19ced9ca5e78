"""Sources of recordings: every kind gives the same recordings, and says what is wrong in one line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.speech_sounds import save, speech

from unsilent.corpora.speech import HELD_OUT, TRAIN, FolderSpeech, Recording, chosen, hold_out, open_speech
from unsilent.errors import CorpusError

SOUND = speech(0.2)


def all_of(source: str, corpus: str | None = None) -> list[Recording]:
    return list(open_speech(source, corpus=corpus).recordings())


def refused(source: str | Path) -> str:
    with pytest.raises(CorpusError) as caught:
        all_of(str(source))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- folders -------------------------------------------------------------------------------------------------------


def test_folder(tmp_path: Path) -> None:
    root = tmp_path / "voices"
    for name in ("anna/a.wav", "anna/deep/b.flac", "ben/a.ogg", ".hidden/x.wav", "top.wav"):
        save(root / name, SOUND)
    (root / "anna/a.txt").write_text(" good\n day ", encoding="utf-8")
    (root / "anna/deep/b.txt").write_bytes(b"\xff\xfe\xfa")
    source = FolderSpeech(root)
    found = list(source.recordings())
    assert [r.id for r in found] == ["voices/anna/a", "voices/anna/deep/b", "voices/ben/a", "voices/top"]
    assert [r.speaker for r in found] == ["anna", "anna", "ben", "voices"]
    assert [r.text for r in found] == ["good day", None, None, None]
    assert source.count() == 4
    assert source.notes == {"kept without text: transcript is no UTF-8": 1}


def test_same_stem_keeps_its_suffix(tmp_path: Path) -> None:
    save(tmp_path / "a.wav", SOUND)
    save(tmp_path / "a.flac", SOUND)
    save(tmp_path / "b#1.wav", SOUND)
    assert [r.id for r in all_of(str(tmp_path), "c")] == ["c/a.flac", "c/a.wav", "c/b_1"]


def test_unusable_sources(tmp_path: Path) -> None:
    assert "holds no audio file" in refused(tmp_path)
    assert "does not exist" in refused(tmp_path / "nothing")
    (tmp_path / "notes.txt").write_text("hello")
    assert "is no list of recordings" in refused(tmp_path / "notes.txt")


# --- lists ---------------------------------------------------------------------------------------------------------


def test_tab_separated_list(tmp_path: Path) -> None:
    lines = [
        "path\tcorpus\tspeaker\tsource_sample_rate\tlanguage\ttranscript\tlicence",
        'k/1.opus\tk\tanna\t16000\tde\tsagt "so\tCC0-1.0',
        "k/2.opus\tk\t\t\t\t\t",
        "\tk\tanna\t\t\t\t",
        "k/1.opus\tk\tanna\t\t\t\t",
    ]
    path = tmp_path / "m.tsv"
    path.write_text("\n".join(lines), encoding="utf-8")
    source = open_speech(str(path))
    first, second = source.recordings()
    assert first == Recording(
        "k/1",
        "k",
        "anna",
        tmp_path / "k/1.opus",
        text='sagt "so',
        language="de",
        licence="CC0-1.0",
        source_rate=16_000,
    )
    assert (second.id, second.speaker, second.source_rate) == ("k/2", "k", None)
    assert source.notes == {"left out: line without a path": 1, "left out: name came before": 1}


def test_other_names_of_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('path,client_id,sentence,locale\nx.mp3,abc,"one, two",en\n')
    (tmp_path / "b.jsonl").write_text('{"audio_filepath": "x.wav", "text": "hi", "duration": 1.5}\n\n')
    (csv,) = all_of(str(tmp_path / "a.csv"))
    (jsonl,) = all_of(str(tmp_path / "b.jsonl"), "nemo")
    assert (csv.speaker, csv.text, csv.language) == ("abc", "one, two", "en")
    assert (jsonl.id, jsonl.path, jsonl.text) == ("nemo/x", tmp_path / "x.wav", "hi")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", b"", "names no recording"),
        ("a.tsv", b"name\tvoice\nx\ty\n", "has no column path; there is: name, voice"),
        ("a.csv", b"path\n\xff\xff", "cannot be read as a table"),
        ("a.jsonl", b'{"path": "x"}\n{"path"\n', "line 2 is no JSON"),
        ("a.jsonl", b"[1]\n", "line 1 is no object"),
    ],
)
def test_damaged_lists(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert message in refused(tmp_path / name)


# --- Parquet and the hub -------------------------------------------------------------------------------------------


def table(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "data.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_parquet(tmp_path: Path) -> None:
    file = save(tmp_path / "x.wav", SOUND)
    data = file.read_bytes()
    path = table(
        tmp_path,
        [
            {"audio": {"bytes": data, "path": "a/u1.wav"}, "speaker_id": 7, "text": "one", "picture": b"x"},
            {"audio": {"bytes": None, "path": str(file)}, "speaker_id": 8, "text": None, "picture": b"x"},
            {"audio": {"bytes": None, "path": "gone.wav"}, "speaker_id": 8, "text": None, "picture": b"x"},
        ],
    )
    source = open_speech(str(path), corpus="p")
    first, second = source.recordings()
    assert (first.id, first.speaker, first.text, first.data, first.path) == (
        "p/data/0000000-u1",
        "7",
        "one",
        data,
        None,
    )
    assert (second.id, second.path, second.data) == ("p/data/0000001-x", file, None)
    assert source.count() == 3
    assert source.notes == {"left out: row without sound": 1}
    (tmp_path / "x.wav").unlink()
    assert [r.id for r in all_of(str(tmp_path), "p")] == ["p/data/0000000-u1"]


def test_parquet_without_sound(tmp_path: Path) -> None:
    assert "has no audio column" in refused(table(tmp_path, [{"text": "a"}]))
    (tmp_path / "data.parquet").write_bytes(b"PAR1")
    assert "is no complete Parquet file" in refused(tmp_path / "data.parquet")


def test_hub_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    data = save(tmp_path / "x.wav", SOUND).read_bytes()
    path = table(
        tmp_path,
        [
            {"audio": {"bytes": data, "path": "u.wav"}, "speaker": "a"},
            {"audio": {"bytes": data, "path": "v.wav"}, "speaker": "b"},
        ],
    )
    features = datasets.Features({"audio": datasets.Audio(), "speaker": datasets.Value("string")})
    real = datasets.load_dataset
    asked: list[Any] = []

    def load(name: str, config: str | None, **options: Any) -> Any:
        asked.append((name, config, options))
        return real("parquet", data_files=str(path), features=features, split="train", streaming=True)

    monkeypatch.setattr(datasets, "load_dataset", load)
    source = open_speech("hf:org/set@v1:clean:test")
    assert [(r.id, r.speaker, r.data) for r in source.recordings()] == [
        ("set/clean-test/0000000-u", "a", data),
        ("set/clean-test/0000001-v", "b", data),
    ]
    assert asked == [("org/set", "clean", {"split": "test", "revision": "v1", "streaming": True})]
    assert source.count() is None


def test_hub_data_set_that_cannot_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")

    def load(*_: Any, **__: Any) -> Any:
        raise ConnectionError("no way\nthere")

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert "cannot be opened (no way)" in refused("hf:org/set")
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    assert "needs the package datasets" in refused("hf:org/set")


# --- Lhotse --------------------------------------------------------------------------------------------------------


def manifest(path: Path, *items: dict[str, Any]) -> str:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(item) + "\n" for item in items)
    return f"lhotse:{path}"


def recording(path: Path, **more: Any) -> dict[str, Any]:
    source = {"type": "file", "channels": [0], "source": str(path)}
    return {
        "id": "r1",
        "sources": [source],
        "sampling_rate": 48000,
        "num_samples": len(SOUND),
        "duration": len(SOUND) / 48000,
        "channel_ids": [0],
        **more,
    }


def cut(path: Path, **more: Any) -> dict[str, Any]:
    spoken = {"id": "s", "recording_id": "r1", "start": 0, "duration": 0.1, "channel": 0}
    return {
        "id": "c1",
        "start": 0.05,
        "duration": 0.1,
        "channel": 0,
        "supervisions": [{**spoken, "text": "hi  there", "language": "en", "speaker": "ann"}],
        "recording": recording(path),
        "type": "MonoCut",
        **more,
    }


def test_lhotse_recordings_and_cuts(tmp_path: Path) -> None:
    file = save(tmp_path / "x.wav", SOUND)
    (whole,) = all_of(manifest(tmp_path / "recs.jsonl.gz", recording(Path("x.wav"))), "lib")
    assert (whole.id, whole.path, whole.start, whole.end) == ("lib/r1", file, 0.0, None)
    (part,) = all_of(manifest(tmp_path / "cuts.jsonl.gz", cut(file)))
    assert (part.id, part.speaker, part.text, part.language) == ("cuts/c1", "ann", "hi there", "en")
    assert part.start == 0.05
    assert part.end == pytest.approx(0.15)


def test_lhotse_loads_what_is_no_plain_file(tmp_path: Path) -> None:
    pytest.importorskip("lhotse")
    from unsilent.prepare_speech import prepare_recording

    file = save(tmp_path / "x.wav", speech(-0.3, 2.0, -0.3))
    slow = recording(
        file, num_samples=124_800, duration=2.6, transforms=[{"name": "Volume", "kwargs": {"factor": 0.5}}]
    )
    (made,) = all_of(manifest(tmp_path / "recs.jsonl.gz", slow))
    assert made.path is None
    from unsilent.listening import ConditionConfig

    assert type(prepare_recording(made, ConditionConfig())).__name__ == "Prepared"


def test_lhotse_manifests_that_do_not_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoken = {"id": "s", "recording_id": "r1", "start": 0, "duration": 1}
    assert "holds neither recordings nor cuts" in refused(manifest(tmp_path / "s.jsonl.gz", spoken))
    assert "holds nothing" in refused(manifest(tmp_path / "e.jsonl.gz"))
    (tmp_path / "d.jsonl.gz").write_bytes(b"\x1f\x8b\x08junk")
    assert "cannot be read" in refused(f"lhotse:{tmp_path / 'd.jsonl.gz'}")
    monkeypatch.setitem(__import__("sys").modules, "lhotse.serialization", None)
    mixed = {"id": "m", "type": "MixedCut", "tracks": []}
    assert "m is a MixedCut that needs the package lhotse" in refused(manifest(tmp_path / "m.jsonl.gz", mixed))


# --- selection and splits ------------------------------------------------------------------------------------------


def people(count: int, each: int, corpus: str = "c") -> list[Recording]:
    return [Recording(f"{corpus}/{s}/{i}", corpus, f"p{s}", Path("x")) for s in range(count) for i in range(each)]


def test_selection_by_name() -> None:
    found = people(2, 2)
    assert [r.id for r in chosen(found, {"0/1", "c/1/0", "9"})] == ["c/0/1", "c/1/0"]


def test_two_per_cent_are_held_out() -> None:
    by_recording = [r.split for r in hold_out(people(1, 3000))]
    assert 0.01 < by_recording.count(HELD_OUT) / 3000 < 0.03
    assert set(by_recording) == {TRAIN, HELD_OUT}
    speakers = hold_out(people(1500, 2))
    assert 0.01 < sum(r.split == HELD_OUT for r in speakers) / 3000 < 0.03
    split_of: dict[str, set[str | None]] = {}
    for r in speakers:
        split_of.setdefault(r.speaker, set()).add(r.split)
    assert all(len(splits) == 1 for splits in split_of.values())


def test_hold_out_is_stable_and_keeps_given_splits() -> None:
    found = people(3, 500)
    alone = {r.id: r.split for r in hold_out(found)}
    assert {r.id: r.split for r in hold_out(found[::-1])} == alone
    assert {r.split for r in hold_out(found, "none")} == {TRAIN}
    given = [Recording("c/x", "c", "p", Path("x"), split="dev")]
    assert [r.split for r in hold_out(given)] == ["dev"]


def test_listing_of_real_speech(shared_data: Path) -> None:
    source = open_speech(str(shared_data / "speech/manifest.tsv"))
    found = list(source.recordings())
    assert len(found) == source.count() == 3801
    assert {r.corpus for r in found} == {"kerstin", "librispeech", "artikulate"}
    assert all(r.path is not None and r.licence for r in found)
    assert {r.source_rate for r in found} == {16_000, 44_100, 48_000}
