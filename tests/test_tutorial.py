"""The tutorial as it is typed, on a drawn talker: clips, an adapted model, a spoken video, its figures.

Every line is the page's own. What is added behind it makes it small, or has its figures written down.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.pages import DOCS, blocks
from tests.skips import needs_synthesiser

from unsilent.cli import main
from unsilent.evaluation.metrics import estoi
from unsilent.media import is_synthetic, read_audio, read_video

FEW, STEPS = 12, 3
DRAWN = "000029.mp4"
"""The last of the page's clips, which it keeps apart."""
ADDED = {
    "talker": ["--workers", "0"],
    "adapt": ["--workers", "0", "--json", "adapted.json"],
    "evaluate": ["--workers", "0", "--json", "scores.json"],
}
QUICK = {"talker": ["--clips", str(FEW)], "adapt": ["--set", f"run.epochs={STEPS}", "--set", "data.window=25"]}
WHOLE = {"adapt": ["--hours", "2", "--set", "run.epochs=54"]}
"""As many steps as in the page's transcript, however long they take."""


def follow(changes: dict[str, list[str]]) -> list[str]:
    """Run the page's commands and code in this folder; returns the verbs, in their order."""
    done = []
    for language, text in blocks(DOCS / "tutorial.md"):
        if language == "python":
            exec(compile(text, "tutorial.md", "exec"), {})
        typed = [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]
        for words in (shlex.split(line, comments=True) for line in typed if language == "console"):
            if words[0] == "mv":
                kept = DRAWN if "talker" not in changes else f"{FEW - 1:06d}.mp4"
                Path(words[1].replace(DRAWN, kept)).rename(words[2])
                continue
            assert words[0] == "unsilent"
            assert main([*words[1:], *ADDED.get(words[1], []), *changes.get(words[1], [])]) == 0, words
            done.append(words[1])
    return done


def heard(folder: Path) -> float:
    """ESTOI of the spoken video against the clip's own sound, after what must be true of every spoken video."""
    true, spoken = (read_audio(folder / name, 24_000) for name in ("new.mp4", "spoken.mp4"))
    frames = sum(1 for _ in read_video(folder / "spoken.mp4"))
    assert frames == sum(1 for _ in read_video(folder / "new.mp4"))
    assert len(spoken) == pytest.approx(960 * frames, abs=480)
    assert float(np.sqrt(np.mean(spoken**2))) > 1e-3
    assert not np.allclose(true[: len(spoken)], spoken[: len(true)], atol=1e-2)
    assert is_synthetic(folder / "spoken.mp4")
    return estoi(true, spoken)


def figures(report: dict[str, Any], metric: str) -> dict[str, float]:
    return {system: found[metric]["mean"] for system, found in report["systems"].items()}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(QUICK, id="quick"),
        pytest.param(WHOLE, id="whole", marks=[pytest.mark.slow, pytest.mark.timeout(3600)]),
    ],
)
def test_every_command_leads_to_the_next(
    changes: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    needs_synthesiser()
    pytest.importorskip("pystoi")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNSILENT_CACHE", str(tmp_path / "cache"))
    assert follow(changes) == ["talker", "inspect", "adapt", "speak", "evaluate"]
    printed = capsys.readouterr().out

    adapted = json.loads((tmp_path / "adapted.json").read_text())
    clips = 29 if changes is WHOLE else FEW - 1  # without the one that is kept apart
    judging = max(1, clips // 10)
    assert adapted["clips"] == clips - 2 * judging
    assert set(adapted["report"]["systems"]) == {"before", "model", "vocoder", "real"}
    # It has learnt, by clips that it never learnt from.
    error = figures(adapted["report"], "mel_l1")
    assert error["real"] < error["vocoder"] < error["model"] < error["before"]

    scores = json.loads((tmp_path / "scores.json").read_text())
    card = json.loads((tmp_path / "runs" / "mine" / "run" / "best" / "card.json").read_text())
    assert [row["id"] for row in scores["clips"]] == card["judged_on"]
    assert len(card["judged_on"]) == judging
    # What is synthetic is called so all along.
    assert adapted["report"]["synthetic"] is scores["synthetic"] is True
    assert adapted["forecast"] is None
    assert "forecast: with" not in printed
    assert "no forecast" in printed
    assert "min of synthetic clips, given to" in card["data"][0]
    assert printed.count("These clips are synthetic, as their files say.") == 2
    understood = figures(scores, "estoi")
    assert understood["real"] == pytest.approx(1, abs=1e-6)
    assert understood["model"] == pytest.approx(figures(adapted["report"], "estoi")["model"], abs=1e-3)

    spoken = heard(tmp_path)
    if changes is WHOLE:
        assert spoken > 0.3
        assert understood["model"] > figures(adapted["report"], "estoi")["before"] + 0.2
    else:
        assert adapted["steps"] == STEPS
