"""``unsilent serve``: the page in the browser and the HTTP API."""

from __future__ import annotations

from typing import Annotated

import typer

from unsilent.cli.common import JsonOption, QuietOption, console, emit_json, progress, report

__all__ = ["serve"]


def serve(
    model: Annotated[
        list[str] | None,
        typer.Option(help="A model folder or a shipped model, offered first; may be repeated.", show_default=False),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; other machines reach it only if told.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 7860,
    max_mb: Annotated[float, typer.Option(min=0.1, max=10_000, help="Largest file, in megabytes.")] = 100.0,
    max_seconds: Annotated[float, typer.Option(min=1, max=3600, help="Longest video, in seconds.")] = 120.0,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Videos worked on at the same time.")] = 1,
    queue: Annotated[int, typer.Option(min=0, max=10_000, help="Videos that may wait for a worker.")] = 64,
    keep: Annotated[
        float, typer.Option(min=1, max=3600, help="Seconds to keep a visitor's files once the page is closed.")
    ] = 30.0,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Open a page in the browser that speaks videos, with an HTTP API at the same address."""
    from unsilent.web.limits import Limits
    from unsilent.web.server import build_app, import_gradio, is_loopback, run
    from unsilent.web.service import Service

    limits = Limits(max_mb, max_seconds, workers, queue, keep)
    service = Service(limits, list(dict.fromkeys(model or [])))
    try:
        with progress("Loading the models"):
            # The workers load the models meanwhile.
            import_gradio(service)
            service.load_models()
            app = build_app(service, host)
        if not is_loopback(host):
            console.print(
                f"warning: listening on {host}: everybody who reaches this machine can use the page, unencrypted and "
                "without a password; put a proxy with TLS and a login before it",
                markup=False, soft_wrap=True,
            )  # fmt: skip

        def ready(taken: int) -> None:
            here = ("0.0.0.0", "127.0.0.1")  # noqa: S104  # nosec B104
            shown = f"[{host}]" if ":" in host else "localhost" if host in here else host
            address = f"http://{shown}:{taken}/"
            names = [each["name"] for each in service.models]
            emit_json({"address": address, "port": taken, "models": names, "limits": limits}, json_to)
            report(json_to).print(f"unsilent is at {address}  (Ctrl-C ends it)", markup=False, soft_wrap=True)
            if open_browser:
                typer.launch(address)

        run(app, host, port, ready)
    finally:
        service.close()
