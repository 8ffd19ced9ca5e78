"""The models as graphs of plain real arithmetic, one clip of any length: what an exporter can write down.

Shapes: T video frames, S crop side, F mel bands, M mel frames, K = n_fft // 2 + 1 bins, N samples.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from unsilent.errors import CheckpointError
from unsilent.models.folding import fold_batch_norms
from unsilent.models.public_vocoders import ParallelWaveganConfig, PublicVocoder
from unsilent.models.reconstructor import Reconstructor
from unsilent.models.source import SourceFilter
from unsilent.models.video import CROP_MEAN, CROP_STD, VideoEncoder
from unsilent.models.vocoder import MAX_LOG_MAGNITUDE, MOMENTUM, SMALLEST_POWER, Vocoder, phase_steps
from unsilent.models.wave import WaveDecoder
from unsilent.nn.norm import Modality

__all__ = ["ModelGraph", "PublicVocoderGraph", "VocoderGraph", "VoiceGraph", "WholeGraph", "vocoder_graph"]


class _WholeFrames(nn.Module):
    """A `VideoEncoder` of clips without padding: nothing is picked out by a mask, whose result has no fixed shape."""

    def __init__(self, encoder: VideoEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, crops: Tensor, mask: Tensor) -> Tensor:
        """(1, T, S, S) to (1, T, D)."""
        encoder, stem = self.encoder, self.encoder.stem
        scaled = (crops.float() / 255.0 - CROP_MEAN) / CROP_STD
        side, frames = stem.frames // 2, crops.shape[1]
        padded = functional.pad(scaled, (0, 0, 0, 0, side, side))
        stacked = torch.stack([padded[0, start : start + frames] for start in range(stem.frames)], dim=1)
        maps = encoder.stages(stem.pool(functional.silu(stem.norm(stem.conv(stacked)))))
        flat = maps.flatten(1) if encoder.config.pooling == "flatten" else maps.mean((2, 3))
        vectors: Tensor = encoder.project(flat)[None]
        return vectors


class _Transforms(nn.Module):
    """The STFT as a strided convolution with windowed cosines and sines, and its inverse as a transposed one.

    A complex spectrum is 2 K real channels. Both are those of `unsilent.features` to the last bit of rounding, at the
    edges too: the inverse is divided by the sum of squared windows.
    """

    forwards: Tensor
    backwards: Tensor
    squares: Tensor

    def __init__(self, window: Tensor, hop: int) -> None:
        super().__init__()
        self.hop, n_fft = hop, window.shape[0]
        self.left = (n_fft - hop) // 2
        self.right = n_fft - hop - self.left
        forwards, backwards = _bases(window.double())
        self.register_buffer("forwards", forwards.float()[:, None])
        self.register_buffer("backwards", backwards.float()[:, None])
        self.register_buffer("squares", window.square()[None, None])

    def spectrum(self, samples: Tensor) -> Tensor:
        """(1, 1, N) to (1, 2 K, M)."""
        return functional.conv1d(functional.pad(samples, (self.left, self.right)), self.forwards, stride=self.hop)

    def envelope(self, like: Tensor) -> Tensor:
        """Sum of squared windows (1, 1, N) over as many frames as ``like`` (1, C, M) has."""
        return self._overlap(torch.ones_like(like[:, :1]), self.squares).clamp(min=1e-8)

    def samples(self, spectrum: Tensor, envelope: Tensor) -> Tensor:
        """(1, 2 K, M) to (1, 1, N)."""
        return self._overlap(spectrum, self.backwards) / envelope

    def _overlap(self, channels: Tensor, basis: Tensor) -> Tensor:
        samples = functional.conv_transpose1d(channels, basis, stride=self.hop)
        return samples[:, :, self.left : samples.shape[2] - self.right]


class _ShapedSource(nn.Module):
    """A `WaveDecoder` with a source, whose transforms are convolutions."""

    def __init__(self, decoder: WaveDecoder, head: SourceFilter) -> None:
        super().__init__()
        self.decoder, self.head, self.mel = decoder, head, decoder.mel
        self.transforms = _Transforms(head.window, head.hop_length)

    def forward(self, x: Tensor, mask: Tensor, modality: Modality) -> Tensor:
        """(1, T, D) and a mask that is True throughout to (1, N)."""
        y, keep = self.decoder.features(x, mask, modality)
        controls = self.head(y)
        voice, breath = (self.transforms.spectrum(each[:, None]) for each in self.head.excitation(controls.pitch, keep))
        harmonic, noise = controls.harmonic.exp(), controls.noise.exp()
        spectrum = voice * torch.cat((harmonic, harmonic), dim=1) + breath * torch.cat((noise, noise), dim=1)
        made: Tensor = torch.tanh(self.transforms.samples(spectrum, self.transforms.envelope(spectrum)))
        return made[:, 0]


class ModelGraph(nn.Module):
    """Crops (1, T, S, S) uint8, and the voice (1, S) where the model has one, to log-mel (1, F, 4 T) or samples (1, N).

    Raises:
        CheckpointError: the model does not read video.
    """

    def __init__(self, model: Reconstructor) -> None:
        super().__init__()
        if not isinstance(model.encoder, VideoEncoder):
            raise CheckpointError("a model that reads audio has no use outside of training; give one that reads video")
        self.model = fold_batch_norms(model.eval())
        self.model.encoder = _WholeFrames(cast(VideoEncoder, self.model.encoder))
        decoder = self.model.decoder
        if isinstance(decoder, WaveDecoder) and isinstance(decoder.head, SourceFilter):
            self.model.decoder = _ShapedSource(decoder, decoder.head)
        self.eval()  # new modules start in training mode

    def forward(self, crops: Tensor, speaker: Tensor | None = None) -> Tensor:
        """See the class."""
        mask = torch.ones(crops.shape[:2], dtype=torch.bool)
        out: Tensor = self.model(crops, mask, speaker)
        return out if out.ndim == 3 else out.clamp(-1, 1)


class VoiceGraph(nn.Module):
    """Log-mel (1, F, M) of a recording of someone's voice to its embedding (1, S)."""

    def __init__(self, speaker: nn.Module) -> None:
        super().__init__()
        self.speaker = speaker.eval()

    def forward(self, reference: Tensor) -> Tensor:
        """See the class."""
        voice: Tensor = self.speaker(reference)
        return voice


