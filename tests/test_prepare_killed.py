"""Preparing that is killed at any moment goes on with the same command, to the same shards, and leaves no rubbish."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from tests.kills import Runs, Straight
from tests.speech_sounds import save, speech
from tests.test_prepare import film, portrait, tone

pytest.importorskip("resource", reason="the platform has no SIGKILL")

QUICK = 3
MOMENTS = [
    pytest.param("clips" if number < QUICK else ("clips", "speech", "two processes")[number % 3], number,
                 id=str(number), marks=() if number < QUICK else pytest.mark.slow)
    for number in range(20)
]  # fmt: skip


def clips(folder: Path) -> Path:
    """Seven clips, one of which has no sound and is dropped."""
    for number in range(7):
        sound = None if number == 3 else (0.5 + 0.05 * number) * tone(0.32)
        film(folder / f"clip{number}.mkv", portrait(), sound)
    return folder


def voices(folder: Path) -> Path:
    for number in range(6):
        save(folder / f"{number}.wav", speech(-0.4, 2.0, -0.4, seed=number))
    return folder


def small_shards() -> None:
    """Close a shard after two clips or recordings."""
    from unsilent.prepare import prepare_corpus
    from unsilent.prepare_speech import prepare_speech

    for function, size in ((prepare_corpus, 50_000), (prepare_speech, 100_000)):
        assert function.__kwdefaults__ is not None
        function.__kwdefaults__["shard_bytes"] = size


def of_clips(root: Path, workers: int, out: Path) -> list[str]:
    return ["prepare", "folder", str(root), str(out), "--workers", str(workers), "-q"]


def of_speech(root: Path, out: Path) -> list[str]:
    return ["prepare", "speech", str(root), str(out), "--workers", "0", "--hold-out", "none", "-q"]


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Straight]:
    """The undisturbed run of a kind, made when it is first asked for."""
    made: dict[str, Straight] = {}

    def get(kind: str) -> Straight:
        if kind not in made:
            folder = tmp_path_factory.mktemp("straight")
            if kind == "speech":
                command = partial(of_speech, voices(folder / "voices"))
            else:
                command = partial(of_clips, clips(folder / "clips"), 2 if kind == "two processes" else 0)
            runs = Runs(command, folder, setup=small_shards)
            ended = runs.run(folder / "out")
            assert ended.code == 0, ended.said
            assert len(list((folder / "out").glob("*.parquet"))) >= 3
            made[kind] = Straight(runs, folder / "out", ended)
        return made[kind]

    return get


def results(folder: Path) -> dict[str, bytes]:
    """Shards and manifest; the records of a shard are found again from its rows if they are lost."""
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: data for name, data in found.items() if not name.startswith(("records/clips-", "records/speech-"))}


@pytest.mark.parametrize(("kind", "number"), MOMENTS)
def test_killed_at_a_random_moment(kind: str, number: int, straight: Callable[[str], Straight], tmp_path: Path) -> None:
    reference, out = straight(kind), tmp_path / "out"
    ended = reference.runs.killed(out, reference.ended, number)
    assert ended.code == -9, ended.said
    ended = reference.runs.run(out)
    assert ended.code == 0, ended.said
    assert results(out) == results(reference.folder)
