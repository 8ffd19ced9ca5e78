from __future__ import annotations

import numpy as np
import pytest
from tests.evaluation.sounds import speech, with_noise
from tests.evaluation.test_lips import talking

from unsilent.errors import EvaluationError
from unsilent.evaluation import scoring
from unsilent.evaluation.metrics import SAMPLE_RATE, Samples
from unsilent.evaluation.scoring import WER_METRICS, Job, check_metrics, listen_real, score
from unsilent.evaluation.wer import Grammar


class Counting:
    """A recogniser that hears a sound by how loud it is, and counts how often it is asked."""

    name = version = free_method = constrained_method = "counting"

    def __init__(self) -> None:
        self.asked = 0

    def transcribe(self, samples: Samples, sample_rate: int) -> str:
        self.asked += 1
        level = float(np.abs(samples).max())
        return "" if level == 0 else "bin blue" if level > 0.5 else "bin glue at"

    def transcribe_grammar(self, samples: Samples, grammar: Grammar, sample_rate: int = SAMPLE_RATE) -> str:
        return " ".join(slot[0] for slot in grammar)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    pytest.importorskip("jiwer")
    known = Counting()
    monkeypatch.setattr(scoring, "_recogniser", lambda model: known)
    return known


LOUD, QUIET = np.full(2400, 0.9, np.float32), np.full(2400, 0.1, np.float32)


def job(made: Samples, **more: object) -> Job:
    fields = {
        "text": "bin blue at",
        "failure": None,
        "metrics": WER_METRICS,
        "grammar": [["bin"], ["red", "blue"], ["at"]],
    }
    return Job(id="a", system="model", real=LOUD, made=made, **{**fields, **more})  # type: ignore[arg-type]


def test_errors_to_the_text_and_to_what_is_heard_in_the_real_sound(counting: Counting) -> None:
    found = score(job(QUIET))
    assert {name: (w.errors, w.words) for name, w in found.words.items()} == {
        "wer_constrained": (1, 3),
        "wer_free": (1, 3),
        "cer_free": (1, 11),
        "wer_vs_real": (2, 2),
        "cer_vs_real": (4, 8),
    }
    assert found.heard["wer_vs_real"] == found.heard["wer_free"] == "bin glue at"
    assert counting.asked == 2


def test_real_sound_is_not_heard_again_where_that_is_known(counting: Counting) -> None:
    heard = listen_real(job(QUIET))
    assert counting.asked == 1
    found = score(job(QUIET, heard_real=heard))
    assert counting.asked == 2
    assert found.values["wer_vs_real"].value == 1.0


@pytest.mark.parametrize("known", [False, True])
def test_real_sound_to_itself_has_no_errors(counting: Counting, known: bool) -> None:
    found = score(job(LOUD, heard_real=listen_real(job(LOUD)) if known else None))
    assert found.values["wer_vs_real"].value == found.values["cer_vs_real"].value == 0
    assert counting.asked == 1


def test_nothing_heard_in_the_real_sound_is_missing_not_zero(counting: Counting) -> None:
    found = score(job(QUIET, heard_real={"real": ""}))
    assert found.values["wer_vs_real"].value is None
    assert "hears nothing in the real sound" in str(found.values["wer_vs_real"].reason)
    assert "wer_vs_real" not in found.words


def test_silence_is_all_deletions_in_free_decoding(counting: Counting) -> None:
    found = score(job(np.zeros_like(LOUD)))
    assert found.values["wer_free"].value == found.values["cer_free"].value == 1.0


def test_a_clip_without_text_or_grammar(counting: Counting) -> None:
    found = score(job(QUIET, text=None, grammar=None))
    missing = {name for name, value in found.values.items() if value.value is None}
    assert missing == {"wer_constrained", "wer_free", "cer_free"}


def test_offset_to_the_lips() -> None:
    aperture, sound = talking(0.05)
    found = score(Job("a", "model", None, sound, sound, None, ["offset_lips_ms"], aperture=aperture))
    assert found.values["offset_lips_ms"].value == pytest.approx(50, abs=15)
    for lips in (None, aperture[:0]):
        none = score(Job("a", "model", None, sound, sound, None, ["offset_lips_ms"], aperture=lips))
        assert "no landmarks" in str(none.values["offset_lips_ms"].reason)


def test_metrics_are_put_in_the_order_of_a_report() -> None:
    assert check_metrics(["wer_free", "mcd", "stoi"]) == ("stoi", "mcd", "wer_free")
    with pytest.raises(EvaluationError, match="mos: no such metric; choose from stoi"):
        check_metrics(["mos"])


def test_spearman_with_noise_on_speech_that_is_made_here() -> None:
    stats = pytest.importorskip("scipy.stats")
    pytest.importorskip("pesq")
    pytest.importorskip("pystoi")
    names = ("stoi", "estoi", "pesq_wb", "pesq_nb", "pesq_nb_8k")
    levels = (20, 15, 10, 5, 0, -5)
    rows: dict[str, list[list[float]]] = {name: [] for name in names}
    for seed in range(3):
        clean = speech(seed=seed)
        found = [
            score(Job("a", "b", None, clean, with_noise(clean, level, seed), None, names)).values for level in levels
        ]
        for name in names:
            rows[name].append([value for each in found if (value := each[name].value) is not None])
    for name in names:
        noise = np.broadcast_to(-np.array(levels), (3, len(levels)))
        assert stats.spearmanr(noise.ravel(), np.ravel(rows[name])).statistic <= -0.9, name
