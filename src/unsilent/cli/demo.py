"""``unsilent demo``: a real clip loses its sound and gets it back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unsilent.cli.common import JsonOption, QuietOption, emit_json, progress, report
from unsilent.errors import CorpusError

__all__ = ["demo"]

SPLIT = "s1-test"
"""Clips that no shipped model was trained on."""


def demo(
    grid: Annotated[Path, typer.Option(help="GRID corpus.")] = Path("../shared/data/grid"),
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path("demo"),
    model: Annotated[str, typer.Option(help="A shipped model, or a model folder.")] = "grid",
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Speak an example clip and show the result: video, sound, picture."""
    from unsilent.corpora.grid import GridCorpus
    from unsilent.media import read_audio
    from unsilent.synthesis import load
    from unsilent.synthesis.files import speak_file
    from unsilent.synthesis.silence import drop_sound
    from unsilent.training.plots import mel_figure, save_figure

    if not grid.is_dir():
        raise CorpusError(
            f"{grid}: the demo needs a GRID clip; get one with `unsilent fetch grid --speakers s1` and name its folder "
            "with --grid, or speak your own video with `unsilent speak VIDEO`"
        )
    clip = GridCorpus(grid).clips(SPLIT)[0]
    voice = load(model)
    silent = drop_sound(clip.path, output / "silent.mp4")
    spoken = output / "spoken.mp4"
    with progress("Speaking", unit="frames") as task:
        done, speech = speak_file(voice, silent, spoken, on_frame=task.advance)
    assert speech is not None
    assert speech.mouth is not None
    speech.save(output / "spoken.wav")
    true = voice.mel(read_audio(clip.path, voice.sample_rate))[:, : speech.mel.shape[1]]
    save_figure(mel_figure(speech.mouth.crops, {"true": true, "spoken": speech.mel}), str(output / "spoken.png"))
    screen = report(json_to)
    screen.print(f"clip {clip.id}, never trained on; said: {clip.text}", markup=False)
    files = ("silent.mp4", "spoken.mp4", "spoken.wav", "spoken.png")
    for name, what in zip(files, ("the input", "the result", "its sound", "mouth, true and spoken mel"), strict=True):
        screen.print(f"  {output / name}  {what}", markup=False, soft_wrap=True)
    screen.print(f"real-time factor {done.elapsed / done.seconds:.2f} (this first run loads and warms up)")
    screen.print("now your own: unsilent speak VIDEO", markup=False)
    emit_json({**done.to_dict(), "clip": clip.id, "text": clip.text, "files": [output / f for f in files]}, json_to)
