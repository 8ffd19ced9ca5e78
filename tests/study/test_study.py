"""A whole study of tiny models: its plan, its runs, its verdicts, and that it goes on where it was stopped."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.evaluation.sounds import speech
from tests.models.small import CONFIG
from tests.training.small import crops_of, merged, states_of
from tests.training.small import row as clip_row

from unsilent.cli import main
from unsilent.config import load_recipe, validate_recipe
from unsilent.errors import RecipeError, StudyError
from unsilent.evaluation.statistics import Interval
from unsilent.models.pretrained import load_reconstructor
from unsilent.shards import ShardWriter, encode_audio, encode_crops
from unsilent.study import StudyRecipe, run_study
from unsilent.study.plan import plan
from unsilent.study.report import Comparison, compare, write_report
from unsilent.study.runner import DONE, RunResult, is_flat, read_curve, read_result
from unsilent.study.scores import ClipScores

PARTS = {"temporal": CONFIG.temporal.model_dump(mode="json"), "decoder": CONFIG.decoder.model_dump(mode="json")}
WAVE = {"target": "wave", "strides": [2, 2, 240], "widths": [8, 8, 6], "blocks": 1, "source": {"n_fft": 512}}
SPEECH_ENCODER = {"input": "audio", "widths": [4, 4, 6, 6, 8], "bottleneck": 4, "out_width": 8}


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of a second and a half whose sound has the rhythm of speech."""
    folder = tmp_path_factory.mktemp("talking")
    with ShardWriter(folder) as writer:
        for number, split in enumerate(("train",) * 6 + ("held-out",) * 2 + ("test",) * 2):
            sound = speech(1.52, number)
            audio = {"bytes": encode_audio(sound, 24_000), "path": None}
            crops = encode_crops(crops_of(states_of(number, 38)))
            row = clip_row(number, frames=38, split=split)
            writer.write({**row, "crops": crops, "audio": audio, "samples": len(sound)})
    return folder


def study_of(shards: Path, **changes: Any) -> StudyRecipe:
    run = {"epochs": 3, "batch_size": 2, "validate_every": 1, "log_every": 1}
    optim = {"lr": 3e-3, "final_lr": 1.0, "ema": 0.9}
    base = {
        "kind": "study",
        "name": "tiny",
        "arms": ["A", "A+", "B", "F"],
        "minutes": [0.05],
        "seeds": [0],
        "flat": 1,
        "test": "test",
        "pretrain": {
            "name": "speech",
            "model": {"encoder": SPEECH_ENCODER, **PARTS},
            "data": {
                "sources": [{"shards": str(shards)}],
                "validation": {"shards": str(shards), "split": "held-out"},
                "segment_frames": 25,
                "samples_per_epoch": 4,
            },
            "loss": {"estoi": 0.5},
            "optim": optim,
            "run": run,
        },
        "finetune": {
            "name": "video",
            "model": CONFIG.model_dump(mode="json"),
            "data": {"shards": str(shards), "train": "train", "validation": "held-out"},
            "loss": {"estoi": 1.0},
            "optim": optim,
            "run": run,
        },
    }
    return validate_recipe(merged(base, changes), StudyRecipe, "recipe")


def test_seeds_that_have_not_run_are_no_result() -> None:
    recipe = study_of(Path("shards"), arms=["A", "B"], seeds=[0, 1], minutes=[5.0])
    values = [0.3, 0.4, 0.5]
    results = {f"{arm}-5min-seed0": result(f"{arm}-5min-seed0", values) for arm in "AB"}
    (found,) = compare(recipe, results)
    assert (found.seeds, found.wanted) == (1, 2)
    assert "no verdict yet" in found.verdict(0.02)


