from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.web.asking import Answer, Receiver, ask, scope_of

from unsilent.web.gate import COOKIE, Gate
from unsilent.web.limits import Limits
from unsilent.web.store import Store

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

MINE, THEIRS = "a" * 32, "b" * 32
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


class _Inside:
    """An app that says what reached it."""

    def __init__(self) -> None:
        self.seen: list[tuple[Scope, bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        if scope["method"] == "POST":
            body = (await receive())["body"]
        self.seen.append((dict(scope), body))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"inside"})


class _House:
    def __init__(self, folder: Path, hosts: frozenset[str] | None = LOOPBACK) -> None:
        self.store = Store(Limits(keep=0.0), folder)
        self.inside = _Inside()
        self.gate = Gate(self.inside, self.store, hosts)

    def file(self, token: str, name: str = "clip.mp4") -> str:
        path = self.store.room(self.store.session(token), name)
        path.write_text(f"of {token}")
        return str(path)

    def ask(self, path: str, method: str = "GET", body: Any = None, **headers: str) -> Answer:
        headers.setdefault("cookie", f"{COOKIE}={MINE}")
        pieces = [body if isinstance(body, bytes) else json.dumps(body).encode()] if body is not None else []
        return ask(self.gate, scope_of(path, method, headers), Receiver(pieces))

    def join(self, value: Any) -> Answer:
        return self.ask("/gradio_api/queue/join", "POST", {"fn_index": 1, "session_hash": "x", "data": [value]})


@pytest.fixture
def house(tmp_path: Path) -> _House:
    return _House(tmp_path)


@pytest.mark.parametrize("path", ["/", "/assets/x.js", "/theme.css", "/gradio_api/queue/data", "/api/speak"])
def test_what_the_page_needs_passes(path: str, house: _House) -> None:
    assert house.ask(path)[0] == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/gradio_api/proxy=http://169.254.169.254/latest"),
        ("GET", "/gradio_api/file/etc/passwd"),
        ("GET", "/gradio_api/info"),
        ("GET", "/monitoring"),
        ("GET", "/gradio_api/vibe-code"),
        ("POST", "/gradio_api/vibe-edit"),
        ("POST", "/gradio_api/component_server"),
        ("POST", "/gradio_api/process_recording"),
        ("POST", "/gradio_api/call/speak"),
        ("POST", "/gradio_api/run/predict"),
        ("GET", "/custom_component/x/client/component/y.js"),
        ("GET", "/gradio_api/stream/a/b/1/playlist.m3u8"),
        ("PUT", "/"),
    ],
)
def test_the_rest_of_gradio_is_not_there(method: str, path: str, house: _House) -> None:
    status, _, body = house.ask(path, method, {})
    assert status == 404
    assert "error" in json.loads(body)
    assert house.inside.seen == []


def test_files_are_served_to_their_owner_only(house: _House, tmp_path: Path) -> None:
    mine, theirs = house.file(MINE), house.file(THEIRS)
    (tmp_path / "outside").write_text("x")
    assert house.ask(f"/gradio_api/file={mine}")[0] == 200
    wild = [
        theirs,
        "/etc/passwd",
        str(tmp_path / "outside"),
        f"{Path(mine).parent}/../../../outside",
        f"{Path(mine).parent}/%2e%2e/%2e%2e/%2e%2e/outside",
        "http://127.0.0.1:1/x",
        "//etc/passwd",
        quote(theirs),
        f"file://{mine}",
        "",
        "\0",
    ]
    for path in wild:
        status, _, body = house.ask(f"/gradio_api/file={path}")
        assert status == 404, path
        assert b"of " not in body
    assert house.ask(f"/gradio_api/file={mine}", cookie="")[0] == 404
    assert house.ask(f"/gradio_api/file={mine}", cookie=f"{COOKIE}=../../etc")[0] == 404
    assert len(house.inside.seen) == 1


