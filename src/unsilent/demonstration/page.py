"""One HTML page that shows a demonstration; it needs neither a network nor the files beside it."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final

from unsilent.files import atomic_path

if TYPE_CHECKING:
    from unsilent.demonstration.run import Demonstration, Figure
    from unsilent.synthesis import Synthesizer

__all__ = ["write_page"]

LABELS: Final = {
    "stoi": "STOI (0 to 1)",
    "estoi": "ESTOI (0 to 1)",
    "mel_l1": "mel L1 (lower is better)",
    "wer_constrained": "words wrong, %",
}
MEDIA: Final = {".mp4": "video/mp4", ".mpg": "video/mpeg", ".wav": "audio/wav", ".png": "image/png"}

PAGE: Final = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>unsilent: a silent clip, spoken</title>
<style>
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 20%, transparent); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .25rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); gap: 1.25rem; margin: 1.5rem 0; }
figure { margin: 0; }
video, img { width: 100%; border-radius: .4rem; }
video { aspect-ratio: $aspect; background: #111; }
figcaption { margin-top: .35rem; }
figcaption small { display: block; opacity: .7; }
table { border-collapse: collapse; }
th, td { padding: .3rem 1rem .3rem 0; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
.note { border-left: .25rem solid #b7791f; padding-left: .75rem; }
code { background: var(--line); padding: .1rem .3rem; border-radius: .2rem; }
footer { margin-top: 2rem; opacity: .7; font-size: .875rem; }
</style>
<h1>A silent clip, spoken by <code>$model</code></h1>
<p>Said: <strong>$text</strong>$heard</p>
<p class="note">$about</p>
<div class="pair">
<figure><video controls preload="auto" src="$spoken"></video>
<figcaption>Spoken <small>the picture alone went in; the sound is the model's</small></figcaption></figure>
<figure><video controls preload="auto" src="$original"></video>
<figcaption>Original <small>what was really said; the model never heard it</small></figcaption></figure>
</div>
<table>
<thead><tr><th scope="col">metric</th><th scope="col">spoken</th><th scope="col">ceiling</th></tr></thead>
<tbody>
$rows
</tbody>
</table>
$unmeasured
<p><small>The ceiling is the true mel spectrogram through the same vocoder: a perfect reading of the lips.
One clip is no measurement: <code>unsilent evaluate</code> makes those.</small></p>
<figure><img src="$picture" alt="The mouth over time, the true mel spectrogram and the spoken one below each other">
<figcaption>The mouth that the model saw, the true mel spectrogram, and the one it wrote</figcaption></figure>
<p>$seconds s of video took $elapsed s ($rtf of its length), loading and first use included. Your own:
<code>unsilent speak VIDEO</code>.</p>
<footer>Made by unsilent. The speech is synthetic and tagged as such; use it only on people who agree to it.</footer>
</html>
""")


def write_page(shown: Demonstration, model: Synthesizer) -> None:
    """Write the page of ``shown``, with its files embedded.

    Raises:
        OutputError: it cannot be written.
    """
    heard = (
        f"; a recogniser that knows the grammar hears: <strong>{escape(shown.heard)}</strong>" if shown.heard else ""
    )
    height, width = _size(shown)
    text = PAGE.substitute(
        model=escape(model.name),
        text=escape(shown.example.text),
        heard=heard,
        about=escape(shown.example.about),
        aspect=f"{width} / {height}",
        rows="\n".join(_row(LABELS[name], fig, name) for name, fig in shown.metrics.items() if fig.value is not None),
        unmeasured="\n".join(
            _unmeasured(LABELS[name], fig) for name, fig in shown.metrics.items() if fig.value is None
        ),
        seconds=f"{shown.done.seconds:.1f}",
        elapsed=f"{shown.done.elapsed:.1f}",
        rtf=f"{shown.done.elapsed / shown.done.seconds:.2f}",
        **{what: _embedded(shown.files[what]) for what in ("spoken", "original", "picture")},
    )
    with atomic_path(shown.files["page"]) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _size(shown: Demonstration) -> tuple[int, int]:
    from unsilent.media import probe

    info = probe(shown.files["spoken"])
    return info.height, info.width


def _row(label: str, figure: Figure, name: str) -> str:
    cells = (_number(value, name) for value in (figure.value, figure.ceiling))
    return f"<tr><td>{label}</td>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _unmeasured(label: str, figure: Figure) -> str:
    return f"<p><small>Not measured: {label}. {escape(figure.reason or '')}</small></p>"


def _number(value: float | None, name: str) -> str:
    if value is None:
        return "missing"
    return f"{100 * value:.0f}" if name.startswith("wer") else f"{value:.2f}"


def _embedded(path: Path) -> str:
    return f"data:{MEDIA[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"
