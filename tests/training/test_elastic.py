"""One of two processes is killed: `torchrun` starts both again, and the run ends with an undisturbed run's weights."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.training.small import train_recipe
from tests.training.test_killed import check_same_end

REPOSITORY = Path(__file__).resolve().parents[2]
SLURM = REPOSITORY / "docs" / "slurm.sh"
FRESH_STORE = "TORCH_DISABLE_SHARE_RDZV_TCP_STORE"
"""Without it, processes that are started again may find the addresses of the dead ones, and fail once more."""
ENVIRONMENT = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", FRESH_STORE: "1"}


def trained(folder: Path, recipe: Path, killed: str) -> Path:
    """Train with two processes on a CPU, one of which dies at the first checkpoint."""
    output = folder / f"killed-{killed}"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=2"]
    ended = subprocess.run(
        [*command, str(REPOSITORY / "tests/training/elastic.py"), killed, str(recipe), str(output)],
        cwd=REPOSITORY,
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    return output


def attempts(output: Path) -> dict[str, str]:
    """The checkpoints that each process of each attempt found when it began."""
    found = output.parent.glob(f"{output.name}-*.began")
    return {path.stem.removeprefix(f"{output.name}-"): path.read_text() for path in found}


@pytest.mark.slow  # eight interpreters import torch
@pytest.mark.timeout(1800)
@pytest.mark.skipif(sys.platform != "linux", reason="the loopback device has another name")
def test_all_go_on_from_the_last_checkpoint_to_the_same_weights(shards: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.json"
    changes = {"checkpoint_minutes": 0, "epochs": 4, "validate_every": 2}
    recipe.write_text(train_recipe(shards, run=changes).model_dump_json())
    straight = trained(tmp_path, recipe, "none")
    assert attempts(straight) == {"0-0": "", "0-1": ""}
    disturbed = trained(tmp_path, recipe, "1")
    began = attempts(disturbed)
    assert began.keys() == {"0-0", "0-1", "1-0", "1-1"}, "torchrun has to start both again, once"
    assert began["1-0"].startswith("step-"), "the second attempt has to begin with the checkpoints of the first"
    assert began["1-0"] == began["1-1"]
    check_same_end(disturbed, straight)


def test_slurm_script_starts_torchrun_on_every_machine(tmp_path: Path) -> None:
    assert subprocess.run(["bash", "-n", str(SLURM)], check=False).returncode == 0
    said = f'echo "$OMP_NUM_THREADS" "${FRESH_STORE}" "$@"'
    for name, body in {"scontrol": "echo first; echo second", "srun": said}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    slurm = {"SLURM_JOB_NODELIST": "x", "SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_ID": "7", "SLURM_GPUS_ON_NODE": "4"}
    environment = {**os.environ, **slurm, "SLURM_CPUS_PER_TASK": "64", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ended = subprocess.run(
        ["bash", str(SLURM), "paper-l", "-o", "a folder"], env=environment, capture_output=True, text=True, check=True
    )
    assert ended.stdout.split()[:3] == ["16", "1", "--kill-on-bad-exit=1"]
    wanted = (
        "--nnodes=2 --nproc-per-node=4 --max-restarts=3 --rdzv-id=7 --rdzv-backend=c10d --rdzv-endpoint=first:29400"
    )
    assert wanted in ended.stdout
    assert ended.stdout.rstrip().endswith("-m unsilent train paper-l -o a folder")
    assert subprocess.run(["bash", str(SLURM)], env=environment, capture_output=True, check=False).returncode == 2
