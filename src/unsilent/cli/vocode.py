"""``unsilent vocode``: copy synthesis, to hear what the vocoder alone costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unsilent.cli.common import JsonOption, QuietOption, emit_json, report

__all__ = ["vocode"]


def vocode(
    sound: Annotated[Path, typer.Argument(help="Speech: an audio file, or a video with sound.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Audio file to write; SOUND.vocoded.wav here by default.")
    ] = None,
    model: Annotated[str, typer.Option(help="A shipped model, or a model folder.")] = "grid",
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Turn speech into a mel spectrogram and back into speech."""
    import time

    from unsilent.media import read_audio, write_audio
    from unsilent.synthesis import load

    voice = load(model)
    samples = read_audio(sound, voice.sample_rate)
    started = time.perf_counter()
    made = voice.vocode(voice.mel(samples))[: len(samples)]
    elapsed = time.perf_counter() - started
    target = output or Path(f"{sound.stem}.vocoded.wav")
    write_audio(target, made, voice.sample_rate)
    report(json_to).print(str(target), markup=False, soft_wrap=True)
    emit_json({"output": target, "seconds": len(samples) / voice.sample_rate, "elapsed": elapsed}, json_to)
