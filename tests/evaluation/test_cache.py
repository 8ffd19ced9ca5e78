from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.evaluation.sounds import clips, speech, with_noise

from unsilent.errors import EvaluationError
from unsilent.evaluation import EvalClip, cache, evaluate, scoring, whisper_models
from unsilent.evaluation.cache import ResultCache, digest_of
from unsilent.evaluation.metrics import Measurement, Samples, measure
from unsilent.evaluation.scoring import Job, Scores

REAL = speech(0.6)


def job(**other: Any) -> Job:
    facts: dict[str, Any] = {"text": "bin blue", "real": REAL, "made": with_noise(REAL, 10), "failure": None}
    return Job(**({"id": "a", "system": "noisy", "metrics": ("mel_l1",)} | facts | other))


def noisy(clip: EvalClip) -> Samples:
    return with_noise(clip.real, 0)


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Metrics that were computed in this process."""
    done: list[str] = []

    def counting(name: str, reference: Samples, degraded: Samples) -> Measurement:
        done.append(name)
        return measure(name, reference, degraded)

    monkeypatch.setattr(scoring, "measure", counting)
    return done


def test_a_job_is_known_by_what_it_is_measured_on(tmp_path: Path) -> None:
    known = ResultCache(tmp_path)
    key = known.key(job())
    assert key == known.key(job(id="b", system="other", metrics=("stoi",)))
    others: list[dict[str, Any]] = [{"text": "lay"}, {"real": REAL[1:]}, {"made": None}, {"grammar": (("a", "b"),)}]
    assert len({key, *(known.key(job(**other)) for other in others)}) == 5


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=9), st.integers(0, 8))
def test_digest_changes_with_any_sample(values: list[float], at: int) -> None:
    first = np.array(values, np.float32)
    second = first.copy()
    second[at % len(second)] += 0.5
    assert digest_of(first) == digest_of(first.copy())
    assert digest_of(first) != digest_of(second)
    assert digest_of(first) != digest_of(first.astype(np.float64))


def test_a_second_run_computes_nothing_and_reports_the_same(tmp_path: Path, scored: list[str]) -> None:
    known, systems = clips(3, 0.6), {"real": lambda clip: clip.real, "noisy": noisy}
    first = evaluate(systems, known, ("mel_l1",), workers=0, results=tmp_path).as_dict()
    assert len(scored) == 6
    assert evaluate(systems, known, ("mel_l1",), workers=0, results=tmp_path).as_dict() == first
    assert len(scored) == 6
    # Another metric of the same sounds: only that is computed.
    both = evaluate(systems, known, ("mel_l1", "lsd"), workers=0, results=tmp_path).as_dict()
    assert scored[6:] == ["lsd"] * 6
    assert list(both["systems"]["noisy"]) == ["mel_l1", "lsd"]
    assert both["systems"]["noisy"]["mel_l1"] == first["systems"]["noisy"]["mel_l1"]


def test_changed_code_or_package_is_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = ResultCache(tmp_path)
    key = known.key(job())
    known.keep(key, Scores("a", "noisy", {"mel_l1": Measurement(1.5)}), None)
    assert known.find(key, ("mel_l1",), None).values == {"mel_l1": Measurement(1.5)}
    for name in ("_code", "installed_version"):
        with monkeypatch.context() as changed:
            changed.setattr(cache, name, lambda *a: "another")
            cache._stamp.cache_clear()
            assert not known.find(key, ("mel_l1",), None).values
        cache._stamp.cache_clear()
    assert known.find(key, ("mel_l1",), None).values


def test_the_speaker_depends_on_what_finds_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    stamps = set()
    for version in ("2.0.14", "2.0.15"):
        monkeypatch.setattr(cache, "installed_version", lambda n, v=version: v if n == "webrtcvad_wheels" else "1")
        cache._stamp.cache_clear()
        stamps.add((cache._stamp("speaker", None), cache._stamp("stoi", None)))
    cache._stamp.cache_clear()
    speaker, stoi = zip(*stamps, strict=True)
    assert (len(set(speaker)), len(set(stoi))) == (2, 1)


def test_another_recogniser_is_asked_again_for_words_alone(tmp_path: Path) -> None:
    known = ResultCache(tmp_path)
    known.keep("k" * 64, Scores("a", "x", {"mel_l1": Measurement(1.5), "wer_free": Measurement(0.5)}), None)
    assert set(known.find("k" * 64, ("mel_l1", "wer_free"), None).values) == {"mel_l1", "wer_free"}
    assert set(known.find("k" * 64, ("mel_l1", "wer_free"), "pocketsphinx").values) == {"mel_l1"}


def test_what_is_missing_is_tried_again(tmp_path: Path) -> None:
    known = ResultCache(tmp_path)
    known.keep("k" * 64, Scores("a", "x", {"mel_l1": Measurement(None, "no package")}), None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"format": 1}', b'{"format": 1, "metrics": {"mel_l1": {"stamp": "x"}}}', b"\xff\xfe"]
)
def test_damaged_entry_is_computed_again(
    damage: bytes, tmp_path: Path, scored: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    known = clips(1, 0.6)
    first = evaluate({"noisy": noisy}, known, ("mel_l1",), results=tmp_path).as_dict()
    (entry,) = tmp_path.rglob("*.json")
    entry.write_bytes(damage)
    with caplog.at_level(logging.WARNING, "unsilent"):
        assert evaluate({"noisy": noisy}, known, ("mel_l1",), results=tmp_path).as_dict() == first
    assert "damaged cache entry" in caplog.text
    assert len(scored) == 2
    evaluate({"noisy": noisy}, known, ("mel_l1",), results=tmp_path)
    assert len(scored) == 2, "the entry is whole again"


@given(st.binary(max_size=60))
def test_no_entry_is_believed_that_is_none(content: bytes) -> None:
    try:
        data = json.loads(content)
    except ValueError:
        return
    with pytest.raises((ValueError, KeyError, TypeError)):
        cache._checked(data)


def test_no_cache_keeps_nothing(tmp_path: Path, scored: list[str]) -> None:
    known = clips(1, 0.6)
    for _ in range(2):
        evaluate({"noisy": noisy}, known, ("mel_l1",), results=None)
    assert len(scored) == 2


SCRIPT = """
import sys, time
from pathlib import Path
from tests.evaluation.sounds import clips, with_noise
from unsilent.evaluation import evaluate

