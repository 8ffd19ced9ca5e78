from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.face.conftest import portrait, talking_video

from unsilent.benchmarks.peer import PEER_VOCODERS, Peer
from unsilent.media import read_audio

__all__ = ["portrait", "talking_video"]


@pytest.fixture(scope="module", params=list(PEER_VOCODERS))
def peer(request: pytest.FixtureRequest) -> Peer:
    torch.manual_seed(0)
    return Peer(request.param)


def test_its_sizes_are_the_published_ones(peer: Peer) -> None:
    # ResNet-18 without its classifier has 11.18 M; HiFi-GAN V1 13.9 M, a little less at rates that fit 24 kHz;
    # Parallel WaveGAN 1.33 M (their papers).
    trunk = sum(p.numel() for p in peer.network.trunk.parameters())
    assert trunk == pytest.approx(11.18e6, rel=0.01)
    vocoder = sum(p.numel() for p in peer.vocoder.parameters())
    assert min(abs(vocoder / 13.9e6 - 1), abs(vocoder / 1.33e6 - 1)) < 0.1


def test_a_video_becomes_a_sound_of_its_length(peer: Peer, talking_video: Path, tmp_path: Path) -> None:
    took = peer.speak(talking_video, tmp_path / "made.wav")
    sound = read_audio(tmp_path / "made.wav", 24_000)
    assert len(sound) == round(1.2 * 24_000)
    assert np.isfinite(sound).all()
    assert set(took) == {"whole", "decode", "model", "vocoder", "mux"}
