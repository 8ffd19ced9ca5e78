"""The HTTP API: what a program or ``curl`` can ask for. Errors are JSON, ``{"error": one line}``, with a 4xx code."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.types import Receive, Scope, Send

from unsilent._version import __version__
from unsilent.web.limits import Refused
from unsilent.web.service import Service
from unsilent.web.uploads import File, Received, receive

__all__ = ["add_api", "refuse"]

REPORT = "X-Unsilent-Report"
_DRAIN_SECONDS = 10.0
_KINDS = {"video": "", "audio": "audio/wav", "picture": "image/png", "report": "application/json"}
_OWN = ("video", "audio", "picture")
"""Keys of a report that are paths on the server."""

Handler = Callable[[Request], Awaitable[Response]]


def add_api(app: FastAPI, service: Service) -> None:
    """Add ``/api/speak``, ``/api/faces``, ``/api/models`` and ``/api/health``."""

    async def speak(request: Request) -> Response:
        return await _with_files(service, request, _speak)

    async def faces(request: Request) -> Response:
        return await _with_files(service, request, _faces)

    async def models(request: Request) -> Response:
        shown = [{key: value for key, value in model.items() if key != "id"} for model in service.models]
        return JSONResponse({"models": shown, "limits": _limits(service)})

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok", "version": __version__, **service.pool.state()})

    async def nothing(request: Request) -> Response:
        return await refuse(request, Refused(404, "there is no such address; see docs/serve.md"))

    app.add_api_route("/api/speak", speak, methods=["POST"])
    app.add_api_route("/api/faces", faces, methods=["POST"])
    app.add_api_route("/api/models", models, methods=["GET"])
    app.add_api_route("/api/health", health, methods=["GET"])
    app.add_api_route("/api/{rest:path}", nothing, methods=["GET", "POST", "PUT", "DELETE", "PATCH"])


def _limits(service: Service) -> dict[str, float]:
    limits = service.limits
    return {"max_mb": limits.max_mb, "max_seconds": limits.max_seconds}


async def refuse(request: Request, error: Refused) -> Response:
    """Answer with an error, after what is still being sent has been let pass: most clients read no answer before.

    A client that waits for leave to send (``Expect: 100-continue``) is answered at once.
    """
    if request.headers.get("expect", "").lower() != "100-continue":
        with contextlib.suppress(TimeoutError, ClientDisconnect, RuntimeError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                async for _ in request.stream():
                    pass
    headers = {"Retry-After": str(error.retry)} if error.retry else {}
    return JSONResponse({"error": str(error)}, error.status, headers=headers)


async def _with_files(
    service: Service,
    request: Request,
    answer: Callable[[Service, Request, Any, Received, ExitStack], Awaitable[Response]],
) -> Response:
    """Receive files into a session that ends with the answer."""
    with ExitStack() as stack:
        try:
            stack.enter_context(service.place())
            session = stack.enter_context(service.store.visit())
            received = await receive(request, service.store, session, files=2)
            return await answer(service, request, session, received, stack)
        except Refused as error:
            return await refuse(request, error)


async def _speak(service: Service, request: Request, session: Any, received: Received, stack: ExitStack) -> Response:
    given = {**request.query_params, **received.fields}
    kind = given.get("as", "video")
    if kind not in _KINDS:
        raise Refused(422, f"as: one of {', '.join(_KINDS)}")
    video, voice = _video(received), _file(received, "voice")
    messages = service.speak(
        session, video.path, video.name, face=_face(given), model=given.get("model"),
        voice=voice.path if voice else None, voice_name=voice.name if voice else "",
    )  # fmt: skip
    done = await _last(request, messages)
    report = {"input": video.name, "synthetic": True, **{key: done[key] for key in done if key not in _OWN}}
    if kind == "report":
        return JSONResponse(report)
    path = Path(done[kind])
    headers = {REPORT: json.dumps(report)}
    return _FileOfSession(path, stack.pop_all(), media_type=_KINDS[kind] or None, filename=path.name, headers=headers)


async def _faces(service: Service, request: Request, session: Any, received: Received, stack: ExitStack) -> Response:
    video = _video(received)
    return JSONResponse(await _last(request, service.faces(session, video.path, video.name)))


def _video(received: Received) -> File:
    found = _file(received, "video")
    if found is not None:
        return found
    if any(file.field == "video" and file.name for file in received.files):
        raise Refused(422, "the video that was sent is empty; copy or export it again")
    raise Refused(422, "no video was sent; send the file as the form's field video")


def _file(received: Received, field: str) -> File | None:
    found = [file for file in received.files if file.field == field and file.size]
    return found[0] if found else None


def _face(given: Mapping[str, str]) -> int | None:
    text = given.get("face", "")
    if text in ("", "auto"):
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 4):
        raise Refused(422, "face: a number from 0, left to right, or auto")
    return int(text)


async def _last(request: Request, messages: AsyncIterator[dict[str, Any]]) -> dict[str, Any]:
    """Return what the last message brings; give the work up when the caller goes away."""

    async def follow() -> dict[str, Any]:
        last: dict[str, Any] = {}
        async for message in messages:
            last = message
        done: dict[str, Any] = last["done"]
        return done

    async def leave() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    following, leaving = asyncio.create_task(follow()), asyncio.create_task(leave())
    try:
        await asyncio.wait({following, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not following.done():
            raise Refused(499, "the caller went away")
        return following.result()
    finally:
        for task in (following, leaving):
            task.cancel()
        await asyncio.gather(following, leaving, return_exceptions=True)


class _FileOfSession(FileResponse):
    """A file that is removed, with its session, once it has been sent."""

    def __init__(self, path: Path, stack: ExitStack, **settings: Any) -> None:
        super().__init__(path, **settings)
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._stack:
            await super().__call__(scope, receive, send)
