"""What stands before the app: only what the page and the API need passes, and only to what is the visitor's own.

Gradio's own routes would fetch addresses that a payload names, and serve files of one visitor to another who knows
their path. Here every address and every file that a request names is checked before Gradio sees it.
"""

from __future__ import annotations

import json
import re
import secrets
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import unquote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unsilent.web.limits import Refused
from unsilent.web.store import Session, Store

__all__ = ["COOKIE", "Gate", "refusal_body"]

COOKIE = "unsilent_session"
FILE = "/gradio_api/file="

_TOKEN = re.compile(r"[0-9a-f]{32}")
_BODY_BYTES = 256_000
_PAGES = frozenset({
    "/", "/config", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt", "/gradio_api/theme.css",
    "/gradio_api/queue/data", "/gradio_api/startup-events", "/gradio_api/upload_progress",
})  # fmt: skip
_TREES = ("/assets/", "/static/", "/svelte/", "/gradio_api/heartbeat/", FILE)
_CALLS = frozenset({"/gradio_api/queue/join", "/gradio_api/cancel", "/gradio_api/reset"})
_UPLOAD = "/gradio_api/upload"
_API = "/api/"

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; "
        "connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; "
        "form-action 'self'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(self), geolocation=()",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def refusal_body(error: Refused) -> bytes:
    """Return the JSON of an answer that is an error."""
    # Gradio's page reads ``detail``.
    return json.dumps({"error": str(error), "detail": str(error)}).encode()


class Gate:
    """ASGI middleware around the whole app.

    Args:
        app: what it guards.
        store: the sessions.
        hosts: names that a request may address the server by; None for any. Without it a page of another site could
            reach a server on loopback under a name of its own (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, store: Store, hosts: frozenset[str] | None) -> None:
        self._app, self._store, self._hosts = app, store, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        try:
            self._check_origin(Headers(scope=scope))
            token = _token(scope)
            own = self._store.session(token) if token else None
            body = await self._admit(scope, receive, own)
        except Refused as error:
            await _answer(send, error)
            return
        outgoing = _with_cookie(send) if token is None and scope["path"] == "/" else send
        outgoing = _with_headers(outgoing, scope["path"])
        replayed = receive if body is None else _replay(body, receive)
        if own is None:
            await self._app(scope, replayed, outgoing)
            return
        with own.busy():
            scope["unsilent.session"] = own
            await self._app(scope, replayed, outgoing)

    def _check_origin(self, headers: Headers) -> None:
        host = headers.get("host", "")
        if self._hosts is not None and _name_of(host) not in self._hosts:
            raise Refused(421, "this server is not known under that name")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            raise Refused(403, "requests from pages of other sites are not answered")

    async def _admit(self, scope: Scope, receive: Receive, own: Session | None) -> bytes | None:
        """Return the body where it had to be read; None where it has not been."""
        method, path = scope["method"], scope["path"]
        if path.startswith(_API):
            return None
        if method in ("GET", "HEAD") and (path in _PAGES or path.startswith(_TREES)):
            if path.startswith(FILE):
                self._check_file(scope, own)
            return None
        if method == "POST" and path == _UPLOAD:
            if own is None:
                raise Refused(403, "open the page first; programs send their video to /api/speak")
            return None
        if method == "POST" and path in _CALLS:
            return self._clean(await _read(receive), own)
        raise Refused(404, "there is nothing here; the page is at /, the API at /api/")

    def _check_file(self, scope: Scope, own: Session | None) -> None:
        # As the server decoded it, and as Gradio may decode it once more: both must be the visitor's.
        named = scope["path"].removeprefix(FILE)
        if any(self._store.owned(own, form) is None for form in {named, unquote(named)}):
            raise Refused(404, "this file is not here, or not yours; it may have been removed with its session")

    def _clean(self, body: bytes, own: Session | None) -> bytes:
        """Return a JSON body whose files are the visitor's own and whose addresses are gone.

        Raises:
            Refused: it is not JSON, or names a file that is not in the visitor's folder.
        """
        try:
            content = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise Refused(400, "the request is not JSON") from error
        self._check(content, own)
        return json.dumps(content).encode()

    def _check(self, root: Any, own: Session | None) -> None:
        pending = [root]
        while pending:
            value = pending.pop()
            if isinstance(value, list):
                pending += value
            elif isinstance(value, dict):
                if value.get("path") is not None and self._store.owned(own, value["path"]) is None:
                    raise Refused(422, "this file is no longer here; add it again")
                if "url" in value:
                    value["url"] = None
                pending += value.values()


def _name_of(host: str) -> str:
    return host.rsplit(":", 1)[0].lower() if not host.endswith("]") else host.lower()


def _token(scope: Scope) -> str | None:
    try:
        cookies = SimpleCookie(Headers(scope=scope).get("cookie", ""))
    except CookieError:
        return None
    value = cookies[COOKIE].value if COOKIE in cookies else ""
    return value if _TOKEN.fullmatch(value) else None


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "the request broke off")
        body += message.get("body", b"")
        if len(body) > _BODY_BYTES:
            raise Refused(413, "the request is too large")
        if not message.get("more_body"):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replayed() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _with_cookie(send: Send) -> Send:
    """Give a new visitor a session."""

    async def outgoing(message: Message) -> None:
        if message["type"] == "http.response.start":
            cookie = f"{COOKIE}={secrets.token_hex(16)}; Path=/; HttpOnly; SameSite=Strict"
            MutableHeaders(scope=message).append("Set-Cookie", cookie)
        await send(message)

    return outgoing


def _with_headers(send: Send, path: str) -> Send:
    async def outgoing(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            if not path.startswith(("/assets/", "/static/", "/svelte/")):
                headers["Cache-Control"] = "no-store"
        await send(message)

    return outgoing


async def _answer(send: Send, error: Refused) -> None:
    body = refusal_body(error)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(b"connection", b"close")] if error.status in (408, 413) else []
    headers += [(b"retry-after", str(error.retry).encode())] if error.retry else []
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
