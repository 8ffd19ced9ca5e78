"""Streams of crops and of mel: the same as the whole clip, however they are cut, and late by no more than they say."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from unsilent.features import MelConfig, log_mel
from unsilent.models import Reconstructor, Vocoder, build_reconstructor
from unsilent.models.config import ReconstructorConfig, VocoderConfig
from unsilent.models.folding import fold_batch_norms
from unsilent.models.stream import ReconstructorStream
from unsilent.models.vocoder_stream import VocoderStream

CHUNK = 4


def _config(**changes: object) -> ReconstructorConfig:
    fields: dict[str, object] = {
        "encoder": {"resize": 16, "crop": 16, "stem_channels": 4, "widths": [4, 8], "out_width": 8},
        "temporal": {"width": 8, "blocks": 2, "heads": 2, "hidden": 16, "kernel": 5, "chunk": CHUNK, "history": 6},
        "decoder": {"width": 8, "blocks": 2, "causal": True},
    }
    return ReconstructorConfig.model_validate(fields | changes)


def _model(config: ReconstructorConfig) -> Reconstructor:
    torch.manual_seed(2)
    model = build_reconstructor(config).eval()
    for name, value in model.state_dict().items():
        if name.endswith(("_mean", "running_mean")):
            value.normal_(0, 0.2)
        elif name.endswith(("_var", "running_var")):
            value.uniform_(0.5, 2.0)
        elif name.endswith("norm2.weight"):
            value.fill_(1.0)
    return model


def _crops(frames: int) -> Tensor:
    return torch.randint(0, 256, (frames, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))


def _ones(frames: int) -> Tensor:
    return torch.ones(1, frames, dtype=torch.bool)


@given(frames=st.integers(1, 40), cuts=st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_a_stream_of_crops_gives_the_mel_of_the_whole_clip(frames: int, cuts: list[int]) -> None:
    model, crops = fold_batch_norms(_model(_config())), _crops(frames)
    stream, pieces, at, turn = ReconstructorStream(model), [], 0, 0
    while at < frames:
        size = cuts[turn % len(cuts)]
        pieces.append(stream.push(crops[at : at + size]))
        at, turn = at + size, turn + 1
        made = sum(piece.shape[1] for piece in pieces) // 4
        assert made >= min(at, frames) - stream.ahead - CHUNK + 1
    mel = torch.cat([*pieces, stream.finish()], dim=1)
    torch.testing.assert_close(mel, model(crops[None], _ones(frames))[0], atol=1e-4, rtol=1e-4)


def test_the_voice_is_heard_in_every_chunk() -> None:
    model, crops = _model(_config(speaker={"width": 3, "hidden": 4, "blocks": 1})), _crops(11)
    voices = [torch.nn.functional.normalize(torch.randn(3), dim=0), None]
    for voice in voices:
        stream = ReconstructorStream(model, voice)
        mel = torch.cat([stream.push(crops), stream.finish()], dim=1)
        whole = model(crops[None], _ones(11), None if voice is None else voice[None])[0]
        torch.testing.assert_close(mel, whole, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"temporal": {"width": 8, "heads": 2, "blocks": 1, "hidden": 8}},
        {"decoder": {"width": 8, "blocks": 1}},
        {"encoder": {"input": "audio"}},
    ],
)
def test_a_model_that_waits_for_the_end_is_refused(changes: dict[str, object]) -> None:
    config = _config(**changes)
    assert not config.streams
    with pytest.raises(ValueError, match="cannot stream"):
        ReconstructorStream(build_reconstructor(config))


# --- the vocoder ---------------------------------------------------------------------------------------------------


def _vocoder() -> Vocoder:
    torch.manual_seed(4)
    return Vocoder(VocoderConfig(width=16, hidden=32, blocks=2, kernel=3, phase_iterations=8)).eval()


def _sound(seconds: float) -> Tensor:
    time = torch.arange(round(seconds * 24_000)) / 24_000
    pitch = 120 + 30 * torch.sin(2 * torch.pi * 1.5 * time)
    phase = 2 * torch.pi * torch.cumsum(pitch, 0) / 24_000
    tone = sum(torch.sin(number * phase) / number for number in range(1, 12))
    return 0.1 * tone * (1 + torch.sin(2 * torch.pi * 3 * time)) / 2


@given(frames=st.integers(1, 70), cuts=st.lists(st.integers(1, 30), min_size=1, max_size=4))
def test_how_mel_is_cut_changes_nothing(frames: int, cuts: list[int]) -> None:
    vocoder, mel = _vocoder(), log_mel(_sound(1.0)[None], MelConfig())[0, :, :frames]
    whole = VocoderStream(vocoder, 8, 3)
    expected = torch.cat((whole.push(mel), whole.finish()))
    assert expected.shape == (frames * 240,)
    stream, pieces, at, turn = VocoderStream(vocoder, 8, 3), [], 0, 0
    while at < frames:
        size = cuts[turn % len(cuts)]
        pieces.append(stream.push(mel[:, at : at + size]))
        at, turn = at + size, turn + 1
        known = min(at, frames) * 240 - round(stream.delay * 24_000) - 8 * 240
        assert sum(len(piece) for piece in pieces) >= known
    assert torch.equal(torch.cat([*pieces, stream.finish()]), expected)


def test_sound_depends_on_no_frame_beyond_the_look_ahead() -> None:
    vocoder, mel = _vocoder(), log_mel(_sound(1.0)[None], MelConfig())[0]
    other = mel.clone()
    other[:, 60:] -= 3
    outs = []
    for each in (mel, other):
        stream = VocoderStream(vocoder, 8, 3)
        outs.append(torch.cat((stream.push(each), stream.finish())))
    moved = (outs[0] - outs[1]).abs() > 1e-6
    # A block of 5 frames, then of 8: the one that ends at 53 waits for frames 53 to 55 only.
    assert not moved[: 53 * 240 - 392].any()
    assert moved[56 * 240 :].any()


def test_the_shipped_vocoder_agrees_with_the_mel_no_worse_than_all_at_once() -> None:
    from unsilent.models.pretrained import load_vocoder
    from unsilent.synthesis import find_model

    vocoder, config, _ = load_vocoder(find_model("grid") / "vocoder")
    assert isinstance(vocoder, Vocoder)
    mel = log_mel(_sound(2.0)[None], config.mel)[0]
    stream = VocoderStream(vocoder.eval())
    streamed = torch.cat((stream.push(mel), stream.finish()))
    with torch.inference_mode():
        whole = vocoder(mel[None])[0]
    errors = [(log_mel(each[None], config.mel)[0] - mel).abs().mean() for each in (streamed, whole)]
    assert errors[0] < 1.25 * errors[1]


def test_blocks_must_hold_a_frame() -> None:
    with pytest.raises(ValueError, match="block of 0"):
        VocoderStream(_vocoder(), 0)
