"""One request to an ASGI app, without a network."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message

pytest.importorskip("starlette", reason="needs the web extra: pip install 'unsilent[web]'")

Answer = tuple[int, dict[str, str], bytes]


def scope_of(path: str, method: str = "GET", headers: dict[str, str] | None = None, query: str = "") -> dict[str, Any]:
    named = {"host": "127.0.0.1:7860", **(headers or {})}
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in named.items()],
        "http_version": "1.1",
        "scheme": "http",
    }


class Receiver:
    """Gives the pieces of a body, then waits for ever, or says that the sender went away."""

    def __init__(self, pieces: Iterable[bytes], *, leave: bool = False, stall: bool = False) -> None:
        self._pieces = list(pieces) or [b""]
        self._leave, self._stall = leave, stall
        self.taken = 0

    async def __call__(self) -> Message:
        if self._pieces:
            piece = self._pieces.pop(0)
            self.taken += len(piece)
            return {
                "type": "http.request",
                "body": piece,
                "more_body": bool(self._pieces) or self._leave or self._stall,
            }
        if self._leave:
            return {"type": "http.disconnect"}
        await asyncio.sleep(3600)
        raise AssertionError


def ask(app: ASGIApp, scope: dict[str, Any], receiver: Receiver | None = None) -> Answer:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def run() -> None:
        await app(scope, receiver or Receiver([b""]), send)

    asyncio.run(run())
    headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:])
