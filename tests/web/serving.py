"""A real server in a process of its own, and what to ask it with."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import uuid
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
_PATIENCE = 280.0


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        text = self.json["error"]
        assert isinstance(text, str)
        assert "\n" not in text
        assert "Traceback" not in text
        assert "/" not in text.replace("/api/", "").replace(" / ", ""), text
        return text


class Server:
    """``unsilent serve`` with its own folder for temporary files."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.temporary = folder / "tmp"
        self.temporary.mkdir(parents=True, exist_ok=True)
        self.watch = folder / "connections.txt"
        environment = {**os.environ, "TMPDIR": str(self.temporary), "UNSILENT_WATCH": str(self.watch)}
        command = [sys.executable, "-m", "tests.web.watched", "serve", "--port", "0", *arguments]
        self._log = open(folder / "errors.txt", "ab")  # noqa: SIM115
        self.log = folder / "errors.txt"
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self._log, text=True, env=environment, cwd=REPOSITORY
        )
        timer = threading.Timer(_PATIENCE, self.process.kill)
        timer.start()
        try:
            assert self.process.stdout is not None
            line = self.process.stdout.readline()
        finally:
            timer.cancel()
        found = re.search(r"http://localhost:(\d+)/", line)
        assert found, f"the server did not start: {line!r} {self.log.read_text()}"
        self.port = int(found[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Reply:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, named, answer.read())
        finally:
            connection.close()

    def send(self, path: str, form: Form, headers: dict[str, str] | None = None) -> Reply:
        return self.ask("POST", path, form.body(), {"Content-Type": form.kind, **(headers or {})})

    def folders(self) -> list[Path]:
        """Folders of sessions that hold files now."""
        return [path.parent for path in self.temporary.glob("unsilent-serve-*/*/*/")]

    def idle(self) -> bool:
        state = self.ask("GET", "/api/health").json
        return bool(state["running"] + state["waiting"] == 0)

    def memory(self) -> int:
        """Bytes of the server itself, without its workers, that are in memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            assert self.process.stdout is not None
            self.process.stdout.close()
            self._log.close()
        return code


@dataclass
class Form:
    """A form of ``multipart/form-data``."""

    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    boundary: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def kind(self) -> str:
        return f"multipart/form-data; boundary={self.boundary}"

    def body(self) -> bytes:
        parts = [
            f'--{self.boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in self.fields.items()
        ]
        for name, (file, data) in self.files.items():
            head = f'--{self.boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n'
            parts.append(head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + data + b"\r\n")
        return b"".join(parts) + f"--{self.boundary}--\r\n".encode()


def video_form(path: Path, name: str | None = None, **fields: str) -> Form:
    return Form(fields, {"video": (name or path.name, path.read_bytes())})
