"""Whose voice a training sample is told."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from hypothesis import given
from hypothesis import strategies as st
from tests.models.small import CONFIG
from tests.training.small import crops_of, row, train_recipe, write_shards

from unsilent.errors import CheckpointError
from unsilent.models.pretrained import load_reconstructor
from unsilent.nn import length_mask
from unsilent.shards import encode_audio, encode_crops
from unsilent.training.finetune import hand_over
from unsilent.training.order import SampleKey
from unsilent.training.references import References, stretch_of
from unsilent.training.run import train
from unsilent.training.video import VideoTask

SPEAKER = {"width": 6, "hidden": 12, "blocks": 2, "reference_frames": 16}


@given(speakers=st.lists(st.sampled_from("abc"), min_size=1, max_size=20), seed=st.integers(0, 9))
def test_another_clip_of_the_same_speaker(speakers: list[str], seed: int) -> None:
    references, rng = References(speakers, 10), np.random.default_rng(seed)
    counts = Counter(speakers)
    for index, speaker in enumerate(speakers):
        for other in (references.other(index, rng), references.other(index, None)):
            assert speakers[other] == speaker
            assert (other == index) == (counts[speaker] == 1)


@given(length=st.integers(1, 40), wanted=st.integers(1, 60), seed=st.none() | st.integers(0, 9))
def test_a_stretch_is_of_neighbours_and_long_enough(length: int, wanted: int, seed: int | None) -> None:
    mel = torch.arange(float(length))[None].repeat(3, 1)
    made = stretch_of(mel, wanted, None if seed is None else np.random.default_rng(seed))
    assert made.shape == (3, wanted)
    steps = made[0].diff() % length
    assert (steps == 1 % length).all()


def spoken_row(number: int, speaker: str, split: str = "train") -> dict[str, Any]:
    """What is seen says nothing about the pitch; the speaker does."""
    frames = 12
    pitch = {"low": 400.0, "high": 3000.0}[speaker]
    sound = 0.3 * np.sin(2 * np.pi * pitch * np.arange(frames * 960) / 24_000)
    return row(
        number,
        frames=frames,
        split=split,
        speaker=speaker,
        crops=encode_crops(crops_of(np.zeros(frames, np.int64))),
        audio={"bytes": encode_audio(sound.astype(np.float32), 24_000), "path": None},
        words=[],
    )


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [spoken_row(n, speaker) for n, speaker in enumerate(("low", "high") * 3)]
    held_out = [spoken_row(n, speaker, "held-out") for n, speaker in enumerate(("low", "high", "low", "high"), 6)]
    return write_shards(tmp_path_factory.mktemp("voices"), rows + held_out)


def test_samples_bring_the_voice_of_another_clip(voices: Path) -> None:
    told = VideoTask(train_recipe(voices, model={"speaker": SPEAKER}), Accelerator(cpu=True)).data()
    one, again = (told[SampleKey(0, 1, 2)] for _ in range(2))
    assert one.reference.shape == (80, 16)
    assert torch.equal(one.reference, again.reference)
    loudest = {number: int(told[SampleKey(0, number, number)].reference.mean(1).argmax()) for number in range(6)}
    assert len({loudest[n] for n in (0, 2, 4)}) == len({loudest[n] for n in (1, 3, 5)}) == 1
    assert loudest[0] < loudest[1]
    assert VideoTask(train_recipe(voices), Accelerator(cpu=True)).data()[0].reference.shape == (80, 0)


def test_a_model_learns_to_speak_with_the_voice_of_the_reference(voices: Path, tmp_path: Path) -> None:
    recipe = train_recipe(
        voices,
        model={"speaker": {**SPEAKER, "unknown": 0.0}},
        loss={"content": 0.0},
        optim={"lr": 1e-2, "ema": 0.5},
        run={"epochs": 200, "batch_size": 6, "validate_every": 200},
    )
    train(recipe, tmp_path / "run")
    model, config, _ = load_reconstructor(tmp_path / "run" / "best")
    assert config.speaker is not None
    task = VideoTask(recipe, Accelerator(cpu=True))
    low, high = task._held_out[0], task._held_out[1]
    mask = length_mask(torch.tensor([12]), 12)
    with torch.inference_mode():
        as_low, as_high = (
            model(low.crops[None], mask, model.voice_of(voice.reference[None]))[0] for voice in (low, high)
        )
    bands = [int(clip.mel.mean(1).argmax()) for clip in (low, high)]
    for made, mine, other in ((as_low, *bands), (as_high, *reversed(bands))):
        assert made[mine].mean() > made[other].mean() + 3


def test_the_speaker_encoder_is_handed_over_with_the_decoder(voices: Path, tmp_path: Path) -> None:
    recipe = train_recipe(voices, model={"speaker": SPEAKER}, run={"epochs": 1})
    train(recipe, tmp_path / "run")
    source = load_reconstructor(tmp_path / "run" / "best")[0]
    model = VideoTask(recipe, Accelerator(cpu=True)).modules["model"]
    assert not torch.equal(model.speaker.unknown, source.speaker.unknown)  # type: ignore[union-attr, arg-type]
    hand_over(model, tmp_path / "run" / "best", ["decoder"])  # type: ignore[arg-type]
    for name, value in source.speaker.state_dict().items():  # type: ignore[union-attr]
        assert torch.equal(value, model.speaker.state_dict()[name]), name  # type: ignore[union-attr]
    other = {**SPEAKER, "width": 5}
    wrong = VideoTask(train_recipe(voices, model={"speaker": other}), Accelerator(cpu=True)).modules["model"]
    with pytest.raises(CheckpointError, match=r"its speaker does not fit .*\(6,\) there, \(5,\) here"):
        hand_over(wrong, tmp_path / "run" / "best", ["decoder"])  # type: ignore[arg-type]
    # A model that is told no voice takes the decoder alone.
    untold = VideoTask(train_recipe(voices), Accelerator(cpu=True)).modules["model"]
    hand_over(untold, tmp_path / "run" / "best", ["decoder"])  # type: ignore[arg-type]
    assert CONFIG.speaker is None
