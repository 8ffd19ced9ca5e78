"""Taking the sound out of a clip, speaking it, measuring and showing the result."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from unsilent.demonstration.example import WORDS, Example
from unsilent.demonstration.page import write_page
from unsilent.evaluation import EvalClip, evaluate
from unsilent.files import atomic_path
from unsilent.media import drop_sound, read_audio
from unsilent.synthesis import Synthesizer
from unsilent.synthesis.files import Spoken, speak_file
from unsilent.training.plots import mel_figure, save_figure

__all__ = ["METRICS", "Demonstration", "Figure", "demonstrate"]

METRICS: Final = ("stoi", "estoi", "mel_l1", "wer_constrained")
_NO_CROPS: Final = np.zeros((0, 96, 96), np.uint8)


@dataclass(frozen=True)
class Figure:
    """A metric of the speech, and of the real sound's mel through the vocoder, which is the ceiling."""

    value: float | None
    ceiling: float | None
    reason: str | None = None
    """Why there is no value."""


@dataclass(frozen=True)
class Demonstration:
    """What was made, and where."""

    example: Example
    done: Spoken
    metrics: dict[str, Figure]
    heard: str | None
    """What a recogniser understood, if one is installed; it knows the grammar of the sentences."""
    files: dict[str, Path]
    """original, silent, spoken, sound, picture, page."""


def demonstrate(
    example: Example, model: Synthesizer, output: Path, *, on_frame: Callable[[], None] | None = None
) -> Demonstration:
    """Speak the example without its sound, and write videos, sound, picture and page into ``output``.

    Args:
        example: the clip.
        model: what speaks.
        output: folder; made if missing.
        on_frame: called once a frame of video.

    Raises:
        MediaError, FaceError, OutputError: as `speak_file`.
    """
    names = {"original": f"original{example.path.suffix}", "silent": "silent.mp4", "spoken": "spoken.mp4",
             "sound": "spoken.wav", "picture": "spoken.png", "page": "index.html"}  # fmt: skip
    files = {what: output / name for what, name in names.items()}
    with atomic_path(files["original"]) as temporary:
        shutil.copyfile(example.path, temporary)
    drop_sound(example.path, files["silent"])
    voice = model.voice_of(example.voice) if model.voices and example.voice is not None else None
    done, speech = speak_file(model, files["silent"], files["spoken"], voice=voice, on_frame=on_frame)
    assert speech is not None
    assert speech.mouth is not None
    speech.save(files["sound"])
    real = read_audio(example.path, model.sample_rate)
    true = model.mel(real)[:, : speech.mel.shape[1]]
    with atomic_path(files["picture"]) as temporary:
        save_figure(mel_figure(speech.mouth.crops, {"true": true, "spoken": speech.mel}), str(temporary))
    metrics, heard = _measure(EvalClip(example.id, example.text, real, _NO_CROPS), speech.samples, model)
    shown = Demonstration(example, done, metrics, heard, files)
    write_page(shown, model)
    return shown


def _measure(
    clip: EvalClip, samples: np.typing.NDArray[np.float32], model: Synthesizer
) -> tuple[dict[str, Figure], str | None]:
    systems = {"spoken": lambda _: samples, "ceiling": lambda each: model.vocode(model.mel(each.real))}
    found = evaluate(systems, [clip], METRICS, workers=0, grammar=WORDS)
    spoken, ceiling = found.scores["spoken"][0], found.scores["ceiling"][0]
    figures = {
        name: Figure(spoken.values[name].value, ceiling.values[name].value, spoken.values[name].reason)
        for name in METRICS
    }
    return figures, spoken.heard.get("wer_constrained")
