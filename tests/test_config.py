from __future__ import annotations

import json
import math
import string
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError, field_validator, model_validator

from unsilent import config
from unsilent.config import RecipeModel, dump_recipe, load_recipe, recipe_names, validate_recipe
from unsilent.errors import RecipeError


class Kind(Enum):
    ALL = "all"
    FROZEN = "frozen"


class Optimiser(RecipeModel):
    lr: float = Field(1e-3, gt=0)
    betas: tuple[float, float] = (0.9, 0.98)
    kind: Kind = Kind.ALL


class Mel(RecipeModel):
    type: Literal["mel"]
    bins: int = 80


class Wave(RecipeModel):
    type: Literal["wave"]
    strides: tuple[int, ...] = (8, 5)


class Stage(RecipeModel):
    epochs: int
    note: str | None = None


class Experiment(RecipeModel):
    name: str
    amp: bool = False
    optimiser: Optimiser = Optimiser()
    critic: Optimiser | None = None
    target: Annotated[Mel | Wave, Field(discriminator="type")] = Mel(type="mel")
    stages: tuple[Stage, ...] = ()
    root: Path | None = None
    extra: dict[str, float] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _no_blank(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("must not be blank")
        return value

    @model_validator(mode="after")
    def _some_epochs(self) -> Experiment:
        if sum(stage.epochs for stage in self.stages) > 1000:
            raise ValueError("stages: more than 1000 epochs in all")
        return self


def _write(folder: Path, text: str, name: str = "recipe.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


BASE = """
name: base
optimiser: {lr: 1e-4}
stages:
  - {epochs: 3}
  - {epochs: 5, note: no}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return _write(tmp_path, BASE)


def _message(source: str | Path, *overrides: str) -> str:
    with pytest.raises(RecipeError) as caught:
        load_recipe(source, Experiment, overrides)
    message = str(caught.value)
    assert message.isprintable()
    return message


def test_reads_values_and_fills_in_defaults(recipe: Path) -> None:
    read = load_recipe(recipe, Experiment)
    assert read.optimiser.lr == 1e-4
    assert read.optimiser.betas == (0.9, 0.98)
    assert read.stages == (Stage(epochs=3), Stage(epochs=5, note="no"))


def test_is_immutable(recipe: Path) -> None:
    read = load_recipe(recipe, Experiment)
    with pytest.raises(ValidationError):
        read.optimiser.__setattr__("lr", 1.0)


def test_overrides_apply_in_order_to_keys_of_any_depth(recipe: Path) -> None:
    sets = ["optimiser.lr=2", "optimiser.lr=3e-5", "stages.1.epochs=9", "critic.lr=1", "target={type: wave}"]
    read = load_recipe(recipe, Experiment, [*sets, "target.strides=[2, 3]", "optimiser.kind=frozen", "root=a/b=c"])
    assert read.optimiser.lr == 3e-5
    assert [stage.epochs for stage in read.stages] == [3, 9]
    assert read.critic == Optimiser(lr=1.0)
    assert read.target == Wave(type="wave", strides=(2, 3))
    assert read.optimiser.kind is Kind.FROZEN
    assert read.root == Path("a/b=c")


def test_override_can_take_a_value_away(recipe: Path) -> None:
    assert load_recipe(recipe, Experiment, ["stages.1.note=", "critic=null"]).stages[1].note is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 1e-3), ("1E3", 1000.0), (".5", 0.5), ("-2", -2.0), ("+3", 3.0), ("010", 10.0), ("7.", 7.0)],
)
def test_numbers_are_those_of_yaml_1_2(recipe: Path, text: str, value: float) -> None:
    assert load_recipe(recipe, Experiment, [f"extra.x={text}"]).extra["x"] == value


@pytest.mark.parametrize("word", ["no", "yes", "on", "off", "2020-01-01", "1:30", "0x1F", "1_000", "'3'"])
def test_words_that_yaml_1_1_turned_into_something_else_stay_words(recipe: Path, word: str) -> None:
    assert load_recipe(recipe, Experiment, [f"name={word}"]).name == word.strip("'")


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("optimiser.lrr=1", ["--set optimiser.lrr=1", "unknown key", "did you mean 'lr'", "betas, kind, lr"]),
        ("optimizer.lr=1", ["optimizer", "did you mean 'optimiser'", "stages"]),
        ("critic.lrr=1", ["critic.lrr", "did you mean 'lr'"]),
        ("stages.0.epoch=1", ["stages.0.epoch", "did you mean 'epochs'"]),
        ("target={type: mel, bin: 1}", ["target.bin: unknown key", "did you mean 'bins'"]),
        ("target.bins=1", ["target: needs the key 'type'"]),
        ("optimiser.lr=-1", ["optimiser.lr", "greater than 0", "given -1"]),
        ("optimiser.lr=.nan", ["optimiser.lr", "finite"]),
        ("optimiser.lr=1e999", ["optimiser.lr", "finite"]),
        ("optimiser.kind=frozn", ["optimiser.kind", "'all' or 'frozen'", "given frozn", "did you mean 'frozen'"]),
        ("optimiser.betas=[1]", ["optimiser.betas.1", "missing"]),
        ("optimiser.betas=3", ["optimiser.betas", "list", "given 3"]),
        ("optimiser=3", ["optimiser", "section", "given 3"]),
        ("amp=1", ["amp", "boolean", "given 1"]),
        ("stages.0.epochs=true", ["stages.0.epochs", "integer", "given true"]),
        ("stages.0.epochs='3'", ["stages.0.epochs", "integer", "given 3"]),
        ("stages.0.epochs=2.5", ["stages.0.epochs", "integer", "given 2.5"]),
        ("stages.7.epochs=2", ["stages is a list", "0 to 1"]),
        ("stages.x=2", ["stages is a list"]),
        ("name.x=2", ["name is base", "no keys"]),
        ("name=' '", ["name", "must not be blank"]),
        ("stages.0.epochs=2000", ["more than 1000 epochs"]),
        ("target.type=wav", ["target", "'mel', 'wave'"]),
        ("name", ["--set name", "key.sub=value"]),
        ("=3", ["key.sub=value"]),
        ("a..b=3", ["key.sub=value"]),
        ("name=[", ["not valid YAML"]),
        ("name=*a", ["alias"]),
        ("name=!!python/name:os.system x", ["tag"]),
        ("name=&a b", ["base", "anchor"]),
        ("extra={1: 2}", ["key must be a name"]),
        ("extra={a: 1, a: 2}", ["key 'a' repeats"]),
        ("stages.0.epochs=" + "9" * 5000, ["not valid YAML"]),
    ],
)
def test_bad_override_is_explained_in_one_line(recipe: Path, override: str, parts: list[str]) -> None:
    if override == "name=&a b":  # an anchor that nothing refers to does no harm
        assert load_recipe(recipe, Experiment, [override]).name == "b"
        return
    message = _message(recipe, override)
    for part in parts:
        assert part in message
    assert len(message) < 500


def test_fault_of_the_file_is_not_put_down_to_an_override(tmp_path: Path) -> None:
    path = _write(tmp_path, "name: x\noptimiser: {lr: fast}\n")
    message = _message(path, "optimiser.betas=[.5, .5]", "amp=true")
    assert message.startswith(f"{path}: optimiser.lr: ")
    assert "--set" not in message


def test_missing_key_says_how_to_give_it(tmp_path: Path) -> None:
    path = _write(tmp_path, "amp: true")
    assert "name: is missing" in _message(path)
    assert "--set name=VALUE" in _message(path)
    assert load_recipe(path, Experiment, ["name=x"]).amp


def test_further_faults_are_counted(tmp_path: Path) -> None:
    message = _message(_write(tmp_path, "name: 3\namp: maybe\nfoo: 1\n"))
    assert "foo: unknown key" in message
    assert message.endswith("(and 2 more)")


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "name: is missing"),
        (b"- 1\n", "must be a mapping"),
        (b"just words", "must be a mapping"),
        (b"a: b: c", "line 1: not valid YAML"),
        (b"name: x\n\tamp: true", "line 2: not valid YAML"),
        (b"name: a\nname: b", "line 2: key 'name' repeats"),
        (b"name: \xff\xfe", "not valid YAML"),
        (b"\x00\x01\x02", "not valid YAML"),
        (b"name: [" + b"[" * 5000, "nested too deeply"),
        (b"{name: x, amp: {? [1] : 2}}", "key must be a name"),
        (b'name: "\\ud800"', "recipe.yaml"),
        (b"name: &a [*a]", "alias"),
        (b"%YAML 9.9\n---\nname: x", "not valid YAML"),
        (b"name: x\n---\nname: y", "not valid YAML"),
        (b"name: x #" + b"x" * 1_000_000, "larger than"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_bad_file_is_explained_in_one_line(tmp_path: Path, content: bytes, part: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    message = _message(path)
    assert part in message
    assert str(path) in message


@pytest.mark.parametrize("source", ["", ".", "/nowhere/recipe.yaml", "a\0b", "x" * 5000, "no\nsuch", "~"])
def test_recipe_that_is_not_there(source: str) -> None:
    assert len(_message(source)) < 300


def test_shipped_recipes_go_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "RECIPES", tmp_path)
    _write(tmp_path, "name: one", "grid-small.yaml")
    _write(tmp_path, "name: two", "paper-s.yaml")
    assert recipe_names() == ["grid-small", "paper-s"]
    for source in ("grid-small", "grid-small.yaml", "recipes/grid-small.yaml", Path("recipes") / "grid-small.yaml"):
        assert load_recipe(source, Experiment).name == "one"
    message = _message("grid-smal")
    assert "did you mean 'grid-small'?" in message
    assert "grid-small, paper-s" in message
    _message("elsewhere/grid-small.yaml")


def test_shipped_recipes_can_be_read() -> None:
    for name in recipe_names():
        assert isinstance(yaml.safe_load((config.RECIPES / f"{name}.yaml").read_text(encoding="utf-8")), dict)


def test_extends_merges_sections_and_replaces_lists(tmp_path: Path) -> None:
    _write(tmp_path, BASE, "base.yaml")
    _write(tmp_path, "extends: base\noptimiser: {betas: [0.5, 0.5]}\nstages: [{epochs: 1}]", "middle.yaml")
    path = _write(tmp_path, "extends: middle.yaml\nname: top", "top.yaml")
    read = load_recipe(path, Experiment, ["optimiser.kind=frozen"])
    assert read.name == "top"
    assert read.optimiser == Optimiser(lr=1e-4, betas=(0.5, 0.5), kind=Kind.FROZEN)
    assert read.stages == (Stage(epochs=1),)


def test_extends_that_leads_nowhere(tmp_path: Path) -> None:
    path = _write(tmp_path, "extends: recipe.yaml")
    assert "circle" in _message(path)
    assert "no such recipe" in _message(_write(tmp_path, "extends: other"))
    assert "must be the name of a recipe" in _message(_write(tmp_path, "extends: [a]"))


def test_dump_is_json_and_reads_back(recipe: Path) -> None:
    read = load_recipe(recipe, Experiment, ["root=a/b", "critic.kind=frozen", "target={type: wave}"])
    dumped = json.loads(json.dumps(dump_recipe(read), allow_nan=False))
    assert validate_recipe(dumped, Experiment, "card.json") == read
    assert dumped["optimiser"]["kind"] == "all"


@pytest.mark.parametrize("data", [{"name": object()}, {"name": math.nan}, {"name": {1, 2}}, {(1, 2): 3}], ids=repr)
def test_values_that_are_not_plain_data(data: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=r"^card\.json: "):
        validate_recipe(data, Experiment, "card.json")


def _load_or_refuse(path: Path, overrides: list[str]) -> None:
    try:
        read = load_recipe(path, Experiment, overrides)
    except RecipeError as error:
        message = str(error)
    else:
        message = ""
        assert validate_recipe(json.loads(json.dumps(dump_recipe(read))), Experiment, "again") == read
    assert message == "" or message.isprintable()
    assert len(message) < 1000


KEYS = ["name", "amp", "optimiser", "lr", "betas", "critic", "target", "type", "stages", "0", "epochs", "extends", ""]
words = st.sampled_from(KEYS) | st.text(max_size=6)
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["mel", "wave"])
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4), max_leaves=12
)
documents = st.fixed_dictionaries({"name": leaves}, optional={key: values for key in KEYS[1:] if key})
override_texts = st.builds(
    lambda keys, value: f"{'.'.join(keys)}={value}",
    st.lists(words, min_size=1, max_size=4),
    values.map(lambda value: yaml.safe_dump(value, default_flow_style=True)) | st.text(max_size=12),
)


@given(document=documents)
def test_any_document_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, document: dict[str, Any]) -> None:
    path = _write(tmp_path_factory.getbasetemp(), yaml.safe_dump(document, allow_unicode=True), "any.yaml")
    _load_or_refuse(path, [])


@given(raw=st.binary(max_size=60) | st.text(alphabet=string.printable, max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.yaml"
    path.write_bytes(raw)
    _load_or_refuse(path, [])


@given(overrides=st.lists(override_texts | st.text(max_size=20), max_size=4))
def test_any_overrides_are_applied_or_refused(tmp_path_factory: pytest.TempPathFactory, overrides: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "base.yaml"
    if not path.exists():
        path.write_text(BASE, encoding="utf-8")
    _load_or_refuse(path, overrides)
