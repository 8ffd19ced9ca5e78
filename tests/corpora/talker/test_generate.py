from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.corpora.talker.conftest import CLIPS, SPEC
from tests.skips import needs_synthesiser

from unsilent.corpora.base import Clip
from unsilent.corpora.grid import GRAMMAR
from unsilent.corpora.talker import TalkerCorpus, speech
from unsilent.corpora.talker.generate import Spec, generate_corpus, make_clip, numbers_of, place_of
from unsilent.corpora.talker.sentences import part_of
from unsilent.errors import CorpusError
from unsilent.evaluation.recogniser import load_recogniser
from unsilent.evaluation.wer import count_errors
from unsilent.face import track_mouth
from unsilent.files import sha256_file
from unsilent.media import SYNTHETIC_TAG, probe, read_audio, read_video
from unsilent.media.container import open_media
from unsilent.prepare import prepare_clip, prepare_corpus
from unsilent.shards import decode_audio, decode_crops


def notes(clip: Clip) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(clip.path.with_suffix(".json").read_text(encoding="utf-8"))
    return read


def test_a_clip_is_the_same_whoever_makes_it_and_however_many_there_are(root: Path, tmp_path: Path) -> None:
    generate_corpus(SPEC, tmp_path, 3, workers=2)
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.glob("*/*"))
    assert len(made) == 6
    for path in made:
        assert sha256_file(tmp_path / path) == sha256_file(root / path), path


def test_one_split_alone_is_that_of_the_whole(root: Path, tmp_path: Path) -> None:
    summary = generate_corpus(SPEC, tmp_path, 1, split="talker-unseen", workers=0)
    assert summary.splits == {"talker-unseen": 1}
    (made,) = TalkerCorpus(tmp_path).clips("talker-unseen")
    known = next(clip for clip in TalkerCorpus(root).clips("talker-unseen") if clip.id == made.id)
    assert sha256_file(made.path) == sha256_file(known.path)
    with pytest.raises(CorpusError, match="nowhere: no clip of this corpus is of that split; choose from talker-train"):
        generate_corpus(SPEC, tmp_path, 1, split="nowhere", workers=0)
    with pytest.raises(CorpusError, match="no clip of this corpus"):
        generate_corpus(Spec(speakers=2, unseen=0), tmp_path / "other", 1, split="talker-unseen", workers=0)


@pytest.mark.parametrize("split", ["talker-train", "talker-val", "talker-test", "talker-unseen"])
def test_numbers_of_a_split(split: str) -> None:
    spec = Spec()
    numbers = numbers_of(spec, split, 40)
    assert numbers == [index for index in range(max(numbers) + 1) if place_of(spec, index).split == split]


def test_another_seed_makes_another_clip(root: Path, tmp_path: Path) -> None:
    make_clip(Spec(seed=8, speakers=2, unseen=1), 0, tmp_path)
    assert sha256_file(tmp_path / "t1/000000.mp4") != sha256_file(root / "t1/000000.mp4")


def test_clips_are_as_they_should_be(corpus: TalkerCorpus) -> None:
    for clip in corpus.clips():
        info = probe(clip.path)
        assert (info.width, info.height, info.fps) == (288, 288, 25)
        assert info.duration == pytest.approx(3.0, abs=0.05)
        samples = read_audio(clip.path, 24_000)
        assert len(samples) == 72_000
        assert 0.02 < np.abs(samples).max() < 0.99
        assert sum(1 for _ in read_video(clip.path, 25)) == 75
        with open_media(clip.path) as container:
            assert container.metadata["comment"] == SYNTHETIC_TAG
            assert "synthetic" in container.metadata["title"]
        assert json.loads(clip.path.with_suffix(".json").read_text())["synthetic"] is True


def test_lips_close_within_a_frame_of_the_bilabials(corpus: TalkerCorpus) -> None:
    checked = 0
    for clip in corpus.clips():
        read = notes(clip)
        middles = (np.arange(75) + 0.5) / 25
        shut = middles[np.array(read["aperture"]) == 0]
        samples = read_audio(clip.path, 24_000)
        levels = np.log10(np.square(samples).reshape(-1, 240).mean(axis=1) + 1e-9)
        for phone in read["phones"]:
            if phone["phone"] in ("p", "b", "m"):
                middle = (phone["start"] + phone["release"]) / 2
                assert np.abs(shut - middle).min() <= 0.04, (clip.id, phone)
                after = levels[round(100 * phone["release"]) :][:12]
                assert phone["phone"] == "m" or levels[round(100 * middle)] < after.max() - 0.5, (clip.id, phone)
                checked += 1
    assert checked >= 5


def test_tracked_mouth_is_in_time_with_the_drawn_one(corpus: TalkerCorpus) -> None:
    for clip in corpus.clips()[:3]:
        drawn = np.array(notes(clip)["aperture"])
        tracked = track_mouth(read_video(clip.path, 25)).aperture
        r = {lag: np.corrcoef(np.roll(tracked, -lag)[4:-4], drawn[4:-4])[0, 1] for lag in range(-3, 4)}
        assert max(r, key=lambda lag: r[lag]) == 0
        assert r[0] > 0.5


