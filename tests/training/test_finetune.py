"""What pre-training hands over, and how it goes on to learn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.small import CONFIG, unsettle
from torch import nn

from unsilent.config import load_recipe, validate_recipe
from unsilent.errors import CheckpointError, RecipeError
from unsilent.features import MelConfig
from unsilent.models import ReconstructorConfig, build_reconstructor
from unsilent.models.config import AudioEncoderConfig
from unsilent.models.pretrained import SHIPPED, load_reconstructor, save_model
from unsilent.nn import ModalityBatchNorm
from unsilent.training.finetune import Thaw, hand_over, parameter_groups, start
from unsilent.training.recipe import OptimConfig, RateConfig, StartConfig, TrainRecipe
from unsilent.training.run import begin

LISTENER = CONFIG.model_copy(
    update={"encoder": AudioEncoderConfig(widths=(2, 3, 4, 5, 6), bottleneck=4, out_width=CONFIG.encoder.out_width)}
)


def saved(folder: Path, config: ReconstructorConfig = LISTENER) -> Any:
    torch.manual_seed(1)
    model = build_reconstructor(config)
    unsettle(model)
    save_model(folder, model, config, {}, dtype=torch.float32)
    return model


@pytest.mark.parametrize("init", ["decoder", "decoder+temporal"])
def test_parts_are_handed_over_by_name(tmp_path: Path, init: Any) -> None:
    source = saved(tmp_path)
    model: Any = build_reconstructor(CONFIG)
    fresh = {name: value.clone() for name, value in model.state_dict().items()}
    start(model, StartConfig(init=init, source=str(tmp_path)))
    given, parts = source.state_dict(), init.split("+")
    for name, value in model.state_dict().items():
        if name.split(".")[0] not in parts:
            assert torch.equal(value, fresh[name]), name
        elif "video_" not in name:
            assert torch.equal(value, given[name]), name


def test_eyes_come_from_one_model_and_the_mouth_from_another(tmp_path: Path) -> None:
    decoder = saved(tmp_path / "listener")
    eyes = saved(tmp_path / "watcher", CONFIG)
    with torch.no_grad():
        for value in eyes.parameters():
            value.add_(1)
    save_model(tmp_path / "watcher", eyes, CONFIG, {}, dtype=torch.float32)
    for init, temporal in (("decoder", eyes), ("decoder+temporal", decoder)):
        model: Any = build_reconstructor(CONFIG)
        begin = {"init": init, "source": str(tmp_path / "listener"), "encoder_from": str(tmp_path / "watcher")}
        start(model, validate_recipe(begin, StartConfig, "recipe"))
        for part, giver in (("encoder", eyes), ("temporal", temporal), ("decoder", decoder)):
            given = getattr(giver, part).state_dict()
            for name, value in getattr(model, part).named_parameters():
                assert torch.equal(value, given[name]), (init, part, name)


@pytest.mark.parametrize("key", ["source", "encoder_from"])
def test_a_start_from_nothing_is_refused_before_clips_are_read(key: str) -> None:
    given = {"init": "decoder", "source": "grid", "encoder_from": "grid", key: "runs/not-there"}
    recipe = load_recipe("grid-small", TrainRecipe, [f"start={json.dumps(given)}", "data.shards=runs/no-shards"])
    with pytest.raises(CheckpointError, match="runs/not-there: no such model folder"):
        begin(recipe)


def test_eyes_of_another_size_are_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    with pytest.raises(CheckpointError, match="its encoder does not fit"):
        start(build_reconstructor(CONFIG), StartConfig(encoder_from=str(tmp_path)))


def test_video_statistics_start_from_those_of_audio(tmp_path: Path) -> None:
    source = saved(tmp_path)
    model: Any = build_reconstructor(CONFIG)
    hand_over(model, tmp_path, ["decoder"])
    pairs = [
        (mine.state_dict(), theirs.state_dict())
        for mine, theirs in zip(model.decoder.modules(), source.decoder.modules(), strict=True)
        if isinstance(mine, ModalityBatchNorm)
    ]
    assert len(pairs) == 4
    for mine, theirs in pairs:
        assert torch.equal(mine["video_mean"], theirs["audio_mean"])
        assert torch.equal(mine["video_var"], theirs["audio_var"])
        assert not torch.equal(mine["video_mean"], theirs["video_mean"])


def test_a_shipped_model_is_found_by_its_name() -> None:
    _, config, _ = load_reconstructor(SHIPPED / "grid")
    model = build_reconstructor(config)
    start(model, StartConfig(init="model", source="grid"))
    given, _, _ = load_reconstructor(SHIPPED / "grid")
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in given.state_dict().items())
    with pytest.raises(CheckpointError, match="nothing-of-this-name"):
        start(model, StartConfig(init="model", source="nothing-of-this-name"))


def test_a_run_folder_means_its_best_model(tmp_path: Path) -> None:
    source = saved(tmp_path / "best")
    model: Any = build_reconstructor(CONFIG)
    start(model, StartConfig(init="decoder", source=str(tmp_path)))
    assert torch.equal(model.decoder.project.weight, source.decoder.project.weight)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"decoder": CONFIG.decoder.model_copy(update={"width": 7})},
            r"expand.weight: \(28, 8\) there, \(24, 8\) here",
        ),
        ({"decoder": CONFIG.decoder.model_copy(update={"blocks": 3})}, r"blocks.2.*there, nothing here"),
        ({"split_norm": False}, "audio_mean: nothing there"),
        ({"mel": MelConfig(f_max=8000.0)}, r"f_max=8000.*f_max=12000"),
    ],
)
def test_what_does_not_fit_is_refused_with_both_values(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    saved(tmp_path, LISTENER.model_copy(update=change))
    with pytest.raises(CheckpointError, match=said):
        hand_over(build_reconstructor(CONFIG), tmp_path, ["decoder"])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"init": "decoder"}, "source must be given"),
        ({"source": "x"}, "source must be given"),
        ({"strategy": "frozen"}, "needs init"),
        ({"init": "model", "source": "x", "strategy": "staged"}, "needs init"),
        ({"init": "decoder", "source": "x", "staged": [0.9, 0.2]}, "must not begin"),
        ({"latents": 0.1}, "latents needs init"),
        ({"init": "model", "source": "x", "latents": 0.1}, "latents needs init"),
        ({"init": "model", "source": "x", "encoder_from": "y"}, "encoder_from contradicts"),
    ],
)
def test_contradictions_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        validate_recipe(settings, StartConfig, "recipe")


def test_rates_are_scales_of_groups() -> None:
    model: Any = build_reconstructor(CONFIG)
    modules = nn.ModuleDict({"model": model, "content": nn.Linear(8, 3)})
    rates = RateConfig(encoder=1.0, temporal=0.5, decoder=0.4, layer_decay=0.5)
    groups = parameter_groups(modules, OptimConfig(weight_decay=0.1), rates)
    owner = {id(p): (g["scale"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert set(owner) == {id(p) for p in modules.parameters()}
    assert sum(len(g["params"]) for g in groups) == len(owner)
    assert owner[id(model.temporal.embed.weight)] == (0.5, 0.1)
    assert owner[id(model.decoder.expand.bias)] == (0.4, 0.0)
    assert owner[id(model.decoder.blocks[1].conv1.weight)] == (pytest.approx(0.4 * 0.25), 0.1)
    assert owner[id(model.decoder.project.weight)] == (pytest.approx(0.4 * 0.125), 0.1)
    assert owner[id(modules["content"].weight)] == (1.0, 0.1)


def learning(module: nn.Module) -> set[bool]:
    return {parameter.requires_grad for parameter in module.parameters()}


def test_frozen_parts_neither_learn_nor_update_statistics() -> None:
    model: Any = build_reconstructor(CONFIG)
    thaw = Thaw(model, StartConfig(init="decoder", source="x", strategy="frozen"))
    for step in (0, 99):
        model.train()
        thaw.apply(step, 100)
        assert learning(model.decoder) == {False}
        assert learning(model.temporal) == {True}
        assert not any(m.training for m in model.decoder.modules() if isinstance(m, ModalityBatchNorm))
        assert model.encoder.training


def test_stages_thaw_from_input_to_output() -> None:
    model: Any = build_reconstructor(CONFIG)
    thaw = Thaw(model, StartConfig(init="decoder+temporal", source="x", strategy="staged", staged=(0.2, 0.6)))
    layers = [model.temporal.embed, *model.temporal.blocks, model.decoder.expand, *model.decoder.blocks]
    layers.append(model.decoder.project)
    begins = []
    for layer in layers:
        for step in range(101):
            model.train()
            thaw.apply(step, 100)
            if learning(layer) == {True}:
                begins.append(step)
                break
    assert begins[0] == 20
    assert begins[-1] == 60
    assert begins == sorted(set(begins))
    assert learning(model.encoder) == {True}


def test_full_leaves_everything_to_learn() -> None:
    model: Any = build_reconstructor(CONFIG).train()
    Thaw(model, StartConfig(init="decoder", source="x")).apply(0, 10)
    assert learning(model) == {True}
    assert all(module.training for module in model.modules())
