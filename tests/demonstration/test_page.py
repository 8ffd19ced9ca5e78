from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

from unsilent.demonstration import Demonstration
from unsilent.demonstration.page import write_page
from unsilent.demonstration.run import Figure
from unsilent.synthesis import load


class _Sources(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.sources: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href"):
                self.sources.setdefault(tag, []).append(value or "")


def test_everything_is_inside(shown: Demonstration) -> None:
    text = shown.files["page"].read_text(encoding="utf-8")
    found = _Sources()
    found.feed(text)
    assert set(found.sources) == {"video", "img"}
    videos = [base64.b64decode(source.partition(",")[2]) for source in found.sources["video"]]
    assert videos == [shown.files["spoken"].read_bytes(), shown.files["original"].read_bytes()]
    assert not re.search(r"https?://", text)
    assert shown.example.text in text
    assert "says nothing of real people" in text


def test_what_is_missing_is_said_and_nothing_is_taken_for_markup(shown: Demonstration, tmp_path: Path) -> None:
    wild = replace(shown.example, text="<script>alert(1)</script>", about="a & b")
    metrics = {**shown.metrics, "stoi": Figure(None, None, "pystoi is <missing>")}
    files = {**shown.files, "page": tmp_path / "page.html"}
    write_page(replace(shown, example=wild, metrics=metrics, files=files), load("talker"))
    text = files["page"].read_text(encoding="utf-8")
    assert "<script" not in text
    assert "pystoi is &lt;missing&gt;" in text
    assert "<td>STOI (0 to 1)</td>" not in text
    assert "Not measured: STOI (0 to 1)." in text
