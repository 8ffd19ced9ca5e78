"""The documents say what is there: links, pages, commands with their options, recipes, code, lines of error."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import shlex
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from tests.pages import DOCS, FENCE, ROOT, blocks

from unsilent import cli
from unsilent.cli import VERBS
from unsilent.config import recipe_names
from unsilent.errors import CheckpointError
from unsilent.media import SYNTHETIC_TAG
from unsilent.synthesis import find_model
from unsilent.training.run import KINDS, load_any_recipe

PAGES = sorted(DOCS.rglob("*.md"))
TEXTS = [ROOT / "README.md", *PAGES]
LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)")
DIRECTIVE = re.compile(r"^::: ([\w.]+)$", re.MULTILINE)


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _prose(path: Path) -> str:
    return FENCE.sub("", path.read_text(encoding="utf-8"))


def _commands(path: Path) -> Iterator[list[str]]:
    """Words after ``unsilent`` of every command in a block, and of every one in the prose that begins with it."""
    fenced = [(language, text.splitlines()) for language, text in blocks(path) if language != "python"]
    # In a transcript, lines without a prompt are what was printed; a mistyped command is answered by its next line.
    fenced = [
        (language, [line for line, after in pairwise([*lines, ""]) if not after.startswith("error: No such ")])
        for language, lines in fenced
    ]
    lines = [line for language, text in fenced for line in text if language != "console" or line.startswith("$ ")]
    lines += re.findall(r"`([^`\n]+)`", _prose(path))
    for line in lines:
        words = _split(line.strip().removeprefix("$ "))
        for launcher in (["-m", "unsilent"], ["-m", "unsilent.cli"]):
            at = next((i for i in range(len(words)) if words[i : i + 2] == launcher), None)
            if at is not None:
                words = ["unsilent", *words[at + 2 :]]
        if words and Path(words[0]).name == "unsilent" and len(words) > 1:
            yield words[1:]


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:  # prose with an apostrophe
        return []


COMMANDS = [(_name(path), words) for path in TEXTS for words in _commands(path)]


@cache
def _command(verb: str) -> Any:
    return typer.main.get_command(cli.app).resolve_command(None, [verb])[1]  # type: ignore[attr-defined]


def _is_real(word: str) -> bool:
    """A word that can be typed, not a placeholder: ``VERB``, ``...``."""
    return re.fullmatch(r"[a-z][a-z-]*", word) is not None


# --- the site ------------------------------------------------------------------------------------------------------


def _navigation() -> list[str]:
    def pages(node: Any) -> Iterator[str]:
        if isinstance(node, str):
            yield node
        else:
            for item in node if isinstance(node, list) else node.values():
                yield from pages(item)

    return list(pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))


def test_every_page_is_in_the_navigation_once_and_exists() -> None:
    assert sorted(_navigation()) == [path.relative_to(DOCS).as_posix() for path in PAGES]


@pytest.mark.parametrize("path", TEXTS, ids=_name)
def test_relative_links_lead_to_files(path: Path) -> None:
    targets = [
        link.split("#")[0] for link in LINK.findall(_prose(path)) if not link.startswith(("http", "#", "mailto"))
    ]
    missing = [target for target in targets if target and not (path.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("path", TEXTS, ids=_name)
def test_files_that_are_named_exist(path: Path) -> None:
    """`docs/x.md`, `tests/...`, `benchmarks/...`, and files at the root, in code spans."""
    spans = re.findall(r"`([\w./-]+)`", _prose(path))
    known = re.compile(r"(docs|tests|benchmarks|src|\.github|\.ci)/.+|[A-Z]+\.(md|cff)|pyproject\.toml|mkdocs\.yml")
    missing = [span for span in spans if known.fullmatch(span) and not (ROOT / span).exists()]
    assert not [span for span in missing if span != "REPORT.md"]


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_a_page_has_one_title_and_starts_with_it(path: Path) -> None:
    titles = [line for line in _prose(path).splitlines() if line.startswith("# ")]
    assert len(titles) == 1
    assert path.read_text(encoding="utf-8").startswith(titles[0])


def test_reference_pages_name_modules_that_exist() -> None:
    named = [name for path in (DOCS / "api").glob("*.md") for name in DIRECTIVE.findall(path.read_text("utf-8"))]
    assert len(named) > 20
    assert len(named) == len(set(named))
    wrong = [name for name in named if not (_is_module(name) or _is_module(name.rpartition(".")[0]))]
    assert not wrong


@pytest.mark.parametrize(
    "name",
    [
        "unsilent.models.hub.HubModel.from_pretrained",
        "unsilent.models.hub.HubModel.push_to_hub",
        "unsilent.export.export_onnx",
        "unsilent.synthesis.load",
        "unsilent.adaptation.adapt",
        "unsilent.evaluation.evaluate",
    ],
)
def test_the_reference_holds_what_programs_call(name: str) -> None:
    """Its module has a page, which shows it: it is public there, and has a docstring."""
    pages = [DIRECTIVE.findall(path.read_text("utf-8")) for path in (DOCS / "api").glob("*.md")]
    shown = [each for page in pages for each in page if name.startswith(f"{each}.") and _is_module(each)]
    module = max(shown, key=len)
    found = importlib.import_module(module)
    first, *rest = name.removeprefix(f"{module}.").split(".")
    assert first in found.__all__
    for part in (first, *rest):
        found = getattr(found, part)
    assert inspect.getdoc(found)


def _is_module(name: str) -> bool:
    place = ROOT / "src" / name.replace(".", "/")
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


def test_the_site_asks_no_other_host() -> None:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert settings["theme"]["font"] is False
    assert not {"extra_javascript", "extra_css", "extra"} & set(settings)


# --- commands ------------------------------------------------------------------------------------------------------


def test_commands_are_found_at_all() -> None:
    assert len(COMMANDS) > 60


def test_every_verb_that_is_named_exists() -> None:
    unknown = {(page, words[0]) for page, words in COMMANDS if _is_real(words[0]) and words[0] not in VERBS}
    assert not unknown


def test_every_verb_is_named_somewhere() -> None:
    assert {words[0] for _, words in COMMANDS} >= set(VERBS)


def test_sub_verbs_and_options_exist() -> None:
    wrong = []
    for page, words in COMMANDS:
        if words[0] not in VERBS:
            continue
        command, rest = _command(words[0]), words[1:]
        if hasattr(command, "commands"):
            if not rest or not _is_real(rest[0]):
                continue
            if rest[0] not in command.commands:
                wrong.append(f"{page}: unsilent {words[0]} {rest[0]}: no such sub-verb")
                continue
            command, rest = command.commands[rest[0]], rest[1:]
        known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        given = [word.strip("[]|").split("=")[0] for word in rest if re.match(r"\[?--?[a-z]", word)]
        wrong += [f"{page}: unsilent {' '.join(words)}: {name}" for name in given if name not in {*known, "--help"}]
    assert not wrong, "\n".join(wrong)


def test_recipes_in_commands_exist_and_take_the_values_that_are_set() -> None:
    tried = 0
    for _, words in COMMANDS:
        if words[0] not in ("train", "pretrain") or len(words) < 2 or words[1].startswith("-"):
            continue
        if words[1] in ("mine.yaml", "RECIPE"):
            continue
        sets = [after for word, after in pairwise(words) if word == "--set" and "=..." not in after]
        recipe = load_any_recipe(words[1], sets)  # refuses what is not valid
        assert recipe.kind.startswith("pretrain") == (words[0] == "pretrain"), words
        tried += 1
    assert tried > 15


# --- recipes -------------------------------------------------------------------------------------------------------


def test_the_page_of_recipes_has_a_row_for_each_and_no_other() -> None:
    text = (DOCS / "recipes.md").read_text(encoding="utf-8").split("## The shipped recipes")[1]
    rows = re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE)
    assert sorted(rows) == recipe_names()


def test_the_page_of_recipes_names_every_kind() -> None:
    text = (DOCS / "recipes.md").read_text(encoding="utf-8")
    assert not [kind for kind in (*KINDS, "study") if f"`{kind}`" not in text]


@pytest.mark.parametrize("path", TEXTS, ids=_name)
def test_python_compiles_and_yaml_parses(path: Path) -> None:
    for language, text in blocks(path):
        if language == "python":
            ast.parse(text, filename=_name(path))
        if language == "yaml":
            assert isinstance(yaml.safe_load(text), dict)


# --- what the pages say of the package ------------------------------------------------------------------------------


def test_ethics_names_every_shipped_model_and_its_data() -> None:
    text = (DOCS / "ethics.md").read_text(encoding="utf-8")
    assert SYNTHETIC_TAG in text
    cards = sorted((ROOT / "src" / "unsilent" / "weights").glob("*/card.json"))
    assert cards
    for card in cards:
        assert f"| `{card.parent.name}` |" in text
        for data in json.loads(card.read_text(encoding="utf-8"))["data"]:
            licence = data.rpartition(", ")[2]
            assert licence in text, f"{card.parent.name}: {licence}"


def test_cards_name_the_speech_that_was_trained_on() -> None:
    """As the shards said, not as somebody remembers."""
    checked = 0
    for path in sorted((ROOT / "src" / "unsilent" / "weights").glob("*/card.json")):
        card = json.loads(path.read_text(encoding="utf-8"))
        sources = card["trained_on"] if isinstance(card["trained_on"], list) else []
        for corpus, about in ((name, about) for source in sources for name, about in source["corpora"].items()):
            (line,) = [line for line in card["data"] if corpus in line.casefold()]
            wanted = re.sub(r"\W", "", about["licences"][0].split(" (")[0]).casefold()
            assert wanted in re.sub(r"\W", "", line).casefold(), f"{path}: {line}"
            checked += 1
    assert checked


QUOTED = re.compile(r"``(.+?)``|`([^`\n]{25,})`")
LINE = re.compile(r"([\w./ -]+: |only |\.\.\.: )")
OTHERS = ("unsilent: command not found", "error: FILE: what is wrong; what to do")
"""Lines of other programs, and the form of ours."""


def test_lines_of_error_in_troubleshooting_are_in_the_code() -> None:
    """Of every quoted line, three words in a row stand in the source: what is between names and numbers."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "src").rglob("*.py")))
    source = re.sub(r'"\s*\n\s*f?"', "", source)
    text = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    spans = [(one or other).strip() for one, other in QUOTED.findall(text)]
    lines = [span for span in spans if LINE.match(span) and span not in OTHERS]
    assert len(lines) > 20
    unknown = [line for line in lines if not any(run in source for run in _runs(line))]
    assert not unknown, "\n".join(unknown)


def test_troubleshooting_names_the_shipped_models_as_the_line_does() -> None:
    text = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    with pytest.raises(CheckpointError) as refused:
        find_model("gird")
    assert f"`error: {refused.value}`" in text


@pytest.mark.parametrize(
    "words", ["Windows", "answers 404", "speaker embedding", "stream", "74 frames", "commercially", "dataset.py"]
)
def test_troubleshooting_answers_what_users_of_other_systems_ask(words: str) -> None:
    assert words in (DOCS / "troubleshooting.md").read_text(encoding="utf-8")


def _runs(line: str) -> Iterator[str]:
    """Three words of a line in a row, if they are long enough to mean something."""
    words = line.rstrip(". ").split()
    runs = (" ".join(words[start : start + 3]) for start in range(len(words) - 2))
    return (run for run in runs if len(run) >= 14)
