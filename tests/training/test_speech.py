"""Segments for the vocoder: a function of their key, sound and mel in step, loudness in both."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tests.training.small import read_rows, row, sound_of, states_of

from unsilent.errors import CorpusError
from unsilent.features import MelConfig, log_mel
from unsilent.training.order import SampleKey
from unsilent.training.speech import SegmentData, Utterance, collate_segments, folder_utterances, row_utterance

MEL = MelConfig()


def utterance(number: int, frames: int = 12) -> Utterance:
    sound = sound_of(states_of(number, frames))
    return Utterance(sound, log_mel(torch.from_numpy(sound)[None], MEL)[0])


def data_of(*groups: Iterable[Utterance], shares: tuple[float, ...] = (1.0,), **options: object) -> SegmentData:
    given = {"mel": MEL, "segment_frames": 12, "length": 100, "seed": 0, **options}
    return SegmentData(groups, shares, **given)  # type: ignore[arg-type]


def test_segment_is_sound_with_its_mel() -> None:
    spoken = utterance(0)
    data = data_of([spoken], gain=False)
    firsts = set()
    for position in range(60):
        mel, samples = data[SampleKey(0, position, 0)]
        assert mel.shape == (80, 12)
        assert samples.shape == (12 * 240,)
        starts = [m for m in range(37) if torch.equal(spoken.mel[:, m : m + 12], mel)]
        assert len(starts) == 1
        assert np.array_equal(samples.numpy(), spoken.samples[starts[0] * 240 : (starts[0] + 12) * 240])
        firsts |= set(starts)
    assert min(firsts) <= 2
    assert max(firsts) >= 34


def test_key_decides_the_segment() -> None:
    data, again = (data_of([utterance(0), utterance(1)]) for _ in range(2))
    keys = [SampleKey(epoch, position, 0) for epoch in (0, 1) for position in range(5)]
    kept = {key: data[key] for key in keys}
    for key in reversed(keys):
        assert torch.equal(again[key][1], kept[key][1])
        assert torch.equal(again[key][0], kept[key][0])
    assert len({samples.numpy().tobytes() for _, samples in kept.values()}) == len(keys)


def test_gain_moves_sound_and_mel_together_and_never_clips() -> None:
    loud = Utterance(utterance(0).samples * np.float32(3.2), utterance(0).mel + float(np.log(3.2)))
    gains = []
    for spoken in (utterance(0), loud):
        data, plain = data_of([spoken]), data_of([spoken], gain=False)
        for position in range(40):
            key = SampleKey(0, position, 0)
            (mel, samples), (true_mel, true) = data[key], plain[key]
            gain = (samples.square().sum() / true.square().sum()).sqrt().item()
            torch.testing.assert_close(mel, (true_mel + np.log(gain)).clamp(min=MEL.log_floor), atol=1e-3, rtol=0)
            assert samples.abs().max() <= 0.951
            gains.append(gain)
    assert min(gains) < 0.4
    assert max(gains) > 1.5


def test_groups_are_drawn_by_share_and_recordings_by_length() -> None:
    long, short = utterance(0, frames=40), utterance(1, frames=10)
    data = data_of([long, short], [utterance(2)], shares=(3.0, 1.0), gain=False, length=400)
    counts = dict.fromkeys(("long", "short", "other"), 0)
    for position in range(400):
        mel = data[SampleKey(0, position, 0)][0]
        found = [
            name
            for name, spoken in (("long", long), ("short", short))
            if any(torch.equal(spoken.mel[:, m : m + 12], mel) for m in range(spoken.mel.shape[1] - 11))
        ]
        counts[found[0] if found else "other"] += 1
    assert 70 < counts["other"] < 130
    assert 2 < counts["long"] / counts["short"] < 7


def test_too_short_for_a_segment() -> None:
    data = data_of([utterance(0), utterance(1, frames=3)])
    assert [len(group) for group in data.groups] == [1]
    with pytest.raises(CorpusError, match="12 mel frames"):
        data_of([utterance(1, frames=3)])


def test_row_gives_whole_hops_and_predicted_mel_of_the_same_length(tmp_path: Path) -> None:
    clip = read_rows(tmp_path, [row(0, frames=10, short_by=529)])[0]
    spoken = row_utterance(clip, MEL)
    assert spoken.mel.shape == (80, 37)
    assert len(spoken.samples) == 37 * 240
    predicted = torch.randn(80, 40)
    other = row_utterance(clip, MEL, predicted)
    assert torch.equal(other.mel, predicted[:, :37])
    assert np.array_equal(other.samples, spoken.samples)


def test_folder_is_read_in_a_random_order_up_to_its_minutes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(6):
        sound = np.full(24_000, 0.01 * (number + 1), np.float32)
        (tmp_path / f"part{number % 2}").mkdir(exist_ok=True)
        soundfile.write(tmp_path / f"part{number % 2}" / f"{number}.wav", sound, 24_000, subtype="FLOAT")
    soundfile.write(tmp_path / "short.wav", np.zeros(100, np.float32), 24_000)
    (tmp_path / "broken.flac").write_bytes(b"no sound")
    (tmp_path / "notes.txt").write_text("not sound")

    def levels(minutes: float | None, seed: int) -> list[int]:
        found = folder_utterances(tmp_path, MEL, minutes, 2880, seed)
        return [round(float(np.median(spoken.samples)) * 100) for spoken in found]

    with caplog.at_level(logging.WARNING):
        assert sorted(levels(None, 0)) == [1, 2, 3, 4, 5, 6]
    assert "broken.flac" in caplog.text
    assert levels(None, 0) == levels(None, 0)
    assert levels(None, 0) != levels(None, 1)
    assert levels(2.5 / 60, 0) == levels(None, 0)[:3]


@pytest.mark.parametrize("name", ["empty", "nowhere"])
def test_folder_without_sound_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match=name):
        list(folder_utterances(tmp_path / name, MEL, None, 2880, 0))


def test_batch_is_stacked() -> None:
    data = data_of([utterance(0)])
    batch = collate_segments([data[SampleKey(0, position, 0)] for position in range(3)])
    assert batch.mel.shape == (3, 80, 12)
    assert batch.samples.shape == (3, 2880)
