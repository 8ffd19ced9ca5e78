from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY
from tests.skips import explained


def _run(folder: Path, body: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text("from tests.conftest import pytest_addoption, pytest_configure\n")
    (folder / "test_it.py").write_text(f"import pytest\n\n{body}\n\ndef test_more():\n    pass\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), *arguments]
    return subprocess.run(
        [*command, str(folder)], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
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


def test_a_missing_metric_is_not_expected() -> None:
    assert explained("could not import 'pesq': No module named 'pesq'") is None
    assert explained("needs the real recordings of ../shared/data") is not None
