"""Recipes: YAML files, validated by typed models, with ``--set a.b=c`` overrides.

A recipe is a YAML mapping. It is read with the scalars of YAML 1.2 (``1e-3`` is a number, ``no`` is a word), may
start from another one with ``extends: NAME`` and is checked against a model derived from :class:`RecipeModel`:
unknown keys, wrong types and impossible values are refused with one line that says which key of which file, what
was given and what is allowed.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from unsilent.errors import RecipeError

__all__ = ["RECIPES", "RecipeModel", "dump_recipe", "load_recipe", "recipe_names", "validate_recipe"]

RECIPES = Path(__file__).parent / "recipes"
"""The folder of the recipes that come with the package."""

_MAX_BYTES = 1_000_000
_MAX_EXTENDS = 8


class RecipeModel(BaseModel):
    """Base of every section of a recipe: immutable, no unknown keys, no infinite numbers.

    Use tuples rather than lists in fields, so that a recipe is immutable all the way down.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)


M = TypeVar("M", bound=BaseModel)


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with the package, sorted."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def load_recipe(source: str | Path, model: type[M], overrides: Sequence[str] = ()) -> M:
    """Read a recipe, apply overrides, and validate it.

    Args:
        source: a YAML file, or the name of a shipped recipe (``grid-small`` or ``recipes/grid-small.yaml``).
        model: the model that the recipe must satisfy.
        overrides: ``key.sub=value`` strings, applied in order; the value is YAML (``3``, ``1e-3``, ``[1, 2]``).

    Raises:
        RecipeError: the recipe cannot be found or read, or it is not valid.
    """
    path = _find(source)
    data = _read_with_parents(path)
    origins: dict[tuple[str, ...], str] = {}
    for override in overrides:
        keys = _apply_override(data, override)
        origins = {old: text for old, text in origins.items() if old[: len(keys)] != keys}
        origins[keys] = f"--set {_shorten(override)}"
    return _validate(data, model, str(path), origins)


def validate_recipe(data: Mapping[str, Any], model: type[M], source: str) -> M:
    """Validate a recipe that is already in memory, such as the one stored in a checkpoint.

    Args:
        data: what :func:`dump_recipe` returned.
        model: the model that the recipe must satisfy.
        source: the file it came from, for messages.

    Raises:
        RecipeError: the recipe is not valid.
    """
    return _validate(data, model, source, {})


def dump_recipe(model: BaseModel) -> dict[str, Any]:
    """Return the resolved recipe, defaults included, as JSON-safe values for a checkpoint or card."""
    return model.model_dump(mode="json")


# --- reading -------------------------------------------------------------------------------------------------------


class _RefusedError(yaml.YAMLError):
    """Valid YAML that has no place in a recipe."""