def test_payloads_may_name_own_files_only_and_no_addresses(house: _House) -> None:
    mine, theirs = house.file(MINE), house.file(THEIRS)
    meta = {"_type": "gradio.FileData"}
    address = "http://169.254.169.254/latest/meta-data"
    assert house.join({"path": mine, "url": address, "meta": meta})[0] == 200
    passed = json.loads(house.inside.seen[-1][1])
    assert passed["data"][0] == {"path": mine, "url": None, "meta": meta}
    for bad in (theirs, address, "/etc/passwd", "file:///etc/passwd", "data:text/plain,x", f"{mine}/../x", 3, ["x"]):
        status, _, body = house.join({"path": bad, "meta": meta})
        assert status == 422, bad
        assert "no longer here" in json.loads(body)["error"]
        assert house.join([{"deep": [{"video": {"path": bad, "meta": meta}}]}])[0] == 422
    assert len(house.inside.seen) == 1


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["path", "url", "meta", "x"]), inner),
    )
)
def test_no_payload_smuggles_a_path_or_an_address(value: Any) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        house = _House(Path(folder))
        status, _, _ = house.join(value)
        if status == 200:
            passed = house.inside.seen[-1][1]
            pending = [json.loads(passed)]
            while pending:
                item = pending.pop()
                if isinstance(item, dict):
                    assert item.get("path") is None
                    assert item.get("url") is None
                    pending += item.values()
                elif isinstance(item, list):
                    pending += item
        else:
            assert house.inside.seen == []
        house.store.close()


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 200_000])
def test_what_is_not_json_is_refused(body: bytes, house: _House) -> None:
    assert house.ask("/gradio_api/queue/join", "POST", body)[0] == 400


def test_a_large_payload_is_refused_before_it_is_read(house: _House) -> None:
    receiver = Receiver([b"x" * 100_000] * 1000)
    scope = scope_of("/gradio_api/queue/join", "POST", {"cookie": f"{COOKIE}={MINE}"})
    assert ask(house.gate, scope, receiver)[0] == 413
    assert receiver.taken <= 400_000


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", ""])
def test_a_server_on_loopback_answers_to_its_own_names_only(host: str, house: _House) -> None:
    assert house.ask("/api/models", host=host)[0] == 421
    assert house.inside.seen == []


def test_a_server_for_all_answers_to_any_name(tmp_path: Path) -> None:
    assert _House(tmp_path, None).ask("/api/models", host="voice.example")[0] == 200


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:7860", "LOCALHOST:7860"])
def test_names_of_loopback(host: str, house: _House) -> None:
    assert house.ask("/api/models", host=host)[0] == 200


def test_pages_of_other_sites_are_not_answered(house: _House) -> None:
    assert house.ask("/api/speak", "POST", b"x", origin="http://evil.example")[0] == 403
    assert house.ask("/api/speak", "POST", b"x", origin="null")[0] == 403
    assert house.ask("/api/speak", "POST", b"x", origin="http://127.0.0.1:7860")[0] == 200


def test_a_new_visitor_gets_a_session_that_scripts_cannot_read(house: _House) -> None:
    first = house.ask("/", cookie="")[1]["set-cookie"]
    second = house.ask("/", cookie="")[1]["set-cookie"]
    assert first != second
    assert first.startswith(f"{COOKIE}=")
    assert "HttpOnly" in first
    assert "SameSite=Strict" in first
    assert "set-cookie" not in house.ask("/")[1]
    assert "set-cookie" not in house.ask("/assets/x.js", cookie="")[1]


def test_uploads_of_the_page_need_its_session(house: _House) -> None:
    assert house.ask("/gradio_api/upload", "POST", b"x", cookie="")[0] == 403
    assert house.ask("/gradio_api/upload", "POST", b"x")[0] == 200


def test_answers_forbid_other_hosts_and_storing(house: _House) -> None:
    headers = house.ask("/")[1]
    assert "http" not in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "cache-control" not in house.ask("/assets/x.js")[1]