def test_each_arm_changes_one_thing() -> None:
    arms = ["A", "A+", "B", "C", "D", "E", "F", "G", "L", "T"]
    recipe = study_of(Path("shards"), arms=arms, minutes=[0.05, 0.1], seeds=[0, 1])
    runs = {run.name: run for run in plan(recipe, Path("runs"))}
    assert len(runs) == 10 * 2 * 2 + 5  # speech, shared, reversed, and own for each amount
    scratch: Any = runs["A-0.05min-seed1"].recipe
    assert runs["A+-0.05min-seed1"].recipe == scratch
    for arm, source, changed in (
        ("B", "pretrain-speech", {"start"}),
        ("C", "pretrain-shared-statistics", {"start", "model"}),
        ("D", "pretrain-speech", {"start"}),
        ("E", "pretrain-speech", {"start"}),
        ("F", "pretrain-own-0.05min", {"start"}),
        ("G", "pretrain-reversed", {"start"}),
        ("L", "pretrain-speech", {"start"}),
        ("T", "pretrain-speech", {"start"}),
    ):
        run: Any = runs[f"{arm}-0.05min-seed1"]
        assert run.needs == (source,)
        assert run.recipe.start.source == str(Path("runs") / source)
        differs = {name for name in type(scratch).model_fields if getattr(run.recipe, name) != getattr(scratch, name)}
        assert differs == changed | {"name"}
    assert runs["T-0.1min-seed0"].recipe.start.init == "decoder+temporal"  # type: ignore[union-attr]
    assert {name[0]: run.recipe.start.latents for name, run in runs.items() if name[:2] in ("B-", "L-")} == {  # type: ignore[union-attr]
        "B": 0.0,
        "L": recipe.regressed,
    }
    strategies = {arm: runs[f"{arm}-0.1min-seed0"].recipe.start.strategy for arm in "BDE"}  # type: ignore[union-attr]
    assert strategies == {"B": "full", "D": "frozen", "E": "staged"}
    own: Any = runs["pretrain-own-0.1min"].recipe.data
    assert [(source.split, source.minutes) for source in own.sources] == [("train", 0.1)]
    assert runs["pretrain-reversed"].recipe.data.reverse  # type: ignore[union-attr]
    assert not runs["pretrain-shared-statistics"].recipe.model.split_norm
    # Runs with less video are judged after as many steps.
    assert runs["A-0.05min-seed0"].recipe.run.validate_every == 2
    assert runs["A-0.1min-seed0"].recipe.run.validate_every == 1


