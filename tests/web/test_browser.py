"""The page in a real browser: the system's Chromium, headless, driven by Playwright.

Playwright's own download of a browser is not used. With UNSILENT_SCREENSHOTS set, pictures of the page are kept there.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.evaluation.sounds import speech
from tests.skips import needs_synthesiser
from tests.web.serving import Server

from unsilent.demonstration import talker_example
from unsilent.evaluation.metrics import estoi
from unsilent.media import SYNTHETIC_TAG, drop_sound, probe, read_audio, read_video, write_audio

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Download, Page

# A browser that hangs would hold its fixtures for ever after a time-out's signal: this ends the whole run, with stacks.
pytestmark = pytest.mark.timeout(600, method="thread")

SOUND = 1e-3
PATIENCE = 240_000.0
"""Milliseconds: the machine may be busy with other things."""
DESKTOP, PHONE = (1280, 900), (390, 844)


def _chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for name in names if (path := shutil.which(name))), None)


@pytest.fixture(scope="module")
def webcam(talking_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The talking portrait as raw pictures, which Chromium shows in place of a camera's."""
    frames = list(read_video(talking_video))
    path = tmp_path_factory.mktemp("webcam") / "camera.mjpeg"
    import cv2

    with open(path, "wb") as file:
        for frame in frames:
            even = np.ascontiguousarray(frame[:, :, ::-1])
            file.write(cv2.imencode(".jpg", even)[1].tobytes())
    return path


@pytest.fixture(scope="module")
def browser(webcam: Path) -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    path = _chromium()
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    flags = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", "--mute-audio",
             f"--use-file-for-fake-video-capture={webcam}", "--autoplay-policy=no-user-gesture-required"]  # fmt: skip
    # Chromium's own sandbox does not start for root, as tests in a container run.
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with playwright.sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=path, args=[*flags, *(["--no-sandbox"] if root else [])])
        yield made
        made.close()


class Visit:
    """One visitor's page, and what went wrong on it."""

    def __init__(self, browser: Browser, server: Server, size: tuple[int, int], scheme: str) -> None:
        settings: dict[str, Any] = {"viewport": {"width": size[0], "height": size[1]}, "color_scheme": scheme}
        self.context = browser.new_context(**settings, accept_downloads=True)
        self.context.set_default_timeout(PATIENCE)
        self.page: Page = self.context.new_page()
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(server.url)
        self.page.wait_for_selector("#u-speak")

    def upload(self, path: Path) -> None:
        self.page.set_input_files("#u-video input[type=file]", path)

    def status(self, text: str) -> None:
        self.page.locator("#u-status", has_text=text).wait_for()

    def speak(self) -> None:
        self.page.click("#u-speak")
        self.page.locator("#u-spoken video").wait_for()
        # Its first picture is there, so that it is in screenshots too.
        self.page.wait_for_function("document.querySelector('#u-spoken video').readyState >= 2")
        self.page.locator("#u-picture img").wait_for()

    def save(self, button: str, folder: Path) -> Path:
        with self.page.expect_download() as waiting:
            self.page.click(button)
        download: Download = waiting.value
        path = folder / download.suggested_filename
        download.save_as(path)
        return path

    def picture(self, name: str) -> None:
        folder = Path(os.environ.get("UNSILENT_SCREENSHOTS") or tempfile.gettempdir())
        data = self.page.screenshot(full_page=True, animations="disabled")
        if "UNSILENT_SCREENSHOTS" in os.environ:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.png").write_bytes(data)
        assert len(data) > 10_000

    def fits(self) -> bool:
        """Whether nothing has to be scrolled sideways."""
        fits: bool = self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        return fits


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Any]:
    made: list[Visit] = []

    @contextmanager
    def open_page(size: tuple[int, int] = DESKTOP, scheme: str = "light") -> Iterator[Visit]:
        one = Visit(browser, server, size, scheme)
        made.append(one)
        yield one
        assert one.errors == []
        assert {url.split("/")[2] for url in one.requests if url.startswith("http")} == {f"127.0.0.1:{server.port}"}

    yield open_page
    for one in made:
        one.context.close()


def _check_spoken(video: Path, audio: Path, seconds: float) -> None:
    import av

    with av.open(str(video)) as container:
        assert container.metadata["comment"] == SYNTHETIC_TAG
    for path in (video, audio):
        samples = read_audio(path, 24_000)
        assert len(samples) / 24_000 == pytest.approx(seconds, abs=0.06)
        assert float(np.sqrt(np.mean(samples**2))) > SOUND


