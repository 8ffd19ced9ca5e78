"""The page: a silent video goes in, the spoken one plays. Made with Gradio; words and look have their own modules."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from unsilent.web import words
from unsilent.web.gate import COOKIE
from unsilent.web.limits import Refused
from unsilent.web.service import Service
from unsilent.web.store import Session, shown_name
from unsilent.web.style import CSS, FONTS, HEAD, MONO

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["mount_page"]

AUTO = "auto"
_SESSIONS = 200
"""Visitors whose state Gradio keeps in memory."""
_EVENTS = 200
_WHO = "Faces are counted from the left. Automatic takes the one whose mouth moves most."
_GONE = "the video is no longer here; add it again"

Update = dict[Any, Any]


def mount_page(app: FastAPI, service: Service) -> None:
    """Serve the page at ``/``."""
    blocks = _Page(service).build()
    blocks.state_session_capacity = _SESSIONS
    gr.mount_gradio_app(
        app, blocks, path="/", footer_links=[], run_history=False, show_error=False, ssr_mode=False, pwa=False,
        mcp_server=False, enable_monitoring=False, theme=_theme(), css=CSS, head=HEAD,
        max_file_size=service.limits.max_bytes,
    )  # fmt: skip


def _theme() -> gr.themes.Base:
    return gr.themes.Base(
        primary_hue=gr.themes.colors.teal, neutral_hue=gr.themes.colors.slate, font=FONTS, font_mono=MONO,
        radius_size=gr.themes.sizes.radius_md,
    ).set(
        # Dark enough to be read: at least 4.5 to 1 against what is behind.
        body_text_color_subdued="*neutral_500", body_text_color_subdued_dark="*neutral_400",
        button_primary_background_fill="*primary_700", button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700", button_primary_background_fill_hover_dark="*primary_600",
        block_label_text_color="*neutral_600", block_label_text_color_dark="*neutral_300",
    )  # fmt: skip


class _Page:
    """The components and what happens between them. Nothing of a visitor is kept here."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def build(self) -> gr.Blocks:
        """Lay the page out and connect its parts."""
        blocks: gr.Blocks = gr.Blocks(title="unsilent", analytics_enabled=False)
        with blocks:
            gr.HTML(
                "<h1>unsilent</h1><p>Give a silent video of a talking person its speech. Everything happens on the "
                "machine that serves this page, and nothing is kept.</p>",
                elem_id="u-head",
            )
            with gr.Row(equal_height=False):
                with gr.Column(min_width=320):
                    self._inputs()
                with gr.Column(min_width=320):
                    self._outputs()
            gr.HTML(
                "<p>Use it only on people who agree to it. Files are removed when the page is closed. "
                "Programs send their videos to <code>/api/speak</code>.</p>",
                elem_id="u-foot",
            )
            self._connect()
            # A handler for the end of a visit makes the page hold a connection by which its end is seen.
            blocks.unload(_nothing)
        blocks.queue(max_size=_EVENTS, default_concurrency_limit=None, api_open=False, status_update_rate=60)
        return blocks

    def _inputs(self) -> None:
        limits, models = self._service.limits, self._service.models
        self.video = gr.Video(
            label="Silent video", sources=["upload", "webcam"], include_audio=False, elem_id="u-video",
            webcam_options=gr.WebcamOptions(mirror=False),
        )  # fmt: skip
        most = f"up to {limits.max_seconds:g} s and {limits.max_mb:g} MB"
        gr.HTML(f'<p class="u-dim">One person talking to the camera; {most}.</p>')
        self.face_styles = gr.HTML(visible=False)
        self.faces = gr.Radio(label="Who speaks?", info=_WHO, visible=False, interactive=True, elem_id="u-faces")
        self.model = gr.Dropdown(
            [(model["name"], model["id"]) for model in models], value=models[0]["id"], label="Model",
            interactive=True, elem_id="u-model",
        )  # fmt: skip
        self.about = gr.HTML(words.about(models[0]))
        self.voice = gr.Audio(
            label="Voice to speak with (a recording of one person, optional)", sources=["upload", "microphone"],
            type="filepath", visible=bool(models[0]["voices"]), elem_id="u-voice", buttons=[],
        )  # fmt: skip
        self.speak = gr.Button("Speak", variant="primary", size="lg", elem_id="u-speak")

    def _outputs(self) -> None:
        self.status = gr.HTML(_EMPTY, elem_id="u-status")
        self.spoken = gr.Video(label="Spoken video", visible=False, interactive=False, elem_id="u-spoken",
                               autoplay=True, buttons=[])  # fmt: skip
        with gr.Row(visible=False) as self.downloads:
            self.save_video = gr.DownloadButton("Download video", elem_id="u-save-video")
            self.save_audio = gr.DownloadButton("Download audio", elem_id="u-save-audio")
        self.summary = gr.HTML(visible=False)
        self.picture = gr.Image(label="Mouth over the spectrogram of the speech", show_label=False, visible=False,
                                interactive=False, elem_id="u-picture", buttons=[], type="filepath")  # fmt: skip

    def _connect(self) -> None:
        shown = [self.status, self.spoken, self.downloads, self.save_video, self.save_audio, self.summary, self.picture]
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
        finding = [self.status, self.faces, self.face_styles, *shown[1:]]
        # Raw payloads: Gradio's own preparation of a video may call programs on it.
        found = {"fn": self.find_faces, "inputs": [self.video], "outputs": finding, "preprocess": False, **quiet}
        self.video.change(**found, trigger_mode="always_last")
        self.speak.click(
            self.on_speak, [self.video, self.faces, self.model, self.voice], [*shown, self.speak],
            preprocess=False, trigger_mode="once", **quiet,
        )  # fmt: skip
        self.model.change(self.on_model, [self.model], [self.about, self.voice], preprocess=False, **quiet)

    async def on_model(self, wanted: Any) -> Update:
        """Show what the chosen model knows, and the voice control where it has a use."""
        try:
            model = self._service.model(wanted if isinstance(wanted, str) else None)
        except Refused:
            model = self._service.models[0]
        return {self.about: words.about(model), self.voice: gr.update(visible=bool(model["voices"]))}

    async def find_faces(self, video: Any, request: gr.Request) -> AsyncGenerator[Update]:
        """Look for faces as soon as a video is there, and offer a choice where there are several."""
        cleared = {
            **self._hidden(),
            self.faces: gr.update(visible=False, value=None),
            self.face_styles: gr.update(visible=False, value=""),
        }
        if video is None:
            yield {**cleared, self.status: _show(_EMPTY)}
            return
        yield {**cleared, self.status: _show(words.busy("Looking for faces"))}
        try:
            session, path, name = self._file(video, request)
            async with contextlib.aclosing(self._service.faces(session, path, name)) as messages:
                async for message in messages:
                    if "done" in message:
                        yield {self.status: words.faces_note(message["done"]), **self._choice(message["done"])}
        except Refused as error:
            yield {self.status: _show(words.error(str(error)))}

    async def on_speak(
        self, video: Any, face: Any, model: Any, voice: Any, request: gr.Request
    ) -> AsyncGenerator[Update]:
        """Speak the video, with progress by stage."""
        if video is None:
            yield {self.status: _show(words.error("add a video first: upload one, or record it with the webcam"))}
            return
        yield {**self._hidden(), self.status: _show(words.waiting(0)), self.speak: gr.update(interactive=False)}
        final: Update
        try:
            session, path, name = self._file(video, request)
            spoken = self._service.speak(
                session, path, name, face=_number(face), model=model if isinstance(model, str) else None,
                **self._reference(voice, request),
            )  # fmt: skip
            final = {}
            async with contextlib.aclosing(spoken) as messages:
                async for message in messages:
                    if "waiting" in message:
                        yield {self.status: _show(words.waiting(message["waiting"]))}
                    elif "progress" in message:
                        yield {self.status: _show(words.progress(message["progress"]))}
                    else:
                        final = self._result(message["done"])
        except Refused as error:
            final = {self.status: _show(words.error(str(error)))}
        yield {**final, self.speak: gr.update(interactive=True)}

    def _file(self, given: Any, request: gr.Request) -> tuple[Session, Path, str]:
        """Return whose file a payload names, where it is, and what its owner calls it."""
        session = self._service.store.known(str(request.cookies.get(COOKIE, "")))
        if isinstance(given, dict) and isinstance(given.get("video"), dict):
            given = given["video"]
        payload = given if isinstance(given, dict) else {"path": given}
        path = self._service.store.owned(session, payload.get("path"))
        if path is None or session is None:
            raise Refused(422, _GONE)
        return session, path, shown_name(str(payload.get("orig_name") or path.name))

    def _reference(self, voice: Any, request: gr.Request) -> dict[str, Any]:
        if not voice:
            return {}
        _, path, name = self._file(voice, request)
        return {"voice": path, "voice_name": name}

    def _choice(self, found: dict[str, Any]) -> Update:
        if found["faces"] < 2:
            return {
                self.faces: gr.update(visible=False, value=None),
                self.face_styles: gr.update(visible=False, value=""),
            }
        choices = [("Automatic", AUTO)]
        choices += [(f"Face {number + 1}", str(number)) for number in range(found["faces"])]
        pictures = [face["picture"] for face in found["found"]]
        return {
            self.faces: gr.update(visible=True, choices=choices, value=AUTO),
            self.face_styles: gr.update(visible=True, value=words.face_styles(pictures)),
        }

    def _hidden(self) -> Update:
        hide = gr.update(visible=False)
        return {self.spoken: gr.update(visible=False, value=None), self.downloads: hide, self.summary: hide,
                self.picture: gr.update(visible=False, value=None)}  # fmt: skip

    def _result(self, done: dict[str, Any]) -> Update:
        return {
            self.status: _show(""),
            self.spoken: gr.update(visible=True, value=done["video"]),
            self.downloads: gr.update(visible=True),
            self.save_video: gr.update(value=done["video"]),
            self.save_audio: gr.update(value=done["audio"]),
            self.summary: gr.update(visible=True, value=words.result(done)),
            self.picture: gr.update(visible=True, value=done["picture"]),
        }


_EMPTY = '<div class="u-empty"><div>The spoken video will play here.</div></div>'


def _show(html: str) -> Any:
    return gr.update(value=html, visible=bool(html))


def _number(face: Any) -> int | None:
    return int(face) if isinstance(face, str) and face.isascii() and face.isdecimal() and len(face) < 4 else None


def _nothing() -> None:
    return None
