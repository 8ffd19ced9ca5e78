"""The one definition of the mel spectrogram, stored in every checkpoint.

Shapes: B batch, N samples, M mel frames, T video frames, F mel bands. With the default settings (24 kHz, hop 240)
a video frame at 25 fps is 960 samples and exactly 4 mel frames, so ``M = 4 T``.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from unsilent.config import RecipeModel

__all__ = ["MelConfig", "band_edges", "inverse_stft", "log_mel", "mel_filterbank", "stft_magnitude", "window_envelope"]


class MelConfig(RecipeModel):
    """Settings of a log-mel spectrogram. Two models can exchange mels only if these are equal."""

    sample_rate: int = Field(24_000, ge=1, le=1_000_000)
    """Samples a second."""
    n_fft: int = Field(1024, ge=2, le=65_536, multiple_of=2)
    """Points of the Fourier transform (even)."""
    hop_length: int = Field(240, ge=1)
    """Samples from one mel frame to the next."""
    win_length: int = Field(1024, ge=1)
    """Samples under the Hann window, centred in ``n_fft``."""
    n_mels: int = Field(80, ge=1, le=1024)
    """Mel bands (Slaney's scale and area normalisation)."""
    f_min: float = 0.0
    """Lower edge of the lowest band, Hz."""
    f_max: float = 12_000.0
    """Upper edge of the highest band, Hz."""
    floor: float = Field(1e-5, gt=0)
    """Amplitudes below this are raised to it before the natural logarithm."""
    frame_rate: int = Field(25, ge=1)
    """Video frames a second that the mel frames line up with."""

    @model_validator(mode="after")
    def _check(self) -> MelConfig:
        if self.sample_rate % self.frame_rate or (self.sample_rate // self.frame_rate) % self.hop_length:
            raise ValueError(
                f"a video frame is {self.sample_rate / self.frame_rate:g} samples, which hop_length "
                f"{self.hop_length} does not divide: mel and video frames would drift apart"
            )
        if not 0 <= self.f_min < self.f_max <= self.sample_rate / 2:
            raise ValueError(f"f_min {self.f_min:g} < f_max {self.f_max:g} <= {self.sample_rate / 2:g} Hz must hold")
        if self.win_length > self.n_fft or self.hop_length > self.win_length:
            raise ValueError("hop_length <= win_length <= n_fft must hold")
        return self

    @property
    def samples_per_frame(self) -> int:
        """Audio samples a video frame."""
        return self.sample_rate // self.frame_rate

    @property
    def mels_per_frame(self) -> int:
        """Mel frames a video frame."""
        return self.samples_per_frame // self.hop_length

    @property
    def log_floor(self) -> float:
        """Value of silence in the log-mel spectrogram."""
        return math.log(self.floor)


def _hz_to_mel(hz: Tensor) -> Tensor:
    """Slaney's scale (Auditory Toolbox, 1998): linear to 1 kHz, logarithmic above."""
    linear = hz * 3 / 200
    logarithmic = 15 + torch.log(hz.clamp(min=1e-10) / 1000) * 27 / math.log(6.4)
    return torch.where(hz < 1000, linear, logarithmic)


def _mel_to_hz(mel: Tensor) -> Tensor:
    return torch.where(mel < 15, mel * 200 / 3, 1000 * torch.exp((mel - 15) * math.log(6.4) / 27))


def _band_points(config: MelConfig) -> Tensor:
    """Lower edge, centres and upper edge of the bands, (F + 2,) Hz: band f reaches from point f to point f + 2."""
    edges = torch.tensor([config.f_min, config.f_max], dtype=torch.float64)
    low, high = _hz_to_mel(edges).tolist()
    return _mel_to_hz(torch.linspace(low, high, config.n_mels + 2, dtype=torch.float64))


def band_edges(config: MelConfig) -> Tensor:
    """Upper edge of every mel band, (F,) Hz, float32."""
    return _band_points(config)[2:].float()


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # an inference tensor in the cache would be of no use to training
def mel_filterbank(config: MelConfig) -> Tensor:
    """Triangular filters of unit area on Slaney's mel scale, (F, n_fft // 2 + 1) float32."""
    points = _band_points(config)
    bins = torch.linspace(0, config.sample_rate / 2, config.n_fft // 2 + 1, dtype=torch.float64)
    rising = (bins[None] - points[:-2, None]) / (points[1:-1] - points[:-2])[:, None]
    falling = (points[2:, None] - bins[None]) / (points[2:] - points[1:-1])[:, None]
    area = (2 / (points[2:] - points[:-2]))[:, None]
    return (torch.minimum(rising, falling).clamp(min=0) * area).float()


def stft_magnitude(samples: Tensor, n_fft: int, hop_length: int, window: Tensor) -> Tensor:
    """Magnitude spectrogram without centre padding.

    Args:
        samples: (B, N) with ``N >= n_fft``.
        n_fft: points of the transform.
        hop_length: samples a frame.
        window: (win_length,), zero-padded to ``n_fft`` on both sides.

    Returns:
        (B, n_fft // 2 + 1, (N - n_fft) // hop_length + 1); the square root is smoothed by 1e-9 so that its
        gradient at silence is finite.
    """
    spectrum = torch.stft(samples, n_fft, hop_length, window.shape[0], window, center=False, return_complex=True)
    return torch.sqrt(spectrum.real.square() + spectrum.imag.square() + 1e-9)


def inverse_stft(
    spectrum: Tensor, hop_length: int, window: Tensor, mask: Tensor | None = None, envelope: Tensor | None = None
) -> Tensor:
    """Overlap-add inverse of a "same"-padded STFT: every frame yields exactly ``hop_length`` samples.

    ``torch.istft`` cannot undo this padding; the sum of squared windows is divided out here, as in Vocos
    (Siuzdak 2023, section 3.2), which keeps the edges of a clip at full scale.

    Args:
        spectrum: (B, n_fft // 2 + 1, M) complex.
        hop_length: samples a frame.
        window: (n_fft,).
        mask: (B, M) bool, False where a shorter item is padded; its frames add nothing and are not divided by, so
            that an item comes out as it does alone.
        envelope: what `window_envelope` gives for the same frames, where it is known already.

    Returns:
        (B, M * hop_length), zero where padded.
    """
    n_fft, frames = window.shape[0], spectrum.shape[-1]
    pieces = torch.fft.irfft(spectrum.transpose(1, 2), n_fft, dim=2) * window
    if mask is not None:
        pieces = pieces * mask[:, :, None].to(pieces.dtype)
    if envelope is None:
        envelope = window_envelope(frames, hop_length, window, mask)
    trim = (n_fft - hop_length) // 2
    samples = _overlap_add(pieces, hop_length)[:, trim : trim + frames * hop_length] / envelope
    return samples if mask is None else samples * mask.repeat_interleave(hop_length, dim=1)


def window_envelope(frames: int, hop_length: int, window: Tensor, mask: Tensor | None = None) -> Tensor:
    """Sum of squared windows over the samples of ``frames`` "same"-padded frames, (1 or B, M * hop_length).

    Args:
        frames: M.
        hop_length: samples a frame.
        window: (n_fft,).
        mask: (B, M) bool, False for frames that are not there.
    """
    squares = window.square().expand(1, frames, window.shape[0])
    if mask is not None:
        squares = squares * mask[:, :, None].to(squares.dtype)
    trim = (window.shape[0] - hop_length) // 2
    return _overlap_add(squares, hop_length)[:, trim : trim + frames * hop_length].clamp(min=1e-8)


def _overlap_add(pieces: Tensor, hop_length: int) -> Tensor:
    """Sum pieces (B, M, n), each ``hop_length`` samples after the one before, to (B, about M * hop_length + n).

    One shifted sum a hop is four times faster on a CPU than `torch.nn.functional.fold`.
    """
    batch, frames, length = pieces.shape
    hops = -(-length // hop_length)
    total = pieces.new_zeros(batch, frames + hops - 1, hop_length)
    for hop in range(hops):
        piece = pieces[:, :, hop * hop_length : (hop + 1) * hop_length]
        total[:, hop : hop + frames, : piece.shape[2]] += piece
    return total.flatten(1)


def log_mel(samples: Tensor, config: MelConfig) -> Tensor:
    """Natural logarithm of the mel amplitude spectrogram.

    The waveform is reflected by ``(n_fft - hop_length) / 2`` on each side (392 samples), so that N samples give
    exactly ``ceil(N / hop_length)`` frames and frame m is centred on sample ``(m + 1/2) hop_length``.

    Args:
        samples: (B, N) in [-1, 1], N >= 1.
        config: the mel definition.

    Returns:
        (B, F, ceil(N / hop_length)), at least ``config.log_floor``.
    """
    hop, n_fft = config.hop_length, config.n_fft
    frames = -(-samples.shape[-1] // hop)
    side = (n_fft - hop) // 2
    samples = functional.pad(samples, (0, frames * hop - samples.shape[-1]))
    # Reflection needs more samples than it mirrors; a shorter input is extended by silence instead.
    mode = "reflect" if samples.shape[-1] > n_fft - hop - side else "constant"
    padded = functional.pad(samples[:, None], (side, n_fft - hop - side), mode=mode)[:, 0]
    window = torch.hann_window(config.win_length, device=samples.device, dtype=samples.dtype)
    magnitude = stft_magnitude(padded, n_fft, hop, window)
    bank = mel_filterbank(config).to(device=samples.device, dtype=samples.dtype)
    return torch.log((bank @ magnitude).clamp(min=config.floor))
