"""A real server, asked over loopback."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.evaluation.sounds import speech
from tests.media_files import click, make_sound
from tests.web.serving import REPOSITORY, Form, Reply, Server, video_form

from unsilent.media import SYNTHETIC_TAG, probe, read_audio, write_audio

SOUND = 1e-3
"""Root mean square above which something is heard."""


def _until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def _heard(path: Path) -> tuple[float, float]:
    samples = read_audio(path, 24_000)
    return len(samples) / 24_000, float(np.sqrt(np.mean(samples**2)))


# --- what it is for --------------------------------------------------------------------------------------------------


def test_a_video_is_spoken(server: Server, talking_video: Path, tmp_path: Path) -> None:
    import av

    reply = server.send("/api/speak", video_form(talking_video, "../my clip.mp4"))
    assert reply.status == 200, reply.body
    spoken = tmp_path / "spoken.mp4"
    spoken.write_bytes(reply.body)
    seconds, loudness = _heard(spoken)
    assert seconds == pytest.approx(probe(talking_video).duration, abs=0.05)
    assert loudness > SOUND
    with av.open(str(spoken)) as container:
        assert container.metadata["comment"] == SYNTHETIC_TAG
    report = json.loads(reply.headers["x-unsilent-report"])
    assert report["input"] == "my clip.mp4"
    assert report["synthetic"] is True
    assert report["frames"] == 30
    assert report["faces"] == 1
    assert set(report["timings"]) == {"decode", "face", "model", "vocoder", "mux"}
    assert "my_clip.spoken.mp4" in reply.headers["content-disposition"]
    assert str(server.temporary) not in str(reply.headers)
    _until(lambda: server.folders() == [])


def test_the_picture_of_the_page(server: Server, talking_video: Path) -> None:
    reply = server.send("/api/speak", video_form(talking_video, "../my clip.mp4", **{"as": "picture"}))
    assert reply.status == 200, reply.body
    assert reply.headers["content-type"] == "image/png"
    assert "my_clip.spoken.png" in reply.headers["content-disposition"]
    assert json.loads(reply.headers["x-unsilent-report"])["seconds"] == pytest.approx(1.2)
    picture = cv2.imdecode(np.frombuffer(reply.body, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    height, width = picture.shape[:2]
    assert width > 2 * height > 200
    # The mouths above are grey, the spectrogram below is not.
    colour = np.ptp(picture.astype(np.int16), axis=2).max(axis=1)
    assert colour[: height // 8].max() < 10 < 100 < colour[height // 2 :].max()


def test_sound_or_a_report_alone(server: Server, talking_video: Path, tmp_path: Path) -> None:
    reply = server.send("/api/speak?as=audio", video_form(talking_video, face="0", model="grid"))
    (tmp_path / "spoken.wav").write_bytes(reply.body)
    assert reply.headers["content-type"] == "audio/wav"
    assert _heard(tmp_path / "spoken.wav")[0] == pytest.approx(1.2)
    report = server.send("/api/speak", video_form(talking_video, **{"as": "report"})).json
    assert report["seconds"] == pytest.approx(1.2)
    assert report["confidence"] > 0.5


def test_faces_are_found_and_chosen(server: Server, two_faces: Path) -> None:
    found = server.send("/api/faces", video_form(two_faces)).json
    assert found["faces"] == 2
    assert found["chosen"] == 0
    left, right = (face["box"] for face in found["found"])
    assert left[2] < 330 < right[0]
    for face in found["found"]:
        data = base64.b64decode(face["picture"].removeprefix("data:image/jpeg;base64,"))
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        assert picture.shape == (96, 96, 3)
        assert picture.std() > 20
    report = server.send("/api/speak", video_form(two_faces, face="1", **{"as": "report"})).json
    assert (report["faces"], report["face"]) == (2, 1)


def test_whose_voice_is_spoken_with(server: Server, talking_video: Path, tmp_path: Path) -> None:
    choir = "choir (many)"
    spoken = {}
    for seed in (None, 0, 1):
        form = video_form(talking_video, model=choir, **{"as": "audio"})
        if seed is not None:
            write_audio(tmp_path / "me.wav", speech(2.0, seed), 24_000)
            form.files["voice"] = ("me.wav", (tmp_path / "me.wav").read_bytes())
        reply = server.send("/api/speak", form)
        assert reply.status == 200, reply.body
        spoken[seed] = reply.body
    assert len(set(spoken.values())) == 3
    write_audio(tmp_path / "me.wav", np.zeros(24_000, np.float32), 24_000)
    form = video_form(talking_video, model=choir)
    form.files["voice"] = ("me.wav", (tmp_path / "me.wav").read_bytes())
    assert server.send("/api/speak", form).error.startswith("me.wav: is silent")
    form.files["voice"] = ("me.txt", b"no sound " * 100)
    assert server.send("/api/speak", form).error.startswith("me.txt: ")


def test_a_real_clip_is_spoken(server: Server, shared_data: Path, tmp_path: Path) -> None:
    clip = shared_data / "grid" / "s1" / "bbir8p.mp4"
    reply = server.send("/api/speak", video_form(clip))
    (tmp_path / "spoken.mp4").write_bytes(reply.body)
    seconds, loudness = _heard(tmp_path / "spoken.mp4")
    assert seconds == pytest.approx(probe(clip).duration, abs=0.05)
    assert loudness > SOUND


def test_models_and_health(server: Server) -> None:
    told = server.ask("GET", "/api/models").json
    assert [model["name"] for model in told["models"]][:2] == ["grid", "choir (many)"]
    assert [model["voices"] for model in told["models"]][:2] == [False, True]
    assert "51 words" in told["models"][0]["limits"]
    assert told["limits"] == {"max_mb": 2, "max_seconds": 8}
    assert server.ask("GET", "/api/health").json["status"] == "ok"


@pytest.mark.parametrize("kind", ["python", "curl"])
def test_the_documented_calls_work(kind: str, server: Server, talking_video: Path, tmp_path: Path) -> None:
    text = (REPOSITORY / "docs" / "serve.md").read_text().replace("http://127.0.0.1:7860", server.url)
    (tmp_path / "silent.mp4").write_bytes(talking_video.read_bytes())
    if kind == "python":
        (snippet,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        command = [sys.executable, "-c", snippet]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=True)
        assert done.stdout == "1.2 seconds of speech\n"
        assert _heard(tmp_path / "spoken.mp4")[1] > SOUND
        (tmp_path / "silent.mp4").write_text("no video")
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=True)
        assert done.stdout.startswith("refused: silent.mp4: is not a readable video")
        return
    calls = re.findall(r"^\$ (curl .*)$", text, re.MULTILINE)
    assert len(calls) == 5
    write_audio(tmp_path / "me.wav", speech(2.0, 0), 24_000)
    for call in calls:
        arguments = [*call.split(), "--silent", "--show-error"]
        try:
            subprocess.run(arguments, cwd=tmp_path, stdout=subprocess.DEVNULL, timeout=280, check=True)
        except FileNotFoundError:
            pytest.skip("curl is not installed")
    assert _heard(tmp_path / "spoken.mp4")[1] > SOUND
    assert _heard(tmp_path / "spoken.wav")[1] > SOUND
    assert (tmp_path / "spoken.png").read_bytes().startswith(b"\x89PNG")


# --- what it refuses -------------------------------------------------------------------------------------------------


FORMS: dict[str, Callable[[Path, Path], Form]] = {
    "text": lambda talking, faceless: Form({}, {"video": ("clip.mp4", b"hello " * 1000)}),
    "empty": lambda talking, faceless: Form({}, {"video": ("clip.mp4", b"")}),
    "cut": lambda talking, faceless: Form({}, {"video": ("clip.mp4", talking.read_bytes()[:9000])}),
    "no face": lambda talking, faceless: video_form(faceless),
    "large": lambda talking, faceless: Form({}, {"video": ("clip.mp4", b"x" * 2_100_000)}),
    "no video": lambda talking, faceless: Form({"face": "0"}),
    "address": lambda talking, faceless: Form({"video": "http://127.0.0.1:1/x.mp4"}),
    "such face": lambda talking, faceless: video_form(talking, face="7"),
    "face": lambda talking, faceless: video_form(talking, face="left"),
    "model": lambda talking, faceless: video_form(talking, model="../../etc"),
    "as": lambda talking, faceless: video_form(talking, **{"as": "exe"}),
    "voice": lambda talking, faceless: Form(
        {}, {"video": ("a.mp4", talking.read_bytes()), "voice": ("v.wav", b"RIFF")}
    ),
}

KINDS = {
    "text": (422, "clip.mp4: is not a readable video"),
    "empty": (422, "the video that was sent is empty; copy or export it again"),
    "cut": (422, "clip.mp4: "),
    "no face": (422, "no face found"),
    "large": (413, "larger than 2 MB"),
    "no video": (422, "no video was sent"),
    "address": (422, "no video was sent"),
    "such face": (422, "there is no face 7"),
    "face": (422, "a number from 0"),
    "model": (422, "no such model; there are: grid"),
    "as": (422, "one of video, audio, picture, report"),
    "voice": (422, "speaks with one voice"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_bad_input_gets_one_line(kind: str, server: Server, talking_video: Path, faceless: Path) -> None:
    status, text = KINDS[kind]
    reply = server.send("/api/speak", FORMS[kind](talking_video, faceless))
    assert reply.status == status
    assert text in reply.error
    _until(lambda: server.folders() == [])


def test_sound_alone_is_refused(server: Server, tmp_path: Path) -> None:
    path = make_sound(tmp_path / "clip.mp4", click(1.0, 0.5, 48_000), 48_000, codec="aac")
    assert "sound but no video" in server.send("/api/speak", video_form(path)).error


def test_too_long_and_too_short(server: Server, talking_video: Path, faceless: Path, tmp_path: Path) -> None:
    import av

    long, short = tmp_path / "long.mkv", tmp_path / "short.mkv"
    for path, times in ((long, 8), (short, 0)):
        with av.open(str(path), "w") as sink:
            stream = sink.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = 330, 300, "yuv420p"
            with av.open(str(talking_video)) as source:
                frames = [frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)]
            for picture in frames * times or frames[:3]:
                sink.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            sink.mux(stream.encode(None))
    reply = server.send("/api/speak", video_form(long))
    assert (reply.status, reply.error) == (413, "long.mkv: is longer than 8 s; cut it first")
    reply = server.send("/api/speak", video_form(short))
    assert reply.status == 422
    assert "too short" in reply.error


@pytest.mark.parametrize("path", ["/api/", "/api/../etc/passwd", "/api/nothing", "/api/speak"])
def test_addresses_that_are_not_there(path: str, server: Server) -> None:
    assert server.ask("GET", path).status in (404, 405)


def test_a_caller_who_goes_away_leaves_nothing(server: Server, talking_video: Path) -> None:
    from http.client import HTTPConnection

    form = video_form(talking_video)
    for _ in range(3):
        connection = HTTPConnection("127.0.0.1", server.port)
        connection.request("POST", "/api/speak", form.body(), {"Content-Type": form.kind})
        connection.close()
    _until(lambda: server.folders() == [])
    _until(server.idle)
    assert server.send("/api/faces", form).status == 200


# --- what it does not let happen -------------------------------------------------------------------------------------


class _Canary:
    """A server on loopback that nobody should ever ask for anything."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"secret")

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/secret.mp4"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def canary() -> Iterator[_Canary]:
    made = _Canary()
    yield made
    made.close()


