"""Uploads of the page: Gradio's two addresses, answered by us so that files land in their session's folder."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from unsilent.web.api import refuse
from unsilent.web.limits import Refused
from unsilent.web.service import Service
from unsilent.web.uploads import receive

__all__ = ["add_page_uploads"]

_TICK = 0.1
_PATIENCE = 3.0
_TRACKED = 256


@dataclass
class _Tracked:
    """One upload on its way."""

    name: str = ""
    fresh: int = 0
    """Bytes that nobody was told of."""
    done: asyncio.Event = field(default_factory=asyncio.Event)


def add_page_uploads(app: FastAPI, service: Service) -> None:
    """Add ``/gradio_api/upload`` and ``/gradio_api/upload_progress``, ahead of Gradio's own."""
    tracked: dict[str, _Tracked] = {}

    def track(number: str) -> _Tracked:
        if number not in tracked:
            if len(tracked) >= _TRACKED:
                tracked.pop(next(iter(tracked)))
            tracked[number] = _Tracked()
        return tracked[number]

    async def upload(request: Request) -> Response:
        number = request.query_params.get("upload_id", "")[:64]
        follow = track(number)

        def moved(name: str, count: int) -> None:
            follow.name, follow.fresh = name, follow.fresh + count

        try:
            with service.place():
                session = request.scope["unsilent.session"]
                received = await receive(request, service.store, session, moved=moved)
                return JSONResponse([str(file.path) for file in received.files])
        except Refused as error:
            answer = await refuse(request, error)
            # What Gradio's page shows is the text of the answer.
            return PlainTextResponse(str(error), answer.status_code)
        finally:
            follow.done.set()

    async def upload_progress(request: Request) -> Response:
        follow = track(request.query_params.get("upload_id", "")[:64])

        async def events() -> AsyncIterator[str]:
            waited = 0.0
            while not follow.done.is_set() and waited < service.limits.stall + _PATIENCE:
                if follow.fresh:
                    waited, fresh, follow.fresh = 0.0, follow.fresh, 0
                    yield _event({"msg": "update", "orig_name": follow.name, "chunk_size": fresh})
                await asyncio.sleep(_TICK)
                waited += _TICK
            yield _event({"msg": "done"})

        return StreamingResponse(events(), media_type="text/event-stream")

    app.add_api_route("/gradio_api/upload", upload, methods=["POST"])
    app.add_api_route("/gradio_api/upload_progress", upload_progress, methods=["GET"])


def _event(message: dict[str, object]) -> str:
    return f"data: {json.dumps(message)}\n\n"