@pytest.mark.parametrize("kind", ["portrait", "real"])
def test_a_video_is_uploaded_spoken_heard_and_saved(
    kind: str, visit: Any, talking_video: Path, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    clip = talking_video
    if kind == "real":
        clip = request.getfixturevalue("shared_data") / "grid" / "s1" / "bbir8p.mp4"
    with visit() as visitor:
        page = visitor.page
        visitor.upload(clip)
        visitor.status("One face found")
        assert not page.is_visible("#u-faces")
        visitor.speak()
        seconds = probe(clip).duration
        played = page.evaluate(
            "(async () => { const v = document.querySelector('#u-spoken video');"
            " while (v.readyState < 1) await new Promise(r => setTimeout(r, 50)); return v.duration; })()"
        )
        assert played == pytest.approx(seconds, abs=0.06)
        assert page.evaluate("document.querySelector('#u-picture img').naturalWidth") > 500
        text = page.inner_text("main")
        for words in ("This speech is synthetic", "Length", "Face confidence", "51 words of GRID"):
            assert words in text
        page.get_by_text("Seconds by stage").click()
        for stage in ("decoding", "face and mouth", "lip reading", "vocoder", "writing files"):
            assert page.get_by_text(stage, exact=True).is_visible()
        visitor.picture(f"desktop-light-{kind}")
        video, audio = (visitor.save(button, tmp_path) for button in ("#u-save-video", "#u-save-audio"))
        assert video.name == f"{clip.stem}.spoken.mp4"
        assert audio.name == f"{clip.stem}.spoken.wav"
        _check_spoken(video, audio, seconds)
        assert visitor.fits()


def test_a_talker_never_trained_on_is_heard_as_it_was_said(visit: Any, tmp_path: Path) -> None:
    needs_synthesiser()
    pytest.importorskip("pystoi", reason="needs the metrics: pip install 'unsilent[eval]'")
    example = talker_example(tmp_path)
    drop_sound(example.path, tmp_path / "silent.mp4")
    with visit() as visitor:
        page = visitor.page
        page.get_by_role("combobox", name="Model").click()
        page.get_by_role("option", name="talker").click()
        page.get_by_text("synthetic talkers").first.wait_for()
        visitor.upload(tmp_path / "silent.mp4")
        visitor.status("One face found")
        visitor.speak()
        visitor.picture("desktop-light-talker")
        saved = [visitor.save(button, tmp_path) for button in ("#u-save-video", "#u-save-audio")]
    _check_spoken(saved[0], saved[1], probe(example.path).duration)
    true = read_audio(example.path, 24_000)
    for path in saved:
        assert estoi(true, read_audio(path, 24_000)) > 0.5, path.name


def test_one_of_two_faces_is_chosen_with_the_keyboard_on_a_phone(visit: Any, two_faces: Path) -> None:
    from playwright.sync_api import expect

    with visit(PHONE, "dark") as visitor:
        page = visitor.page
        visitor.upload(two_faces)
        visitor.status("2 faces found")
        faces = page.locator("#u-faces")
        expect(faces.get_by_role("radio")).to_have_count(3, timeout=PATIENCE)
        assert faces.get_by_role("radio", name="Automatic").is_checked()
        shown = page.evaluate(
            "[...document.querySelectorAll('#u-faces label')].map(l => getComputedStyle(l, '::before').backgroundImage)"
        )
        assert [picture.startswith('url("data:image/jpeg') for picture in shown] == [False, True, True]
        faces.get_by_role("radio", name="Automatic").focus()
        for key in ("Tab", "Tab", "Space"):
            page.keyboard.press(key)
        expect(faces.get_by_role("radio", name="Face 2")).to_be_checked(timeout=PATIENCE)
        page.locator("#u-speak").focus()
        page.keyboard.press("Enter")
        page.locator("#u-picture img").wait_for()
        assert "2 of 2" in page.inner_text(".u-facts")
        assert visitor.fits()
        visitor.picture("phone-dark")


def test_what_is_no_video_gets_one_line(visit: Any, faceless: Path, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    notes = tmp_path / "notes.mp4"
    notes.write_text("not a video " * 500)
    with visit(DESKTOP, "dark") as visitor:
        page = visitor.page
        page.click("#u-speak")
        visitor.status("Add a video first")
        visitor.upload(notes)
        visitor.status("notes.mp4: is not a readable video")
        page.click("#u-speak")
        visitor.status("notes.mp4: is not a readable video")
        expect(page.get_by_role("alert").filter(has_text="notes.mp4")).to_have_count(1, timeout=PATIENCE)
        expect(page.locator(".toast-body:visible")).to_have_count(0, timeout=PATIENCE)
        assert "Traceback" not in page.content()
        visitor.picture("desktop-dark-error")
        page.locator("#u-video").get_by_label("Clear").or_(page.locator("#u-video [aria-label=Clear]")).first.click()
        visitor.upload(faceless)
        visitor.status("wall.mp4: no face found")
        assert str(tempfile.gettempdir()) not in page.inner_text("main")


def test_two_visitors_at_once_each_get_their_own(
    visit: Any, talking_video: Path, two_faces: Path, tmp_path: Path
) -> None:
    with visit() as one, visit() as other:
        one.upload(talking_video)
        other.upload(two_faces)
        one.status("One face found")
        other.status("2 faces found")
        one.page.click("#u-speak")
        other.page.click("#u-speak")
        for visitor, clip, seconds in ((one, talking_video, 1.2), (other, two_faces, 2.4)):
            visitor.page.locator("#u-picture img").wait_for()
            folder = tmp_path / clip.stem
            folder.mkdir()
            video, audio = (visitor.save(button, folder) for button in ("#u-save-video", "#u-save-audio"))
            _check_spoken(video, audio, seconds)
        address = one.page.evaluate("document.querySelector('#u-spoken video').src")
        assert one.context.request.get(address).status == 200
        assert other.context.request.get(address).status == 404


def test_a_recording_of_the_webcam_is_spoken(visit: Any) -> None:
    with visit() as visitor:
        page = visitor.page
        page.get_by_label("Capture from camera").click()
        page.locator("#u-video").get_by_text("Click to Access Webcam").click()
        record = page.locator("#u-video").get_by_label("start recording").or_(page.get_by_text("Record", exact=True))
        record.first.click()
        time.sleep(3)
        page.locator("#u-video").get_by_label("stop recording").or_(page.get_by_text("Stop", exact=True)).first.click()
        visitor.status("One face found")
        visitor.speak()
        visitor.picture("desktop-light-webcam")


def test_a_voice_can_be_given_to_a_model_that_has_a_choice(visit: Any, talking_video: Path, tmp_path: Path) -> None:
    write_audio(tmp_path / "me.wav", speech(2.0, 0), 24_000)
    with visit() as visitor:
        page = visitor.page
        assert not page.is_visible("#u-voice")
        page.get_by_role("combobox", name="Model").click()
        page.get_by_role("option", name="choir").click()
        page.get_by_text("Knows nothing and has every voice").wait_for()
        page.locator("#u-voice").wait_for()
        page.set_input_files("#u-voice input[type=file]", tmp_path / "me.wav")
        visitor.upload(talking_video)
        visitor.status("One face found")
        visitor.speak()
        visitor.picture("desktop-light-voice")


def test_everything_can_be_reached_and_has_a_name(visit: Any) -> None:
    with visit() as visitor:
        page = visitor.page
        assert page.title() == "unsilent"
        assert page.get_by_role("heading", level=1).inner_text() == "unsilent"
        assert page.locator("html").get_attribute("lang") == "en"
        reached = []
        for _ in range(8):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.ariaLabel || document.activeElement.innerText"))
        for name in ("upload", "Upload file", "Capture from camera", "Model", "About this model", "Speak"):
            assert any(name in (text or "") for text in reached), (name, reached)
        for role in ("button", "combobox", "radio", "textbox"):
            for control in page.get_by_role(role).all():
                named = control.evaluate("e => e.ariaLabel || e.innerText || e.labels?.[0]?.innerText || e.title")
                assert named, control.evaluate("e => e.outerHTML")


def test_files_go_once_the_page_is_closed(browser: Browser, server: Server, talking_video: Path) -> None:
    end = time.monotonic() + 120
    while server.folders() and time.monotonic() < end:
        time.sleep(0.2)
    assert server.folders() == []
    visitor = Visit(browser, server, DESKTOP, "light")
    visitor.upload(talking_video)
    visitor.status("One face found")
    time.sleep(6)  # longer than the server keeps the files of a page that is closed
    assert len(server.folders()) == 1
    visitor.context.close()
    while server.folders() and time.monotonic() < end:
        time.sleep(0.2)
    assert server.folders() == []