def test_round_trip_through_shards(corpus: TalkerCorpus, tmp_path: Path) -> None:
    clips = corpus.clips()[:2]
    report = prepare_corpus(clips, tmp_path, workers=0)
    assert (report.written, report.dropped) == (2, [])
    row = prepare_clip(clips[0])
    assert isinstance(row, dict)
    assert (row["corpus"], row["speaker"], row["split"]) == ("talker", clips[0].speaker, clips[0].split)
    assert row["frames"] == 75
    assert all(row["valid"])
    samples = decode_audio(row["audio"]["bytes"], row["samples"])
    # Lossless all the way: the sound of the shard is that of the clip, sample for sample.
    np.testing.assert_allclose(samples, read_audio(clips[0].path, 24_000), atol=1 / 32767)
    assert len(samples) == 960 * 75
    assert [word["word"] for word in row["words"]] == str(clips[0].text).split()
    assert decode_crops(row["crops"], 75).shape == (75, 96, 96)


def test_sound_is_understood(corpus: TalkerCorpus) -> None:
    recogniser = load_recogniser()
    grammar = tuple(tuple(slot.values()) for slot in GRAMMAR)
    errors = words = 0
    for clip in corpus.clips()[:5]:
        assert clip.text is not None
        heard = recogniser.transcribe_grammar(read_audio(clip.path, 24_000), grammar)
        counted = count_errors(clip.text, heard, letters=True)
        errors, words = errors + counted.errors, words + counted.words
    assert words == 30
    assert errors <= 4


@given(st.integers(1, 12), st.integers(0, 4), st.integers(0, 20_000))
def test_places(speakers: int, unseen: int, index: int) -> None:
    place = place_of(Spec(0, "grid", speakers, unseen), index)
    assert place.id == f"{place.speaker}/{index:06d}"
    assert (place.split == "talker-unseen") == place.speaker.startswith("u")
    assert int(place.speaker[1:]) <= (unseen if place.speaker.startswith("u") else speakers)
    assert place.split == f"talker-{place.part}" or (place.split, place.part) == ("talker-unseen", "test")


def test_shares_of_the_splits() -> None:
    spec = Spec(0, "grid", 8, 2)
    places = [place_of(spec, index) for index in range(1500)]
    counts = {split: sum(place.split == split for place in places) for split in {place.split for place in places}}
    assert counts["talker-test"] >= 64
    assert counts["talker-val"] >= 64
    assert 60 <= counts["talker-unseen"] <= 120
    assert counts["talker-train"] > 1200
    each = [sum(place.speaker == f"t{talker}" for place in places) for talker in range(1, 9)]
    assert max(each) - min(each) <= 1


def test_no_sentence_of_test_is_in_train(corpus: TalkerCorpus) -> None:
    for clip in corpus.clips():
        wanted = "test" if clip.split == "talker-unseen" else str(clip.split).removeprefix("talker-")
        assert part_of(str(clip.text)) == wanted


def test_a_stopped_run_goes_on_and_another_corpus_is_refused(root: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in root.glob("*/*")}
    again = generate_corpus(SPEC, root, CLIPS, workers=0)
    assert (again.made, again.kept) == (0, CLIPS)
    assert {path: path.stat().st_mtime_ns for path in root.glob("*/*")} == before
    with pytest.raises(CorpusError, match=r"talker.json: is of another talker corpus \(its spec differs\); choose"):
        generate_corpus(Spec(seed=8, speakers=2, unseen=1), root, 1, workers=0)


def test_open_text(tmp_path: Path) -> None:
    needs_synthesiser()
    summary = generate_corpus(Spec(1, "open", 1, 0), tmp_path, 1, workers=0)
    assert (summary.made, summary.splits) == (1, {"talker-train": 1})
    corpus = TalkerCorpus(tmp_path)
    (clip,) = corpus.clips("talker-train")
    assert corpus.sentences == "open"
    assert [word.word for word in clip.words] == [word.strip(".,?").lower() for word in str(clip.text).split()]
    assert all(before.end <= after.start + 1e-6 for before, after in pairwise(clip.words))


def test_wrong_specs() -> None:
    with pytest.raises(CorpusError, match="verse: no such kind"):
        Spec(sentences="verse")
    with pytest.raises(CorpusError, match="at least one speaker"):
        Spec(speakers=0)


def test_without_the_synthesiser_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech, "MODEL_SHA256", "0" * 64)
    speech.load_synthesiser.cache_clear()
    with pytest.raises(CorpusError, match="hibari"):
        generate_corpus(SPEC, tmp_path / "corpus", 1, workers=0)
    speech.load_synthesiser.cache_clear()
    assert not (tmp_path / "corpus").exists()
