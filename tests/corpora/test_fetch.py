"""Downloads from a real HTTP server on this machine: whole, resumed, damaged, hostile."""

from __future__ import annotations

import hashlib
import io
import json
import re
import stat
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from unsilent.cli import main
from unsilent.corpora import fetch as module
from unsilent.corpora.fetch import Archive, fetch, grid_archives, unpack
from unsilent.corpora.grid import GridCorpus
from unsilent.errors import CorpusError, OutputError


@dataclass
class Server:
    """Files by path; ``cut`` ends an answer after so many bytes, as often as ``cuts`` says."""

    files: dict[str, bytes] = field(default_factory=dict)
    url: str = ""
    ranges: bool = True
    tag: str = '"1"'
    cut: int = 0
    cuts: int = 0
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        self.asked.append((handler.path, wanted))
        data = self.files.get(handler.path)
        if data is None:
            handler.send_error(404)
            return
        match = re.fullmatch(r"bytes=(\d+)-", wanted or "")
        begin = int(match[1]) if match and self.ranges and handler.headers.get("If-Range") == self.tag else 0
        if begin and begin >= len(data):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(data)}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_response(206 if begin else 200)
        handler.send_header("Content-Length", str(len(data) - begin))
        handler.send_header("ETag", self.tag)
        handler.end_headers()
        body = data[begin:]
        if self.cuts:
            self.cuts -= 1
            body = body[: self.cut]
        handler.wfile.write(body)
        handler.close_connection = True


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)

        def log_message(self, format: str, *values: object) -> None:
            pass

    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        state.url = f"http://127.0.0.1:{http.server_port}"
        yield state
        http.shutdown()
        thread.join()


def zipped(files: dict[str, bytes], *, links: tuple[str, ...] = ()) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name)
            if name in links:
                entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(entry, data)
    return buffer.getvalue()


SPEAKER = zipped({"s1/bbaf2n.mpg": b"picture" * 20_000, "s1/lwwz9s.mpg": b"sound" * 9_000, "__MACOSX/s1/._x": b"junk"})


def md5(data: bytes) -> str:
    return f"md5:{hashlib.md5(data, usedforsecurity=False).hexdigest()}"


