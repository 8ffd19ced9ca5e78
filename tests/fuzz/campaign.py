"""Many damaged inputs in a row, drawn from one seed, and what came of them."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.harness import Outcome, Worker
from tests.fuzz.mutations import mutate_bytes, mutate_json, mutate_text
from tests.fuzz.seeds import Seed, make_seeds

from unsilent.files import sha256_file
from unsilent.models.pretrained import CARD, WEIGHTS

__all__ = ["Campaign", "Summary"]

TEXT = (".yaml", ".yml", ".align", ".txt", ".tsv", ".jsonl", ".csv")


@dataclass
class Summary:
    """Outcomes of one kind of input."""

    verdicts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    """Processor time of the slowest."""
    memory: int = 0
    """Bytes of the one that took most."""

    @property
    def count(self) -> int:
        """Inputs tried."""
        return sum(self.verdicts.values())

    def add(self, outcome: Outcome) -> None:
        """Count one."""
        self.verdicts[outcome.verdict if outcome.survived else "failed"] += 1
        self.seconds, self.memory = max(self.seconds, outcome.seconds), max(self.memory, outcome.memory)


class Campaign:
    """Damages good inputs and runs them.

    Args:
        folder: empty; for inputs and outputs.
        seed: of everything that is drawn.
        keep: where inputs that failed are copied to.
    """

    def __init__(self, folder: Path, seed: int, keep: Path | None = None) -> None:
        self._folder, self._seed, self._keep = folder, seed, keep
        self._seeds = make_seeds(folder / "seeds")
        self._shared = [seed.path for kind in self._seeds.values() for seed in kind if seed.path.is_file()]
        self.summaries: dict[str, Summary] = defaultdict(Summary)
        self.failures: list[tuple[Path, Outcome]] = []

    def run(self, kinds: list[str], worker: Worker) -> Iterator[Outcome]:
        """Yield outcomes for ever, kind after kind; each good input of a kind in turn."""
        number = 0
        while True:
            for kind in kinds:
                seeds = self._seeds[kind]
                yield self._one(kind, seeds[number % len(seeds)], number, worker)
            number += 1

    def whole(self, worker: Worker) -> Iterator[tuple[Seed, Outcome]]:
        """Yield every good input with its outcome: they must be read."""
        for kind in self._seeds.values():
            for seed in kind:
                yield seed, worker.run(seed.entry, seed.path, self._folder / "output")

    def _one(self, kind: str, seed: Seed, number: int, worker: Worker) -> Outcome:
        rng = random.Random(f"{self._seed}/{kind}/{number}")
        given = self._folder / "given" / seed.path.name
        shutil.rmtree(given.parent, ignore_errors=True)
        given.parent.mkdir(parents=True)
        if seed.path.is_dir():
            shutil.copytree(seed.path, given)
            self._damage_folder(given, rng)
        else:
            given.write_bytes(self._damaged(seed.path, rng))
        outcome = worker.run(seed.entry, given, self._folder / "output")
        self.summaries[kind].add(outcome)
        if not outcome.survived:
            self._save(kind, number, given, outcome)
        return outcome

    def _damage_folder(self, folder: Path, rng: random.Random) -> None:
        victim = rng.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
        fault = rng.random()
        if fault < 0.03:
            victim.unlink()
        elif fault < 0.06:
            victim.unlink()
            victim.mkdir()
        else:
            victim.write_bytes(self._damaged(victim, rng))
        # Whoever wants to harm writes a card that fits the weights.
        if victim.name == WEIGHTS and victim.is_file() and rng.random() < 0.8:
            card = json.loads((folder / CARD).read_text())
            (folder / CARD).write_text(json.dumps({**card, "sha256": sha256_file(victim)}))

    def _damaged(self, path: Path, rng: random.Random) -> bytes:
        data = path.read_bytes()
        if path.suffix == ".json":
            return mutate_json(data.decode(), rng)
        if path.suffix in TEXT:
            return mutate_text(data.decode(), rng)
        return mutate_bytes(data, rng.choice(self._shared).read_bytes(), rng)

    def _save(self, kind: str, number: int, given: Path, outcome: Outcome) -> None:
        if self._keep is None:
            self.failures.append((given, outcome))
            return
        place = self._keep / f"{kind}-{self._seed}-{number}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        target = place / given.name
        if given.is_dir():
            shutil.copytree(given, target)
        else:
            shutil.copy(given, target)
        (place / "outcome.txt").write_text(f"{outcome.entry}: {outcome.verdict}: {outcome.detail}\n")
        self.failures.append((target, outcome))
