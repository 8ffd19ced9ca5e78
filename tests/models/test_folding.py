"""Folded batch-norms: the same output, one modality, and an original that nobody touched."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from tests.models.small import CONFIG, ENCODER, reconstructor
from torch import nn

from unsilent.models import Reconstructor, ReconstructorConfig
from unsilent.models.folding import fold_batch_norms
from unsilent.nn import ModalityBatchNorm, length_mask
from unsilent.nn.norm import Modality

POOLED = CONFIG.model_copy(
    update={"split_norm": False, "encoder": ENCODER.model_copy(update={"stem_pool": True, "pooling": "mean"})}
)


@pytest.mark.parametrize("config", [CONFIG, POOLED], ids=["split", "shared"])
@pytest.mark.parametrize("modality", ["video", "audio"])
def test_output_stays_the_same(config: ReconstructorConfig, modality: Modality) -> None:
    base = reconstructor(config)
    model = Reconstructor(base.encoder, base.temporal, base.decoder, modality).eval()
    crops = torch.from_numpy(np.random.default_rng(2).integers(0, 256, (2, 7, 16, 16), dtype=np.uint8))
    mask = length_mask(torch.tensor([7, 4]), 7)
    before = copy.deepcopy(model.state_dict())
    with torch.inference_mode():
        wanted = model(crops, mask)
        folded = fold_batch_norms(model, modality)
        torch.testing.assert_close(folded(crops, mask), wanted, atol=1e-4, rtol=0)
        # The original is as it was, and does what it did.
        assert torch.equal(model(crops, mask), wanted)
    assert list(model.state_dict()) == list(before)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    kinds = (nn.BatchNorm2d, ModalityBatchNorm)
    assert any(isinstance(module, kinds) for module in model.modules())
    assert not any(isinstance(module, kinds) for module in folded.modules())


def test_the_other_modality_is_another_model() -> None:
    model = reconstructor()
    crops, mask = torch.full((1, 4, 16, 16), 90, dtype=torch.uint8), torch.ones(1, 4, dtype=torch.bool)
    with torch.inference_mode():
        assert not torch.allclose(fold_batch_norms(model, "audio")(crops, mask), model(crops, mask), atol=1e-3)