class _Visitor:
    """A browser's session, by hand."""

    def __init__(self, server: Server) -> None:
        self.server = server
        page = server.ask("GET", "/")
        self.cookie = page.headers["set-cookie"].split(";")[0]
        config = re.search(rb"window\.gradio_config = (\{.*?\});</script>", page.body, re.DOTALL)
        assert config is not None
        self.functions = [each["id"] for each in json.loads(config[1])["dependencies"]]

    def upload(self, path: Path) -> str:
        form = Form({}, {"files": (path.name, path.read_bytes())})
        reply = self.server.send("/gradio_api/upload", form, {"Cookie": self.cookie})
        assert reply.status == 200, reply.body
        return str(reply.json[0])

    def get(self, path: str) -> Reply:
        return self.server.ask("GET", path, headers={"Cookie": self.cookie})

    def join(self, function: int, *data: object) -> Reply:
        body = {"fn_index": function, "session_hash": "abcdefghij", "data": list(data)}
        headers = {"Cookie": self.cookie, "Content-Type": "application/json"}
        return self.server.ask("POST", "/gradio_api/queue/join", json.dumps(body).encode(), headers)


def test_no_address_in_a_request_is_fetched(server: Server, canary: _Canary, talking_video: Path) -> None:
    visitor = _Visitor(server)
    meta = {"_type": "gradio.FileData"}
    for function in visitor.functions:
        for value in ({"path": canary.url, "meta": meta}, {"path": canary.url, "url": canary.url, "meta": meta}):
            for data in ([value], [value, None, None, None], [{"video": value}], [None, None, None, value]):
                assert visitor.join(function, *data).status == 422
        mine = visitor.upload(talking_video)
        assert visitor.join(function, {"path": mine, "url": canary.url, "meta": meta}, None, "grid", None).status == 200
    for path in (f"/gradio_api/file={canary.url}", f"/gradio_api/proxy={canary.url}", f"/?url={canary.url}"):
        visitor.get(path)
    assert server.send("/api/speak", Form({"video": canary.url})).status == 422
    time.sleep(1)
    assert canary.asked == []


