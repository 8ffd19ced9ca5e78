"""Which runs a study is made of, in an order in which each finds what it needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from unsilent.study.recipe import AnyPretrain, AnyTrain, ArmName, StudyRecipe
from unsilent.training.pretrain_recipe import SpeechSource
from unsilent.training.recipe import StartConfig

__all__ = ["Finetuning", "Pretraining", "plan"]


@dataclass(frozen=True)
class Pretraining:
    """One pre-training."""

    name: str
    recipe: AnyPretrain

    @property
    def needs(self) -> tuple[str, ...]:
        """Runs that must be done before this one."""
        return ()


@dataclass(frozen=True)
class Finetuning:
    """One arm with one amount of video and one seed."""

    arm: ArmName
    minutes: float
    seed: int
    recipe: AnyTrain
    source: str | None
    """The pre-training that hands over."""

    @property
    def name(self) -> str:
        """Name of the run and of its folder."""
        return run_name(self.arm, self.minutes, self.seed)

    @property
    def needs(self) -> tuple[str, ...]:
        """Runs that must be done before this one."""
        if self.arm == "A+":
            return run_name("A", self.minutes, self.seed), run_name("B", self.minutes, self.seed)
        return (self.source,) if self.source else ()


def run_name(arm: ArmName, minutes: float, seed: int) -> str:
    """Folder of a run: ``B-5min-seed0``."""
    return f"{arm}-{minutes:g}min-seed{seed}"


def plan(recipe: StudyRecipe, folder: Path) -> list[Pretraining | Finetuning]:
    """All runs of a study, those first that others need."""
    pretrainings: dict[str, Pretraining] = {}
    runs: list[Pretraining | Finetuning] = []
    late: list[Pretraining | Finetuning] = []
    for minutes in recipe.minutes:
        for seed in recipe.seeds:
            for arm in recipe.arms:
                source = _pretraining(recipe, arm, minutes)
                if source:
                    pretrainings.setdefault(source.name, source)
                name = source.name if source else None
                tuned = _finetuning(recipe, arm, minutes, seed, folder / name if name else None)
                (late if arm == "A+" else runs).append(Finetuning(arm, minutes, seed, tuned, name))
    return [*pretrainings.values(), *runs, *late]


def _pretraining(recipe: StudyRecipe, arm: ArmName, minutes: float) -> Pretraining | None:
    """The pre-training that an arm starts from; arms share what they can."""
    base = recipe.pretrain
    if arm in ("A", "A+"):
        return None
    if arm == "C":
        model = base.model.model_copy(update={"split_norm": False})
        return _named(base.model_copy(update={"model": model}), "pretrain-shared-statistics")
    if arm == "F":
        clips = recipe.finetune.data
        own = SpeechSource(shards=clips.shards, split=clips.train, minutes=minutes)
        held_out = SpeechSource(shards=clips.shards, split=clips.validation)
        data = base.data.model_copy(update={"sources": (own,), "validation": held_out, "gain_db": (0.0, 0.0)})
        return _named(base.model_copy(update={"data": data}), f"pretrain-own-{minutes:g}min")
    if arm == "G":
        data = base.data.model_copy(update={"reverse": True})
        return _named(base.model_copy(update={"data": data}), "pretrain-reversed")
    return _named(base, "pretrain-speech")


def _named(recipe: AnyPretrain, name: str) -> Pretraining:
    return Pretraining(name, recipe.model_copy(update={"name": name}))


def _finetuning(recipe: StudyRecipe, arm: ArmName, minutes: float, seed: int, source: Path | None) -> AnyTrain:
    base = recipe.finetune
    strategy = {"D": "frozen", "E": "staged"}.get(arm, "full")
    init = "decoder+temporal" if arm == "T" else "decoder"
    start = StartConfig()
    if source:
        latents = recipe.regressed if arm == "L" else 0.0
        start = StartConfig(init=init, source=str(source), strategy=strategy, latents=latents)  # type: ignore[arg-type]
    model = base.model.model_copy(update={"split_norm": arm != "C"})
    # With less video an epoch is shorter: judge all runs after about as many steps.
    every = round(base.run.validate_every * max(recipe.minutes) / minutes)
    epochs = round(base.run.epochs * max(recipe.minutes) / minutes)
    return base.model_copy(
        update={
            # A+ goes on where A ended: the two must be one recipe.
            "name": run_name("A" if arm == "A+" else arm, minutes, seed),
            "model": model,
            "start": start,
            "data": base.data.model_copy(update={"minutes": minutes}),
            "run": base.run.model_copy(update={"seed": seed, "validate_every": every, "epochs": epochs}),
        }
    )