def slow(clip):
    if clip.id == "s1/clip3":
        time.sleep(600)
    return with_noise(clip.real, 0)

evaluate({"noisy": slow}, clips(5, 0.6), ("mel_l1", "lsd"), workers=0, results=Path(sys.argv[1]))
"""


def test_a_killed_evaluation_goes_on_and_reports_the_same(tmp_path: Path, scored: list[str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        while len(list(tmp_path.rglob("[!.]*.json"))) < 3 and process.poll() is None:
            time.sleep(0.05)
        assert process.poll() is None, "it ended by itself"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    known = clips(5, 0.6)
    resumed = evaluate({"noisy": noisy}, known, ("mel_l1", "lsd"), workers=0, results=tmp_path).as_dict()
    assert len(scored) == 4, "two clips of five are left, two metrics each"
    assert resumed == evaluate({"noisy": noisy}, known, ("mel_l1", "lsd"), workers=0).as_dict()


def test_a_recogniser_in_a_folder_is_known_by_its_files(tmp_path: Path) -> None:
    identities = set()
    for content in ("one", "two"):
        (tmp_path / "model.bin").write_text(content)
        for name in (str(tmp_path), f"tiny.en+{tmp_path}", "pocketsphinx"):
            cache.recogniser_identity.cache_clear()
            identities.add(cache.recogniser_identity(name))
    assert len(identities) == 5


def test_a_model_of_one_name_is_told_apart_by_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    identities = set()
    for digest in ("one", "two"):
        monkeypatch.setattr(whisper_models, "model_digest", lambda name, *, pinned, digest=digest: digest + name)
        for name in (None, "small.en", "small.en+base"):
            cache.recogniser_identity.cache_clear()
            identities.add(cache.recogniser_identity(name))
    cache.recogniser_identity.cache_clear()
    assert len(identities) == 6
    assert sum("onesmall.en onebase" in identity for identity in identities) == 1


def test_a_model_that_cannot_be_had_is_not_the_end_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str, *, pinned: bool) -> str:
        raise EvaluationError(f"{name}: cannot be loaded as a recogniser (no network)")

    monkeypatch.setattr(whisper_models, "model_digest", fails)
    cache.recogniser_identity.cache_clear()
    assert "no network" in cache.recogniser_identity("small.en")
    cache.recogniser_identity.cache_clear()