def test_a_playlist_that_poses_as_a_video_fetches_nothing(server: Server, canary: _Canary, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    lists = {
        "a.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{canary.url}\n#EXT-X-ENDLIST\n",
        "b.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{secret}\n#EXT-X-ENDLIST\n",
        "c.mp4": f"ffconcat version 1.0\nfile '{secret}'\n",
        "d.mpd": f"<?xml version='1.0'?><MPD><Period><BaseURL>{canary.url}</BaseURL></Period></MPD>",
        "e.sdp": "v=0\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    }
    for name, text in lists.items():
        reply = server.send("/api/speak", Form({}, {"video": (name, text.encode())}))
        assert reply.status == 422, name
        assert "secret" not in reply.error
    assert canary.asked == []


def test_files_of_the_machine_and_of_others_stay_where_they_are(server: Server, talking_video: Path) -> None:
    one, other = _Visitor(server), _Visitor(server)
    mine = one.upload(talking_video)
    assert one.get(f"/gradio_api/file={mine}").body == talking_video.read_bytes()
    assert other.get(f"/gradio_api/file={mine}").status == 404
    lock = next(server.temporary.glob("*.lock"))
    for path in (
        "/etc/passwd", "../../../../etc/passwd", f"{Path(mine).parent}/../../../../../../etc/passwd", str(lock),
        "%2Fetc%2Fpasswd", "%252Fetc%252Fpasswd", str(REPOSITORY / "README.md"), "/proc/self/environ",
    ):  # fmt: skip
        reply = one.get(f"/gradio_api/file={path}")
        assert reply.status == 404, path
        assert b"root:" not in reply.body
    for path in ("/assets/../../../../../etc/passwd", "/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/svelte//etc/passwd"):
        assert b"root:" not in one.get(path).body
    meta = {"_type": "gradio.FileData"}
    for path in ("/etc/passwd", mine, str(lock)):
        assert other.join(other.functions[0], {"path": path, "meta": meta}).status == 422


def test_files_go_with_their_session(server: Server, talking_video: Path) -> None:
    visitor = _Visitor(server)
    path = visitor.upload(talking_video)
    assert Path(path).is_file()
    _until(lambda: not Path(path).exists())
    assert visitor.get(f"/gradio_api/file={path}").status == 404
    _until(lambda: server.folders() == [])


def test_other_sites_and_other_names_are_refused(server: Server) -> None:
    assert server.ask("GET", "/", headers={"Host": "evil.example"}).status == 421
    assert server.ask("POST", "/api/speak", b"x", {"Origin": "https://evil.example"}).status == 403


def test_the_page_names_no_other_host(server: Server) -> None:
    reply = server.ask("GET", "/")
    assert "http" not in reply.headers["content-security-policy"]
    loaded = re.findall(rb"<(?:script|link|img|iframe)[^>]+(?:src|href)=[\"'](?:https?:)?//[^\"']+", reply.body)
    assert loaded == []
    assert visible_state(reply) == {"analytics": False, "share": False}


def visible_state(reply: Reply) -> dict[str, object]:
    config = re.search(rb"window\.gradio_config = (\{.*?\});</script>", reply.body, re.DOTALL)
    assert config is not None
    told = json.loads(config[1])
    return {"analytics": told["analytics_enabled"], "share": bool(told.get("share", False) or told.get("is_space"))}


# --- many at once, and the end ---------------------------------------------------------------------------------------


def _at_once(server: Server, form: Form, count: int) -> list[Reply]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: server.send("/api/faces", form), range(count)))


