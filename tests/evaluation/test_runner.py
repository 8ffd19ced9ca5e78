from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.evaluation.sounds import TEXTS, Echo, clips, with_noise

from unsilent.corpora.grid import GRAMMAR
from unsilent.errors import EvaluationError, FaceError, MediaError
from unsilent.evaluation import EvalClip, dnsmos, evaluate, model_systems, runner, scoring
from unsilent.evaluation.cache import digest_of
from unsilent.evaluation.catalogue import CATALOGUE
from unsilent.evaluation.metrics import SAMPLE_RATE, Samples
from unsilent.evaluation.protocol import usual_systems
from unsilent.evaluation.scoring import Job
from unsilent.evaluation.tables import protocol_lines
from unsilent.evaluation.wer import Grammar

GRID = tuple(tuple(slot.values()) for slot in GRAMMAR)


class Clairvoyant:
    """A recogniser that hears what it is told."""

    name = "clairvoyant"
    version = "1"
    free_method = "told freely"
    constrained_method = "told within the grammar"

    def transcribe(self, samples: Samples, sample_rate: int) -> str:
        return "bin blue at F 2, now"

    def transcribe_grammar(self, samples: Samples, grammar: Grammar, sample_rate: int = SAMPLE_RATE) -> str:
        return "bin blue at f two soon"


