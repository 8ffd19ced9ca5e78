"""Raw waveform to one vector a video frame: the encoder of pre-training on speech alone.

Shapes: B batch, T video frames, N = 960 T samples, C channels, D width.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from unsilent.models.config import AudioEncoderConfig
from unsilent.nn import ResidualBlock1d

__all__ = ["AudioEncoder"]


class AudioEncoder(nn.Module):
    """A 1-D residual network on the raw waveform, in place of the video encoder.

    Every stage is a strided convolution whose kernel is twice its stride, and a residual block; the product of the
    strides is the samples of a video frame. A bottleneck of few values a frame follows, without which copying sound
    would be trivial. The receptive field is bounded: with the default kernel, six frames either way. The layout is our
    choice.
    """

    def __init__(self, config: AudioEncoderConfig, *, split_norm: bool = True) -> None:
        super().__init__()
        self.config = config
        self.down, self.blocks = nn.ModuleList(), nn.ModuleList()
        channels = 1
        for stride, width in zip(config.strides, config.widths, strict=True):
            self.down.append(nn.Conv1d(channels, width, 2 * stride, stride))
            self.blocks.append(ResidualBlock1d(width, config.kernel, split_norm=split_norm))
            channels = width
        self.squeeze = nn.Linear(channels, config.bottleneck)
        self.dropout = nn.Dropout(config.dropout)
        self.project = nn.Linear(config.bottleneck, config.out_width)

    def forward(self, samples: Tensor, mask: Tensor) -> Tensor:
        """Encode waveforms.

        Args:
            samples: (B, N) in [-1, 1], N = 960 T.
            mask: (B, T) bool, False where a shorter item is padded.

        Returns:
            (B, T, D), zero where padded.
        """
        rate = self.config.samples_per_frame
        fine = mask.repeat_interleave(rate, dim=1)
        y = (samples * fine.to(samples.dtype))[:, None]
        for stride, down, block in zip(self.config.strides, self.down, self.blocks, strict=True):
            rate //= stride
            keep = mask.repeat_interleave(rate, dim=1)
            # Half a stride on the left, the rest on the right: output k is centred on its own samples.
            y = functional.silu(down(functional.pad(y, (stride // 2, stride - stride // 2))))
            y = block(y * keep[:, None].to(y.dtype), keep, "audio")
        squeezed = self.dropout(self.squeeze(y.transpose(1, 2)))
        out: Tensor = self.project(squeezed) * mask[..., None].to(y.dtype)
        return out