def test_every_run_comes_after_what_it_needs() -> None:
    recipe = study_of(Path("shards"), arms=["A+", "B", "A", "F"], seeds=[0, 1])
    done: set[str] = set()
    for run in plan(recipe, Path("runs")):
        assert set(run.needs) <= done
        done.add(run.name)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"arms": ["A+", "B"]}, "needs both"),
        ({"seeds": [1, 1]}, "twice"),
        ({"test": "held-out"}, "learn or are chosen on"),
        ({"finetune": {"optim": {"final_lr": 0.1}}}, "final_lr must be 1"),
        ({"finetune": {"start": {"init": "decoder", "source": "x"}}}, "set by the arms"),
        ({"arms": ["Z"]}, "arms"),
        ({"finetune": {"start": {"encoder_from": "grid"}}}, "set by the arms"),
        ({"finetune": {"loss": {"estoi": 0.0}}}, "tells when a run is flat"),
    ],
)
def test_mistakes_in_a_recipe(change: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        study_of(Path("shards"), **change)


def test_a_key_of_the_other_target_is_not_offered() -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("study-wave", StudyRecipe, ["finetune.model.decoder.width=3"])
    assert "did you mean 'widths'?; allowed: blocks, kernel, source, strides, target, widths" in str(caught.value)


def test_a_study_of_waveforms(talking: Path, tmp_path: Path) -> None:
    mels = study_of(talking, arms=["A", "B"]).model_dump(mode="json")
    both = {"stft": 0.3, "mel": 1.0, "estoi": 1.0, "resolutions": [[512, 128, 512]]}
    for stage, kind in (("pretrain", "pretrain-wave"), ("finetune", "train-wave")):
        whole = mels[stage]
        model = {**whole["model"], "decoder": WAVE}
        data = {**whole["data"], "augment": {}} if stage == "finetune" else whole["data"]
        kept = {"name": whole["name"], "optim": whole["optim"], "run": {**whole["run"], "epochs": 1}}
        mels[stage] = {"kind": kind, "model": model, "data": data, "loss": both, **kept}
    with pytest.raises(RecipeError, match="pretrain makes wave and finetune mel"):
        validate_recipe({**mels, "finetune": study_of(talking).model_dump(mode="json")["finetune"]}, StudyRecipe, "it")
    recipe = validate_recipe(mels, StudyRecipe, "recipe")
    results = run_study(recipe, tmp_path)
    assert set(results) == {"pretrain-speech", "A-0.05min-seed0", "B-0.05min-seed0"}
    for name in ("A-0.05min-seed0", "B-0.05min-seed0"):
        scores = results[name].scores
        assert scores is not None
        assert len(scores.estoi) == 2
        assert load_reconstructor(tmp_path / name / "best", source="video")[1].path == "v2a-wave"
    write_report(recipe, results, tmp_path, tmp_path / "report.md", "here")
    assert "ESTOI of the waveforms that the models make" in (tmp_path / "report.md").read_text()


def test_shipped_studies_can_hand_over() -> None:
    for name in ("study-grid", "study-wave"):
        recipe = load_recipe(name, StudyRecipe)
        assert recipe.pretrain.model.decoder == recipe.finetune.model.decoder
        assert recipe.pretrain.model.temporal == recipe.finetune.model.temporal


def test_a_whole_study(talking: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "study.json"
    recipe.write_text(study_of(talking).model_dump_json())
    command = ["study", str(recipe), "-o", str(tmp_path / "runs")]
    assert main([*command, "--plan"]) == 0
    assert not (tmp_path / "runs").exists()
    assert main([*command, "--so-far"]) == 2
    assert "A+-0.05min-seed0" in capsys.readouterr().out
    assert main([*command, "--json", str(tmp_path / "out.json")]) == 0
    out = json.loads((tmp_path / "out.json").read_text())
    runs = {run["name"]: run for run in out["runs"]}
    assert set(runs) == {
        "pretrain-speech", "pretrain-own-0.05min", *(f"{arm}-0.05min-seed0" for arm in ("A", "A+", "B", "F"))
    }  # fmt: skip
    matched = runs["B-0.05min-seed0"]["steps"] + runs["pretrain-speech"]["steps"]
    bound = 3 * 1  # epochs of one step
    assert runs["A+-0.05min-seed0"]["steps"] == min(matched, bound)
    assert runs["A+-0.05min-seed0"]["ended"] == ("steps" if matched <= bound else "bound")
    assert runs["pretrain-speech"]["ended"] == "steps"
    for name, run in runs.items():
        assert (run["scores"] is None) == name.startswith("pretrain")
        assert run["best_step"] <= run["steps"]
    assert len(runs["B-0.05min-seed0"]["scores"]["estoi"]) == 2
    text = (tmp_path / "runs" / "REPORT.md").read_text()
    assert "| B - A | 0.05 min |" in text
    assert (tmp_path / "runs" / "REPORT.png").stat().st_size > 1000

    # The same command finds everything done, and a run whose result is gone is not trained again.
    before = (tmp_path / "runs" / "A-0.05min-seed0" / "history.jsonl").read_bytes()
    done = tmp_path / "runs" / "A-0.05min-seed0" / DONE
    first = read_result(done.parent)
    done.unlink()
    assert main([*command, "--so-far", "--markdown", str(tmp_path / "so-far.md")]) == 0
    text = (tmp_path / "so-far.md").read_text()
    assert "5 of 6 runs are done" in text
    assert "| F - A |" not in text
    assert not done.exists()
    assert main(command) == 0
    again = read_result(done.parent)
    assert first is not None
    assert again is not None
    assert again.scores is not None
    assert first.scores is not None
    assert again.scores.estoi == pytest.approx(first.scores.estoi)
    assert dataclasses.replace(again, scores=None) == dataclasses.replace(first, scores=None)
    assert (done.parent / "history.jsonl").read_bytes() == before

    done.write_text("{")
    assert main(command) == 2
    assert "is damaged" in capsys.readouterr().err


def test_a_run_that_fails_is_named(talking: Path, tmp_path: Path) -> None:
    recipe = study_of(talking, arms=["A"], minutes=[500.0])
    with pytest.raises(StudyError, match=r"A-500min-seed0: 500 minutes are asked for, there are 0\.2"):
        run_study(recipe, tmp_path)


def test_an_interrupted_study_does_not_wait_for_its_runs(talking: Path, tmp_path: Path) -> None:
    endless = {"run": {"epochs": 1_000_000}}
    recipe = study_of(talking, arms=["A", "F"], jobs=2, flat=900_000, pretrain={"run": {"epochs": 1}}, finetune=endless)

    def on_run(name: str, result: RunResult) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(recipe, tmp_path, on_run)
    assert [path.parent.name for path in tmp_path.glob(f"*/{DONE}")] == ["pretrain-own-0.05min"]


def written_curve(folder: Path, scores: list[float]) -> Path:
    folder.mkdir(exist_ok=True)
    lines = [{"step": 10 * i, "group": "validation", "estoi": 1 - s, "time": float(i)} for i, s in enumerate(scores, 1)]
    (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 9')
    return folder


def test_flat_means_no_gain_for_so_many_validations(tmp_path: Path) -> None:
    recipe = study_of(Path("shards"), flat=3, least_gain=0.01)
    for scores, flat in (
        ([0.1, 0.2, 0.3], False),
        ([0.1, 0.2, 0.3, 0.3, 0.3], False),
        ([0.1, 0.2, 0.3, 0.3, 0.3, 0.3], True),
        ([0.1, 0.2, 0.3, 0.3, 0.309, 0.3], True),
        ([0.1, 0.2, 0.3, 0.3, 0.311, 0.3], False),
        ([0.3, 0.2, 0.1, 0.1], True),
    ):
        assert is_flat(written_curve(tmp_path / "run", scores), recipe) == flat, scores
    step, score = read_curve(tmp_path / "run")[0]
    assert (step, round(score, 6)) == (10, 0.3)


def result(name: str, estoi: list[float]) -> RunResult:
    return RunResult(name, 10, 1.0, 10, 0.5, "flat", ClipScores(estoi, estoi))


def test_differences_are_paired_by_seed_and_clip() -> None:
    recipe = study_of(Path("shards"), arms=["A", "B"], seeds=[0, 1], minutes=[5.0])
    random = np.random.default_rng(0)
    results = {}
    for seed in (0, 1):
        base = random.uniform(0.1, 0.9, 50)
        results[f"A-5min-seed{seed}"] = result(f"A-5min-seed{seed}", list(base))
        results[f"B-5min-seed{seed}"] = result(f"B-5min-seed{seed}", list(base + 0.03))
    (found,) = compare(recipe, results)
    assert (found.first, found.second) == ("B", "A")
    assert found.difference.mean == pytest.approx(0.03)
    assert found.difference.high - found.difference.low < 1e-6
    assert found.verdict(0.02) == "better"


@pytest.mark.parametrize(
    ("low", "high", "converged", "said"),
    [
        (0.025, 0.05, True, "better"),
        (0.01, 0.05, True, "not excluded"),
        (-0.01, 0.05, True, "inconclusive"),
        (-0.01, 0.01, True, "refuted"),
        (-0.03, -0.01, True, "worse"),
        (0.03, 0.05, False, "no verdict"),
    ],
)
def test_verdicts(low: float, high: float, converged: bool, said: str) -> None:
    found = Comparison("B", "A", 5.0, Interval((low + high) / 2, low, high, 100), converged, 3, 3)
    assert said in found.verdict(0.02)