@pytest.fixture
def clairvoyant(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jiwer")
    monkeypatch.setattr(scoring, "_recogniser", lambda model: Clairvoyant())
    monkeypatch.setattr(dnsmos, "overall", lambda samples: 3.0)  # half a second a window


def _different(first: str, second: str) -> int:
    return sum(a != b for a, b in zip(first.split(), second.split(), strict=True))


def noisy(clip: EvalClip) -> Samples:
    return with_noise(clip.real, 0)


def test_report_has_every_system_metric_and_clip(clairvoyant: None) -> None:
    known = clips(4)
    report = evaluate(model_systems(Echo(known), known, usual_systems()), known, grammar=GRID, workers=0, corpus="grid")
    data = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert list(data["systems"]) == usual_systems()
    for metrics in data["systems"].values():
        assert list(metrics) == list(CATALOGUE)
        for summary in metrics.values():
            assert {"mean", "low", "high", "n"} <= set(summary) <= {"mean", "low", "high", "n", "missing"}
    keys = {"corpus", "split", "command", "notes", "metrics", "systems", "recogniser", "versions", "model", "clips"}
    assert keys | {"format", "synthetic"} == set(data)
    versions, told = data["versions"], data["recogniser"]
    assert data["metrics"]["wer_free"] == {
        "label": "WER, free", "unit": "%", "scale": 100.0, "higher_is_better": False,
        "source": CATALOGUE["wer_free"].source,
        "versions": {"unsilent": versions["unsilent"], "jiwer": versions["jiwer"], told["name"]: told["version"]},
    }  # fmt: skip
    assert data["clips"][1]["sound"] == digest_of(known[1].real)
    assert data["clips"][0]["systems"]["model"]["counts"]["wer_free"] == [0, 6]
    assert [row["id"] for row in data["clips"]] == [clip.id for clip in known]
    assert data["systems"]["real"]["mel_l1"] == {"mean": 0.0, "low": 0.0, "high": 0.0, "n": 4}
    assert data["recogniser"]["chance_wer"] == pytest.approx(0.81)


def test_word_error_rate_is_errors_over_words(clairvoyant: None) -> None:
    known = clips(4)
    report = evaluate({"real": lambda clip: clip.real}, known, ("wer_free", "wer_constrained"), grammar=GRID)
    summary = report.systems["real"]
    # Right for the first clip; the others share "two" or nothing with it.
    wrong = [_different(text, TEXTS[0]) for text in TEXTS]
    assert summary["wer_free"].interval is not None
    assert summary["wer_constrained"].interval is not None
    assert summary["wer_free"].interval.mean == pytest.approx(sum(wrong) / 24)
    constrained = [_different(text, "bin blue at f two soon") for text in TEXTS]
    assert summary["wer_constrained"].interval.mean == pytest.approx(sum(constrained) / 24)
    assert report.as_dict()["clips"][0]["systems"]["real"]["heard"]["wer_free"] == "bin blue at F 2, now"


def test_processes_change_nothing() -> None:
    pytest.importorskip("pystoi")
    known = clips(5, 0.8)
    systems = {"noisy": noisy}
    alone = evaluate(systems, known, ("mel_l1", "stoi"), workers=0).as_dict()
    assert evaluate(systems, known, ("mel_l1", "stoi"), workers=2).as_dict() == alone


def test_failing_system_is_missing_with_its_reason() -> None:
    known = clips(3, 0.6)

    def fails_once(clip: EvalClip) -> Samples:
        if clip.id.endswith("1"):
            raise FaceError("clip1: no face")
        return clip.real

    report = evaluate({"model": fails_once}, known, ("mel_l1",))
    assert report.as_dict()["systems"]["model"]["mel_l1"] == {
        "mean": 0.0, "low": 0.0, "high": 0.0, "n": 2, "missing": {"clip1: no face": 1},
    }  # fmt: skip
    assert report.as_dict()["clips"][1]["systems"]["model"] == {
        "mel_l1": None,
        "missing": {"mel_l1": "clip1: no face"},
    }


def test_silent_output_is_missing_and_all_words_are_lost(clairvoyant: None) -> None:
    known = clips(2)
    report = evaluate({"mute": lambda clip: np.zeros_like(clip.real)}, known, ("stoi", "mel_l1"))
    summary = report.as_dict()["systems"]["mute"]
    assert summary["stoi"]["mean"] is None
    assert summary["stoi"]["n"] == 0
    assert summary["mel_l1"]["n"] == 2


def test_without_text_or_grammar_there_is_no_word_error_rate(clairvoyant: None) -> None:
    clip = clips(1)[0]
    mute = EvalClip(clip.id, None, clip.real, clip.crops)
    summary = evaluate({"real": lambda c: c.real}, [mute], ("wer_free", "wer_constrained")).as_dict()["systems"]["real"]
    assert "no text" in next(iter(summary["wer_free"]["missing"]))
    told = evaluate({"real": lambda c: c.real}, [clip], ("wer_constrained",)).as_dict()["systems"]["real"]
    assert "no grammar" in next(iter(told["wer_constrained"]["missing"]))


def test_a_sentence_outside_the_grammar_costs_only_its_own_figure(clairvoyant: None) -> None:
    known = clips(3, 0.6)
    known[1] = EvalClip("s1/odd", "hello there world", known[1].real, known[1].crops)
    asked = ("mel_l1", "wer_constrained", "wer_free")
    report = evaluate({"real": lambda c: c.real}, known, asked, grammar=GRID, workers=0)
    data = report.as_dict()
    found = data["systems"]["real"]
    assert (found["mel_l1"]["n"], found["wer_free"]["n"], found["wer_constrained"]["n"]) == (3, 3, 2)
    assert found["wer_constrained"]["missing"] == {"the clip's text is no sentence of the grammar": 1}
    told = data["recogniser"]
    assert told["chance_wer"] == pytest.approx(0.81)
    assert told["majority_word_wer"] is None
    assert told["majority_word_wer_missing"] == "no sentence of the grammar is said in s1/odd"
    assert any("most frequent words: missing: no sentence of the grammar is said in s1/odd" in line
               for line in protocol_lines(report))  # fmt: skip


def test_sound_is_saved_except_the_real(tmp_path: Path) -> None:
    known = clips(1, 0.6)
    evaluate({"real": lambda c: c.real, "noisy": noisy}, known, ("mel_l1",), save_audio=tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.wav")] == ["noisy/s1/clip0.wav"]


def test_progress_counts_clips_and_systems() -> None:
    ticks: list[int] = []
    evaluate({"a": noisy, "b": noisy}, clips(2, 0.6), ("mel_l1",), advance=lambda: ticks.append(1))
    assert len(ticks) == 4


def test_a_clip_that_can_no_longer_be_read_is_missing_in_every_system() -> None:
    class Gone(EvalClip):
        @property
        def real(self) -> Samples:
            raise MediaError("clip.wav: is gone")

        @real.setter
        def real(self, value: Samples) -> None: ...

    known = clips(2, 0.6)
    gone = Gone("gone", None, known[0].real, known[0].crops)
    report = evaluate({"real": lambda clip: clip.real, "noisy": noisy}, [known[0], gone], ("mel_l1",))
    for system in ("real", "noisy"):
        assert report.as_dict()["systems"][system]["mel_l1"]["missing"] == {"clip.wav: is gone": 1}
        assert report.as_dict()["systems"][system]["mel_l1"]["n"] == 1


def test_the_real_sound_is_heard_once_a_clip(
    clairvoyant: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    heard: list[str] = []
    listen = scoring.listen_real

    def listening(job: Job) -> dict[str, str]:
        heard.append(job.id)
        return listen(job)

    monkeypatch.setattr(runner, "listen_real", listening)
    monkeypatch.setattr(scoring, "listen_real", listening)
    known = clips(2, 0.6)
    asked: dict[str, Any] = {"metrics": ("wer_vs_real",), "workers": 0, "results": tmp_path}
    first = evaluate({"real": lambda clip: clip.real, "noisy": noisy}, known, **asked)
    assert heard == ["s1/clip0", "s1/clip1"]
    assert first.as_dict()["systems"]["noisy"]["wer_vs_real"]["mean"] == 0
    # Another system on the same clips: what was heard in the real sound is known.
    evaluate({"louder": lambda clip: 2 * clip.real}, known, **asked)
    assert heard == ["s1/clip0", "s1/clip1"]


def test_nothing_to_evaluate() -> None:
    known = clips(1, 0.6)
    for systems, chosen in (({}, known), ({"a": noisy}, []), ({"a": noisy}, known * 2)):
        with pytest.raises(EvaluationError, match="nothing to evaluate"):
            evaluate(systems, chosen)
    with pytest.raises(EvaluationError, match="mos: no such metric; choose from"):
        evaluate({"a": noisy}, known, ("mos",))


class Breaking:
    """An engine that cannot do what it is given for one clip."""

    def map(self, items: Any, work: Any, failed: Any) -> Any:
        for number, item in enumerate(items):
            yield item, failed(item, "crashed", "the process that read it died") if number == 1 else work(item)


def test_a_clip_that_ends_a_process_of_an_engine_is_missing_with_its_reason() -> None:
    pytest.importorskip("pystoi")
    known = clips(3)
    systems = {"real": lambda clip: clip.real, "noisy": noisy}
    here = evaluate(systems, known, ["estoi", "mel_l1"], workers=0)
    there = evaluate(systems, known, ["estoi", "mel_l1"], engine=Breaking())
    for name in systems:
        assert [scores.id for scores in there.scores[name]] == [clip.id for clip in known]
        for at in (0, 2):
            found, wanted = ([m.value for m in report.scores[name][at].values.values()] for report in (there, here))
            assert found == pytest.approx(wanted)
        assert {m.reason for m in there.scores[name][1].values.values()} == {"crashed: the process that read it died"}
        assert there.systems[name]["estoi"].missing == {"crashed: the process that read it died": 1}
