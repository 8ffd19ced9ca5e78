"""The vocoder on a mel spectrogram that is still arriving: blocks, a bounded look-ahead, phases that stay once heard.

Shapes: F mel bands, K frequency bins, M mel frames.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from unsilent.features import inverse_stft, window_envelope
from unsilent.models.vocoder import MAX_LOG_MAGNITUDE, Vocoder, next_phases, phase_steps

__all__ = ["AHEAD", "VocoderStream"]

AHEAD = 6
"""Mel frames waited for after each block."""


class VocoderStream:
    """Samples of a log-mel spectrogram block by block.

    A block waits for ``ahead`` frames after it. Its magnitudes come from the network, which hears the last of those
    again where it would hear later ones; its phases from fast Griffin-Lim over the block and the frames ahead, while
    the frames before keep the spectrum that has been heard (in the manner of RTISI-LA: Zhu, Beauregard, Wyse 2007).
    How the frames are cut into `push` calls changes nothing.

    Args:
        vocoder: in evaluation mode.
        block: mel frames that are made at once; the first block is shorter by what is waited for, so that a source
            that gives as many at a time never has to be asked twice.
        ahead: mel frames waited for after each block.
    """

    def __init__(self, vocoder: Vocoder, block: int = 16, ahead: int = AHEAD) -> None:
        if block < 1 or ahead < 0:
            raise ValueError(f"a block of {block} frames with {ahead} ahead: give at least 1 and 0")
        self.vocoder, self.block, self.ahead = vocoder, block, ahead
        config = vocoder.config
        self._hop, self._n_fft = config.mel.hop_length, config.mel.n_fft
        self._context = (config.blocks + 1) * (config.kernel // 2)
        """Frames on either side that the network hears."""
        self._overlap = -(-self._n_fft // self._hop)
        """Frames before a block that it overlaps with."""
        self._side = (self._n_fft - self._hop) // 2
        """Samples before a frame's first that its window reaches back to: those are not final before it is."""
        self._mel = torch.zeros(config.mel.n_mels, 0)
        self._made = 0
        """Frames of ``_mel`` that have been made."""
        self._next = block - ahead % block
        """Frames of the next block."""
        self._spectrum = torch.zeros(self._n_fft // 2 + 1, 0, dtype=torch.complex64)
        """The last frames that have been heard, (K, up to the overlap)."""
        self._guess = self._spectrum
        """Unit spectrum of the frames ahead of the last block."""

    @property
    def delay(self) -> float:
        """Seconds between the end of a block and the last sound that needs it and what it waits for."""
        return (self.ahead * self._hop + self._side) / self.vocoder.config.mel.sample_rate

    @torch.inference_mode()
    def push(self, mel: Tensor) -> Tensor:
        """Take the next frames (F, M); give the samples (n,) in [-1, 1] that are final by now."""
        self._mel = torch.cat((self._mel, mel), dim=1)
        pieces = [mel.new_zeros(0)]
        while self._mel.shape[1] - self._made >= self._next + self.ahead:
            pieces.append(self._make(self._next, last=False))
        return torch.cat(pieces)

    @torch.inference_mode()
    def finish(self) -> Tensor:
        """Give the rest (n,); call once, after the last `push`. All in all a hop of samples for every frame."""
        rest = self._mel.shape[1] - self._made
        pieces = [self._mel.new_zeros(0)]
        while rest > self._next:
            rest -= self._next
            pieces.append(self._make(self._next, last=False))
        if rest:
            pieces.append(self._make(rest, last=True))
        return torch.cat(pieces)

    def _make(self, frames: int, *, last: bool) -> Tensor:
        """Make the next frames; ``last`` where the stream ends with them."""
        magnitude = self._magnitude(frames, last=last)
        before = self._spectrum.shape[1]
        spectrum = self._phased(magnitude)
        heard = torch.cat((self._spectrum, spectrum[:, :frames]), dim=1)
        samples = inverse_stft(heard[None], self._hop, self.vocoder.window)[0]
        start = max(0, before * self._hop - self._side)
        stop = len(samples) if last else len(samples) - self._side
        self._spectrum = heard[:, -self._overlap :]
        self._guess = functional.normalize(torch.view_as_real(spectrum[:, frames:]), dim=-1)
        self._guess = torch.view_as_complex(self._guess.contiguous())
        self._made += frames
        self._next = self.block
        drop = max(0, self._made - self._context)
        self._mel, self._made = self._mel[:, drop:], self._made - drop
        return samples[start:stop].clamp(-1, 1)

    def _magnitude(self, frames: int, *, last: bool) -> Tensor:
        """Magnitudes (K, frames and those ahead) of the next frames."""
        stop = min(self._mel.shape[1], self._made + frames + self.ahead)
        seen = self._mel[:, :stop]
        if not last:
            seen = functional.pad(seen[None], (0, self._context), mode="replicate")[0]
        magnitude = self.vocoder.log_magnitude(seen[None])[0, :, self._made : stop]
        return magnitude.clamp(max=MAX_LOG_MAGNITUDE).exp()

    def _phased(self, magnitude: Tensor) -> Tensor:
        """Complex spectrum (K, M) of magnitudes, in agreement with what has been heard."""
        window, hop, n_fft = self.vocoder.window, self._hop, self._n_fft
        heard, fixed = self._spectrum, self._spectrum.shape[1]
        unit = torch.ones_like(magnitude, dtype=torch.complex64)
        # Zero phase would put the pulses at the ends of the frames; every other bin is turned about.
        unit[1::2] = -1
        known = min(self._guess.shape[1], unit.shape[1])
        unit[:, :known] = self._guess[:, :known]
        frames = fixed + magnitude.shape[1]
        envelope = window_envelope(frames, hop, window)
        power, before = magnitude.square(), None
        for softness, gain in phase_steps(self.vocoder.config.phase_iterations):
            joined = torch.cat((heard, magnitude * unit), dim=1)
            samples = inverse_stft(joined[None], hop, window, None, envelope)
            padded = functional.pad(samples, (self._side, n_fft - hop - self._side))
            consistent = torch.stft(padded, n_fft, hop, n_fft, window, center=False, return_complex=True)[0, :, fixed:]
            unit = next_phases(consistent, before, power, softness, gain)
            before = consistent
        return magnitude * unit
