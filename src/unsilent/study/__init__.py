"""Does pre-training on speech help? The arms of the experiment, run and judged."""

from unsilent.study.recipe import StudyRecipe
from unsilent.study.report import write_report
from unsilent.study.runner import run_study

__all__ = ["StudyRecipe", "run_study", "write_report"]
