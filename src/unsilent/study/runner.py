"""Running a study: every run in its folder, resumed where it was stopped, skipped where it is done."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import torch

from unsilent.errors import StudyError
from unsilent.files import atomic_path
from unsilent.study.plan import Finetuning, Pretraining, plan
from unsilent.study.recipe import StudyRecipe
from unsilent.study.scores import ClipScores, score_run
from unsilent.training import plateau
from unsilent.workers import start_worker

__all__ = ["DONE", "RunResult", "finished", "read_result", "run_study"]

log = logging.getLogger(__name__)
DONE = "done.json"
Ended = Literal["flat", "steps", "bound"]
CURVE = "estoi"
"""Validation metric that a run must improve: 1 - estimated ESTOI."""


@dataclass(frozen=True)
class RunResult:
    """What is kept of a finished run."""

    name: str
    steps: int
    seconds: float
    """Of training, by the times in its history."""
    best_step: int
    best: float
    """Estimated ESTOI at its best validation."""
    ended: Ended
    """Why: it had stopped improving (``flat``), it had all ``steps`` that it was due (pre-training, A+), or it came to
    its ``bound`` before."""
    scores: ClipScores | None
    """Of the test split; none for a pre-training."""


def run_study(
    recipe: StudyRecipe,
    folder: Path,
    on_run: Callable[[str, RunResult], None] = lambda name, result: None,
) -> dict[str, RunResult]:
    """Run what of a study is not done yet.

    Args:
        recipe: the study.
        folder: of the study; each run has a folder in it.
        on_run: called with the name and result of every run that ends, or was done.

    Raises:
        StudyError: a run failed; what is done stays, and the same command goes on.
    """
    runs = plan(recipe, folder)
    results: dict[str, RunResult] = {}
    for run in runs:
        done = read_result(folder / run.name)
        if done is not None:
            results[run.name] = done
            on_run(run.name, done)
    waiting = [run for run in runs if run.name not in results]
    threads = max(1, torch.get_num_threads() // recipe.jobs)
    with _pool(recipe.jobs) as pool:
        going: dict[Future[RunResult], str] = {}
        while waiting or going:
            ready = [run for run in waiting if all(need in results for need in run.needs)]
            for run in ready[: recipe.jobs - len(going)]:
                waiting.remove(run)
                going[pool.submit(run_one, recipe, run, folder, threads)] = run.name
            finished, _ = wait(going, return_when=FIRST_COMPLETED)
            for future in finished:
                name = going.pop(future)
                results[name] = _result(future, name, folder)
                on_run(name, results[name])
    return results


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end at once where the block is left early: runs that are under way could take hours more."""
    context = get_context("spawn")
    give_up = context.Event()
    with ProcessPoolExecutor(jobs, context, start_worker, (give_up,)) as pool:
        try:
            yield pool
        except BaseException:
            give_up.set()
            raise


def _result(future: Future[RunResult], name: str, folder: Path) -> RunResult:
    error = future.exception()
    if error is not None:
        raise StudyError(f"{folder / name}: {error}; what is done stays, run the same command again") from error
    return future.result()


def run_one(recipe: StudyRecipe, run: Pretraining | Finetuning, folder: Path, threads: int) -> RunResult:
    """Train one run until it is flat, score it, and keep the result. Runs in a process of its own."""
    from unsilent.training.run import train

    torch.set_num_threads(threads)
    place = folder / run.name
    steps = None
    if isinstance(run, Finetuning) and run.arm == "A+":
        steps = _matched_steps(run, folder)
        if not place.exists():
            shutil.copytree(folder / run.needs[0], place, ignore=shutil.ignore_patterns(DONE))

    def stop(step: int) -> bool:
        if isinstance(run, Pretraining):
            return False
        return step >= steps if steps is not None else is_flat(place, recipe)

    train(run.recipe, place, stop=stop)
    scores = score_run(place / "best", run.recipe.data.shards, recipe.test) if isinstance(run, Finetuning) else None
    curve = read_curve(place)
    best_step, best = max(curve, key=lambda point: point[1])
    times = [line["time"] for line in plateau.read_history(place)]
    last = curve[-1][0]
    ended: Ended = "bound"
    if isinstance(run, Pretraining) or (steps is not None and last >= steps):
        ended = "steps"
    elif steps is None and is_flat(place, recipe):
        ended = "flat"
    result = RunResult(run.name, last, times[-1] - times[0], best_step, best, ended, scores)
    with atomic_path(place / DONE) as path:
        path.write_text(json.dumps(asdict(result)) + "\n", encoding="utf-8")
    return result


def _matched_steps(run: Finetuning, folder: Path) -> int:
    """Steps of pre-training and of fine-tuning arm B together."""
    tuned = read_result(folder / run.needs[1])
    source = json.loads((folder / run.needs[1] / "best" / "card.json").read_text(encoding="utf-8"))["recipe"]["start"]
    before = read_result(Path(source["source"]))
    if tuned is None or before is None:
        raise StudyError(f"{folder}: {run.name} needs the results of {run.needs[1]} and of its pre-training")
    return tuned.steps + before.steps


def finished(recipe: StudyRecipe, folder: Path) -> dict[str, RunResult]:
    """Results of the runs that are done, by name.

    Raises:
        StudyError: none is, or a result is damaged.
    """
    found = {run.name: read_result(folder / run.name) for run in plan(recipe, folder)}
    results = {name: result for name, result in found.items() if result is not None}
    if not results:
        raise StudyError(f"{folder}: no run of {recipe.name} is done; run the study without --so-far")
    return results


def read_result(folder: Path) -> RunResult | None:
    """Result of a finished run, None if it is not done.

    Raises:
        StudyError: the file is damaged.
    """
    path = folder / DONE
    if not path.is_file():
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        scores = data.pop("scores")
        return RunResult(**data, scores=ClipScores(**scores) if scores else None)
    except (OSError, ValueError, RecursionError, TypeError, KeyError, AttributeError) as error:
        raise StudyError(f"{path}: is damaged; delete it, and the run is scored again") from error


def read_curve(folder: Path) -> list[tuple[int, float]]:
    """(step, estimated ESTOI) of every validation of a run."""
    return [(step, 1 - loss) for step, loss in plateau.read_curve(folder, CURVE)]


def is_flat(folder: Path, recipe: StudyRecipe) -> bool:
    """Whether the last validations brought nothing better."""
    return plateau.is_flat([score for _, score in read_curve(folder)], recipe.flat, recipe.least_gain)
