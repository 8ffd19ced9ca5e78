"""``unsilent bench``: speed on this machine."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from unsilent.cli.common import JsonOption, QuietOption, emit_json, progress, report
from unsilent.errors import CorpusError, RecipeError

app = typer.Typer(help="Measure speed on this machine.")

ClipArgument = Annotated[
    Path | None,
    typer.Argument(help="A clip of someone talking, best of 3 s; by default one is drawn.", show_default=False),
]
RecipeArgument = Annotated[
    str, typer.Argument(help="A YAML file, or the name of a shipped recipe.", show_default=False)
]
OverridesOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one value; may be repeated.")
]
StepsOption = Annotated[int, typer.Option(min=3, help="Steps that are timed.")]
ProfileOption = Annotated[
    Path | None,
    typer.Option(
        "--profile", metavar="FILE", help="Also write a trace of a few steps, for Perfetto (.json, .json.gz)."
    ),
]


@app.command()
def speak(
    video: ClipArgument = None,
    model: Annotated[str, typer.Option(help="A shipped model, or a model folder.")] = "grid",
    repeats: Annotated[int, typer.Option(min=1, help="Warm runs; the median counts.")] = 7,
    engine: Annotated[str, typer.Option(help="onnx: measure ONNX Runtime beside torch.")] = "torch",
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Whole `speak`, file to file, with the share of each stage."""
    from rich.table import Table

    from unsilent.benchmarks.drawn import clip_or_drawn
    from unsilent.benchmarks.speak import STAGES, bench_speak

    with clip_or_drawn(video) as (clip, which):
        result = bench_speak(clip, model, repeats, engine)
    result["video"]["name"] = which
    about = f"{result['video']['seconds']:.2f} s of video, {result['threads']} threads, median of {repeats}"
    whole = Table(title=f"speak (RTF: real-time factor), {about}", title_justify="left")
    for title in ("", "RTF", "seconds", "times small", "cold command to file, s"):
        whole.add_column(title, justify="right" if title else "left")
    parts = Table(title="milliseconds by stage (model: of the network, what is not told apart)", title_justify="left")
    for title in ("", *STAGES):
        parts.add_column(title, justify="right" if title else "left")
    reference = result["reference"]
    rows = {f"{name}: {row['model']}": row for name, row in result.items() if isinstance(row, dict) and "rtf" in row}
    rows |= {f"peer, {name}: random weights": row for name, row in reference["peers"].items()}
    for name, row in rows.items():
        times = row["seconds"] / result["small"]["seconds"]
        cold = f"{row['cold_seconds']:.2f}" if "cold_seconds" in row else ""
        whole.add_row(name, f"{row['rtf']:.3f}", f"{row['seconds']:.3f}", f"{times:.2f}", cold)
        parts.add_row(name, *(f"{1000 * row['stages'][stage]:.0f}" for stage in STAGES))
    screen = report(json_to)
    screen.print(f"clip: {which}", markup=False)
    screen.print(whole)
    screen.print(parts)
    screen.print("The peer's pipeline is plain PyTorch of SVTS-S's size, and looks for no face.")
    screen.print(f"decoding the video alone, in the same run: {1000 * reference['decode_seconds']:.0f} ms")
    screen.print(f"matrix product in the same run: {reference['matrix_product_gflops']:.0f} GFLOP/s")
    emit_json(result, json_to)


