"""``unsilent speak``: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unsilent.cli.common import JsonOption, QuietOption, console, emit_json, progress, report
from unsilent.errors import OutputError, UnsilentError

if TYPE_CHECKING:
    from unsilent.synthesis import Speech, Synthesizer
    from unsilent.synthesis.batch import SpeakJob
    from unsilent.synthesis.reference import Voice

__all__ = ["speak"]

DEFAULT_MODEL = "grid"
RAY = "ray"


def speak(
    videos: Annotated[
        list[Path], typer.Argument(help="Videos of someone talking, folders of them, or URLs.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File or folder to write, or a URL; VIDEO.spoken.mp4 here by default."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="A shipped model, a model folder, an exported one, or user/model of the hub; grid by default, "
            "grid-stream with --live.",
            show_default=False,
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(help="torch, or onnx (ONNX Runtime); ray, or ray:onnx, spreads videos over a Ray cluster."),
    ] = "torch",
    face: Annotated[
        int | None,
        typer.Option(help="Which face, from 0, left to right; by default the one whose mouth moves most."),
    ] = None,
    voice: Annotated[
        Path | None,
        typer.Option(
            help="A recording of whose voice to speak with, for models that have a choice.", show_default=False
        ),
    ] = None,
    live: Annotated[
        bool,
        typer.Option("--live", help="Speak while video arrives: VIDEOS is webcam, a camera's name, or - for a pipe."),
    ] = False,
    audio_only: Annotated[bool, typer.Option("--audio-only", help="Write the sound alone, as wav.")] = False,
    spectrogram: Annotated[
        Path | None, typer.Option(help="Also draw mouth and spectrogram, as PNG (one video only).")
    ] = None,
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Give silent videos their speech."""
    if live:
        from unsilent.cli.live import LIVE_MODEL, speak_arriving

        if spectrogram or engine != "torch":
            raise OutputError("--live: speaks with the engine torch and draws no picture; leave those options out")
        speak_arriving(videos, output, model or LIVE_MODEL, face, voice, json_to)
        return
    from unsilent.synthesis.files import find_videos, output_path

    model = model or DEFAULT_MODEL
    found = find_videos(videos)
    many = len(found) > 1 or found != list(videos)
    if many and spectrogram:
        raise OutputError(f"{spectrogram}: one picture for several videos; speak them one at a time")
    targets = [output_path(video, output, audio_only=audio_only, many=many) for video in found]
    if len(set(targets)) < len(targets):
        raise OutputError(f"{output or Path.cwd()}: two of the videos have the same name; speak them one at a time")
    pairs = list(zip(found, targets, strict=True))
    if engine.partition(":")[0] == RAY:
        if spectrogram:
            raise OutputError(f"{spectrogram}: no picture is drawn on a cluster; leave --engine ray out")
        from unsilent.synthesis.batch import SpeakJob

        computing = engine.partition(":")[2] or "torch"
        _speak_spread([SpeakJob(*pair, model, computing, face, voice) for pair in pairs], json_to)
    else:
        _speak_here(pairs, model, engine, face, voice, spectrogram, many=many, json_to=json_to)


def _speak_here(
    pairs: list[tuple[Path, Path]],
    model: str,
    engine: str,
    face: int | None,
    voice: Path | None,
    spectrogram: Path | None,
    *,
    many: bool,
    json_to: str | None,
) -> None:
    """Speak videos one after the other; one that cannot be spoken does not keep the others from it."""
    from unsilent.files import is_url
    from unsilent.media import probe
    from unsilent.synthesis import load

    if not many and not is_url(pairs[0][0]):
        probe(pairs[0][0])  # a mistake is told before the model is loaded
    synthesizer = load(model, engine=engine)
    told = synthesizer.voice_of(voice) if voice is not None else None
    results: list[dict[str, Any]] = []
    failed: list[str] = []
    for video, target in pairs:
        try:
            results.append(_speak_one(synthesizer, video, target, face, told, spectrogram))
        except UnsilentError as error:
            if not many:
                raise
            failed.append(str(error))
            console.print(f"error: {error}", markup=False, soft_wrap=True)
    if synthesizer.card.get("limits") and results:
        console.print(f"note: {synthesizer.card['limits']}", markup=False, soft_wrap=True)
    _show({"model": synthesizer.name, "engine": synthesizer.engine}, results, failed, json_to)


def _speak_spread(jobs: list[SpeakJob], json_to: str | None) -> None:
    """Speak videos on a Ray cluster, whatever becomes of one of them."""
    from unsilent.synthesis.batch import Unspoken, speak_job, unspoken
    from unsilent.workers import open_engine

    results: list[dict[str, Any]] = []
    failed: list[str] = []
    with progress("Speaking", len(jobs), "videos") as task:
        for _, done in open_engine(RAY).map(jobs, speak_job, unspoken):
            task.advance()
            if isinstance(done, Unspoken):
                failed.append(done.why)
                console.print(f"error: {done.why}", markup=False, soft_wrap=True)
            else:
                results.append(done.to_dict())
    _show({"model": jobs[0].model, "engine": f"{RAY}:{jobs[0].engine}"}, results, failed, json_to)


def _show(about: dict[str, str], results: list[dict[str, Any]], failed: list[str], json_to: str | None) -> None:
    screen = report(json_to)
    for result in results:
        screen.print(f"{result['output']}", markup=False, soft_wrap=True)
    emit_json({**about, "clips": results, "failed": failed}, json_to)
    if failed:
        raise UnsilentError(
            f"{len(failed)} of {len(failed) + len(results)} videos could not be spoken; the others are written"
        )


def _speak_one(
    synthesizer: Synthesizer,
    video: Path,
    target: Path,
    face: int | None,
    voice: Voice | None,
    spectrogram: Path | None,
) -> dict[str, Any]:
    from unsilent.files import is_url
    from unsilent.media import probe
    from unsilent.synthesis.files import speak_file

    info = None if is_url(video) else probe(video)
    known = info is not None and info.has_video and info.duration
    total = info.duration * synthesizer.mel_config.frame_rate if info and known else None
    with progress(f"Speaking {video.name}", total, "frames") as task:
        done, speech = speak_file(synthesizer, video, target, face=face, voice=voice, on_frame=task.advance)
    if spectrogram is not None:
        _draw(speech, spectrogram)
    if done.interpolated:
        console.print(f"note: {video}: no face in {done.interpolated} of {done.frames} frames, their mouth is a guess")
    return done.to_dict()


def _draw(speech: Speech | None, path: Path) -> None:
    from unsilent.files import atomic_path
    from unsilent.training.plots import mel_figure, save_figure

    if speech is None:
        raise OutputError(f"{path}: a clip of over two minutes does not fit into one picture; cut it first")
    crops = speech.mouth.crops if speech.mouth is not None else None
    with atomic_path(path) as temporary:
        save_figure(mel_figure(crops, {"spoken": speech.mel}), str(temporary))
