"""The command line with a watch on the network: every address but loopback's that is looked up or connected to is
written to the file that ``UNSILENT_WATCH`` names, by the server and by its workers alike."""

from __future__ import annotations

import os
import sys
from typing import Any

_LOCAL = ("127.0.0.1", "::1", "localhost", "0.0.0.0", "", None, b"127.0.0.1", b"localhost")


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    if host not in _LOCAL:
        with open(os.environ["UNSILENT_WATCH"], "a") as file:
            file.write(f"{event} {host}\n")


if "UNSILENT_WATCH" in os.environ:
    sys.addaudithook(_watch)

if __name__ == "__main__":
    from unsilent.cli import main

    sys.exit(main())
