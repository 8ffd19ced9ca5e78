"""A report as one page of HTML that opens from disk, without a network and without anything beside it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from unsilent._version import __version__
from unsilent.evaluation.catalogue import CATALOGUE
from unsilent.evaluation.compare import Comparison, comparison_table
from unsilent.evaluation.gallery import ClipMedia, key_metric, worst_first
from unsilent.evaluation.html_assets import CSS, POLICY, SCRIPT
from unsilent.evaluation.html_plots import distribution
from unsilent.evaluation.report import Report
from unsilent.evaluation.tables import (
    Cell,
    Table,
    difference_lines,
    head,
    left_out_lines,
    main_system,
    metrics_table,
    missing_lines,
    place,
    protocol_lines,
    published_table,
    results_table,
    system_lines,
    table_of,
)
from unsilent.files import atomic_path

__all__ = ["bullets", "page", "section", "table", "write_comparison", "write_html"]


def write_html(path: Path, report: Report, media: Mapping[str, ClipMedia] | None = None) -> None:
    """Write the page of a report.

    Args:
        path: of the file.
        report: what was measured.
        media: sounds and pictures of the clips that can be listened to, by id.

    Raises:
        OutputError: the file cannot be written.
    """
    title = f"{place(report)}, {len(report.texts)} clips"
    text = page(f"Evaluation: {title}", _subtitle(report), _sections(report, media or {}), script=SCRIPT)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_comparison(path: Path, found: Comparison) -> None:
    """Write the page of a comparison.

    Raises:
        OutputError: the file cannot be written.
    """
    content, marks = comparison_table(found)
    sections = {"results": ("Results", table(content, marks=marks)), "notes": ("Notes", bullets(found.lines()))}
    names = " and ".join(m.name for m in found.measured)
    subtitle = "Means and differences clip by clip, with 95 % bootstrap intervals."
    with atomic_path(path) as temporary:
        temporary.write_text(page(f"Comparison: {names}", subtitle, sections), encoding="utf-8")


def _subtitle(report: Report) -> str:
    name = report.model.get("name")
    what = f"Model {name}. " if name else ""
    return f"{what}Systems: {', '.join(report.systems)}. Means with 95 % bootstrap intervals over clips."


def _sections(report: Report, media: Mapping[str, ClipMedia]) -> dict[str, tuple[str, str]]:
    """Anchor -> heading and content."""
    main = list(report.systems).index(main_system(list(report.systems))) + 1
    found = {"results": ("Results", table(results_table(report), main=main) + bullets(system_lines(report)))}
    if lines := protocol_lines(report):
        found["protocol"] = ("Protocol", bullets(lines))
    if (published := published_table(report.corpus)) is not None:
        found["published"] = ("Published beside it", table(published) + bullets(difference_lines(report)))
    found["distributions"] = ("Distributions over clips", _plots(report))
    found["list"] = (f"Clips, worst {CATALOGUE[key_metric(report)].label} first", _clips(report, media))
    if lines := [*missing_lines(report), *left_out_lines(report.left_out)]:
        found["missing"] = ("What is missing, and why", bullets(lines))
    found["made"] = ("How it was made", _made(report))
    return found


def _plots(report: Report) -> str:
    drawn = {metric: distribution(report, metric) for metric in report.metrics}
    figures = [
        f"<figure><figcaption>{escape(head(name))}</figcaption>{svg}</figure>" for name, svg in drawn.items() if svg
    ]
    legend = '<p class="soft">A dot is a clip (200 at most), the box holds the middle half, the line is the median.</p>'
    return f'{legend}<div class="plots">{"".join(figures)}</div>'


def _clips(report: Report, media: Mapping[str, ClipMedia]) -> str:
    options = "".join(f"<option>{escape(name)}</option>" for name in _main_first(report))
    listen = f"{len(media)} clips can be listened to: click a name." if media else "No sounds are embedded."
    encoded = json.dumps(_payload(report, media), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Nothing in the data may end the element it stands in.
    encoded = encoded.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return (
        f"<p>{listen} Sounds are Opus at 32 kbit/s; everything was measured before they were encoded.</p>"
        "<noscript><p>The list needs JavaScript, which this page brings with it.</p></noscript>"
        f'<div class="controls"><label>Figures of<select id="system">{options}</select></label>'
        '<label>Find a clip<input id="find" type="search" placeholder="name or words"></label>'
        '<span id="count" class="soft" role="status"></span></div>'
        '<div class="scroll"><table id="clips" class="figures"><caption>Click a heading to sort.</caption>'
        "<thead><tr></tr></thead><tbody></tbody></table></div>"
        f'<script type="application/json" id="data">{encoded}</script>'
    )


def _main_first(report: Report) -> list[str]:
    main = main_system(list(report.systems))
    return [main, *(name for name in report.systems if name != main)]


def _payload(report: Report, media: Mapping[str, ClipMedia]) -> dict[str, Any]:
    rows = {row["id"]: row for row in report.rows()}
    return {
        "main": main_system(list(report.systems)),
        "key": key_metric(report),
        "systems": list(report.systems),
        "metrics": [
            {
                "name": name,
                "head": head(name),
                "scale": CATALOGUE[name].scale,
                "digits": CATALOGUE[name].digits,
                "higher": CATALOGUE[name].higher_is_better,
            }
            for name in report.metrics
        ],
        "clips": [_clip(report.metrics, rows[identity]) for identity in worst_first(report)],
        "media": {identity: dataclasses.asdict(item) for identity, item in media.items()},
    }


def _clip(metrics: Sequence[str], row: Mapping[str, Any]) -> dict[str, Any]:
    systems = row["systems"]
    return {
        "id": row["id"],
        "text": row["text"],
        "values": {s: [_short(found.get(name)) for name in metrics] for s, found in systems.items()},
        "heard": {s: found["heard"] for s, found in systems.items() if "heard" in found},
        "missing": {s: found["missing"] for s, found in systems.items() if "missing" in found},
    }


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def _made(report: Report) -> str:
    parts = []
    if report.command:
        parts.append(f"<pre>{escape(report.command)}</pre>")
    methods = [report.recogniser[name] for name in ("wer_constrained", "wer_free") if name in report.recogniser]
    parts.append(bullets(methods))
    parts.append(table(metrics_table(report)))
    versions = [(name, version or "not installed") for name, version in report.versions.items()]
    parts.append("<details><summary>Versions of the software</summary>")
    parts.append(table(table_of("", ("package", "version"), versions, 2)) + "</details>")
    return "".join(parts)


# --- pieces of a page ----------------------------------------------------------------------------------------------


def page(title: str, subtitle: str, sections: Mapping[str, tuple[str, str]], *, script: str = "") -> str:
    """A whole page of sections (anchor -> heading, HTML)."""
    links = "".join(f'<a href="#{anchor}">{escape(heading)}</a>' for anchor, (heading, _) in sections.items())
    content = "".join(section(anchor, heading, inner) for anchor, (heading, inner) in sections.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head><body>"
        f'<header><h1>{escape(title)}</h1><p class="soft">{escape(subtitle)}</p>'
        f'<nav aria-label="Sections">{links}</nav></header>'
        f"<main>{content}</main>"
        f"<footer>Made by unsilent {__version__}. What is not marked as real is synthetic speech.</footer>"
        f"{f'<script>{script}</script>' if script else ''}</body></html>\n"
    )


def section(anchor: str, heading: str, inner: str) -> str:
    """A section that can be linked to."""
    return f'<section aria-labelledby="{anchor}"><h2 id="{anchor}">{escape(heading)}</h2>{inner}</section>'


def bullets(lines: Sequence[str]) -> str:
    """A list of lines, or nothing."""
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>" if lines else ""


def table(content: Table, *, main: int | None = None, marks: Mapping[tuple[int, int], str] | None = None) -> str:
    """A table; ``main`` is the column to look at, ``marks`` are classes of single cells (row, column)."""
    heads = "".join(f'<th scope="col"{_word(content, at)}>{_inner(cell)}</th>' for at, cell in enumerate(content.heads))
    rows = "".join(
        f"<tr>{''.join(_data(content, cell, line, at, main, marks or {}) for at, cell in enumerate(cells))}</tr>"
        for line, cells in enumerate(content.rows)
    )
    caption = f"<caption>{escape(content.title)}</caption>" if content.title else ""
    kind = ' class="figures"' if content.words < len(content.heads) else ""
    return (
        f'<div class="scroll"><table{kind}>{caption}<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _word(content: Table, at: int) -> str:
    return ' class="word"' if at < content.words else ""


def _data(
    content: Table, cell: Cell, line: int, at: int, main: int | None, marks: Mapping[tuple[int, int], str]
) -> str:
    if at == 0:
        return f'<th scope="row" class="word">{_inner(cell)}</th>'
    kinds = ["word"] * (at < content.words) + ["main"] * (at == main) + [marks.get((line, at), "")]
    named = " ".join(kind for kind in kinds if kind)
    return f'<td class="{named}">{_inner(cell)}</td>' if named else f"<td>{_inner(cell)}</td>"


def _inner(cell: Cell) -> str:
    return escape(cell.text) + "".join(f'<span class="below">{escape(line)}</span>' for line in cell.below)