def left(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


@pytest.fixture
def archive(server: Server) -> Archive:
    server.files["/s1.zip"] = SPEAKER
    return Archive("s1.zip", f"{server.url}/s1.zip", md5(SPEAKER), "s1")


class Counted:
    """Counts megabytes as a progress bar would."""

    def __init__(self) -> None:
        self.total: float | None = None
        self.done = 0.0

    def advance(self, amount: float = 1) -> None:
        self.done += amount


def test_whole_download(archive: Archive, tmp_path: Path) -> None:
    bar = Counted()
    fetched = fetch(archive, tmp_path, progress=bar)
    assert (fetched.verified, fetched.files, fetched.bytes) == ("published", 2, len(SPEAKER))
    assert fetched.sha256 == hashlib.sha256(SPEAKER).hexdigest()
    assert left(tmp_path) == ["archives/s1.zip.json", "s1/bbaf2n.mpg", "s1/lwwz9s.mpg"]
    assert bar.total == pytest.approx(len(SPEAKER) / 1e6)
    assert bar.done == pytest.approx(len(SPEAKER) / 1e6)
    assert len(GridCorpus(tmp_path).clips()) == 2


def test_second_call_asks_for_nothing(archive: Archive, tmp_path: Path, server: Server) -> None:
    first = fetch(archive, tmp_path)
    server.asked.clear()
    assert fetch(archive, tmp_path) == first
    assert server.asked == []


def test_archive_can_be_kept(archive: Archive, tmp_path: Path) -> None:
    fetch(archive, tmp_path, keep=True)
    assert (tmp_path / "archives/s1.zip").read_bytes() == SPEAKER


def test_broken_connection_is_taken_up_where_it_broke(archive: Archive, tmp_path: Path, server: Server) -> None:
    server.cut, server.cuts = 50_000, 2
    fetched = fetch(archive, tmp_path)
    assert fetched.verified == "published"
    assert [wanted for _, wanted in server.asked] == [None, "bytes=50000-", "bytes=100000-"]


def test_stopped_run_goes_on_in_the_next(archive: Archive, tmp_path: Path, server: Server) -> None:
    server.cut, server.cuts = 60_000, 1
    with pytest.raises(CorpusError, match=r"the connection broke 1 times .* run again to go on"):
        fetch(archive, tmp_path, attempts=1)
    assert (tmp_path / "archives/s1.zip.partial").stat().st_size == 60_000
    assert not (tmp_path / "s1").exists()
    server.asked.clear()
    fetch(archive, tmp_path)
    assert [wanted for _, wanted in server.asked] == ["bytes=60000-"]
    assert left(tmp_path) == ["archives/s1.zip.json", "s1/bbaf2n.mpg", "s1/lwwz9s.mpg"]


def test_server_without_ranges_starts_over(archive: Archive, tmp_path: Path, server: Server) -> None:
    server.cut, server.cuts, server.ranges = 60_000, 1, False
    assert fetch(archive, tmp_path).bytes == len(SPEAKER)


def test_file_that_changed_meanwhile_starts_over(archive: Archive, tmp_path: Path, server: Server) -> None:
    server.cut, server.cuts = 60_000, 1
    with pytest.raises(CorpusError):
        fetch(archive, tmp_path, attempts=1)
    other = zipped({"s1/bbaf2n.mpg": b"remastered" * 20_000})
    server.files["/s1.zip"], server.tag = other, '"2"'
    fetched = fetch(Archive("s1.zip", archive.url, md5(other), "s1"), tmp_path)
    assert fetched.sha256 == hashlib.sha256(other).hexdigest()


@pytest.mark.parametrize("extra", [b"", b"more than the server has"])
def test_nothing_left_to_send(archive: Archive, tmp_path: Path, server: Server, extra: bytes) -> None:
    folder = tmp_path / "archives"
    folder.mkdir()
    (folder / "s1.zip.partial").write_bytes(SPEAKER + extra)
    (folder / "s1.zip.version").write_text(server.tag)
    assert fetch(archive, tmp_path).sha256 == hashlib.sha256(SPEAKER).hexdigest()
    assert len(server.asked) == (2 if extra else 1)


@pytest.mark.parametrize("checksum", ["md5:" + "0" * 32, "sha256:" + "0" * 64, "crc:1"])
def test_wrong_checksum_leaves_nothing(archive: Archive, tmp_path: Path, checksum: str) -> None:
    with pytest.raises(CorpusError, match="checksum is not the one published; deleted, fetch it again"):
        fetch(Archive("s1.zip", archive.url, checksum, "s1"), tmp_path)
    assert left(tmp_path) == []


def test_first_use_is_recorded_and_compared(archive: Archive, tmp_path: Path, server: Server) -> None:
    unknown = Archive("s1.zip", archive.url, None, "s1")
    assert fetch(unknown, tmp_path, keep=True).verified == "first use"
    record = tmp_path / "archives/s1.zip.json"
    assert json.loads(record.read_text())["sha256"] == hashlib.sha256(SPEAKER).hexdigest()
    (tmp_path / "archives/s1.zip").unlink()
    assert fetch(unknown, tmp_path, keep=True).verified == "recorded"
    (tmp_path / "archives/s1.zip").unlink()
    server.files["/s1.zip"] = zipped({"s1/bbaf2n.mpg": b"another"})
    with pytest.raises(CorpusError, match="not the one recorded at the first fetch"):
        fetch(unknown, tmp_path, keep=True)


def test_damaged_record_is_named(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives/s1.zip.json").write_text("{")
    with pytest.raises(CorpusError, match=r"s1\.zip\.json: is damaged; delete it"):
        fetch(archive, tmp_path)


def test_answers_that_are_no_file(archive: Archive, tmp_path: Path, server: Server) -> None:
    with pytest.raises(CorpusError, match="the server answers 404"):
        fetch(Archive("s2.zip", f"{server.url}/s2.zip"), tmp_path)
    with pytest.raises(CorpusError, match="is no web address"):
        fetch(Archive("s2.zip", f"file://{tmp_path}/s2.zip"), tmp_path)


def test_no_network(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"cannot be reached .*check the network and run again"):
        fetch(Archive("s1.zip", "http://127.0.0.1:9/s1.zip"), tmp_path)


def test_full_disk_is_foreseen(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 1000

    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage)
    with pytest.raises(OutputError, match="GB are needed; make room"):
        fetch(archive, tmp_path)


def test_root_that_is_a_file(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "root").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        fetch(archive, tmp_path / "root")


# --- unpacking -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../evil.mpg", "s1/../../evil.mpg", "/evil.mpg", "C:/evil.mpg", "..\\evil.mpg", "s1/link.mpg"]
)
def test_archive_that_leads_outside_is_refused_before_anything_is_written(
    server: Server, tmp_path: Path, name: str
) -> None:
    data = zipped({"s1/bbaf2n.mpg": b"fine", name: b"/etc/passwd"}, links=("s1/link.mpg",))
    server.files["/s1.zip"] = data
    root = tmp_path / "root"
    with pytest.raises(CorpusError, match="leads outside the folder; the archive is not safe"):
        fetch(Archive("s1.zip", f"{server.url}/s1.zip", md5(data), "s1"), root)
    assert [path for path in left(tmp_path) if not path.startswith("root/archives/")] == []


def test_files_without_a_folder_get_one(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(zipped({"bbaf2n.mpg": b"a", "sub/lwwz9s.mpg": b"b"}))
    assert unpack(path, tmp_path / "root", "s5") == 2
    assert left(tmp_path / "root") == ["s5/bbaf2n.mpg", "s5/sub/lwwz9s.mpg"]


def test_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("s1/a.mpg", bytes(30_000_000))
    with pytest.raises(CorpusError, match="would unpack to"):
        unpack(path, tmp_path / "root")
    assert not (tmp_path / "root").exists()


def test_damaged_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    data = bytearray(SPEAKER)
    data[1000] ^= 1
    for bad in (b"", b"no zip", SPEAKER[:-30], bytes(data)):
        path.write_bytes(bad)
        with pytest.raises(CorpusError, match=r"x\.zip: is damaged"):
            unpack(path, tmp_path / "root", "s1")


# --- GRID ----------------------------------------------------------------------------------------------------------


def test_archives_of_grid_with_published_checksums(server: Server) -> None:
    record = {"files": [{"key": "s1.zip", "checksum": "md5:aa"}, {"key": "alignments.zip", "checksum": "md5:bb"}]}
    server.files["/api"] = json.dumps(record).encode()
    archives = grid_archives(["s1", "s2"], record=f"{server.url}/api")
    assert [(a.name, a.checksum, a.folder) for a in archives] == [
        ("s1.zip", "md5:aa", "s1"),
        ("s2.zip", None, "s2"),
        ("alignments.zip", "md5:bb", "alignments"),
    ]
    assert archives[0].url == "https://zenodo.org/records/3625687/files/s1.zip?download=1"


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"files": [1]}', None])
def test_checksums_that_do_not_come_are_not_needed(server: Server, body: bytes | None) -> None:
    if body is not None:
        server.files["/api"] = body
    assert [a.checksum for a in grid_archives(["s1"], record=f"{server.url}/api")] == [None, None]


def test_sheffield_publishes_no_checksums() -> None:
    (video,) = grid_archives(["s2"], source="sheffield", alignments=False)
    assert (video.name, video.checksum) == ("s2.mpg_vcd.zip", None)
    assert video.url == "https://spandh.dcs.shef.ac.uk/gridcorpus/s2/video/s2.mpg_vcd.zip"


def test_speakers_and_sources_are_checked() -> None:
    assert len(module.GRID_SPEAKERS) == 33
    with pytest.raises(CorpusError, match="s21: has no video"):
        grid_archives(["s1", "s21"])
    with pytest.raises(CorpusError, match="anna: is no speaker of GRID"):
        grid_archives(["anna"])
    with pytest.raises(CorpusError, match="give zenodo or sheffield"):
        grid_archives(["s1"], source="kaggle")


# --- command line --------------------------------------------------------------------------------------------------


def test_command(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = zipped({"alignments/s1/bbaf2n.align": b"0 1000 bin\n"})
    server.files.update({"/s1.zip": SPEAKER, "/alignments.zip": words})
    server.files["/api"] = json.dumps({"files": [{"key": "s1.zip", "checksum": md5(SPEAKER)}]}).encode()
    monkeypatch.setattr(module, "ZENODO_RECORD", f"{server.url}/api")
    monkeypatch.setattr(module, "_ZENODO_FILE", server.url + "/{name}")
    arguments = ["fetch", "grid", "--speakers", "s1", "-o", str(tmp_path), "--json", "-"]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    data = json.loads(printed.out)
    assert [(item["name"], item["verified"]) for item in data["archives"]] == [
        ("s1.zip", "published"),
        ("alignments.zip", "first use"),
    ]
    assert "nobody publishes a checksum" in printed.err
    assert left(tmp_path) == [
        "alignments/s1/bbaf2n.align",
        "archives/alignments.zip.json",
        "archives/s1.zip.json",
        "s1/bbaf2n.mpg",
        "s1/lwwz9s.mpg",
    ]


def test_command_names_the_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "grid", "--speakers", "s21"]) == 2
    assert capsys.readouterr().err == "error: s21: has no video; give some of s1 ... s34 but s21\n"