class VocoderGraph(nn.Module):
    """`Vocoder` with its transforms as convolutions: log-mel (1, F, M) to samples (1, N) in [-1, 1]."""

    start: Tensor

    def __init__(self, vocoder: Vocoder) -> None:
        super().__init__()
        self.vocoder = vocoder.eval()
        self.bins = vocoder.config.mel.n_fft // 2 + 1
        self.transforms = _Transforms(vocoder.window, vocoder.config.mel.hop_length)
        alternating = 1.0 - 2.0 * (torch.arange(self.bins) % 2)
        self.register_buffer("start", torch.cat((alternating, torch.zeros(self.bins)))[None, :, None])

    def forward(self, mel: Tensor) -> Tensor:
        """See the class."""
        magnitude = self.vocoder.log_magnitude(mel).clamp(max=MAX_LOG_MAGNITUDE).exp()
        envelope = self.transforms.envelope(magnitude)
        twice = torch.cat((magnitude, magnitude), dim=1)
        power, spectrum, before = magnitude.square(), twice * self.start, None
        for softness, gain in phase_steps(self.vocoder.config.phase_iterations):
            consistent = self.transforms.spectrum(self.transforms.samples(spectrum, envelope))
            step = consistent if before is None else consistent - MOMENTUM / (1 + MOMENTUM) * before
            before = consistent
            real, imaginary = step[:, : self.bins], step[:, self.bins :]
            length = real * real + imaginary * imaginary + softness**2 * power + SMALLEST_POWER
            scale = gain * magnitude / length.sqrt()
            spectrum = step * torch.cat((scale, scale), dim=1)
        made: Tensor = self.transforms.samples(spectrum, envelope)
        return made[:, 0].clamp(-1, 1)


class PublicVocoderGraph(nn.Module):
    """A `PublicVocoder` that is a network and nothing else: log-mel (1, F, M) to samples (1, N) in [-1, 1]."""

    def __init__(self, vocoder: PublicVocoder) -> None:
        super().__init__()
        self.vocoder = vocoder.eval()

    def forward(self, mel: Tensor) -> Tensor:
        """See the class."""
        made: Tensor = self.vocoder(mel)
        return made.clamp(-1, 1)


class WholeGraph(nn.Module):
    """Crops, and the voice where the model has one, to log-mel and samples."""

    def __init__(self, model: ModelGraph, vocoder: nn.Module) -> None:
        super().__init__()
        self.model, self.vocoder = model, vocoder

    def forward(self, crops: Tensor, speaker: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See the class."""
        mel: Tensor = self.model(crops, speaker)
        return mel, self.vocoder(mel)


def vocoder_graph(vocoder: Vocoder | PublicVocoder) -> nn.Module:
    """The graph of a vocoder.

    Raises:
        CheckpointError: it is a Parallel WaveGAN, whose noise is drawn from the mel by a hash.
    """
    if isinstance(vocoder, Vocoder):
        return VocoderGraph(vocoder)
    if isinstance(vocoder.config, ParallelWaveganConfig):
        raise CheckpointError(
            "Parallel WaveGAN draws noise outside of its network and cannot be exported; export the model with its own "
            "vocoder or a HiFi-GAN in vocoder/"
        )
    return PublicVocoderGraph(vocoder)


def _bases(window: Tensor) -> tuple[Tensor, Tensor]:
    """Rows that a real STFT multiplies frames by, and that its inverse adds up, (2 K, n_fft) float64 each."""
    n_fft = window.shape[0]
    bins, times = torch.arange(n_fft // 2 + 1), torch.arange(n_fft)
    angles = 2 * math.pi / n_fft * ((bins[:, None] * times) % n_fft).double()
    rows = torch.cat((angles.cos(), -angles.sin())) * window
    # Every bin but the first and the last stands for its mirror image too.
    doubled = torch.full((len(bins), 1), 2.0, dtype=torch.float64)
    doubled[0] = doubled[-1] = 1.0
    return rows, torch.cat((doubled, doubled)) / n_fft * rows
