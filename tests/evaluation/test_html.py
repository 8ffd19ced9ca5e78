from __future__ import annotations

import base64
import dataclasses
import io
import json
import os
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from tests.evaluation.reports import METRICS, NASTY, small_clips, small_gallery, small_report
from tests.evaluation.sounds import speech

from unsilent.evaluation import Report
from unsilent.evaluation.gallery import key_metric, make_gallery, mouth_strip, spectrogram, worst_first
from unsilent.evaluation.html import write_html
from unsilent.evaluation.html_plots import distribution

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PATIENCE = 120_000.0
"""Milliseconds: the machine may be busy with other things."""


@pytest.fixture(scope="module")
def report() -> Report:
    return small_report()


@pytest.fixture(scope="module")
def path(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("page") / "report of today.html"
    write_html(target, report, small_gallery(report))
    return target


class Parsed(HTMLParser):
    """Texts and attributes of a page; fails on tags that do not match."""

    VOID = frozenset({"meta", "input", "img", "line", "rect", "circle"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def payload(path: Path) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text("utf-8"), re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_the_page_is_whole_and_asks_for_nothing(path: Path) -> None:
    text = path.read_text("utf-8")
    parsed = Parsed(text)
    assert not [found for found in parsed.attributes if found[1] in ("src", "href") and not found[2].startswith("#")]
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text
    ids = [value for _, name, value in parsed.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value[1:] for _, name, value in parsed.attributes if name == "href"} <= set(ids)


def test_the_page_says_everything_that_a_reader_must_know(path: Path) -> None:
    text = path.read_text("utf-8")
    for words in (
        "mean and 95 % interval", "ceiling", "floor", "a note for &lt;readers&gt;", "SVTS", "PESQ: theirs is",
        "no &lt;face&gt; | found", "s1/gone: left out", "unsilent evaluate grid ROOT", "Gray &amp; Markel 1976",
    ):  # fmt: skip
        assert words in text, words


def test_what_a_clip_says_cannot_leave_the_data(path: Path) -> None:
    assert "<script>document" not in path.read_text("utf-8")
    assert next(clip for clip in payload(path)["clips"] if clip["id"] == "s1/clip0")["text"] == NASTY


def test_worst_clips_come_first_and_a_failure_is_worst(report: Report, path: Path) -> None:
    assert key_metric(report) == "mel_l1"
    assert worst_first(report) == ["s1/clip3", "s1/clip0", "s1/clip1", "s1/clip2"]
    data = payload(path)
    assert [clip["id"] for clip in data["clips"]] == worst_first(report)
    assert list(data["media"]) == ["s1/clip3", "s1/clip0"]
    assert list(data["media"]["s1/clip3"]["sounds"]) == ["real", "silence"]
    pytest.importorskip("pystoi")
    higher = small_report(metrics=("stoi", "mel_l1"), seconds=1.5)
    assert key_metric(higher) == "stoi"
    assert worst_first(higher)[:2] == ["s1/clip3", "s1/clip0"]


def test_sounds_are_small_and_can_be_decoded(path: Path) -> None:
    import av

    media = payload(path)["media"]["s1/clip0"]
    assert media["strip"].startswith("data:image/webp;base64,")
    for name, sound in media["sounds"].items():
        kind, _, data = sound["audio"].partition(",")
        assert kind == "data:audio/ogg;base64"
        content = base64.b64decode(data)
        assert len(content) < 8_000
        with av.open(io.BytesIO(content), "r") as container:
            tags = {**container.metadata, **container.streams.audio[0].metadata}
            samples = sum(frame.samples for frame in container.decode(audio=0))
        assert samples / 48_000 == pytest.approx(0.6, abs=0.03)
        assert ("synthetic" in tags.get("comment", "")) == (name != "real"), "the real sound is not marked as made up"


def test_the_real_sound_of_a_synthetic_clip_is_marked_as_made_up_too() -> None:
    import av

    (clip,) = small_clips(1)
    marked = {}
    for synthetic in (False, True):
        told = dataclasses.replace(clip, synthetic=synthetic)
        sound = make_gallery({"real": lambda each: each.real}, [told], [clip.id])[clip.id].sounds["real"]
        with av.open(io.BytesIO(base64.b64decode(sound.audio.partition(",")[2])), "r") as container:
            marked[synthetic] = "comment" in {**container.metadata, **container.streams.audio[0].metadata}
    assert marked == {False: False, True: True}


def test_pictures_show_what_is_there() -> None:
    silent, loud = (
        cv2.imdecode(np.frombuffer(spectrogram(x), np.uint8), cv2.IMREAD_GRAYSCALE)
        for x in (np.zeros(24_000, np.float32), speech(1.0))
    )
    assert silent is not None
    assert loud is not None
    assert silent.shape == loud.shape == (80, 100)
    assert float(loud.mean()) > float(silent.mean()) + 20
    assert float(loud[40:].mean()) > float(loud[:40].mean()), "low bands, where the voice is, are at the bottom"
    long = cv2.imdecode(np.frombuffer(spectrogram(np.zeros(24_000 * 40, np.float32)), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert long is not None
    assert long.shape == (80, 1500)
    ramp = np.repeat(np.arange(30, dtype=np.uint8) * 8, 96 * 96).reshape(30, 96, 96)
    strip = cv2.imdecode(np.frombuffer(mouth_strip(ramp), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert strip is not None
    assert strip.shape == (48, 15 * 48)
    assert float(strip[:, :48].mean()) < 20 < 200 < float(strip[:, -48:].mean())


def test_plots_have_a_row_a_system_and_stay_inside() -> None:
    report = small_report()
    drawn = distribution(report, "mel_l1")
    assert drawn is not None
    Parsed(drawn)
    assert drawn.count("<g class=") == 3
    assert drawn.count("<circle") == 4 + 3 + 4
    at = [float(value) for value in re.findall(r' (?:x|cx|x1|x2)="([\d.-]+)"', drawn)]
    assert min(at) >= 0
    assert max(at) <= 460
    # One value for all: there is still an axis.
    assert "nan" not in (distribution(small_report(made={"real": lambda clip: clip.real}), "mel_l1") or "nan")
    failing = small_report(made={"mute": lambda clip: np.zeros(0, np.float32)})
    assert distribution(failing, "mel_l1") is None


# --- in a browser --------------------------------------------------------------------------------------------------


def _chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for name in names if (path := shutil.which(name))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    program = _chromium()
    if program is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    flags = ["--mute-audio", "--autoplay-policy=no-user-gesture-required", *(["--no-sandbox"] if root else [])]
    with playwright.sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=program, args=flags)
        yield made
        made.close()


@pytest.fixture
def page(browser: Browser, path: Path) -> Iterator[Page]:
    """The page opened from disk, without a network; it must not complain, nor ask for anything."""
    context = browser.new_context(offline=True, color_scheme="dark", viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("console", lambda message: wrong.append(message.text))
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("request", lambda asked: None if asked.url.startswith(("file:", "data:")) else wrong.append(asked.url))
    opened.goto(path.as_uri())
    yield opened
    context.close()
    assert not wrong


def names(page: Page) -> list[str]:
    return [text.strip() for text in page.locator("#clips tbody tr:not(.detail) th").all_inner_texts()]


def test_it_opens_from_disk_and_sorts_by_mouse_and_keyboard(page: Page) -> None:
    assert page.title() == "Evaluation: grid s1-test, 4 clips"
    assert names(page) == ["s1/clip3", "s1/clip0", "s1/clip1", "s1/clip2"]
    heads = page.locator("#clips thead th")
    assert heads.count() == 2 + len(METRICS)
    assert heads.nth(2).get_attribute("aria-sort") == "descending"
    heads.nth(0).get_by_role("button").click()
    assert names(page) == ["s1/clip0", "s1/clip1", "s1/clip2", "s1/clip3"]
    page.keyboard.press("Enter")
    assert names(page) == ["s1/clip3", "s1/clip2", "s1/clip1", "s1/clip0"]
    assert heads.nth(0).get_attribute("aria-sort") == "descending"
    heads.nth(2).get_by_role("button").click()
    heads.nth(2).get_by_role("button").click()
    assert names(page) == ["s1/clip2", "s1/clip1", "s1/clip0", "s1/clip3"], "best first, and failures last"
    page.get_by_label("Figures of").select_option("real")
    assert page.locator("#clips td.missing").count() == 0
    page.get_by_label("Find a clip").fill("green by x")
    assert names(page) == ["s1/clip1"]
    assert page.get_by_role("status").inner_text() == "1 of 4 clips"


def test_a_clip_opens_and_its_sounds_play(page: Page) -> None:
    page.get_by_role("button", name="s1/clip0").click()
    assert page.get_by_role("button", name="s1/clip0").get_attribute("aria-expanded") == "true"
    assert page.locator(".detail audio").count() == 3
    played = page.evaluate(
        """async () => {
          const found = [];
          for (const audio of document.querySelectorAll(".detail audio")) {
            audio.muted = true;
            await audio.play();
            while (audio.currentTime === 0) await new Promise(r => setTimeout(r, 20));
            found.push([audio.ariaLabel, audio.duration]);
          }
          return found;
        }"""
    )
    assert [name for name, _ in played] == [f"{system}, clip s1/clip0" for system in ("real", "model", "silence")]
    assert all(seconds == pytest.approx(0.6, abs=0.05) for _, seconds in played)
    sizes = page.evaluate("[...document.querySelectorAll('.detail img')].map(i => [i.naturalWidth, i.alt.length > 9])")
    assert sizes == [[15 * 48, True], *[[60, True]] * 3]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.title().startswith("Evaluation")
    page.keyboard.press("Enter")
    assert page.locator(".detail").count() == 0
    page.get_by_role("button", name="s1/clip3").click()
    assert "no <face> | found" in page.locator(".detail").inner_text()


def test_it_fits_a_phone_and_everything_has_a_name(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="light")
    page.get_by_role("button", name="s1/clip0").click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("document.querySelector('.detail .sounds').getBoundingClientRect().right <= innerWidth")
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.get_by_role("heading", level=1).count() == 1
    for control in page.locator("button, select, input, audio, img, svg").all():
        named = control.evaluate(
            "e => e.ariaLabel || e.innerText || e.labels?.[0]?.innerText || e.alt || e.textContent"
        )
        assert named, control.evaluate("e => e.outerHTML")
