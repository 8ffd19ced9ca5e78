"""Damaged inputs are refused in a line or read as far as they go; what watches over them sees every fault."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="the platform cannot limit memory")

from tests.fuzz.campaign import Campaign
from tests.fuzz.harness import Worker
from tests.fuzz.mutations import mutate_bytes, mutate_json, mutate_text
from tests.fuzz.seeds import KINDS

INPUTS = 200


@pytest.fixture(scope="module")
def campaign(playground: Path) -> Campaign:
    return Campaign(playground, seed=0)


def test_good_inputs_are_read(campaign: Campaign, worker: Worker) -> None:
    outcomes = {str(seed.path): outcome for seed, outcome in campaign.whole(worker)}
    assert len(outcomes) > 40
    assert {path: outcome for path, outcome in outcomes.items() if outcome.verdict != "read"} == {}


def test_damaged_inputs_are_survived(campaign: Campaign, worker: Worker) -> None:
    outcomes = list(islice(campaign.run(list(KINDS), worker), INPUTS))
    assert [outcome for outcome in outcomes if not outcome.survived] == []
    assert sum(outcome.verdict == "refused" for outcome in outcomes) > INPUTS / 4
    assert set(campaign.summaries) == set(KINDS)


def test_damage_is_drawn_from_the_seed_and_is_damage() -> None:
    good, other = bytes(range(256)) * 4, b"other" * 50
    text = "a: 1\nb: [2, 3]\nc: {d: e}\n"
    made = [
        [
            (mutate_bytes(good, other, rng), mutate_text(text, rng), mutate_json('{"a": [1, {"b": 2}]}', rng))
            for rng in map(random.Random, range(100))
        ]
        for _ in range(2)
    ]
    assert made[0] == made[1]
    assert sum(changed != good for changed, _, _ in made[0]) > 90
    assert len({edited for _, edited, _ in made[0]}) > 80


@pytest.mark.parametrize(
    ("entry", "verdict", "detail"),
    [
        ("_refuse", "refused", "copy it again"),
        ("_write", "read", ""),
        ("_raise", "KeyError", "faulty.py"),
        ("_refuse_without_a_word", "unclear message", ""),
        ("_write_beside", "did more than read", "beside"),
        ("_write_as_a_library", "wrote outside", "library.png"),
        ("_hang", "hang", "on the clock"),
        ("_spin", "hang", " s"),
        ("_die", "died", "139"),
        ("_fill", "memory", "GB"),
        ("_command", "did more than read", "subprocess"),
        ("_connect", "did more than read", "127.0.0.1"),
        ("_unpickle", "did more than read", "pickle"),
    ],
)
def test_every_fault_is_seen(entry: str, verdict: str, detail: str, strict: Worker, tmp_path: Path) -> None:
    outcome = strict.run(entry, tmp_path / "given", tmp_path / "output")
    assert outcome.verdict == verdict
    assert detail in outcome.detail
    assert outcome.survived == (verdict in ("read", "refused"))
    # What an input ends is replaced for the next.
    assert strict.run("_write", tmp_path / "given", tmp_path / "output").verdict == "read"


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Worker]:
    with Worker(tmp_path, "tests.fuzz.faulty", seconds=2.0, memory=600_000_000) as running:
        yield running
