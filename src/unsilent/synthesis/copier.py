"""Speech through a pre-trained speech model and back: what its decoder can do when nothing has to be read from lips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from unsilent.errors import CheckpointError
from unsilent.models.pretrained import load_reconstructor, load_vocoder
from unsilent.models.public_vocoders import mel_differences
from unsilent.synthesis.synthesizer import find_model, vocoder_of

__all__ = ["Copier"]


class Copier:
    """An audio-to-audio model (`unsilent pretrain`) with its vocoder.

    Args:
        model: folder of the model, or of its training run, whose best is taken.

    Raises:
        CheckpointError: there is no such model, it is damaged, reads video, or its mel is not the vocoder's.
    """

    def __init__(self, model: str | Path) -> None:
        folder = find_model(model)
        self._model, self._config, self._card = load_reconstructor(folder, source="audio")
        self._vocoder = None
        if self._config.decoder.target == "mel":
            self._vocoder, vocoder, _ = load_vocoder(vocoder_of(folder))
            different = mel_differences(vocoder.mel, self._config.mel)
            if different:
                raise CheckpointError(f"{folder}: its mel is not its vocoder's: {different}; put one that fits there")

    @property
    def name(self) -> str:
        """Name on the model's card."""
        return str(self._card.get("name", "unnamed"))

    @property
    def sample_rate(self) -> int:
        """Samples a second, of what it hears and says."""
        return self._config.mel.sample_rate

    @torch.inference_mode()
    def copy(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Say samples (n,) in [-1, 1] at ``sample_rate`` again: as many samples.

        Sound is filled up with silence to whole video frames first, since the model works on these.
        """
        frame = self.sample_rate // self._config.mel.frame_rate
        frames = max(1, -(-len(samples) // frame))
        heard = np.pad(np.asarray(samples, np.float32), (0, frames * frame - len(samples)))
        made = self._model(torch.from_numpy(heard)[None], torch.ones(1, frames, dtype=torch.bool))
        if self._vocoder is not None:
            made = self._vocoder(made)
        said: NDArray[np.float32] = made[0].clamp(-1, 1).numpy()
        return said[: len(samples)]
