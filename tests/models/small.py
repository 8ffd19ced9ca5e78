"""Models of a few thousand parameters, with statistics that are far from those of fresh ones."""

from __future__ import annotations

import torch
from torch import nn

from unsilent.models import (
    ConformerConfig,
    MelDecoderConfig,
    Reconstructor,
    ReconstructorConfig,
    VideoEncoderConfig,
    VocoderConfig,
    build_reconstructor,
)

ENCODER = VideoEncoderConfig(
    resize=24,
    crop=16,
    stem_channels=4,
    stem_kernel=3,
    stem_stride=2,
    widths=(4, 6),
    depths=(2, 1),
    out_width=8,
    dropout=0,
)
CONFIG = ReconstructorConfig(
    encoder=ENCODER,
    temporal=ConformerConfig(width=8, blocks=2, heads=2, hidden=12, kernel=5, dropout=0),
    decoder=MelDecoderConfig(width=6, blocks=2, dropout=0),
)
VOCODER = VocoderConfig(width=16, hidden=24, blocks=2, kernel=3, phase_iterations=2)


@torch.no_grad()
def unsettle(module: nn.Module) -> None:
    """Move every parameter and running statistic away from where it starts (some start at zero and hide mistakes)."""
    for name, value in [*module.named_parameters(), *module.named_buffers()]:
        if name.endswith("var"):
            value.copy_(torch.rand_like(value) + 0.5)
        elif name.endswith("mean"):
            value.copy_(torch.randn_like(value) * 0.3)
        elif value.ndim == 1 and value.is_floating_point() and not name.endswith("window"):
            value.add_(torch.randn_like(value) * 0.3)


def reconstructor(config: ReconstructorConfig = CONFIG) -> Reconstructor:
    """A small model in evaluation mode with unusual statistics."""
    model = build_reconstructor(config)
    unsettle(model)
    return model.eval()
