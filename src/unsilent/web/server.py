"""One server: the app behind its gate, run until it is told to end."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import ipaddress
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from unsilent.errors import OutputError, UnsilentError
from unsilent.web.service import Service

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["build_app", "import_gradio", "is_loopback", "run"]

_GRACE = 3
_REAP_EVERY = 2.0
_CONNECTIONS = 1000


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def import_gradio(service: Service) -> None:
    """Import Gradio, which takes seconds, so that it reports nothing to anybody and writes to the server's folder.

    Raises:
        UnsilentError: it is not installed.
    """
    # Gradio reads these once.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["GRADIO_TEMP_DIR"] = str(service.store.root)
    os.environ["GRADIO_RUN_HISTORY"] = "False"
    try:
        importlib.import_module("gradio")
    except ModuleNotFoundError as error:
        raise UnsilentError(f"{error.name}: is not installed; pip install 'unsilent[web]'") from error


def build_app(service: Service, host: str) -> ASGIApp:
    """Return page and API behind their gate.

    Args:
        service: with its models loaded.
        host: where it will listen; on loopback it answers to loopback's names only.
    """
    import_gradio(service)
    from fastapi import FastAPI

    from unsilent.web.api import add_api
    from unsilent.web.gate import Gate
    from unsilent.web.page import mount_page
    from unsilent.web.page_uploads import add_page_uploads

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        reaper = asyncio.create_task(_reap(service))
        try:
            yield
        finally:
            reaper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reaper

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    add_api(app, service)
    add_page_uploads(app, service)
    mount_page(app, service)
    hosts = frozenset({"localhost", "127.0.0.1", "[::1]", host, f"[{host}]"}) if is_loopback(host) else None
    return Gate(app, service.store, hosts)


async def _reap(service: Service) -> None:
    while True:
        await asyncio.sleep(_REAP_EVERY)
        await asyncio.to_thread(service.store.reap)


def run(app: ASGIApp, host: str, port: int, on_ready: Callable[[int], None]) -> None:
    """Listen until SIGINT or SIGTERM.

    Args:
        app: what `build_app` returned.
        host: name or address.
        port: 0 for any that is free.
        on_ready: told the port once connections are taken in.

    Raises:
        OutputError: the address cannot be listened on.
    """
    import uvicorn

    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, ws="none", lifespan="on", proxy_headers=False,
        timeout_graceful_shutdown=_GRACE, limit_concurrency=_CONNECTIONS,
    )  # fmt: skip
    with _listener(host, port) as listener:
        on_ready(int(listener.getsockname()[1]))
        uvicorn.Server(config).run(sockets=[listener])


def _listener(host: str, port: int) -> socket.socket:
    listener = None
    try:
        info = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(info[0], info[1])
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(info[4])
        # From here on connections wait until they are taken in; whoever is told the port may use it at once.
        listener.listen(_CONNECTIONS)
    except OSError as error:
        if listener is not None:
            listener.close()
        raise OutputError(f"{host}:{port}: cannot be listened on ({error.strerror}); choose another --port") from error
    return listener
