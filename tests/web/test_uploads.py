from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.web.asking import Receiver, scope_of
from tests.web.serving import Form

from unsilent.web.limits import Limits, Refused
from unsilent.web.store import Store
from unsilent.web.uploads import Received, receive

TOKEN = "a" * 32


class _Place:
    def __init__(self, folder: Path, **limits: float) -> None:
        self.store = Store(Limits(**{"max_mb": 0.01, "stall": 5.0, **limits}), folder)  # type: ignore[arg-type]
        self.session = self.store.session(TOKEN)

    def take(
        self, pieces: list[bytes], kind: str, *, files: int = 1, query: str = "", receiver: Receiver | None = None,
        length: int | None = None,
    ) -> Received:  # fmt: skip
        from starlette.requests import Request

        told = {"content-length": str(length)} if length is not None else {}
        scope = scope_of("/api/speak", "POST", {"content-type": kind, **told}, query)
        request = Request(scope, receiver or Receiver(pieces))
        return asyncio.run(receive(request, self.store, self.session, files=files))

    def written(self) -> list[Path]:
        return [path for path in self.store.root.rglob("*") if path.is_file()]


@pytest.fixture
def place(tmp_path: Path) -> _Place:
    return _Place(tmp_path)


def _cut(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[begin:end] for begin, end in itertools.pairwise(edges)]


@given(data=st.binary(max_size=3000), cuts=st.lists(st.integers(0, 10_000), max_size=12), value=st.text(max_size=50))
def test_a_form_arrives_whole_however_it_is_cut(data: bytes, cuts: list[int], value: str) -> None:
    import tempfile

    form = Form({"face": value}, {"video": ("a b.mp4", data), "voice": ("v.wav", data[::-1])})
    with tempfile.TemporaryDirectory() as folder:
        place = _Place(Path(folder))
        received = place.take(_cut(form.body(), cuts), form.kind, files=2)
        assert [(file.field, file.name, file.path.read_bytes()) for file in received.files] == [
            ("video", "a b.mp4", data), ("voice", "v.wav", data[::-1]),
        ]  # fmt: skip
        assert received.fields["face"] == value.encode(errors="replace").decode(errors="replace").strip()
        assert place.session.bytes == 2 * len(data)
        place.store.close()


def test_a_plain_body_is_a_file(place: _Place) -> None:
    received = place.take([b"ab", b"c"], "video/mp4", query="name=../../my%20clip.mov")
    assert received.files[0].path.read_bytes() == b"abc"
    assert received.files[0].name == "my clip.mov"
    assert received.files[0].path.name == "my_clip.mov"
    assert received.files[0].path.is_relative_to(place.session.folder)


@pytest.mark.parametrize("name", ["../../../../tmp/evil.mp4", "/etc/cron.d/x", "..\\..\\x.mp4", "a\0b.mp4", "…"])
def test_names_do_not_lead_out_of_the_folder(name: str, place: _Place) -> None:
    form = Form({}, {"video": (name, b"x")})
    received = place.take([form.body()], form.kind)
    assert [file.path for file in received.files] == place.written()
    assert received.files[0].path.is_relative_to(place.session.folder)


def test_too_large_is_known_from_the_header_alone(place: _Place) -> None:
    receiver = Receiver([b"x"])
    with pytest.raises(Refused, match=r"larger than 0\.01 MB") as refused:
        place.take([], "video/mp4", receiver=receiver, length=1_000_000)
    assert refused.value.status == 413
    assert receiver.taken == 0


@pytest.mark.parametrize("kind", ["form", "plain"])
def test_too_large_without_a_header_ends_at_the_limit(kind: str, place: _Place) -> None:
    form = Form({}, {"video": ("a.mp4", b"x" * 1_000_000)})
    body, told = (form.body(), form.kind) if kind == "form" else (b"x" * 1_000_000, "video/mp4")
    receiver = Receiver(_cut(body, list(range(0, len(body), 1000))))
    with pytest.raises(Refused, match="larger than") as refused:
        place.take([], told, receiver=receiver)
    assert refused.value.status == 413
    assert receiver.taken < 20_000
    assert place.written() == []
    assert place.session.bytes == place.store.bytes == place.session.files == 0


def test_an_endless_header_or_field_is_refused(place: _Place) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="a'
    with pytest.raises(Refused):
        place.take([head, *[b"y" * 1000] * 200], "multipart/form-data; boundary=x")
    with pytest.raises(Refused, match="too long"):
        place.take([Form({"a": "y" * 5000}, boundary="x").body()], "multipart/form-data; boundary=x")
    with pytest.raises(Refused, match="more than 16 fields"):
        place.take([Form({str(n): "y" for n in range(20)}, boundary="x").body()], "multipart/form-data; boundary=x")


def test_more_files_than_asked_for_are_refused(place: _Place) -> None:
    form = Form({}, {"a": ("a", b"x"), "b": ("b", b"x"), "c": ("c", b"x")})
    with pytest.raises(Refused, match="more than 2 files"):
        place.take([form.body()], form.kind, files=2)
    assert place.written() == []


@pytest.mark.parametrize("body", [b"", b"--x", b"--x\r\n", b"nonsense", Form({}, {"v": ("v", b"z")}, "x").body()[:-8]])
def test_a_form_cut_short_is_refused(body: bytes, place: _Place) -> None:
    with pytest.raises(Refused) as refused:
        place.take([body], "multipart/form-data; boundary=x")
    assert refused.value.status == 400
    assert place.written() == []


def test_a_form_without_a_boundary_is_refused(place: _Place) -> None:
    with pytest.raises(Refused, match="no boundary"):
        place.take([b"x"], "multipart/form-data")


@given(st.binary(max_size=400))
def test_any_bytes_are_a_form_or_refused(body: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        place = _Place(Path(folder))
        try:
            place.take([b"--x\r\n" + body], "multipart/form-data; boundary=x")
        except Refused as refused:
            status, left = refused.status, place.written()
        else:
            status, left = 400, []
        assert 400 <= status < 500
        assert left == []
        place.store.close()


def test_an_upload_that_breaks_off_leaves_nothing(place: _Place) -> None:
    form = Form({}, {"video": ("a.mp4", b"x" * 5000)})
    with pytest.raises(Refused, match="broke off"):
        place.take([], form.kind, receiver=Receiver([form.body()[:3000]], leave=True))
    assert place.written() == []


def test_an_upload_that_stalls_is_given_up(tmp_path: Path) -> None:
    place = _Place(tmp_path, stall=0.05)
    with pytest.raises(Refused, match="nothing arrived") as refused:
        place.take([], "video/mp4", receiver=Receiver([b"x"], stall=True))
    assert refused.value.status == 408
    assert place.written() == []
