"""``unsilent inspect``: what the tracker sees in a video, on one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unsilent.cli.common import JsonOption, QuietOption, emit_json, progress, report

if TYPE_CHECKING:
    from unsilent.face.sheet import Inspection

__all__ = ["inspect"]

_SMALL = 2.0
"""Crop pixels per source pixel above which a mouth is too small in the picture to be sharp."""


def inspect(
    video: Annotated[Path, typer.Argument(help="A video of someone talking.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Picture to draw; VIDEO.sheet.png here by default.", show_default=False),
    ] = None,
    face: Annotated[
        int | None,
        typer.Option(help="Which face, from 0, left to right; by default the one whose mouth moves most."),
    ] = None,
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Draw the face track and the mouth crops of a video."""
    from unsilent.face import FPS
    from unsilent.face.sheet import draw_sheet, inspect_mouth
    from unsilent.media import probe, read_video

    sheet = output or Path(f"{video.stem}.sheet.png")
    info = probe(video)
    with progress("Tracking", info.duration * FPS if info.duration else None, "frames") as task:
        inspection = inspect_mouth(read_video(video, FPS), face=face, name=str(video), advance=task.advance)
    draw_sheet(inspection, sheet)
    _show(inspection, sheet, json_to)


def _show(inspection: Inspection, sheet: Path, json_to: str | None) -> None:
    from rich.table import Table

    figures = inspection.summary()
    screen = report(json_to)
    table = Table(show_header=False, title=inspection.name, title_justify="left")
    table.add_row("frames", f"{figures['frames']} ({figures['seconds']:.2f} s)")
    table.add_row("faces", f"{figures['faces']}, followed: {figures['face']} (from 0, left to right)")
    table.add_row("face lost in", f"{figures['interpolated']} frames")
    table.add_row("confidence", f"{figures['confidence']['mean']:.2f}, least {figures['confidence']['min']:.2f}")
    table.add_row(
        "aperture", f"{figures['aperture']['mean']:.3f} ± {figures['aperture']['std']:.3f} of the mouth's width"
    )
    table.add_row("enlarged by", f"{figures['crop_pixels_per_source_pixel']:.2f}")
    table.add_row("sheet", str(sheet))
    screen.print(table)
    if figures["crop_pixels_per_source_pixel"] > _SMALL:
        screen.print("The mouth is small in the picture: crops are enlarged and blurred; move the camera closer.")
    per_frame = {
        "valid": inspection.valid,
        "confidence": inspection.confidence,
        "aperture": inspection.aperture,
    }
    emit_json({**figures, "sheet": sheet, "per_frame": per_frame}, json_to)
