"""What worker processes do in tests of their pool."""

from __future__ import annotations

import json
import os
import time
from multiprocessing.connection import Connection
from typing import Any


def echo(pipe: Connection, threads: int, models: list[str]) -> None:
    """Answer with what is asked; ``do`` may be crash, hang, garbage, or slow (until cancelled)."""

    def say(message: Any) -> None:
        pipe.send_bytes(json.dumps(message).encode())

    while True:
        try:
            request = json.loads(pipe.recv_bytes())
        except EOFError:
            return
        match request.get("do"):
            case "crash":
                os._exit(139)
            case "hang":
                time.sleep(600)
            case "garbage":
                pipe.send_bytes(b"\x80\x04garbage")
            case "slow":
                while not pipe.poll(0.02):
                    say({"progress": {}})
                pipe.recv_bytes()
                say({"error": "cancelled", "status": 499})
            case "number":
                say({"done": {"number": request["number"], "process": os.getpid()}})
