"""Files of sound are read as they are stored, and what is wrong with them is in the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.evaluation.sounds import speech, with_noise

from unsilent.errors import MediaError
from unsilent.evaluation import Report, evaluate
from unsilent.evaluation.clips import load_clips
from unsilent.evaluation.metrics import SAMPLE_RATE, Samples
from unsilent.evaluation.pairs import pair_folders
from unsilent.evaluation.sources import SoundFiles
from unsilent.evaluation.tables import protocol_lines


def store(path: Path, samples: Samples, subtype: str = "FLOAT") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, SAMPLE_RATE, subtype=subtype)
    return path


def scored(tmp_path: Path, metrics: tuple[str, ...]) -> Report:
    pairs = pair_folders(tmp_path / "real", [tmp_path / "mine"], {})
    clips, left_out = load_clips(pairs.clips, crops=False, sounds=pairs.sounds)
    systems = {"real": lambda clip: clip.real, **pairs.systems}
    return evaluate(systems, clips, metrics, workers=0, left_out=left_out, notes=pairs.notes)


def test_a_file_beyond_full_scale_is_measured_as_it_is(tmp_path: Path) -> None:
    pystoi = pytest.importorskip("pystoi")
    clean = speech(1.2)
    store(tmp_path / "real/a.wav", clean)
    loud = with_noise(clean, 5)
    loud *= np.float32(30 / np.abs(loud).max())
    loud[::2000] *= 3  # clipping would hide these
    store(tmp_path / "mine/a.wav", loud)
    report = scored(tmp_path, ("stoi", "estoi"))
    values = report.scores["mine"][0].values
    for name, extended in (("stoi", False), ("estoi", True)):
        expected = pystoi.stoi(clean, loud, SAMPLE_RATE, extended=extended)
        assert values[name].value == pytest.approx(expected, abs=1e-6)
    peak = np.abs(loud).max()
    (note,) = report.notes
    assert note.startswith(f"mine: 1 of 1 files go beyond full scale (to {peak:.3g} times it): recognisers and DNSMOS")
    assert note in protocol_lines(report)


def test_a_generated_file_with_nan_has_no_metrics(tmp_path: Path) -> None:
    for at in range(3):
        store(tmp_path / f"real/c{at}.wav", speech(0.6, at))
        store(tmp_path / f"mine/c{at}.wav", speech(0.6, at))
    broken = speech(0.6, 1)
    broken[100:103] = np.nan
    store(tmp_path / "mine/c1.wav", broken)
    store(tmp_path / "mine/c2.wav", speech(0.6, 2)[:-240])
    data = scored(tmp_path, ("mel_l1", "lsd")).as_dict()
    (note,) = data["notes"]
    assert note.startswith("mine: 1 of 2 sounds differ in length from the real ones, by at most 0.010 s")
    reason = f"{tmp_path / 'mine/c1.wav'}: 3 of its samples are NaN or infinite; make it again"
    for name in ("mel_l1", "lsd"):
        assert data["systems"]["mine"][name]["n"] == 2
        assert data["systems"]["mine"][name]["missing"] == {reason: 1}
        assert data["systems"]["real"][name]["n"] == 3


def test_a_real_file_with_nan_is_left_out(tmp_path: Path) -> None:
    for at in range(2):
        store(tmp_path / f"real/c{at}.wav", speech(0.6, at))
        store(tmp_path / f"mine/c{at}.wav", speech(0.6, at))
    broken = speech(0.6)
    broken[7] = np.inf
    store(tmp_path / "real/c0.wav", broken)
    report = scored(tmp_path, ("mel_l1",))
    assert list(report.texts) == ["c1"]
    assert "c0.wav: 1 of its samples are NaN or infinite" in report.left_out["c0"]


def test_damaged_files_and_unequal_lengths_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for at in range(3):
        store(tmp_path / f"real/c{at}.wav", speech(1.2, at))
        store(tmp_path / f"mine/c{at}.wav", speech(1.2, at)[: 24_000 if at == 0 else None], "PCM_16")
    damaged = tmp_path / "mine/c2.wav"
    damaged.write_bytes(damaged.read_bytes()[:-4800])
    report = scored(tmp_path, ("mel_l1",))
    first, second = report.notes
    assert first == (
        "mine: 1 of 3 files are damaged, and what is left of them is scored: c2.wav (the file is cut short)"
    )
    assert second.startswith("mine: 2 of 3 sounds differ in length from the real ones, by at most 0.200 s")
    assert report.as_dict()["notes"] == [first, second]
    assert not caplog.records, "the report says it, for all files at once"


def test_a_reader_counts_a_file_once(tmp_path: Path) -> None:
    reader = SoundFiles()
    loud = store(tmp_path / "a.wav", np.full(2400, 1.5, np.float32))
    whole = store(tmp_path / "b.wav", np.full(2400, 1.0, np.float32))
    for path in (loud, loud, whole):
        reader.read(path)
    (note,) = reader.notes("x")
    assert note.startswith("x: 1 of 2 files go beyond full scale (to 1.5 times it)")
    with pytest.raises(MediaError, match="does not exist"):
        reader.read(tmp_path / "absent.wav")
