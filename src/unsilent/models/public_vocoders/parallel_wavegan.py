"""Parallel WaveGAN's generator, with the names of kan-bayashi's, so that its published weights fit.

Shapes: B batch, F mel bands, M mel frames, C channels, N = M * hop_length samples.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from unsilent.models.public_vocoders.config import ParallelWaveganConfig

__all__ = ["ParallelWaveganGenerator", "frame_noise"]


class Stretch(nn.Module):
    """Repeat every column of (B, 1, F, M) ``factor`` times."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, F, M) to (B, 1, F, M * factor)."""
        return x.repeat_interleave(self.factor, dim=3)


class Upsample(nn.Module):
    """Repetition smoothed by one kernel for all bands, stage by stage."""

    def __init__(self, rates: tuple[int, ...]) -> None:
        super().__init__()
        self.up_layers = nn.ModuleList()
        for rate in rates:
            self.up_layers.append(Stretch(rate))
            self.up_layers.append(nn.Conv2d(1, 1, (1, 2 * rate + 1), padding=(0, rate), bias=False))

    def forward(self, mel: Tensor) -> Tensor:
        """(B, F, M) to (B, F, N)."""
        x = mel[:, None]
        for layer in self.up_layers:
            x = layer(x)
        return x[:, 0]


class ConvInUpsample(nn.Module):
    """A convolution over neighbouring frames, then `Upsample`."""

    def __init__(self, bands: int, context: int, rates: tuple[int, ...]) -> None:
        super().__init__()
        self.conv_in = nn.Conv1d(bands, bands, 2 * context + 1, bias=False)
        self.upsample = Upsample(rates)

    def forward(self, mel: Tensor) -> Tensor:
        """(B, F, M + 2 context) to (B, F, N)."""
        out: Tensor = self.upsample(self.conv_in(mel))
        return out


class ResidualBlock(nn.Module):
    """Dilated convolution, condition, gate; one output for the next block, one for the sum over blocks."""

    def __init__(self, config: ParallelWaveganConfig, dilation: int) -> None:
        super().__init__()
        width, gates = config.residual_channels, config.gate_channels
        side = config.kernel // 2 * dilation
        self.conv = nn.Conv1d(width, gates, config.kernel, padding=side, dilation=dilation)
        self.conv1x1_aux = nn.Conv1d(config.mel.n_mels, gates, 1, bias=False)
        self.conv1x1_out = nn.Conv1d(gates // 2, width, 1)
        self.conv1x1_skip = nn.Conv1d(gates // 2, config.skip_channels, 1)

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, N) and (B, F, N) to (B, C, N) and (B, skip channels, N)."""
        signal, gate = (self.conv(x) + self.conv1x1_aux(condition)).chunk(2, dim=1)
        y = torch.tanh(signal) * torch.sigmoid(gate)
        return (self.conv1x1_out(y) + x) * math.sqrt(0.5), self.conv1x1_skip(y)


class ParallelWaveganGenerator(nn.Module):
    """Noise and log-mel to waveform."""

    def __init__(self, config: ParallelWaveganConfig) -> None:
        super().__init__()
        self.config = config
        self.first_conv = nn.Conv1d(1, config.residual_channels, 1)
        self.upsample_net = ConvInUpsample(config.mel.n_mels, config.context, config.rates)
        cycle = config.layers // config.stacks
        self.conv_layers = nn.ModuleList(ResidualBlock(config, 2 ** (layer % cycle)) for layer in range(config.layers))
        skip = config.skip_channels
        self.last_conv_layers = nn.ModuleList([nn.ReLU(), nn.Conv1d(skip, skip, 1), nn.ReLU(), nn.Conv1d(skip, 1, 1)])

    @property
    def context_frames(self) -> int:
        """Mel frames on either side that the sound of a frame depends on."""
        config, reach, rate = self.config, float(self.config.context), 1
        for factor in config.rates:
            # A repeated column lies up to one input step away, the kernel after it reaches one more.
            reach += 2 / rate
            rate *= factor
        cycle = config.layers // config.stacks
        samples = config.kernel // 2 * config.stacks * ((1 << cycle) - 1)
        return math.ceil(reach + samples / rate) + 1

    def forward(self, noise: Tensor, mel: Tensor) -> Tensor:
        """Make a waveform, as the published generator does.

        Args:
            noise: (B, 1, N), standard normal.
            mel: (B, F, M + 2 context), in the network's own scale, with ``context`` frames more at either end.

        Returns:
            (B, 1, N), about -1 to 1.
        """
        condition = self.upsample_net(mel)
        x: Tensor = self.first_conv(noise)
        total = torch.zeros((), dtype=x.dtype, device=x.device)
        for layer in self.conv_layers:
            x, skip = layer(x, condition)
            total = total + skip
        x = total * math.sqrt(1 / len(self.conv_layers))
        for layer in self.last_conv_layers:
            x = layer(x)
        return x

    def speak(self, mel: Tensor) -> Tensor:
        """Waveform (B, N) of a log-mel (B, F, M) in the network's own scale; its first and last frames are repeated."""
        drawn = np.stack([frame_noise(item.cpu().numpy(), self.config.mel.hop_length) for item in mel])
        padded = functional.pad(mel, (self.config.context, self.config.context), mode="replicate")
        out: Tensor = self(torch.from_numpy(drawn)[:, None].to(mel), padded)[:, 0]
        return out


def frame_noise(mel: NDArray[np.float32], hop_length: int) -> NDArray[np.float32]:
    """Standard normal noise that is a function of the mel frames it is for.

    The same mel gives the same sound every time, and a frame gets the same noise wherever a window begins, so that
    long clips have no seams. Equal frames in a row (silence) are told apart by their number in the row.

    Args:
        mel: (F, M).
        hop_length: samples a frame.

    Returns:
        (M * hop_length,).
    """
    out = np.empty((mel.shape[1], hop_length), np.float32)
    before, row = b"", 0
    for index, frame in enumerate(np.ascontiguousarray(mel.T, np.float32)):
        values = frame.tobytes()
        row = row + 1 if values == before else 0
        before = values
        digest = hashlib.blake2b(values + row.to_bytes(8, "little"), digest_size=8).digest()
        rng = np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))
        out[index] = rng.standard_normal(hop_length, dtype=np.float32)
    return out.reshape(-1)
