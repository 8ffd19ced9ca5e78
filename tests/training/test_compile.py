"""`run.compile`: the same training by translated code, in checkpoints that do not show it."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.small import train_recipe, vocoder_recipe

from unsilent.errors import RecipeError
from unsilent.training.checkpoint import Snapshot, newest_snapshot
from unsilent.training.parallel import translate
from unsilent.training.run import train

pytestmark = [  # what torch's own compiler warns itself of
    pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
]


@pytest.fixture
def translated(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is translated, by the tracer alone, which takes seconds: code that is made of it would take minutes."""
    seen: list[Any] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Any:
        seen.append(graph)
        return graph.forward

    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    return seen


def newest(folder: Path) -> Snapshot:
    found = newest_snapshot(folder / "checkpoints")
    assert found is not None
    return found


def assert_close(one: Snapshot, other: Snapshot) -> None:
    assert one.step == other.step
    assert list(one.modules) == list(other.modules)
    for name, value in one.modules.items():
        torch.testing.assert_close(value, other.modules[name], rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("first", [False, True], ids=["plain first", "compiled first"])
def test_a_run_goes_on_with_and_without(shards: Path, tmp_path: Path, translated: list[Any], first: bool) -> None:
    train(train_recipe(shards), tmp_path / "plain")
    assert not translated
    for compiled, stop in ((first, True), (not first, False)):
        before = len(translated)
        recipe = train_recipe(shards, run={"compile": compiled})
        train(recipe, tmp_path / "run", stop=(lambda step: True) if stop else (lambda step: False))
        assert (len(translated) > before) == compiled
        assert newest(tmp_path / "run").step == (2 if stop else 4)
    assert_close(newest(tmp_path / "run"), newest(tmp_path / "plain"))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="the platform has no C++ compiler")
def test_real_translation(shards: Path, tmp_path: Path) -> None:
    """Takes minutes: code is made and compiled. Dropout is left out, for which it draws other numbers."""
    still = {part: {"dropout": 0.0} for part in ("encoder", "temporal", "decoder")}
    train(train_recipe(shards, model=still), tmp_path / "plain")
    train(train_recipe(shards, model=still, run={"compile": True}), tmp_path / "run")
    assert_close(newest(tmp_path / "run"), newest(tmp_path / "plain"))


def test_other_kinds_refuse_it(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"run\.compile: is not for this kind of training"):
        train(vocoder_recipe(shards, run={"compile": True}), tmp_path)
    with pytest.raises(RecipeError, match=r"run\.compile: .* run\.fsdp; leave one of them out"):
        train(train_recipe(shards, run={"compile": True, "fsdp": True}), tmp_path)


def test_without_a_compiler_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RecipeError, match=r"run\.compile: needs a C\+\+ compiler, and none is installed"):
        translate(torch.nn.Linear(2, 2))
