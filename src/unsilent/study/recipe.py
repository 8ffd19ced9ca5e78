"""The typed recipe of a study."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from unsilent.config import RecipeModel
from unsilent.training.pretrain_recipe import PretrainRecipe
from unsilent.training.recipe import StartConfig, TrainRecipe
from unsilent.training.wave_recipe import PretrainWaveRecipe, TrainWaveRecipe

__all__ = ["ABOUT", "AnyPretrain", "AnyTrain", "ArmName", "StudyRecipe"]

ArmName = Literal["A", "A+", "B", "C", "D", "E", "F", "G", "L", "T"]
ABOUT: dict[ArmName, str] = {
    "A": "scratch",
    "A+": "scratch, as many steps as pre-training and fine-tuning together",
    "B": "decoder pre-trained on speech, split statistics, all fine-tuned",
    "C": "as B with shared statistics",
    "D": "as B with a frozen decoder",
    "E": "as B, unfrozen layer by layer",
    "F": "decoder pre-trained on the sound of the same clips only",
    "G": "as B, pre-trained on speech played backwards",
    "L": "as B, after video features were regressed onto the audio latents that the decoder knows (our addition)",
    "T": "as B, with the temporal module handed over too (our addition)",
}
"""What every arm is."""


def _target_of(recipe: Any) -> str:
    kind = recipe.get("kind", "") if isinstance(recipe, dict) else getattr(recipe, "kind", "")
    return "wave" if str(kind).endswith("-wave") else "mel"


# Mels are what is meant where a recipe does not say.
AnyPretrain = Annotated[
    Annotated[PretrainRecipe, Tag("mel")] | Annotated[PretrainWaveRecipe, Tag("wave")], Discriminator(_target_of)
]
AnyTrain = Annotated[
    Annotated[TrainRecipe, Tag("mel")] | Annotated[TrainWaveRecipe, Tag("wave")], Discriminator(_target_of)
]


class StudyRecipe(RecipeModel):
    """Arms, crossed with minutes of video and seeds: `unsilent study`."""

    kind: Literal["study"] = "study"
    name: str
    pretrain: AnyPretrain
    """Pre-training of arm B, to mels or, with ``kind: pretrain-wave``, to waveforms; the other arms change one thing of
    it. It takes all its steps: what flattens at a high rate still gains much while the rate falls."""
    finetune: AnyTrain
    """Training of arm A, towards the same; the other arms change one thing of it. Its ``run.epochs`` is a bound, never
    reached by a run that becomes flat."""
    arms: tuple[ArmName, ...] = Field(("A", "A+", "B", "F"), min_length=1)
    minutes: tuple[Annotated[float, Field(gt=0)], ...] = Field((5.0, 15.0), min_length=1)
    """Amounts of video."""
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field((0, 1, 2), min_length=1)
    flat: int = Field(5, ge=1)
    """A fine-tuning has converged after so many validations without a better one."""
    least_gain: float = Field(0.002, ge=0)
    """Estimated ESTOI by which a validation must be better to count."""
    smallest_effect: float = Field(0.02, gt=0)
    """Gain in ESTOI, stated in advance, that would be worth having: an interval wholly below it refutes the claim."""
    regressed: float = Field(0.05, gt=0, le=1)
    """Of arm L: ``start.latents``, a fraction of ``finetune.run.epochs``."""
    test: str = "s1-test"
    """Split on which the finished runs are compared; nothing is chosen on it."""
    jobs: int = Field(1, ge=1)
    """Runs at a time, each with its share of the cores."""

    @model_validator(mode="after")
    def _check(self) -> StudyRecipe:
        for name in ("arms", "minutes", "seeds"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ValueError(f"{name}: {list(values)} names one twice")
        made = [recipe.model.decoder.target for recipe in (self.pretrain, self.finetune)]
        if made[0] != made[1]:
            raise ValueError(f"pretrain makes {made[0]} and finetune {made[1]}: no decoder could be handed over")
        if self.finetune.loss.estoi == 0:
            raise ValueError("finetune.loss.estoi must not be 0: the estimate of ESTOI tells when a run is flat")
        if "A+" in self.arms and not {"A", "B"} <= set(self.arms):
            raise ValueError("arms: A+ goes on from A for as long as B took, so it needs both")
        if self.finetune.optim.final_lr != 1.0:
            raise ValueError(
                "finetune.optim.final_lr must be 1: a run that ends when it is flat has no schedule to fall along"
            )
        if "L" in self.arms and made[0] == "wave":
            raise ValueError("arms: L is for models towards mels; leave it out")
        if self.finetune.start != StartConfig():
            raise ValueError("finetune.start is set by the arms; leave it out")
        if self.test in (self.finetune.data.train, self.finetune.data.validation):
            raise ValueError(f"test: {self.test} is what the runs learn or are chosen on")
        return self
