from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Annotated

import pytest
import typer

from unsilent import cli
from unsilent._version import __version__
from unsilent.cli import VERBS, main
from unsilent.cli.common import JsonOption, QuietOption, emit_json, is_quiet, report
from unsilent.errors import MediaError

HEAVY = ("torch", "av", "cv2", "pyarrow", "matplotlib", "accelerate", "ai_edge_litert", "scipy", "pydantic", "numpy")


def _run(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "unsilent.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def single(
    path: Annotated[Path, typer.Argument(help="A file.")],
    count: Annotated[int, typer.Option("--count", help="A number.")] = 1,
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Do what the path says."""
    match path.name:
        case "user":
            raise MediaError("clip.mp4: no\nvideo \x1b[31mstream")
        case "defect":
            raise ZeroDivisionError("defect")
        case "interrupt":
            raise KeyboardInterrupt
        case "pipe":
            raise BrokenPipeError(32, "Broken pipe")
        case "warn":
            logging.getLogger("unsilent.face").warning("3 frames [bold] without a face")
            logging.getLogger("unsilent.face").info("note")
            logging.getLogger("unsilent.face").debug("detail")
    report(json_to).print(f"path {path} count {count} quiet {is_quiet()}")
    emit_json({"path": path, "count": count}, json_to)


@pytest.fixture(autouse=True)
def _verbs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    one = ModuleType("unsilent.cli.single")
    one.__dict__["single"] = single
    group = ModuleType("unsilent.cli.many")
    sub = typer.Typer(help="Many things.")
    sub.command(name="single")(single)
    group.__dict__["app"] = sub
    monkeypatch.setitem(sys.modules, one.__name__, one)
    monkeypatch.setitem(sys.modules, group.__name__, group)
    monkeypatch.setitem(VERBS, "single", "One thing.")
    monkeypatch.setitem(VERBS, "many", "Many things.")
    yield
    assert not logging.getLogger("unsilent").handlers


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    captured = capsys.readouterr()
    for verb, summary in VERBS.items():
        assert verb in captured.out
        assert summary in captured.out
    assert captured.err == ""


def test_nothing_given_shows_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "speak" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"unsilent {__version__}\n"


def test_verb_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["single", "here", "--count", "3"]) == 0
    assert capsys.readouterr().out == "path here count 3 quiet False\n"


def test_sub_verb_runs_although_it_is_the_only_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["many", "single", "here"]) == 0
    assert capsys.readouterr().out == "path here count 1 quiet False\n"
    assert main(["many", "--help"]) == 0
    assert "Do what the path says." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words", "where"),
    [
        (["nonsense"], "No such command 'nonsense'", "unsilent"),
        (["sngle"], "Did you mean 'single'", "unsilent"),
        (["--nonsense"], "No such option: --nonsense", "unsilent"),
        (["single"], "Missing argument 'path'", "unsilent single"),
        (["single", "x", "y"], "unexpected extra argument", "unsilent single"),
        (["single", "x", "--cuont", "1"], "--count", "unsilent single"),
        (["single", "x", "--count", "many"], "valid integer", "unsilent single"),
        (["single", "x", "--count"], "requires an argument", "unsilent"),
        (["many"], "Missing command", "unsilent many"),
        (["many", "none"], "No such command 'none'", "unsilent many"),
    ],
)
def test_wrong_usage_is_one_line_and_a_hint(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str, where: str
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    error, hint = captured.err.splitlines()
    assert error.startswith("error: ")
    assert words in error
    assert hint.startswith(f"hint: {where} --help")
    assert captured.out == ""


def test_users_mistake_is_one_line_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["single", "user"]) == 2
    assert capsys.readouterr().err == "error: clip.mp4: no video  [31mstream\n"


def test_defect_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError, match="defect"):
        main(["single", "defect"])


def test_interrupt(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["single", "interrupt"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_reader_that_goes_away_is_no_error() -> None:
    command = [sys.executable, "-c", "from unsilent.cli import main; import sys; sys.exit(main(['--help']))"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 1


def test_json_on_standard_output_stands_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["single", "here", "--json", "-"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"path": "here", "count": 1}
    assert captured.err == "path here count 1 quiet False\n"


def test_json_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["single", "here", "--json", str(tmp_path / "new" / "out.json")]) == 0
    assert json.loads((tmp_path / "new" / "out.json").read_text()) == {"path": "here", "count": 1}
    assert main(["single", "here", "--json", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_log_records_are_shown_and_quiet_hides_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["single", "warn"]) == 0
    assert capsys.readouterr().err == "warning: 3 frames [bold] without a face\nnote\n"
    assert main(["single", "warn", "--quiet"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "quiet True" in captured.out
    assert main(["single", "here"]) == 0
    assert "quiet False" in capsys.readouterr().out


def test_name_that_is_no_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["single", "clip-\udcff.mp4", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["path"] == "clip-\udcff.mp4"


def test_exit_codes_of_the_process() -> None:
    assert _run("--version").stdout == f"unsilent {__version__}\n"
    wrong = _run("nonsense")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: ")
    assert "Traceback" not in wrong.stderr


def test_help_imports_neither_a_verb_nor_anything_heavy() -> None:
    script = "import sys; from unsilent.cli import main; main(['--help']); sys.stderr.write('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stderr.split())
    assert "unsilent.cli.common" in loaded
    assert loaded.isdisjoint(HEAVY)
    assert loaded.isdisjoint(f"unsilent.cli.{verb}" for verb in VERBS)


REAL_VERBS = [verb for verb in VERBS if verb not in ("single", "many")]


@pytest.mark.parametrize("verb", REAL_VERBS)
def test_every_verb_has_help_with_the_common_options(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    assert "Usage: unsilent" in capsys.readouterr().out
    command = cli._load(verb)
    for each in getattr(command, "commands", {verb: command}).values():
        options = {name for parameter in each.params for name in parameter.opts}
        assert {"--json", "--quiet"} <= options, each.name
        assert each.help, each.name


def test_verbs_import_nothing_heavy_before_they_run() -> None:
    imports = ", ".join(f"unsilent.cli.{verb}" for verb in REAL_VERBS)
    script = f"import sys, {imports}; sys.stderr.write('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert set(done.stderr.split()).isdisjoint(HEAVY)
