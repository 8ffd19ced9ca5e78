"""The few endpoints of the Hugging Face hub that sharing a model needs, on loopback, over HTTP.

What a client pushes is committed to memory, and served again with the headers by which huggingface_hub caches.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

__all__ = ["Hub", "running_hub"]

Tree = dict[str, bytes]


@dataclass
class Hub:
    """Repositories, what was asked for, and where the server listens."""

    address: str = ""
    repositories: dict[str, dict[str, Tree]] = field(default_factory=dict)
    """Trees by repository and commit; the last commit is ``main``."""
    uploads: dict[str, bytes] = field(default_factory=dict)
    """Large files by SHA-256."""
    fetched: list[str] = field(default_factory=list)
    """Paths that a client was sent the content of."""
    requests: list[str] = field(default_factory=list)

    def commit(self, repository: str, tree: Tree) -> str:
        """Make ``tree`` the newest commit of a repository, and return its name."""
        commits = self.repositories.setdefault(repository, {})
        name = hashlib.sha1(f"{repository}{len(commits)}".encode()).hexdigest()
        commits[name] = tree
        return name

    def head(self, repository: str) -> Tree:
        """The newest files of a repository."""
        return list(self.repositories[repository].values())[-1]

    def find(self, repository: str, revision: str) -> tuple[str, Tree] | str:
        """Commit and files, or the hub's name of what is wrong."""
        commits = self.repositories.get(repository)
        if commits is None:
            return "RepoNotFound"
        name = list(commits)[-1] if revision == "main" else revision
        return (name, commits[name]) if name in commits else "RevisionNotFound"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            self._information("/".join(parts[2:4]), parts[4:])
        elif len(parts) > 4 and parts[2] == "resolve":
            self._content("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        else:
            self._refuse(404, "EntryNotFound")

    def do_POST(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"POST {path}")
        body = self._body()
        if not path.endswith("validate-yaml") and self.headers.get("Authorization") != "Bearer loopback":
            self._refuse(401, "")
        elif path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            self.hub.repositories.setdefault(name, {})
            self._answer({"url": f"{self.hub.address}/{name}"})
        elif path == "/api/validate-yaml":
            assert json.loads(body)["content"].startswith("---\n")
            self._answer({"warnings": [], "errors": []})
        elif "/preupload/" in path:
            # As the hub does it, weights go as large files and text with the commit.
            files = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                }
                for file in json.loads(body)["files"]
            ]
            self._answer({"files": files})
        elif path.endswith("/info/lfs/objects/batch"):
            self._answer({"transfer": "basic", "objects": [self._upload(item) for item in json.loads(body)["objects"]]})
        elif "/commit/" in path:
            self._commit("/".join(path.split("/")[3:5]), body)
        else:
            self._refuse(404, "EntryNotFound")

    def do_PUT(self) -> None:
        content = self._body()
        self.hub.uploads[self.path.rpartition("/")[2]] = content
        self._answer({})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _upload(self, item: dict[str, Any]) -> dict[str, Any]:
        upload = {"href": f"{self.hub.address}/upload/{item['oid']}", "header": {}}
        return {"oid": item["oid"], "size": item["size"], "authenticated": True, "actions": {"upload": upload}}

    def _commit(self, repository: str, body: bytes) -> None:
        commits = self.hub.repositories[repository]
        tree = dict(list(commits.values())[-1]) if commits else {}
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                tree[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                tree[value["path"]] = self.hub.uploads[value["oid"]]
            elif line["key"] == "deletedFile":
                tree.pop(value["path"])
        name = self.hub.commit(repository, tree)
        self._answer(
            {"success": True, "commitOid": name, "commitUrl": f"{self.hub.address}/{repository}/commit/{name}"}
        )

    def _information(self, repository: str, rest: list[str]) -> None:
        found = self.hub.find(repository, rest[1] if len(rest) > 1 else "main")
        if isinstance(found, str):
            self._refuse(404, found)
            return
        name, tree = found
        if rest[:1] == ["tree"]:
            self._answer(
                [
                    {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                    for path, data in tree.items()
                ]
            )
        else:
            files = [{"rfilename": path} for path in tree]
            self._answer({"id": repository, "sha": name, "siblings": files, "tags": [], "private": False})

    def _content(self, repository: str, revision: str, path: str) -> None:
        found = self.hub.find(repository, revision)
        if isinstance(found, str):
            self._refuse(404, found)
            return
        name, tree = found
        if path not in tree:
            self._refuse(404, "EntryNotFound", {"X-Repo-Commit": name})
            return
        if self.command == "GET":
            self.hub.fetched.append(path)
        etag = hashlib.sha256(tree[path]).hexdigest()
        self._send(200, tree[path], {"ETag": f'"{etag}"', "X-Repo-Commit": name, "Accept-Ranges": "bytes"})

    def _answer(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        self._send(status, b"", {"X-Error-Code": code, **(headers or {})} if code else headers or {})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@contextmanager
def running_hub() -> Iterator[Hub]:
    """A hub on a free port of loopback."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
