from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY
from tests.skips import expected, explained

BROWSER, EXTRAS = "UNSILENT_BROWSER", "UNSILENT_EXTRAS"


def _run(folder: Path, body: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text("from tests.conftest import pytest_addoption, pytest_configure\n")
    (folder / "test_it.py").write_text(f"import pytest\n\n{body}\n\ndef test_more():\n    pass\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), *arguments]
    environment = {name: value for name, value in os.environ.items() if name not in (BROWSER, EXTRAS)} | settings
    return subprocess.run(
        [*command, str(folder)],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("body", "arguments", "code", "said"),
    [
        ("def test_it():\n    pytest.skip('no reason')", ["--strict-skips"], 1, "NOT EXPECTED"),
        ("def test_it():\n    pytest.skip('no reason')", [], 0, "NOT EXPECTED"),
        ("pytest.importorskip('not_a_module_of_anyone')", ["--strict-skips"], 1, "NOT EXPECTED"),
        ("def test_it():\n    pytest.skip('needs Chromium')", ["--strict-skips"], 0, "the browser is the system's"),
    ],
)
def test_only_expected_skips_pass(tmp_path: Path, body: str, arguments: list[str], code: int, said: str) -> None:
    done = _run(tmp_path, body, *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stdout


def test_where_a_browser_is_needed_its_absence_is_not_expected(tmp_path: Path) -> None:
    body = "def test_it():\n    pytest.skip('needs Chromium: apt-get install chromium')"
    done = _run(tmp_path, body, "--strict-skips", **{BROWSER: "needed"})
    assert done.returncode == 1, done.stdout + done.stderr
    assert "NOT EXPECTED" in done.stdout


@pytest.mark.parametrize(
    ("browser", "asked", "code", "told"),
    [(None, "needed", 1, None), (None, None, 0, ""), ("google-chrome", None, 0, "needed")],
)
def test_continuous_integration_says_where_there_is_no_browser(
    browser: str | None, asked: str | None, code: int, told: str | None, tmp_path: Path
) -> None:
    """With nothing but what it is made of on the path, and a `make` that says what it is asked for."""
    bash = shutil.which("bash")
    if os.name == "nt" or bash is None:
        pytest.skip("needs bash and symbolic links, which are not on this system")
    scripts = {
        "make": 'echo "made $1, browser $UNSILENT_BROWSER"',
        "id": "echo 1000",
        **({browser: ""} if browser else {}),
    }
    for name, body in scripts.items():
        (tmp_path / name).write_text(f"#!{bash}\n{body}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "dirname").symlink_to(str(shutil.which("dirname")))
    environment = {"PATH": str(tmp_path), **({BROWSER: asked} if asked else {})}
    command = [bash, str(REPOSITORY / ".ci" / "run")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    made = [f"made {what}, browser {told}" for what in ("lint", "test")]
    assert done.stdout.splitlines() == (made if code == 0 else [])
    assert ("chromium" in done.stderr.lower()) == (browser is None)


@pytest.mark.parametrize("reason", ["needs ray", "needs the package 's3fs'", "could not import 'moto'"])
def test_where_a_cluster_is_needed_its_absence_is_not_expected(reason: str) -> None:
    assert explained(reason, expected({})) is not None
    assert explained(reason, expected({"UNSILENT_CLUSTER": "needed"})) is None


def test_a_missing_metric_is_not_expected() -> None:
    usual = expected({})
    assert explained("could not import 'pesq': No module named 'pesq'", usual) is None
    assert explained("needs the real recordings of ../shared/data", usual) is not None


@pytest.mark.parametrize(
    "reason",
    [
        "could not import 'pesq': No module named 'pesq'",
        "needs the synthesiser: pip install hibari-tts",
        "onnxruntime cannot be imported (No module named 'onnxruntime'); pip install 'unsilent[eval]'",
        "stoi is not installed",
    ],
)
def test_what_extras_bring_may_be_missing_where_they_are_left_out(reason: str) -> None:
    assert explained(reason, expected({})) is None
    assert explained(reason, expected({EXTRAS: "none"})) is not None
    assert explained("no reason", expected({EXTRAS: "none"})) is None
