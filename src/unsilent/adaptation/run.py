"""From a folder of clips to a model of the person in them: prepare, fine-tune, measure."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from unsilent.adaptation.clips import JUDGED_ON, divide, synthetic
from unsilent.adaptation.forecast import Forecast, forecast
from unsilent.config import dump_recipe, load_recipe
from unsilent.corpora import Clip, FolderCorpus
from unsilent.errors import CheckpointError, CorpusError
from unsilent.evaluation import Report, evaluate, model_systems
from unsilent.evaluation.clips import load_clips
from unsilent.files import cache_folder
from unsilent.models.pretrained import amend_card, load_reconstructor, read_card
from unsilent.prepare import Report as Prepared
from unsilent.prepare import prepare_corpus
from unsilent.shards import ShardReader
from unsilent.synthesis import find_model, load
from unsilent.training.plateau import is_flat, read_curve
from unsilent.training.recipe import TrainRecipe
from unsilent.training.run import train

__all__ = ["Adapted", "Watch", "adapt", "adapted_recipe"]

PATIENCE: Final = 6
LEAST_GAIN: Final = 0.002
"""Of estimated ESTOI: training ends when so many judgements bring no more than this."""
JUDGED_EVERY: Final = 80
"""Steps."""
LONGEST_STEPS: Final = 20_000
GENTLE_RATE: Final = 3e-4
"""Learning rate for a model that reads lips already."""
METRICS: Final = ("stoi", "estoi", "estoi_aligned", "mel_l1", "speaker", "wer_free")
SHORTEST_SECONDS: Final = 10.0


class Watch(Protocol):
    """Told how far each stage is; all may do nothing."""

    def stage(self, name: str, total: int | None) -> Callable[[], object]:
        """A stage begins; what is returned is called at each of ``total`` items (unknown if None)."""

    def expect(self, forecast: Forecast | None, before: float | None) -> None:
        """What is to be expected of the clips, and the ESTOI of what training starts from, where that reads lips.

        There is no forecast of clips that are synthetic, or some of them: what is known was measured on a person.
        """

    def learn(self, hours: float | None) -> Callable[[int], object]:
        """Training begins, with so many hours left; what is returned is called with the step after each."""

    def judged(self, step: int, estoi: float) -> None:
        """After so many steps the model has this estimated ESTOI on clips that choose when to end."""


@dataclass(frozen=True)
class Adapted:
    """What came out."""

    model: Path
    """Folder to speak with."""
    minutes: float
    """Of video that was learnt from."""
    clips: int
    steps: int
    flat: bool
    """It had stopped getting better; otherwise time was over before."""
    rising: bool
    """The last of several judgements was the best."""
    before: float | None
    """ESTOI of what it started from, if that reads lips, on the clips of the report."""
    dropped: dict[str, int]
    """Clips that could not be used, by reason."""
    report: Report
    """On clips that were not learnt from: the model, what it started from where that can speak, and the ceiling."""


def adapt(
    root: Path,
    output: Path,
    source: str,
    *,
    watch: Watch,
    overrides: Sequence[str] = (),
    hours: float | None = None,
    workers: int | None = None,
) -> Adapted:
    """Fine-tune a model on one person's clips; the same call goes on where an earlier one was stopped.

    Args:
        root: folder of clips with sound, of one person; ``clip.txt`` beside ``clip.mp4`` is its text.
        output: folder of shards, run and report.
        source: what to start from: a shipped name or a folder; a model pre-trained on speech (its decoder is taken)
            or one that reads lips already (all of it is).
        watch: told how far it is.
        overrides: ``key=value`` changes of the recipe ``adapt``.
        hours: the longest that training may take, not counting what an earlier call took; the judgement that ends it
            comes on top.
        workers: processes that prepare; one a core if None.

    Raises:
        CorpusError: the clips are too few, of several people, or none of them can be used.
        CheckpointError: there is no such source, or it makes waveforms.
    """
    corpus = FolderCorpus(root)
    adapted_recipe(source, output / "shards", 1, overrides)  # a mistake is told before the clips are prepared
    clips = divide(_of_one_person(corpus.clips(), root), str(root))
    advance = watch.stage("Preparing", len(clips))
    prepared = prepare_corpus(clips, output / "shards", workers=workers, advance=advance)
    minutes, count = _check(output / "shards", root, prepared)
    kept = [clip for clip in clips if clip.split == "test"]
    before = _before(source, kept, watch)
    made = synthetic(clips)
    watch.expect(None if made else forecast(minutes), before)
    _learn(adapted_recipe(source, output / "shards", count, overrides), output / "run", hours, watch)
    _say(output / "run" / "best", source, _described(minutes, made, len(clips)), kept)
    report = _measure(source, output / "run", kept, watch)
    curve = read_curve(output / "run", "estoi")
    rising = len(curve) > 1 and curve[-1][1] == min(loss for _, loss in curve)
    flat = _flat(output / "run")
    return Adapted(output / "run", minutes, count, curve[-1][0], flat, rising, before, prepared.reasons, report)


def _learn(recipe: TrainRecipe, run: Path, hours: float | None, watch: Watch) -> None:
    ended = time.monotonic() + 3600 * hours if hours is not None else None
    tick = watch.learn(hours)

    def on_step(step: int, total: int, metrics: dict[str, float]) -> None:
        tick(step)

    def stop(step: int) -> bool:
        if curve := read_curve(run, "estoi"):
            watch.judged(curve[-1][0], 1 - curve[-1][1])
        return _flat(run)

    overdue = None if ended is None else (lambda: time.monotonic() > ended)
    train(recipe, run, on_step=on_step, stop=stop, overdue=overdue)


def _described(minutes: float, made: int, clips: int) -> str:
    whose = "synthetic clips" if made == clips else "one person's clips"
    some = f", {made} of {clips} of them synthetic" if 0 < made < clips else ""
    return f"{minutes:.1f} min of {whose}{some}, given to `unsilent adapt`"


def _say(best: Path, source: str, clips: str, kept: Sequence[Clip]) -> None:
    """Complete the card of the adapted model: whose voice, from what, under which terms, and what may judge it."""
    before = read_card(find_model(source))
    amend_card(
        best,
        {
            "data": [clips, *before.get("data", [])],
            "licence": "that of the clips, which whoever adapted it has to know; it started from "
            f"{before.get('name', source)}: {before.get('licence', 'licence not stated')}",
            "limits": "knows the one face and voice and the kind of sentences in the clips; speaks for anybody "
            "else in that voice: not without that person's consent",
            JUDGED_ON: [clip.id for clip in kept],
        },
    )


def adapted_recipe(source: str, shards: Path, clips: int, overrides: Sequence[str] = ()) -> TrainRecipe:
    """The recipe ``adapt`` for what ``source`` is: its sizes, its mel, and how much of it is taken over.

    Args:
        source: as in `adapt`.
        shards: the person's prepared clips.
        clips: how many of them are learnt from; runs are judged after about as many steps whatever their number.
        overrides: ``key=value``.

    Raises:
        CheckpointError: there is no such model, or it makes waveforms.
        RecipeError: an override is not valid.
    """
    folder = find_model(source)
    _, theirs, _ = load_reconstructor(folder)
    if theirs.decoder.target != "mel":
        raise CheckpointError(f"{source}: is {theirs.path}; start from a model that predicts mels")
    base = load_recipe("adapt", TrainRecipe)
    reads_lips = theirs.encoder.input == "video"
    # A voice is told where there is a choice of voices: here there is one.
    model = theirs if reads_lips else theirs.model_copy(update={"encoder": base.model.encoder, "speaker": None})
    steps = max(1, clips // base.run.batch_size)
    return load_recipe(
        "adapt",
        TrainRecipe,
        [
            f"model={json.dumps(dump_recipe(model))}",
            f"start={json.dumps({'init': 'model' if reads_lips else 'decoder', 'source': str(folder)})}",
            f"data.shards={json.dumps(str(shards))}",
            f"run.validate_every={max(1, round(JUDGED_EVERY / steps))}",
            f"run.epochs={-(-LONGEST_STEPS // steps)}",
            *([f"optim.lr={GENTLE_RATE}"] if reads_lips else []),
            *overrides,
        ],
    )


def _of_one_person(clips: Sequence[Clip], root: Path) -> Sequence[Clip]:
    speakers = sorted({clip.speaker for clip in clips})
    if len(speakers) > 1:
        shown = ", ".join(speakers[:5])
        raise CorpusError(f"{root}: holds folders of {len(speakers)} people ({shown}); name the folder of one of them")
    return clips


def _check(shards: Path, root: Path, prepared: Prepared) -> tuple[float, int]:
    """Minutes and clips to learn from, if there is something in every split."""
    reader = ShardReader(shards) if prepared.written + prepared.skipped else None
    found = {name: reader.splits.count(name) if reader else 0 for name in ("train", "val", "test")}
    missing = [name for name, number in found.items() if not number]
    why = ", ".join(f"{number} {reason}" for reason, number in prepared.reasons.items()) or "none was dropped"
    if reader is None:
        shutil.rmtree(shards)
        raise CorpusError(
            f"{root}: none of its clips can be used ({why}); record clips that show one face and have sound"
        )
    if missing:
        raise CorpusError(f"{root}: no usable clip is left for {' and '.join(missing)} ({why}); add clips")
    training = reader.select("train")
    seconds = float(training.frames.sum()) / training[0].fps
    if seconds < SHORTEST_SECONDS:
        raise CorpusError(f"{root}: only {seconds:.0f} s of video to learn from; record some minutes")
    return seconds / 60, len(training)


def _flat(run: Path) -> bool:
    return is_flat([1 - loss for _, loss in read_curve(run, "estoi")], PATIENCE, LEAST_GAIN)


def _before(source: str, clips: Sequence[Clip], watch: Watch) -> float | None:
    """ESTOI of what training starts from, if that reads lips."""
    _, before, _ = load_reconstructor(find_model(source))
    if before.encoder.input != "video":
        return None
    advance = watch.stage("Measuring what it starts from", len(clips))
    loaded, _ = load_clips(clips, cache=cache_folder("crops"))
    voice = load(find_model(source))
    systems = {"before": lambda clip: voice.speak_crops(clip.crops).samples}
    report = evaluate(systems, loaded, ["estoi"], corpus="folder", split="test", advance=advance)
    interval = report.systems["before"]["estoi"].interval
    return None if interval is None else interval.mean


def _measure(source: str, run: Path, clips: Sequence[Clip], watch: Watch) -> Report:
    """The adapted model, the one before it if it can read lips, and the vocoder on clips that neither learnt from."""
    loaded, left_out = load_clips(clips, cache=cache_folder("crops"))
    voice = load(run)
    systems = model_systems(voice, loaded, ["model", "vocoder", "real"])
    _, before, _ = load_reconstructor(find_model(source))
    if before.encoder.input == "video":
        unadapted = load(find_model(source))
        systems = {"before": lambda clip: unadapted.speak_crops(clip.crops).samples, **systems}
    metrics = [name for name in METRICS if name != "wer_free" or any(clip.text for clip in loaded)]
    advance = watch.stage("Measuring", len(loaded) * len(systems))
    return evaluate(
        systems, loaded, metrics, corpus="folder", split="test", model=voice.card, left_out=left_out, advance=advance
    )