@app.command()
def shards(
    folder: Annotated[Path, typer.Argument(help="Folder of shards, of speech or of clips.", show_default=False)],
    hours: Annotated[float, typer.Option(min=0, help="Size of the corpus that is simulated by repeating them.")] = 500,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long to stream.")] = 60,
    split: Annotated[str | None, typer.Option(help="Only this split.")] = None,
    frames: Annotated[int, typer.Option(min=1, help="Video frames (1/25 s) of a stretch.")] = 50,
    batch: Annotated[int, typer.Option(min=1, help="Stretches a batch.")] = 16,
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Stream a large corpus for pre-training: hours of speech a minute, and whether memory stays flat."""
    from rich.table import Table

    from unsilent.benchmarks.shards import bench_shards

    with progress("Streaming", seconds, "s") as task:
        result = bench_shards(
            folder,
            hours=hours,
            seconds=seconds,
            split=split,
            segment_frames=frames,
            batch_size=batch,
            advance=task.advance,
        )
    table = Table("streaming", "", title=f"{folder}, repeated to {result['hours']:.0f} h", title_justify="left")
    table.add_row("rows", f"{result['rows']:,}")
    table.add_row("seconds to open", f"{result['open_seconds']:.2f}")
    table.add_row("hours of speech a minute", f"{result['hours_per_minute']:.2f}")
    table.add_row("  a minute of processor time", f"{result['hours_per_processor_minute']:.2f}")
    table.add_row("times real time", f"{60 * result['hours_per_minute']:.0f}")
    for name in ("before", "warm", "end"):
        table.add_row(f"resident memory, {name}", f"{result[f'resident_{name}'] / 2**20:.0f} MiB")
    table.add_row("largest growth once warm", f"{result['resident_growth'] / 2**20:.1f} MiB")
    reference = result["reference"]
    table.add_section()
    table.add_row("a plain loop: hours a minute", f"{reference['plain_loop']['hours_per_minute']:.2f}")
    plain = reference["plain_loop"]["hours_per_processor_minute"]
    table.add_row("  a minute of processor time", f"{plain:.2f}")
    table.add_row("streaming, times the plain loop", f"{result['hours_per_processor_minute'] / plain:.2f}")
    table.add_row("a matrix product, GFLOP/s", f"{reference['matrix_product_gflops']:.0f}")
    screen = report(json_to)
    screen.print(table)
    screen.print("The plain loop reads the same files with pyarrow, in order, and decodes every FLAC in full.")
    emit_json(result, json_to)


@app.command()
def stream(
    video: ClipArgument = None,
    model: Annotated[str, typer.Option(help="A model that streams.")] = "grid-stream",
    seconds: Annotated[float, typer.Option(min=3, help="How long to feed frames.")] = 12,
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """How late speech is while video arrives, frame by frame at a camera's pace, and why."""
    from rich.table import Table

    from unsilent.benchmarks.drawn import clip_or_drawn
    from unsilent.benchmarks.stream import bench_stream

    with clip_or_drawn(video) as (clip, which):
        result = bench_stream(clip, model, seconds) | {"video": which}
    late, what = result["latency"], {
        "chunk": "the rest of its chunk",
        "stem": "frames that the encoder looks ahead",
        "tracker": "frames that smooth the mouth's place",
        "vocoder": "mel frames that the vocoder looks ahead",
        "window": "the window of the inverse STFT",
        "work": "computing",
    }  # fmt: skip
    title = f"stream: {result['model']}, {result['seconds']:.0f} s, {result['threads']} threads"
    table = Table("the first frame of a chunk waits for", "ms", title=title, title_justify="left")
    for name, seconds_of in result["parts"].items():
        table.add_row(what[name], f"{1000 * seconds_of:.0f}")
    table.add_section()
    for name in ("median", "p95", "largest"):
        table.add_row(f"measured, {name}", f"{1000 * late[name]:.0f}")
    screen = report(json_to)
    screen.print(f"clip: {which}", markup=False)
    screen.print(table)
    screen.print(f"busy for {result['busy']:.2f} s a second of video")
    screen.print(f"matrix product in the same run: {result['matrix_product_gflops']:.0f} GFLOP/s")
    emit_json(result, json_to)


@app.command()
def train(
    recipe: RecipeArgument,
    overrides: OverridesOption = None,
    steps: StepsOption = 10,
    profile: ProfileOption = None,
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Train a few steps and throw them away: samples a second, waiting for data, arithmetic a second."""
    _bench_steps("train", recipe, overrides, steps, profile, json_to)


@app.command()
def pretrain(
    recipe: RecipeArgument,
    overrides: OverridesOption = None,
    steps: StepsOption = 10,
    profile: ProfileOption = None,
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """The same as `train`, for a recipe of pre-training on speech."""
    _bench_steps("pretrain", recipe, overrides, steps, profile, json_to)


def _bench_steps(
    verb: str, recipe: str, overrides: list[str] | None, steps: int, profile: Path | None, json_to: str | None
) -> None:
    from rich.table import Table

    from unsilent.benchmarks.train import bench_train
    from unsilent.training.run import load_any_recipe

    chosen = load_any_recipe(recipe, overrides or [])
    if chosen.kind.startswith("pretrain") != (verb == "pretrain"):
        other = "train" if verb == "pretrain" else "pretrain"
        raise RecipeError(f"{recipe}: is of kind {chosen.kind}; measure it with `unsilent bench {other}`")
    with progress("Training", None, "steps") as task:
        result = bench_train(chosen, steps, advance=task.advance, profile=profile)
    where = f"{result['device']}, {result['precision']}, {result['threads']} threads"
    title = f"{verb} {result['recipe']}: batches of {result['batch_size']}, {where}"
    table = Table("", "", title=title, title_justify="left", show_header=False)
    table.add_row("seconds a step", f"{result['seconds_per_step']:.3f}")
    table.add_row("samples a second", f"{result['samples_per_second']:.2f}")
    table.add_row("waiting for data", f"{100 * result['waiting']:.1f} %")
    table.add_row("a large matrix product, GFLOP/s", f"{result['peak'] / 1e9:.0f}")
    table.add_row("whole step", f"{result['flops'] / 1e9:.0f} GFLOP/s, {100 * result['share_of_peak']:.0f} % of it")
    if result["encoder"]:
        encoder = result["encoder"]
        table.add_row("encoder", f"{encoder['flops'] / 1e9:.0f} GFLOP/s, {100 * encoder['share_of_peak']:.0f} % of it")
    screen = report(json_to)
    screen.print(table)
    if result["profile"]:
        trace = result["profile"]
        costly = Table("costliest operations", "calls", "share of operations' time")
        for row in trace["operations"]:
            costly.add_row(row["name"], str(row["calls"]), f"{100 * row['share']:.1f} %")
        screen.print(costly)
        screen.print(f"in these {trace['steps']} steps, waiting for data: {100 * trace['waiting']:.1f} %")
        screen.print(f"trace: {trace['file']} (open it at ui.perfetto.dev)", markup=False, soft_wrap=True)
    emit_json(result, json_to)


@app.command()
def prepare(
    corpus: Annotated[
        str | None, typer.Argument(help="grid, talker, folder ...; by default talkers are drawn.", show_default=False)
    ] = None,
    root: Annotated[Path | None, typer.Argument(help="Folder of the corpus.", show_default=False)] = None,
    clips: Annotated[int, typer.Option(min=4, help="How many clips.")] = 48,
    stride: Annotated[int, typer.Option(min=1, max=4, help="As for `unsilent prepare`.")] = 1,
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Clips to shards: frames a second of every stage, and what a second core brings."""
    from rich.table import Table

    from unsilent.benchmarks.drawn import drawn_corpus
    from unsilent.benchmarks.prepare import bench_prepare
    from unsilent.corpora.registry import open_corpus

    if corpus is not None and root is None:
        raise CorpusError(f"{corpus}: name the folder of the corpus too")
    with ExitStack() as stack, progress("Preparing", None, "clips") as task:
        if root is None:
            corpus, root = "talker", stack.enter_context(drawn_corpus(clips))
            which = "drawn talkers"
        else:
            which = f"{corpus}, {root}"
        result = bench_prepare(open_corpus(str(corpus), root).clips(None)[:clips], stride, advance=task.advance)
    result["corpus"] = which
    table = Table("", "frames/s", "clips/s", title=f"prepare {result['clips']} clips", title_justify="left")
    names = {"decode": "decode alone (reference)", "face": "track and crop alone", "sound": "sound alone"}
    for name, rate in result["stages"].items():
        table.add_row(f"{names[name]}, one core", f"{rate:.0f}", "")
    for workers, rates in result["workers"].items():
        label = f"whole, {workers} process" + "es" * (workers != "1")
        table.add_row(label, f"{rates['frames_per_second']:.0f}", f"{rates['clips_per_second']:.2f}")
    screen = report(json_to)
    screen.print(f"clips: {which}", markup=False)
    screen.print(table)
    screen.print(f"{result['cores']} cores are {result['scaling']:.2f} times as fast as one")
    emit_json(result, json_to)
