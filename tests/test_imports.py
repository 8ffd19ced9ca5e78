"""The rooms of the package: who may import whom. Read off the source, so that imports inside functions count too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "unsilent"

ROOMS = [
    "_version",
    "errors",
    "files",
    "config",
    "marks",
    "workers",
    "nn",
    "features",
    "media",
    "face",
    "listening",
    "corpora",
    "shards",
    "ledger",
    "prepare",
    "prepare_speech",
    "models",
    "export",
    "synthesis",
    "training",
    "evaluation",
    "study",
    "adaptation",
    "demonstration",
    "benchmarks",
    "web",
    "cli",
    "__main__",
]
"""Each may import those before it. The package itself, ``unsilent``, hands on `synthesis` and is used by `cli`."""

NEVER = {
    "nn": set(ROOMS),
    "face": {"media", "features", "nn"},
    "media": {"features", "nn", "workers"},
    "features": {"nn", "files", "workers"},
    "models": {"media", "face", "listening", "corpora", "shards", "ledger", "prepare", "prepare_speech"},
    "export": {"media", "face", "corpora", "shards", "prepare"},
    "synthesis": {"listening", "corpora", "shards", "ledger", "prepare", "prepare_speech"},
    "training": {"face", "prepare", "prepare_speech", "export", "synthesis"},
    "evaluation": {"models", "synthesis", "training"},
    "web": {"study", "adaptation", "benchmarks", "corpora", "evaluation"},
}
"""What a room must do without although it comes before it."""

OWNERS = {
    "accelerate": {"training"},
    "ai_edge_litert": {"face"},
    "av": {"media", "corpora.talker", "synthesis"},
    "datasets": {"corpora"},
    "fsspec": {"files"},
    "gradio": {"web"},
    "huggingface_hub": {"models"},
    "lhotse": {"corpora"},
    "matplotlib": {"face", "study", "training"},
    "onnx": {"export"},
    "pyarrow": {"benchmarks", "corpora", "shards"},
    "ray": {"workers"},
    "rich": {"cli"},
    "safetensors": {"models", "training"},
    "typer": {"cli"},
}
"""The only rooms that know a package of others."""

WITHOUT_TORCH = {"errors", "files", "config", "workers", "media", "face", "listening", "corpora", "shards", "ledger"}
HEAVY = {"torch", "numpy", "av", "cv2", "scipy", "pyarrow", "matplotlib", "accelerate", "gradio", "pydantic", "yaml"}
LIGHT_ROOMS = {"_version", "errors", "files", "cli"}


def _modules() -> dict[str, Path]:
    names = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        names[".".join(("unsilent", *(parts[:-1] if parts[-1] == "__init__" else parts)))] = path
    return names


MODULES = _modules()


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else "unsilent"


def _named(node: ast.AST) -> list[str]:
    """Modules that an import statement names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "relative imports hide where they lead"
        assert node.module is not None
        inside = [f"{node.module}.{alias.name}" for alias in node.names]
        return [name if name in MODULES else node.module for name in inside]
    return []


@cache
def _imports(path: Path) -> list[tuple[str, int]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [(name, getattr(node, "lineno", 0)) for node in ast.walk(tree) for name in _named(node)]


def _on_loading(statements: list[ast.stmt]) -> Iterator[tuple[str, int]]:
    """Imports that run when the module is loaded: outside functions and ``if TYPE_CHECKING``."""
    for node in statements:
        if isinstance(node, ast.If | ast.Try | ast.With | ast.ClassDef):
            if not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
                yield from _on_loading(node.body)
        else:
            yield from ((name, node.lineno) for name in _named(node))


def _belongs(module: str, owners: set[str]) -> bool:
    inside = module.removeprefix("unsilent.")
    return any(inside == owner or inside.startswith(f"{owner}.") for owner in owners)


def test_every_room_is_in_the_list() -> None:
    assert {_room(name) for name in MODULES} - {"unsilent"} == set(ROOMS)


def test_imports_lead_to_rooms_before() -> None:
    wrong = []
    for module, path in MODULES.items():
        room = _room(module)
        for name, line in _imports(path):
            other = _room(name)
            if not name.startswith("unsilent.") or other == room:
                continue
            allowed = {"_version", "synthesis"} if room == "unsilent" else set(ROOMS[: ROOMS.index(room)])
            if other not in allowed - NEVER.get(room, set()):
                wrong.append(f"{path.relative_to(PACKAGE)}:{line}: {room} imports {name}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("package", sorted(OWNERS))
def test_packages_of_others_stay_in_their_rooms(package: str) -> None:
    users = {module: line for module, path in MODULES.items() for name, line in _imports(path) if _top(name) == package}
    assert users, f"nothing imports {package} any more: take it off the list"
    strangers = [f"{module}:{line}" for module, line in users.items() if not _belongs(module, OWNERS[package])]
    assert not strangers, f"{package} is imported outside of {OWNERS[package]}: {', '.join(strangers)}"


def _top(name: str) -> str:
    return name.split(".")[0]


def test_torch_stays_out_of_what_reads_files() -> None:
    users = [
        f"{module}:{line}"
        for module, path in MODULES.items()
        if _room(module) in WITHOUT_TORCH
        for name, line in _imports(path)
        if _top(name) == "torch"
    ]
    assert not users


def test_the_command_line_loads_nothing_heavy() -> None:
    """`unsilent --help` and every message about a mistake must not wait for torch."""
    slow = []
    for module, path in MODULES.items():
        if _room(module) not in LIGHT_ROOMS:
            continue
        for name, line in _on_loading(ast.parse(path.read_text(encoding="utf-8")).body):
            if _top(name) in HEAVY or (_top(name) == "unsilent" and _room(name) not in LIGHT_ROOMS):
                slow.append(f"{path.relative_to(PACKAGE)}:{line}: {name}")
    assert not slow, "\n".join(slow)


def test_the_page_about_architecture_names_every_room() -> None:
    text = (PACKAGE.parent.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = [line for line in text.split("## Rooms")[1].split("##")[0].splitlines() if line.startswith("| `")]
    named = [name for line in rows for name in line.split("|")[1].replace("`", "").split()]
    assert sorted(named) == sorted(set(ROOMS) - {"__main__"})
    assert [room for room in ROOMS if room in named] == named, "the rooms of the page are in another order"
