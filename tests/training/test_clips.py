"""Clips as samples: picture, sound and words stay aligned, and missing sound is known to be missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.training.small import read_rows, row, write_shards

from unsilent.corpora.base import Word
from unsilent.errors import RecipeError, ShardError
from unsilent.features import MelConfig
from unsilent.models import ReconstructorConfig, VideoEncoderConfig
from unsilent.shards import ClipRow, ShardWriter, encode_audio, encode_crops
from unsilent.training.clips import (
    NO_LABEL,
    ClipData,
    ClipSample,
    clip_order,
    collate_clips,
    open_clips,
    word_labels,
)
from unsilent.training.order import BatchOrder, SampleKey
from unsilent.training.recipe import AugmentConfig, DataConfig, RunConfig

MEL, ENCODER = MelConfig(), VideoEncoderConfig(resize=24, crop=16)
STILL = AugmentConfig(flip=0, erase=0, time_mask=0, brightness=0)
FRAMES, STEP = 30, 1.25
VOCABULARY = {f"w{frame}": frame + 1 for frame in range(FRAMES)}


def numbered(tmp_path: Path, **changes: Any) -> ClipRow:
    """A clip whose every frame says its number: in brightness, in loudness (a factor a frame) and as a word."""
    frames = np.arange(FRAMES)
    crops = np.broadcast_to((30 + 5 * frames)[:, None, None], (FRAMES, 96, 96)).astype(np.uint8)
    tone = 0.9 * np.sin(2 * np.pi * 1000 * np.arange(960 * FRAMES) / 24_000)
    sound = (tone * (STEP ** (frames - FRAMES)).repeat(960)).astype(np.float32)
    words = [{"word": f"w{frame}", "start": frame / 25, "end": (frame + 1) / 25} for frame in range(FRAMES)]
    made = {"frames": FRAMES, "crops": encode_crops(crops), "samples": len(sound), "words": words}
    made |= {"audio": {"bytes": encode_audio(sound, 24_000), "path": None}}
    return read_rows(tmp_path, [row(0, **{**made, "valid": [True] * FRAMES, "aperture": [0.0] * FRAMES, **changes})])[0]


def data_of(*rows: ClipRow, **options: Any) -> ClipData:
    return ClipData(rows, **{"mel": MEL, "encoder": ENCODER, "vocabulary": VOCABULARY, **options})


def numbers_of(sound: torch.Tensor) -> torch.Tensor:
    """Stands for a model that hears: the number of every frame of (1, N) samples, twice."""
    return torch.arange(sound.shape[1] // 960.0)[None, :, None].expand(1, -1, 2)


def numbers_seen(sample: ClipSample) -> list[int]:
    return [round((frame.float().mean().item() - 30) / 5) for frame in sample.crops]


def numbers_heard(sample: ClipSample) -> list[int]:
    """From the 1 kHz band in the middle of every video frame; the last frame of the clip is the reference."""
    band = sample.mel.mean(1).argmax()
    middles = sample.mel[band].view(-1, 4)[:, 1:3].mean(1)
    full = np.log(0.9 * 512 / 2)
    bank = middles - full
    return [round(value) for value in (bank / np.log(STEP)).tolist()]


def test_whole_clip_is_aligned_and_without_augmentation_the_centre(tmp_path: Path) -> None:
    clip = numbered(tmp_path)
    sample = data_of(clip)[0]
    assert sample.crops.shape == (FRAMES, 16, 16)
    assert sample.crops.dtype == torch.uint8
    assert sample.mel.shape == (80, 4 * FRAMES)
    assert sample.mel_frames == 4 * FRAMES
    assert numbers_seen(sample) == list(range(FRAMES))
    assert sample.words.tolist() == list(range(1, FRAMES + 1))
    heard = numbers_heard(sample)
    assert [number - heard[0] for number in heard] == list(range(FRAMES))


@pytest.mark.parametrize("cache", [True, False])
def test_random_windows_keep_picture_sound_and_words_together(tmp_path: Path, cache: bool) -> None:
    clip = numbered(tmp_path)
    whole = data_of(clip)
    reference = numbers_heard(whole[0])
    data = data_of(clip, augment=STILL, window=8, cache=cache, listen=numbers_of)
    firsts = set()
    for position in range(40):
        sample = data[SampleKey(0, position, 0)]
        seen = numbers_seen(sample)
        first = seen[0]
        assert seen == list(range(first, first + 8))
        assert sample.words.tolist() == [number + 1 for number in seen]
        assert sample.latents[:, 0].tolist() == seen
        assert torch.equal(sample.mel, whole[0].mel[:, 4 * first : 4 * first + 32])
        assert sample.mel_frames == 32
        assert numbers_heard(sample) == reference[first : first + 8]
        firsts.add(first)
    assert min(firsts) <= 2
    assert max(firsts) >= FRAMES - 8 - 2


def test_key_decides_the_augmentation_and_nothing_else_does(tmp_path: Path) -> None:
    clip = numbered(tmp_path)
    first, second = (data_of(clip, augment=AugmentConfig(), window=8, seed=3, cache=cache) for cache in (True, False))
    keys = [SampleKey(epoch, position, 0) for epoch in range(2) for position in range(6)]
    results = {key: first[key] for key in keys}
    for key in reversed(keys):
        again = second[key]
        assert torch.equal(again.crops, results[key].crops)
        assert torch.equal(again.mel, results[key].mel)
    assert len({results[key].crops.numpy().tobytes() for key in keys}) > 6
    other = data_of(clip, augment=AugmentConfig(), window=8, seed=4)
    assert any(not torch.equal(other[key].crops, results[key].crops) for key in keys)


def test_short_sound_is_silence_that_is_known(tmp_path: Path) -> None:
    frames = 10
    clip = read_rows(tmp_path, [row(1, frames=frames, short_by=529)])[0]
    sample = data_of(clip)[0]
    assert clip.samples == frames * 960 - 529
    assert sample.mel.shape == (80, 40)
    assert sample.mel_frames == (frames * 960 - 529) // 240 == 37
    # The window of the last frame still reaches the end of the sound; what is in the middle of it is missing.
    assert sample.mel[:, 39].amax() < sample.mel[:, :37].amax(0).min() - 2


@pytest.mark.parametrize(("first", "heard"), [(0, 32), (1, 32), (2, 29)])
def test_window_at_the_end_knows_how_much_was_heard(tmp_path: Path, first: int, heard: int) -> None:
    clip = read_rows(tmp_path, [row(1, frames=10, short_by=529)])[0]
    data = data_of(clip, augment=STILL, window=8)
    whole = data_of(clip)[0]
    for position in range(60):
        sample = data[SampleKey(0, position, 0)]
        if torch.equal(sample.mel, whole.mel[:, 4 * first : 4 * first + 32]):
            assert sample.mel_frames == heard
            return
    pytest.fail("no window began there")


def test_clips_that_are_not_kept_come_from_neighbouring_groups(tmp_path: Path) -> None:
    with ShardWriter(tmp_path, row_group_bytes=20_000) as writer:
        for number in range(60):
            writer.write(row(number))
    data = DataConfig(shards=str(tmp_path), train="train")
    model = ReconstructorConfig(mel=MEL, encoder=ENCODER)
    run = RunConfig(cache=False, batch_size=4, epochs=2)
    rows = open_clips(data, run, model)
    assert len(rows.group_sizes) > 2 * rows.cache_groups
    order = clip_order(rows, run, 0)
    batches = list(order)
    assert (order.total, len(batches)) == (30, 30)
    group_of = np.repeat(np.arange(len(rows.group_sizes)), rows.group_sizes)
    for epoch in range(2):
        seen = [key.sample for batch in batches[15 * epoch : 15 * epoch + 15] for key in batch]
        assert sorted(seen) == list(range(60))
        assert seen != sorted(seen)
        last: dict[int, int] = {}
        for place, sample in enumerate(seen):
            last[int(group_of[sample])] = place
        for place in range(60):  # groups that were begun and are not done
            begun = {int(group_of[sample]) for sample in seen[: place + 1]}
            assert sum(last[group] > place for group in begun) <= rows.cache_groups
    assert next(iter(clip_order(rows, run, 11))) == batches[11]
    whole = list(clip_order(rows, run.model_copy(update={"cache": True}), 0))
    assert whole == list(BatchOrder(60, 4, 0, 2))


def test_more_than_memory_holds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_shards(tmp_path)
    data, model = DataConfig(shards=str(tmp_path), train="train"), ReconstructorConfig(mel=MEL, encoder=ENCODER)
    assert len(open_clips(data, RunConfig(), model)) == 5
    monkeypatch.setattr("unsilent.training.clips._memory", lambda: 1000)
    with pytest.raises(RecipeError, match=r"run\.cache: keeping 5 clips .* run\.cache=false"):
        open_clips(data, RunConfig(), model)
    assert len(open_clips(data, RunConfig(cache=False), model)) == 5


def test_clip_shorter_than_the_window_is_taken_whole(tmp_path: Path) -> None:
    clip = read_rows(tmp_path, [row(1, frames=5)])[0]
    sample = data_of(clip, augment=STILL, window=8)[SampleKey(0, 0, 0)]
    assert len(sample.crops) == 5
    assert sample.mel.shape == (80, 20)


def test_sound_longer_than_the_picture_is_cut(tmp_path: Path) -> None:
    sound = encode_audio(np.full(5 * 960 + 300, 0.1, np.float32), 24_000)
    made: dict[str, Any] = {"audio": {"bytes": sound, "path": None}, "samples": 5 * 960 + 300}
    sample = data_of(read_rows(tmp_path, [row(1, frames=5, **made)])[0])[0]
    assert (sample.mel.shape, sample.mel_frames) == ((80, 20), 20)


def test_clip_with_next_to_no_sound_counts_nowhere(tmp_path: Path) -> None:
    made: dict[str, Any] = {
        "audio": {"bytes": encode_audio(np.zeros(1, np.float32), 24_000), "path": None},
        "samples": 1,
    }
    sample = data_of(read_rows(tmp_path, [row(1, frames=3, **made)])[0])[0]
    assert sample.mel_frames == 0
    assert (sample.mel == MEL.log_floor).all()


@pytest.mark.parametrize("wrong", [{"sample_rate": 16_000}, {"fps": 30.0}])
def test_clip_at_other_rates_is_refused_by_name(tmp_path: Path, wrong: dict[str, Any]) -> None:
    clip = read_rows(tmp_path, [row(1, frames=3, **wrong)])[0]
    with pytest.raises(ShardError, match="s1/clip001") as caught:
        data_of(clip)
    assert str(next(iter(wrong.values()))).removesuffix(".0") in str(caught.value)


def test_loading_is_reported_clip_by_clip(tmp_path: Path) -> None:
    rows = read_rows(tmp_path, [row(number, frames=3) for number in range(3)])
    calls: list[None] = []
    data = data_of(*rows, on_load=lambda: calls.append(None))
    assert len(calls) == len(data) == 3


def test_batch_pads_with_what_never_counts() -> None:
    samples = [
        ClipSample(
            torch.full((frames, 2, 2), frames, dtype=torch.uint8), torch.ones(3, 4 * frames), 4 * frames - 1,
            torch.full((frames,), 7), torch.full((3, 5), frames), torch.ones(frames, 6),
        )
        for frames in (2, 3)
    ]  # fmt: skip
    batch = collate_clips(samples)
    assert batch.crops.shape == (2, 3, 2, 2)
    assert batch.crops.dtype == torch.uint8
    assert batch.frames.tolist() == [2, 3]
    assert batch.mel.shape == (2, 3, 12)
    assert batch.mel_frames.tolist() == [7, 11]
    assert batch.words.tolist() == [[7, 7, NO_LABEL], [7, 7, 7]]
    assert batch.reference.tolist() == [[[2] * 5] * 3, [[3] * 5] * 3]
    assert batch.latents.sum(2).tolist() == [[6, 6, 0], [6, 6, 6]]
    assert not batch.crops[0, 2].any()
    assert (batch.mel[0, :, :8] == 1).all()
    moved = batch.to(torch.device("cpu"))
    assert torch.equal(moved.crops, batch.crops)


def test_words_are_labelled_by_the_middle_of_a_frame() -> None:
    words = [Word("bin", 0.04, 0.121), Word("blue", 0.121, 0.2), Word("unheard-of", 0.24, 0.28)]
    labels = word_labels(words, 8, {"bin": 1, "blue": 2})
    assert labels.dtype == torch.int64
    assert labels.tolist() == [0, 1, 1, 2, 2, 0, 0, 0]
    assert word_labels((), 3, {"bin": 1}).tolist() == [NO_LABEL] * 3
    beyond = [Word("bin", -1.0, 0.05), Word("blue", 0.2, 99.0)]
    assert word_labels(beyond, 7, {"bin": 1, "blue": 2}).tolist() == [1, 0, 0, 0, 0, 2, 2]


@given(start=st.floats(0, 2), length=st.floats(0, 2), frames=st.integers(1, 60))
def test_labelled_frames_are_those_whose_middle_is_in_the_word(start: float, length: float, frames: int) -> None:
    labels = word_labels([Word("bin", start, start + length)], frames, {"bin": 1})
    for frame in range(frames):
        middle = (frame + 0.5) / 25
        if min(abs(middle - start), abs(middle - start - length)) > 1e-9:
            assert labels[frame].item() == int(start <= middle < start + length)


@pytest.mark.parametrize("window", [None, 12])
def test_another_tempo_keeps_picture_sound_and_words_in_step(tmp_path: Path, window: int | None) -> None:
    clip = numbered(tmp_path)
    reference = numbers_heard(data_of(clip)[0])[0]
    fast = STILL.model_copy(update={"speed": 0.3})
    data, lengths, slopes = data_of(clip, augment=fast, window=window, listen=numbers_of), set(), []
    full = np.log(0.9 * 512 / 2)
    for position in range(20):
        sample = data[SampleKey(0, position, 0)]
        frames = len(sample.crops)
        assert sample.mel.shape == (80, 4 * frames)
        assert len(sample.words) == frames
        seen = (sample.crops.float().mean((1, 2)).numpy() - 30) / 5
        band = sample.mel.mean(1).argmax()
        heard = (sample.mel[band].view(-1, 4)[:, 1:3].mean(1).numpy() - full) / np.log(STEP) - reference
        assert np.abs(seen - heard)[1:-1].max() < 0.7
        assert sample.latents.shape == (frames, 2)
        assert np.abs(seen - sample.latents.numpy()[:, 0])[1:-1].max() < 0.7
        assert np.abs(sample.words.numpy() - 1 - seen)[1:-1].max() <= 0.71
        lengths.add(frames)
        slopes.append(float(np.diff(seen).mean()))
    assert min(slopes) < 0.85
    assert max(slopes) > 1.15
    assert len(lengths) > 5 if window is None else lengths <= {11, 12, 13}