class _Loader(yaml.SafeLoader):
    """The scalars of YAML 1.2's core schema; no aliases, tags or repeated keys."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        banned = "an alias (*name)" if isinstance(event, yaml.AliasEvent) else ""
        banned = "a tag (!name)" if getattr(event, "tag", None) is not None else banned
        if banned:
            raise _RefusedError(f"line {event.start_mark.line + 1}: {banned} is not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise _RefusedError(f"line {key.start_mark.line + 1}: a key must be a name")
            if key.value in seen:
                raise _RefusedError(f"line {key.start_mark.line + 1}: key {key.value!r} repeats")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)


def _decimal(loader: _Loader, node: yaml.ScalarNode) -> int:
    """Read ``010`` as ten, as YAML 1.2 does; version 1.1 made it octal."""
    return int(str(loader.construct_scalar(node)))


_Loader.add_constructor("tag:yaml.org,2002:int", _decimal)


def _parse(text: str | bytes, source: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)  # nosec B506
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise RecipeError(_one_line(f"{source}: {where}not valid YAML: {error.problem or error.context}")) from error
    except _RefusedError as error:
        raise RecipeError(_one_line(f"{source}: {error}")) from error
    except (yaml.YAMLError, ValueError) as error:
        raise RecipeError(_one_line(f"{source}: not valid YAML: {error}")) from error
    except RecursionError as error:
        raise RecipeError(f"{source}: not valid YAML: nested too deeply") from error


def _find(source: str | Path, beside: Path | None = None) -> Path:
    """Return the file that a path or a name stands for; ``beside`` is the folder of the recipe that asks."""
    given = Path(source)
    candidates = [given] if beside is None else [beside / given, (beside / given).with_name(f"{given.name}.yaml")]
    if given.parent.name in ("", "recipes") and not given.is_absolute():
        candidates.append(RECIPES / f"{given.name.removesuffix('.yaml')}.yaml")
    try:
        for candidate in candidates:
            if candidate.is_file():
                return candidate
        if given.is_dir():
            raise RecipeError(_one_line(f"{given}: is a folder; name a YAML file in it"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RecipeError(_one_line(f"{_shorten(str(source))}: cannot be read ({reason})")) from error
    names = recipe_names()
    hint = _did_you_mean(given.name.removesuffix(".yaml"), names)
    shipped = f"shipped recipes: {', '.join(names)}" if names else "give the path of a YAML file"
    raise RecipeError(_one_line(f"{_shorten(str(source))}: no such recipe{hint}; {shipped}"))


def _read(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as handle:
            raw = handle.read(_MAX_BYTES + 1)
    except OSError as error:
        raise RecipeError(_one_line(f"{path}: cannot be read ({error.strerror or error})")) from error
    if len(raw) > _MAX_BYTES:
        raise RecipeError(_one_line(f"{path}: larger than {_MAX_BYTES} bytes; this is not a recipe"))
    data = _parse(raw, str(path))
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise RecipeError(_one_line(f"{path}: must be a mapping of keys to values, not {_shorten(data)}"))
    return data


def _read_with_parents(path: Path) -> dict[str, Any]:
    data = _read(path)
    for _ in range(_MAX_EXTENDS):
        if "extends" not in data:
            return data
        parent = data.pop("extends")
        if not isinstance(parent, str):
            raise RecipeError(_one_line(f"{path}: extends: must be the name of a recipe, not {_shorten(parent)}"))
        found = _find(parent, beside=path.parent)
        data = _merge(_read(found), data)
        path = found
    raise RecipeError(_one_line(f"{path}: extends: more than {_MAX_EXTENDS} recipes deep, or in a circle"))


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return ``base`` with the keys of ``over`` put in; mappings are merged, everything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        known = merged.get(key)
        both = isinstance(known, dict) and isinstance(value, dict)
        merged[key] = _merge(known, value) if both else value  # type: ignore[arg-type]
    return merged


# --- overrides -----------------------------------------------------------------------------------------------------


def _apply_override(data: dict[str, Any], override: str) -> tuple[str, ...]:
    """Set one ``key.sub=value`` in ``data`` and return its key path."""
    label = f"--set {_shorten(override)}"
    name, equals, text = override.partition("=")
    keys = tuple(part.strip() for part in name.split("."))
    if not equals or not all(keys):
        raise RecipeError(_one_line(f"{label}: write it as key.sub=value"))
    value = _parse(text, label)
    node: Any = data
    for depth, key in enumerate(keys):
        where = ".".join(keys[:depth])
        if isinstance(node, list):
            if not (key.isascii() and key.isdigit() and len(key) < 10 and int(key) < len(node)):
                raise RecipeError(_one_line(f"{label}: {where} is a list; its items are 0 to {len(node) - 1}"))
            slot: Any = int(key)
        elif isinstance(node, dict):
            slot = key
        else:
            raise RecipeError(_one_line(f"{label}: {where} is {_shorten(node)}, it has no keys of its own"))
        if depth == len(keys) - 1:
            node[slot] = value
        else:
            if isinstance(node, dict) and node.get(slot) is None:
                node[slot] = {}
            node = node[slot]
    return keys


# --- validation ----------------------------------------------------------------------------------------------------


def _validate(data: Mapping[str, Any], model: type[M], source: str, origins: Mapping[tuple[str, ...], str]) -> M:
    # Validated as strict JSON: a list may become a tuple and a string an enum, but true is no number and "3" no count.
    try:
        document = json.dumps(data)
    except (TypeError, ValueError, RecursionError) as error:
        raise RecipeError(_one_line(f"{source}: holds a value that is not plain data: {error}")) from error
    try:
        return model.model_validate_json(document, strict=True)
    except ValidationError as error:
        details = error.errors(include_url=False)
        first = min(details, key=lambda item: item["type"] != "extra_forbidden")
        more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
        raise RecipeError(_one_line(_describe(first, data, model, source, origins) + more)) from error


def _describe(
    detail: ErrorDetails,
    data: Mapping[str, Any],
    model: type[BaseModel],
    source: str,
    origins: Mapping[tuple[str, ...], str],
) -> str:
    """Say in one line which key of which file, what is wrong, what was given, what is allowed."""
    path = _key_path(detail["loc"], data, missing=detail["type"] == "missing")
    blamed = [text for keys, text in origins.items() if path and all(a == b for a, b in zip(path, keys, strict=False))]
    where = f"{blamed[-1] if blamed else source}: {'.'.join(path)}".rstrip(": ")
    if detail["type"] == "extra_forbidden":
        allowed = sorted(_field_names(model, detail["loc"][:-1]))
        return f"{where}: unknown key{_did_you_mean(path[-1], allowed)}; allowed: {', '.join(allowed) or 'none'}"
    if detail["type"] == "missing":
        return f"{where}: is missing; add it to the recipe or give --set {'.'.join(path)}=VALUE"
    if detail["type"] == "union_tag_not_found":
        return f"{where}: needs the key {detail['ctx']['discriminator']}, which says what it is"
    problem = detail["msg"].removeprefix("Value error, ").removeprefix("Input ").removeprefix("Assertion failed, ")
    problem = problem.replace("a valid array", "a list").replace("an object", "a section with keys of its own")
    hint = ""
    if detail["type"] in ("literal_error", "enum"):
        expected = re.findall(r"'([^']*)'", str(detail.get("ctx", {}).get("expected", "")))
        hint = _did_you_mean(str(detail["input"]), expected)
    given = "" if isinstance(detail["input"], dict) else f", given {_shorten(detail['input'])}"
    return f"{where}: {problem}{given}{hint}"


def _key_path(loc: Iterable[str | int], data: Any, *, missing: bool) -> tuple[str, ...]:
    """Return the keys of a pydantic location; the tags that unions put in between are left out."""
    parts = list(loc)
    path: list[str] = []
    node = data
    for position, part in enumerate(parts):
        listed = isinstance(node, list) and isinstance(part, int) and part < len(node)
        known = part in node if isinstance(node, dict) else listed
        if known:
            node = node[part]
        if known or (missing and position == len(parts) - 1):
            path.append(str(part))
    return tuple(path)


def _field_names(model: type[BaseModel], loc: Iterable[str | int]) -> set[str]:
    """Return the keys that the section at ``loc`` may have."""
    models = {model}
    for part in loc:
        annotations = [each.model_fields[str(part)].annotation for each in models if part in each.model_fields]
        inner = {sub for annotation in annotations for sub in _models_in(annotation)}
        # No key but the tag of a union, such as ``wave``: the model whose ``target`` is that.
        tagged = {each for each in models if any(field.default == part for field in each.model_fields.values())}
        models = inner or (tagged if not annotations else set()) or models
    return {field.alias or name for each in models for name, field in each.model_fields.items()}


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _did_you_mean(given: str, allowed: Sequence[str]) -> str:
    close = difflib.get_close_matches(given[:200], allowed, n=1, cutoff=0.6)
    return f", did you mean {close[0]!r}?" if close else ""


def _shorten(value: object, limit: int = 60) -> str:
    """Return a value as YAML would show it, cut to ``limit`` characters."""
    try:
        text = value if isinstance(value, str) else json.dumps(value, default=str)
    except (ValueError, RecursionError):
        text = type(value).__name__
    text = _one_line(text)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _one_line(text: str) -> str:
    """Return ``text`` without line breaks or characters that a terminal or a UTF-8 file cannot take."""
    return "".join(char if char.isprintable() else " " for char in " ".join(text.split()))
