"""The page's pieces of HTML: progress, messages, results, what a model knows. Pure functions of plain data.

Whatever comes from a visitor or a card is escaped here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

__all__ = ["about", "busy", "error", "face_styles", "faces_note", "progress", "ready", "result", "waiting"]

STAGES = (
    ("face", "Find and follow the mouth"),
    ("model", "Read the lips"),
    ("vocoder", "Make the sound"),
    ("file", "Write the files"),
)
_LABELS = {
    "decode": "decoding",
    "face": "face and mouth",
    "model": "lip reading",
    "vocoder": "vocoder",
    "mux": "writing files",
}
_UNSURE = 0.8


def error(text: str) -> str:
    """Return a message about what cannot be done, read aloud by screen readers."""
    # A file's name stays as it is.
    line = text if "." in text.split(":")[0] else text[:1].upper() + text[1:]
    return f'<div class="u-note u-error" role="alert">{escape(line)}.</div>'


def ready(text: str) -> str:
    """Return a quiet message."""
    return f'<div class="u-note" role="status">{escape(text)}</div>' if text else ""


def waiting(ahead: int) -> str:
    """Return the place in the queue."""
    return busy("Next in line" if ahead == 0 else f"{ahead} video{'s' * (ahead > 1)} before yours")


def busy(text: str) -> str:
    """Return what is being waited for."""
    return f'<div class="u-note" role="status"><span class="u-spin" aria-hidden="true"></span>{escape(text)} …</div>'


def progress(state: Mapping[str, Any]) -> str:
    """Return the stages with the one under way marked, and how far it is."""
    names = [name for name, _ in STAGES]
    now = names.index(state["stage"]) if state["stage"] in names else 0
    share = 0.0
    detail = ""
    if now == 0 and state.get("frames"):
        total = state.get("total")
        share = min(1.0, state["frames"] / total) if total else 0.0
        detail = f"{state['frames']} of {total} frames" if total else f"{state['frames']} frames"
    items = []
    for number, (_, label) in enumerate(STAGES):
        kind = "done" if number < now else "now" if number == now else "todo"
        current = ' aria-current="step"' if number == now else ""
        more = f' <span class="u-dim">{escape(detail)}</span>' if number == now and detail else ""
        items.append(f'<li class="u-{kind}"{current}><span class="u-dot" aria-hidden="true"></span>{label}{more}</li>')
    width = round(100 * (now + share) / len(STAGES))
    return (
        f'<div class="u-progress" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{width}"><div class="u-bar"><div style="width:{width}%"></div></div>'
        f'<ol class="u-stages">{"".join(items)}</ol></div>'
    )


def faces_note(found: Mapping[str, Any]) -> str:
    """Return what the search for faces found, in words."""
    count = found["faces"]
    if count == 1:
        return ready("One face found. Press Speak.")
    return ready(f"{count} faces found. Choose who speaks, then press Speak.")


def face_styles(pictures: Sequence[str]) -> str:
    """Return the style that puts a picture of each face on its choice; the first choice has none."""
    rules = [
        f"#u-faces label:nth-of-type({number + 2})::before{{content:'';background-image:url({picture})}}"
        for number, picture in enumerate(pictures)
        if picture.startswith("data:image/jpeg;base64,")
    ]
    return f"<style>{''.join(rules)}</style>" if rules else ""


def result(done: Mapping[str, Any]) -> str:
    """Return what was done: length and speed, seconds by stage, frames without a face, how sure the tracker was."""
    timings = "".join(
        f"<tr><td>{escape(_LABELS.get(stage, stage))}</td><td>{seconds:.2f} s</td></tr>"
        for stage, seconds in done["timings"].items()
    )
    speed = done["elapsed"] / done["seconds"] if done["seconds"] else 0.0
    notes = []
    if done["interpolated"]:
        frames = done["interpolated"]
        were = "frame shows" if frames == 1 else "frames show"
        notes.append(f"{frames} of {done['frames']} {were} no face: what the mouth did there is a guess.")
    if done["confidence"] < _UNSURE:
        notes.append("The face was hard to see. More light, or a camera closer and in front, would help.")
    which = f"<div><dt>Face</dt><dd>{done['face'] + 1} of {done['faces']}</dd></div>" if done["faces"] > 1 else ""
    warnings = "".join(f'<p class="u-warn">{escape(note)}</p>' for note in notes)
    return (
        '<section class="u-result" aria-label="Result">'
        '<p class="u-synthetic"><strong>This speech is synthetic.</strong> It was guessed from the movement of lips, '
        "in a voice that may not be the speaker's, and its words may be wrong. The files say so too.</p>"
        f'{warnings}<dl class="u-facts"><div><dt>Length</dt><dd>{done["seconds"]:.2f} s</dd></div>'
        f"<div><dt>Took</dt><dd>{done['elapsed']:.2f} s</dd></div>"
        f"<div><dt>Time per second</dt><dd>{speed:.2f} s</dd></div>"
        f"<div><dt>Face confidence</dt><dd>{round(100 * done['confidence'])} %</dd></div>{which}</dl>"
        f'<details><summary>Seconds by stage</summary><table class="u-table"><tbody>{timings}</tbody></table>'
        '<p class="u-dim">Decoding runs beside the tracker: only waiting for it counts.</p></details></section>'
    )


def about(model: Mapping[str, Any]) -> str:
    """Return what a model knows, from its card."""
    rows = []
    if model["limits"]:
        limits = model["limits"]
        rows.append(f'<p class="u-limits">{escape(limits[:1].upper() + limits[1:])}.</p>')
    facts = []
    if model["data"]:
        facts.append(("Trained on", "; ".join(model["data"])))
    if model["licence"]:
        facts.append(("Licence", model["licence"]))
    scores = _scores(model["measured"])
    if scores:
        facts.append(("Measured", scores))
    listed = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in facts)
    more = f"<details><summary>About this model</summary><dl>{listed}</dl></details>" if facts else ""
    return f'<div class="u-about">{"".join(rows)}{more}</div>'


def _scores(measured: Mapping[str, Any]) -> str:
    names = {"stoi": "STOI", "estoi": "ESTOI", "wer_constrained": "word error rate"}
    parts = []
    for key, name in names.items():
        value = measured.get(key)
        if isinstance(value, dict) and isinstance(value.get("mean"), int | float):
            parts.append(f"{name} {value['mean']:.2f}")
    split = measured.get("split")
    return f"{', '.join(parts)} on {split}" if parts and split else ", ".join(parts)
