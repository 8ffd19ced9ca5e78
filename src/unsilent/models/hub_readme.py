"""README.md of a model folder: what the hub shows, filled from the card."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["readme"]

LICENCES = {
    "apache-2.0": "apache-2.0",
    "mit": "mit",
    "cc0-1.0": "cc0-1.0",
    "cc-by-4.0": "cc-by-4.0",
    "cc by 4.0": "cc-by-4.0",
    "cc-by-sa-4.0": "cc-by-sa-4.0",
    "cc by-sa 4.0": "cc-by-sa-4.0",
}
"""The hub's names of licences, by how ours begin."""
SYNTHETIC = (
    "**The speech that this model makes is synthetic.** Its words are guessed from moving lips and may be wrong; "
    "the voice need not be the speaker's. Say so wherever it is heard, and use it only on videos of people who agreed. "
    "Files written by `unsilent` carry a tag that says it."
)
MEL_UNITS = {"sample_rate": "Hz", "f_min": "Hz", "f_max": "Hz", "frame_rate": "video frames/s"}


def readme(card: dict[str, Any], *, repo_id: str | None = None, title: str | None = None, vocoder: bool = False) -> str:
    """The README of a card.

    Args:
        card: of a reconstructor or a vocoder.
        repo_id: what to write into the example.
        title: the card's name by default.
        vocoder: whether a vocoder lies in ``vocoder/``.
    """
    name = title or str(card.get("name") or "unsilent model")
    reads = card["config"].get("kind") == "reconstructor"
    sections = [
        _front(card),
        f"# {_plain(name)}",
        _what(card, reads),
        SYNTHETIC,
        "## How to use\n\n" + _usage(repo_id or "user/model", reads, vocoder),
        _limits(card),
        _training(card),
        _measures(card),
        _mel(card),
        f"Weights: `model.safetensors`, SHA-256 `{card.get('sha256')}`. `card.json` holds all of this, and the recipe.",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _front(card: dict[str, Any]) -> str:
    licence = str(card.get("licence", "")).lower()
    known = next((tag for begin, tag in LICENCES.items() if licence.startswith(begin)), None)
    lines = (
        [f"license: {known}"]
        if known
        else ["license: other", f"license_name: {json.dumps(_plain(licence) or 'unknown')}"]
    )
    kind = str(card["config"].get("kind"))
    tags = ["unsilent", "model_hub_mixin", "speech-synthesis", "vocoder" if "vocoder" in kind else "lip-reading"]
    return "\n".join(["---", *lines, "library_name: unsilent", "tags:", *(f"- {tag}" for tag in tags), "---"])


def _what(card: dict[str, Any], reads: bool) -> str:
    kind = "Silent video of a talking person to speech" if reads else "Log-mel spectrogram to speech"
    size = f", {card['parameters'] / 1e6:.1f} million parameters" if card.get("parameters") else ""
    return f"{kind}{size}, for [unsilent](https://pypi.org/project/unsilent/)."


def _usage(repo_id: str, reads: bool, vocoder: bool) -> str:
    if not reads:
        return f'```python\nfrom unsilent.models import Vocoder\n\nvocoder = Vocoder.from_pretrained("{repo_id}")\n```'
    heard = "its own vocoder, in `vocoder/`" if vocoder else "the vocoder that comes with unsilent"
    return (
        f"```\nunsilent speak silent.mp4 --model {repo_id}\n```\n\n```python\nimport unsilent\n\n"
        f'unsilent.load("{repo_id}").speak("silent.mp4").save("spoken.mp4")\n```\n\nIt is heard through {heard}.'
    )


def _limits(card: dict[str, Any]) -> str:
    return f"## Limits\n\n{_plain(card['limits'])}." if card.get("limits") else ""


def _training(card: dict[str, Any]) -> str:
    lines = [f"- data: {_plain(item)}" for item in _listed(card.get("data"))]
    if card.get("trained_on"):
        lines.append(f"- trained on: `{_inline(card['trained_on'])}`")
    if card.get("step") is not None:
        lines.append(f"- steps: {card['step']}")
    lines.append(f"- licence: {_plain(card.get('licence') or 'not stated')}")
    return "## Training\n\n" + "\n".join(lines)


def _measures(card: dict[str, Any]) -> str:
    parts = []
    measured = card.get("measured")
    if isinstance(measured, dict):
        rows = [
            f"| {_plain(name)} | {value['mean']:.3f} | {value['low']:.3f} to {value['high']:.3f} | {value['n']} |"
            for name, value in measured.items()
            if isinstance(value, dict) and {"mean", "low", "high", "n"} <= value.keys()
        ]
        if rows:
            on = f" on {_plain(measured['split'])}" if measured.get("split") else ""
            head = f"Measured{on}, with 95 % intervals:\n\n| metric | mean | interval | clips |\n|---|---|---|---|\n"
            parts.append(head + "\n".join(rows))
    metrics = {name: value for name, value in (card.get("metrics") or {}).items() if isinstance(value, int | float)}
    if metrics:
        rows = [f"| {_plain(name)} | {value:.4g} |" for name, value in metrics.items()]
        parts.append("At the end of training, on held-out data:\n\n| metric | value |\n|---|---|\n" + "\n".join(rows))
    return "## Metrics\n\n" + "\n\n".join(parts) if parts else ""


def _mel(card: dict[str, Any]) -> str:
    mel = card["config"].get("mel") or {}
    rows = [f"| {_plain(name)} | {_plain(value)} {MEL_UNITS.get(name, '')} |" for name, value in mel.items()]
    head = "## Mel spectrogram\n\nSlaney's scale and area, amplitudes, natural logarithm, Hann window.\n\n"
    return head + "| | |\n|---|---|\n" + "\n".join(rows) if rows else ""


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _inline(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).replace("`", "'")


def _plain(value: Any) -> str:
    """Text on one line that is neither a table's border nor HTML."""
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")
