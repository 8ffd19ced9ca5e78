"""``unsilent convert``: what others have published, as model folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unsilent.cli.common import JsonOption, QuietOption, emit_json, report

__all__ = ["app", "vocoder"]

app = typer.Typer(help="Turn a public checkpoint into a model folder. Nothing in the checkpoint is run.")


@app.callback()
def _group() -> None:
    """Keep the sub-verb even while it is the only one."""


@app.command()
def vocoder(
    checkpoint: Annotated[
        Path, typer.Argument(help="A generator of Parallel WaveGAN or HiFi-GAN: .pkl, .pth, .tar.", show_default=False)
    ],
    out: Annotated[Path, typer.Argument(help="Model folder to write, such as MODEL/vocoder.", show_default=False)],
    settings: Annotated[
        Path | None, typer.Option("--settings", help="Its config.yml or config.json; by default the one beside it.")
    ] = None,
    statistics: Annotated[
        Path | None,
        typer.Option("--statistics", help="Mean and scale of its mels, .npy .safetensors .h5; by default beside it."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="For the card; the checkpoint's folder by default.")
    ] = None,
    licence: Annotated[str | None, typer.Option("--licence", help="Of the weights, for the card.")] = None,
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Convert a public vocoder; a model whose mel is the same can then speak through it."""
    from unsilent.models.public_vocoders.convert import LICENCE, convert_vocoder

    made = convert_vocoder(
        checkpoint, out, settings=settings, statistics=statistics, name=name, licence=licence or LICENCE
    )
    mel = made.config.mel
    rates = ", ".join(str(rate) for rate in mel.frame_rates if rate >= 10)
    screen = report(json_to)
    screen.print(str(out), markup=False, soft_wrap=True)
    screen.print(
        f"{made.config.kind}, {made.parameters / 1e6:.1f} M parameters; mel: {mel.sample_rate} Hz, "
        f"hop {mel.hop_length}, n_fft {mel.n_fft}, window {mel.win_length}, {mel.n_mels} bands, "
        f"{mel.f_min:g} to {mel.f_max:g} Hz",
        soft_wrap=True,
    )
    fits = f"of video at {rates} frames a second" if rates else "of recordings only: no video frame rate fits its hop"
    screen.print(f"for mels {fits}", soft_wrap=True)
    emit_json(
        {
            "output": out,
            "kind": made.config.kind,
            "parameters": made.parameters,
            "config": made.config,
            "frame_rates": mel.frame_rates,
        },
        json_to,
    )
