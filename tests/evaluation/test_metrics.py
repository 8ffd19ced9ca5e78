from __future__ import annotations

import builtins
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluation.sounds import speech, with_noise

from unsilent.errors import EvaluationError
from unsilent.evaluation import dnsmos, metrics, pitch
from unsilent.evaluation.catalogue import CATALOGUE
from unsilent.evaluation.metrics import METRICS, SAMPLE_RATE, common_length, measure, resample

PACKAGES = {
    "stoi": "pystoi",
    "estoi": "pystoi",
    "pesq_nb_8k": "pesq",
    "pesq_nb": "pesq",
    "pesq_wb": "pesq",
    "f0_rmse": "swift_f0",
    "voicing_error": "swift_f0",
    "dnsmos": "onnxruntime",
}
DISTANCES = ("mcd", "mel_l1", "lsd")


def _real_speech(shared_data: Any, number: int) -> list[metrics.Samples]:
    from unsilent.media import read_audio

    paths = sorted((shared_data / "grid" / "s1").glob("*.mp4"))[::200]
    return [read_audio(path, SAMPLE_RATE) for path in paths[:number]]


@pytest.mark.parametrize("extended", [False, True])
def test_stoi_is_the_packages(extended: bool) -> None:
    package = pytest.importorskip("pystoi")
    clean, noisy = speech(), with_noise(speech(), 5)
    ours = metrics.estoi(clean, noisy) if extended else metrics.stoi(clean, noisy)
    assert ours == pytest.approx(package.stoi(clean, noisy, SAMPLE_RATE, extended=extended), abs=1e-12)
    assert 0.1 < ours < 0.99


@pytest.mark.parametrize("mode", ["nb", "wb"])
def test_pesq_is_the_packages_at_16_khz(mode: str) -> None:
    package = pytest.importorskip("pesq")
    clean, noisy = speech(), with_noise(speech(), 10)
    ours = metrics.pesq_nb(clean, noisy) if mode == "nb" else metrics.pesq_wb(clean, noisy)
    assert ours == package.pesq(16000, resample(clean, 16000), resample(noisy, 16000), mode)


def test_pesq_at_8_khz_is_the_packages() -> None:
    package = pytest.importorskip("pesq")
    clean, noisy = speech(), with_noise(speech(), 10)
    expected = package.pesq(8000, resample(clean, 8000), resample(noisy, 8000), "nb")
    assert metrics.pesq_nb_8k(clean, noisy) == expected


def test_pesq_variants_differ() -> None:
    pytest.importorskip("pesq")
    clean, noisy = speech(), with_noise(speech(), 10)
    found = sorted(each(clean, noisy) for each in (metrics.pesq_nb_8k, metrics.pesq_nb, metrics.pesq_wb))
    assert min(np.diff(found)) > 0.02


def test_mel_l1_is_zero_for_the_same_sound_and_the_log_of_a_gain() -> None:
    sound = with_noise(speech(), 10)
    assert metrics.mel_l1(sound, sound) == 0
    assert metrics.mel_l1(sound, np.asarray(2 * sound, np.float32)) == pytest.approx(np.log(2), abs=1e-3)


@pytest.mark.parametrize("name", ["stoi", "estoi", "pesq_nb_8k", "pesq_nb", "pesq_wb", *DISTANCES])
def test_metric_gets_worse_with_noise(name: str) -> None:
    means = []
    for decibels in (20, 10, 0, -5):
        found = [measure(name, speech(seed=seed), with_noise(speech(seed=seed), decibels, seed)) for seed in range(2)]
        if any(item.reason and "pip install" in item.reason for item in found):
            pytest.skip(f"{name} is not installed")
        means.append(np.mean([item.value for item in found if item.value is not None]))
    steps = np.diff(means) * (1 if CATALOGUE[name].higher_is_better else -1)
    # The calibrated scale of PESQ ends at 1: below 0 dB this sound lies at that floor.
    assert (steps[:2] < 0).all(), means
    assert (steps < 0.02).all(), means


def test_metrics_get_worse_with_noise_on_real_speech(shared_data: Any) -> None:
    pytest.importorskip("pesq")
    pytest.importorskip("pystoi")
    real = _real_speech(shared_data, 2)
    for name in ("stoi", "estoi", "pesq_wb", "pesq_nb", "pesq_nb_8k", "f0_rmse", "voicing_error", *DISTANCES):
        means = [
            np.mean([METRICS[name](sound, with_noise(sound, decibels)) for sound in real]) for decibels in (20, 5, -5)
        ]
        steps = np.diff(means) * (1 if CATALOGUE[name].higher_is_better else -1)
        assert (steps < 0).all(), (name, means)


