"""The mel definition: exact frame counts, the field's filterbank, where a frame is, and an inverse without edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from unsilent.features import MelConfig, inverse_stft, log_mel, mel_filterbank, stft_magnitude

MEL = MelConfig()

# librosa 0.10.2: filters.mel(sr=24000, n_fft=1024, n_mels=80, fmin=0, fmax=12000), its largest weight in a band and the
# one before it; then sr=16000, n_fft=800, n_mels=40, fmin=80, fmax=7600.
LIBROSA_24K = (
    (0, 2, 2.10580193e-02, 1.32278325e-02),
    (9, 18, 2.32242737e-02, 1.10615781e-02),
    (18, 34, 2.21231561e-02, 8.89532361e-03),
    (27, 51, 1.65533926e-02, 7.76306540e-03),
    (36, 76, 1.22481799e-02, 9.67966300e-03),
    (45, 112, 8.66816100e-03, 6.82606502e-03),
    (54, 166, 5.62296435e-03, 5.41320443e-03),
    (63, 245, 3.93282995e-03, 3.71297635e-03),
    (72, 362, 2.67936289e-03, 2.57737841e-03),
    (79, 490, 1.98019925e-03, 1.88396347e-03),
)
LIBROSA_16K = (
    (0, 8, 1.22678820e-02, 1.21041471e-02),
    (9, 39, 1.33847008e-02, 9.34998505e-03),
    (18, 77, 8.82470142e-03, 7.41282897e-03),
    (27, 148, 4.59489459e-03, 4.26656567e-03),
    (36, 284, 2.39432184e-03, 2.27270601e-03),
)


def noise(*shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32))


@given(samples=st.integers(1, 5000))
@settings(max_examples=40)
def test_every_length_gives_one_frame_a_started_hop(samples: int) -> None:
    assert log_mel(torch.zeros(2, samples), MEL).shape == (2, 80, math.ceil(samples / 240))


@pytest.mark.parametrize("frames", [1, 2, 3, 25, 75])
def test_video_frame_is_four_mel_frames(frames: int) -> None:
    assert (MEL.samples_per_frame, MEL.mels_per_frame) == (960, 4)
    assert log_mel(noise(1, 960 * frames), MEL).shape[-1] == 4 * frames


@pytest.mark.parametrize(
    ("config", "known", "total"),
    [
        (MEL, LIBROSA_24K, 3.4122367),
        (MelConfig(sample_rate=16000, n_fft=800, hop_length=160, win_length=800, n_mels=40, f_min=80, f_max=7600),
         LIBROSA_16K, 1.9994878),
    ],
)  # fmt: skip
def test_filterbank_is_that_of_librosa(
    config: MelConfig, known: tuple[tuple[int, int, float, float], ...], total: float
) -> None:
    bank = mel_filterbank(config)
    assert bank.shape == (config.n_mels, config.n_fft // 2 + 1)
    for band, peak, weight, before in known:
        assert int(bank[band].argmax()) == peak
        assert bank[band, peak].item() == pytest.approx(weight, rel=1e-4)
        assert bank[band, peak - 1].item() == pytest.approx(before, rel=1e-4)
    assert bank.sum().item() == pytest.approx(total, rel=1e-5)


def test_filters_are_triangles_of_unit_area_in_order() -> None:
    bank = mel_filterbank(MelConfig(n_fft=16384, win_length=16384)).double()
    width = 24_000 / 16384
    assert bank.min() == 0
    torch.testing.assert_close(bank.sum(1) * width, torch.ones(80, dtype=torch.float64), atol=2e-3, rtol=0)
    centres = bank.argmax(1)
    assert (centres.diff() > 0).all()
    for band in (0, 30, 79):
        inside = bank[band].nonzero().flatten()
        rising = bank[band, inside[0] : centres[band]].diff()
        falling = bank[band, centres[band] + 1 : inside[-1] + 1].diff()
        assert rising.std() < 1e-6
        assert falling.std() < 1e-6
        assert rising.mean() > 0 > falling.mean()
    # Slaney's scale has its corner at 1 kHz: below, centres are equally far apart.
    low = centres[centres * width < 950] * width
    assert low.diff().float().std() < 2 * width


@pytest.mark.parametrize("frame", [0, 1, 7, 19])
def test_frame_is_centred_half_a_hop_after_its_start(frame: int) -> None:
    samples = torch.zeros(1, 20 * 240)
    samples[0, frame * 240 + 120] = 1.0
    loudness = log_mel(samples, MEL)[0].mean(0)
    assert int(loudness.argmax()) == frame
    left, right = (loudness[frame + side] if 0 <= frame + side < 20 else None for side in (-2, 2))
    if left is not None and right is not None:
        assert left.item() == pytest.approx(right.item(), abs=1e-3)


def test_tone_is_in_the_band_around_it() -> None:
    tone = 0.5 * torch.sin(2 * math.pi * 1000 * torch.arange(9600) / 24_000)[None]
    mel = log_mel(tone, MEL)[0, :, 20]
    bank = mel_filterbank(MEL)
    assert int(mel.argmax()) == int(bank[:, round(1000 / (24_000 / 1024))].argmax())
    # A sine of amplitude .5 under a Hann window of 1024: peak .5 * 512 / 2, spread over the band's few bins.
    assert mel.max().item() == pytest.approx(math.log(128 * bank.max(1).values[mel.argmax()].item() * 2), abs=0.4)


def test_silence_is_the_floor_and_gradients_there_are_finite() -> None:
    samples = torch.zeros(1, 2400, requires_grad=True)
    mel = log_mel(samples, MEL)
    assert torch.equal(mel, torch.full_like(mel, MEL.log_floor))
    assert MEL.log_floor == pytest.approx(math.log(1e-5))
    torch.autograd.backward(stft_magnitude(samples, 1024, 240, torch.hann_window(1024)).sum())
    assert samples.grad is not None
    assert samples.grad.isfinite().all()


def test_louder_by_a_factor_is_higher_by_its_logarithm() -> None:
    samples = noise(1, 4800) * 0.1
    torch.testing.assert_close(log_mel(3 * samples, MEL), log_mel(samples, MEL) + math.log(3), atol=1e-3, rtol=0)


def test_batch_is_the_same_as_alone() -> None:
    samples = noise(3, 2400)
    torch.testing.assert_close(log_mel(samples, MEL)[1:2], log_mel(samples[1:2], MEL), atol=1e-5, rtol=0)


@pytest.mark.parametrize("frames", [1, 2, 5, 40])
def test_inverse_undoes_the_transform_up_to_the_edges_at_full_scale(frames: int) -> None:
    samples = noise(2, frames * 240)
    samples[:, 0], samples[:, -1] = 1.0, -1.0
    window = torch.hann_window(1024)
    padded = torch.nn.functional.pad(samples, (392, 392))
    spectrum = torch.stft(padded, 1024, 240, 1024, window, center=False, return_complex=True)
    assert spectrum.shape[-1] == frames
    torch.testing.assert_close(inverse_stft(spectrum, 240, window), samples, atol=2e-5, rtol=0)


def test_inverse_of_padded_batch_is_that_of_each_alone() -> None:
    window = torch.hann_window(1024)
    spectrum = torch.view_as_complex(noise(2, 513, 12, 2))
    mask = torch.arange(12)[None] < torch.tensor([[12], [7]])
    made = inverse_stft(spectrum, 240, window, mask)
    torch.testing.assert_close(made[:1], inverse_stft(spectrum[:1], 240, window), atol=1e-6, rtol=0)
    torch.testing.assert_close(made[1:, : 7 * 240], inverse_stft(spectrum[1:, :, :7], 240, window), atol=1e-6, rtol=0)
    assert not made[1, 7 * 240 :].any()


def test_filterbank_first_made_in_inference_serves_training() -> None:
    mel_filterbank.cache_clear()
    with torch.inference_mode():
        log_mel(noise(1, 2400), MEL)
    samples = noise(1, 2400).requires_grad_()
    torch.autograd.backward(log_mel(samples, MEL).mean())
    assert samples.grad is not None
    assert samples.grad.abs().sum() > 0


def test_hop_that_drifts_is_refused_with_both_values() -> None:
    with pytest.raises(ValidationError, match=r"960 samples.*hop_length 256"):
        MelConfig(hop_length=256, n_mels=100)


@pytest.mark.parametrize(
    "wrong",
    [
        {"hop_length": 0},
        {"hop_length": -240},
        {"frame_rate": 0},
        {"sample_rate": 0},
        {"n_mels": 0},
        {"floor": 0.0},
        {"n_fft": 1025},
        {"win_length": 2048},
        {"win_length": 200},
        {"f_max": 12_001.0},
        {"f_min": 12_000.0},
    ],
)
def test_impossible_settings_are_validation_errors(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        MelConfig(**wrong)  # type: ignore[arg-type]


def test_preset_of_20_frames_a_second_fits() -> None:
    mel = MelConfig(hop_length=300, n_fft=2048, win_length=1200, f_min=80, f_max=7600, frame_rate=20)
    assert (mel.samples_per_frame, mel.mels_per_frame) == (1200, 4)
    assert log_mel(noise(1, 1200 * 3), mel).shape == (1, 80, 12)
