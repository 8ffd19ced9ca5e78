"""The tests themselves can be collected where the core alone is installed, as continuous integration does elsewhere."""

from __future__ import annotations

import subprocess
import sys

import yaml
from tests.conftest import REPOSITORY
from tests.core import INSTALLED, distributions, hidden


def test_what_the_core_brings_is_not_hidden() -> None:
    kept = distributions(INSTALLED)
    assert {"torch", "numpy", "av", "rich", "hypothesis", "pytest"} <= kept
    assert kept.isdisjoint({"gradio", "pystoi", "onnxruntime", "hibari-tts", "mypy"})
    assert hidden().isdisjoint({"torch", "numpy", "av", "rich", "hypothesis", "pytest", "unsilent"})


def test_the_workflow_installs_what_is_kept_here_and_then_runs_the_demo() -> None:
    workflow = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    typed = [step["run"] for step in workflow["jobs"]["platforms"]["steps"] if "run" in step]
    tests = typed.index('python -m pytest -m "not slow" -rs')
    assert typed[tests - 1] == f"python -m pip install -e . {' '.join(INSTALLED[1:])}"
    assert typed[tests + 1 :] == ['python -m pip install -e ".[demo]"', "python -m unsilent demo"]


def test_every_module_is_collected_without_the_extras() -> None:
    """About twenty seconds: every module is imported."""
    command = [sys.executable, "-m", "tests.core", "--collect-only", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    assert "tests collected" in done.stdout