def test_dnsmos_of_real_speech_and_of_noise(shared_data: Any) -> None:
    (sound,) = _real_speech(shared_data, 1)
    clean, noisy = (measure("dnsmos", sound, heard) for heard in (sound, with_noise(sound, 5)))
    if clean.value is None or noisy.value is None:
        assert "pip install" in str(clean.reason)
        pytest.skip(str(clean.reason))
    assert 2.6 < clean.value < 3.5
    assert noisy.value < clean.value - 0.5


def test_dnsmos_repeats_a_short_sound_as_its_authors_do(monkeypatch: pytest.MonkeyPatch) -> None:
    windows: list[Any] = []

    class Session:
        def run(self, outputs: None, inputs: Mapping[str, Any]) -> list[Any]:
            windows.append(inputs["input_1"][0])
            return [np.array([[1.0, 1.0, 3.0]])]

    monkeypatch.setattr(dnsmos, "_session", Session)
    sound = np.arange(48_000, dtype=np.float32)
    # 3 s are doubled until they fill 9.01 s: 12 s, windows from 0, 1 and 2 s.
    assert dnsmos.overall(sound) == pytest.approx(-0.06766283 * 9 + 1.11546468 * 3 + 0.04602535)
    assert [window[0] for window in windows] == [0, 16_000, 32_000]
    assert {len(window) for window in windows} == {144_160}
    assert windows[0][48_000] == 0


def test_lengths_are_cut_to_the_shorter() -> None:
    sound = speech()
    first, second = common_length(sound, sound[: -SAMPLE_RATE // 4])
    assert len(first) == len(second) == len(sound) - SAMPLE_RATE // 4
    assert metrics.mel_l1(sound, sound[:-400]) == 0.0


def test_lengths_too_far_apart_are_refused() -> None:
    sound = speech()
    for name in METRICS:
        found = measure(name, sound, sound[: -round(0.51 * SAMPLE_RATE)])
        assert found.value is None
        assert found.reason is not None
        assert "differ" in found.reason or "pip install" in found.reason


@pytest.mark.parametrize(
    "name", ["stoi", "estoi", "pesq_nb_8k", "pesq_nb", "pesq_wb", "mcd", "f0_rmse", "speaker", "offset_ms", "dnsmos"]
)
def test_silence_is_missing_not_zero(name: str) -> None:
    sound = speech()
    found = measure(name, sound, np.zeros_like(sound))
    assert found.value is None
    assert found.reason


@pytest.mark.parametrize("name", ["mel_l1", "lsd"])
def test_distance_from_silence_is_a_number(name: str) -> None:
    sound = speech()
    assert (measure(name, sound, np.zeros_like(sound)).value or 0) > 1


def test_too_short_for_stoi_is_missing() -> None:
    pytest.importorskip("pystoi")
    found = measure("stoi", speech(0.2), speech(0.2))
    assert found.value is None
    assert "0.4 s" in str(found.reason)


def test_pesq_without_utterances_is_missing() -> None:
    pytest.importorskip("pesq")
    burst = np.zeros(SAMPLE_RATE, np.float32)
    burst[12_000:12_600] = speech(0.5)[:600]
    found = measure("pesq_wb", burst, burst)
    assert found.value is None
    assert found.reason == "PESQ cannot be computed: No utterances detected"


def test_pesq_refuses_what_its_code_has_no_room_for() -> None:
    pytest.importorskip("pesq")
    long = np.ones(61 * SAMPLE_RATE, np.float32)
    assert "60 s" in str(measure("pesq_wb", long, long).reason)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_missing(bad: float) -> None:
    sound = speech()
    broken = sound.copy()
    broken[7] = bad
    for name in METRICS:
        assert measure(name, sound, broken).value is None


@pytest.mark.parametrize(("name", "package"), PACKAGES.items())
def test_missing_package_is_a_missing_metric(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = builtins.__import__

    def refuse(
        module: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        if module.split(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {module!r}")
        return genuine(module, globals, locals, fromlist or (), level)

    for kept in (dnsmos._session, pitch._network, pitch._pitch):
        kept.cache_clear()
    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.setitem(sys.modules, package, None)
    found = measure(name, speech(0.5), speech(0.5))
    assert found.value is None
    assert "pip install 'unsilent[eval]'" in str(found.reason)


def test_unknown_metric_is_an_error() -> None:
    with pytest.raises(EvaluationError, match=r"mos: no such metric; choose from stoi"):
        measure("mos", speech(0.5), speech(0.5))


@settings(max_examples=30)
@given(st.integers(0, 2000), st.integers(0, 2000), st.sampled_from([*DISTANCES, "stoi", "pesq_wb", "f0_rmse"]))
def test_any_lengths_give_a_value_or_a_reason(first: int, second: int, name: str) -> None:
    found = measure(name, speech()[:first], speech(seed=3)[:second])
    assert (found.value is None) == (found.reason is not None)