def test_more_than_fit_are_refused_and_none_is_lost(server: Server, talking_video: Path) -> None:
    _until(server.idle)
    replies = _at_once(server, video_form(talking_video), 30)
    codes = [reply.status for reply in replies]
    assert set(codes) == {200, 429}
    assert codes.count(200) >= 13
    assert all(reply.json["faces"] == 1 for reply in replies if reply.status == 200)
    refused = next(reply for reply in replies if reply.status == 429)
    assert "too many" in refused.error
    assert int(refused.headers["retry-after"]) > 0
    _until(lambda: server.folders() == [])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_fifty_uploads_at_once_are_all_answered_in_bounded_memory(talking_video: Path, tmp_path: Path) -> None:
    server = Server(tmp_path, "--max-mb", "30")
    try:
        server.send("/api/faces", video_form(talking_video))
        before = server.memory()
        padded = talking_video.read_bytes() + (24_000_000).to_bytes(4, "big") + b"free" + bytes(24_000_000 - 8)
        most = [before]
        done = threading.Event()

        def watch() -> None:
            while not done.wait(0.02):
                most.append(server.memory())

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            replies = _at_once(server, Form({}, {"video": ("clip.mp4", padded)}), 50)
        finally:
            done.set()
            watcher.join()
        assert [reply.status for reply in replies] == [200] * 50
        logging.getLogger(__name__).info("%.0f MB before, %.0f MB at most", before / 1e6, max(most) / 1e6)
        assert max(most) - before < 150e6
        _until(lambda: server.folders() == [])
    finally:
        server.end()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_server_that_is_killed_is_cleaned_up_after(talking_video: Path, tmp_path: Path) -> None:
    server = Server(tmp_path)
    path = Path(_Visitor(server).upload(talking_video))
    server.end(signal.SIGKILL)
    assert path.exists()
    again = Server(tmp_path)
    try:
        assert not path.exists()
    finally:
        assert again.end(signal.SIGINT) in (0, 130)
    assert list(again.temporary.iterdir()) == []


# --- the command -----------------------------------------------------------------------------------------------------


def _serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "unsilent.cli", "serve", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["--model", "nobody", "--port", "0"], "nobody: no such model", marks=pytest.mark.slow),
        (["--workers", "0"], "workers"),
        (["--max-mb", "nan"], "max-mb"),
    ],
)
def test_what_cannot_be_served_is_one_line(arguments: list[str], says: str) -> None:
    done = _serve(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert says in errors[0]
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_one_line(server: Server) -> None:
    from unsilent.errors import OutputError
    from unsilent.web.server import is_loopback, run

    async def nothing(*given: object) -> None:
        pass

    with pytest.raises(OutputError, match="choose another --port"):
        run(nothing, "127.0.0.1", server.port, lambda port: None)
    assert is_loopback("localhost")
    assert is_loopback("::1")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("voice.example")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_another_host_gets_a_warning(tmp_path: Path) -> None:
    server = Server(tmp_path, "--host", "0.0.0.0")
    try:
        assert server.ask("GET", "/api/health", headers={"Host": "voice.example"}).status == 200
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.end()
    assert "without a password" in server.log.read_text().replace("\n", " ")
