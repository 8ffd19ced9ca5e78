"""Shared fixtures; one thread and fixed seeds for every test."""

from __future__ import annotations

import os
import random
from pathlib import Path

# Before numpy and torch are imported: tests may share the machine, and one thread makes sums reproducible.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
# matplotlib must not look for a display, and rich must not colour what a test reads.
os.environ["MPLBACKEND"] = "Agg"
os.environ.pop("FORCE_COLOR", None)
os.environ.pop("COLUMNS", None)

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from tests.skips import Skips

REPOSITORY = Path(__file__).resolve().parent.parent

settings.register_profile("ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("wild", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--strict-skips", action="store_true", help="fail if a test is skipped for no expected reason")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Skips(strict=config.getoption("--strict-skips")), "skips")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real recordings beside the repository; the test skips where it is absent."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the real recordings of ../shared/data")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeds() -> None:
    import torch

    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
