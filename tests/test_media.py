from __future__ import annotations

import itertools
import logging
import os
import tracemalloc
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.media_files import (
    CODECS,
    HEIGHT,
    WIDTH,
    click,
    click_time,
    corners,
    make_sound,
    make_video,
    number_of,
)

from unsilent.errors import MediaError, OutputError, UnsilentError
from unsilent.media import (
    AUDIO_SUFFIXES,
    MAX_SIDE,
    SYNTHETIC_TAG,
    VIDEO_SUFFIXES,
    is_synthetic,
    mux_speech,
    probe,
    read_audio,
    read_video,
    write_audio,
)
from unsilent.media.audio import read_stored
from unsilent.media.container import MAX_GAP, Damage, packets
from unsilent.media.timing import Timed, Timeline, constant_rate

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

RATE = 24000


def numbers(path: Path, fps: float = 25.0, *, start: float = 0.0, end: float | None = None) -> list[int]:
    return [number_of(frame) for frame in read_video(path, fps, start=start, end=end)]


def spoil(path: Path, begin: float, end: float, seed: int = 0) -> None:
    """Overwrite a part of a file, given as fractions of its length, with noise."""
    data = bytearray(path.read_bytes())
    first, last = int(begin * len(data)), int(end * len(data))
    data[first:last] = np.random.default_rng(seed).integers(0, 256, last - first, dtype=np.uint8).tobytes()
    path.write_bytes(data)


def comment_of(path: Path) -> str | None:
    with av.open(str(path)) as container:
        tables = [container.metadata, *(stream.metadata for stream in container.streams)]
        found = [value for table in tables for key, value in table.items() if key.lower() == "comment"]
    return found[0] if found else None


# --- pictures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [suffix for suffix in CODECS if suffix != ".avi"])
def test_a_clip_of_25_fps_passes_frame_for_frame(tmp_path: Path, suffix: str) -> None:
    sound = None if suffix == ".gif" else click(3, 1.0, 48000)
    path = make_video(tmp_path / f"a{suffix}", sound=sound)
    assert numbers(path) == list(range(75))
    info = probe(path)
    assert (info.width, info.height, info.fps, info.rotation) == (WIDTH, HEIGHT, 25.0, 0)
    assert info.duration == pytest.approx(3.0, abs=0.002)
    assert info.has_video
    assert info.has_audio == (suffix != ".gif")


def test_a_silent_avi_passes_frame_for_frame(tmp_path: Path) -> None:
    assert numbers(make_video(tmp_path / "a.avi")) == list(range(75))


@pytest.mark.parametrize("codec", ["libx265", "libvpx-vp9", "libsvtav1", "mjpeg", "ffv1", "mpeg2video", "mpeg4"])
def test_codecs_in_matroska(tmp_path: Path, codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SVT_LOG", "0")
    path = make_video(tmp_path / "a.mkv", codec=codec, frames=20, pix_fmt="yuvj420p" if codec == "mjpeg" else None)
    assert numbers(path) == list(range(20))
    names = {"libx265": "hevc", "libvpx-vp9": "vp9", "libsvtav1": "av1"}
    assert probe(path).video_codec == names.get(codec, codec)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("fps", [30, Fraction(30000, 1001), 50, 60, 24, 15, Fraction(25, 2), 10])
def test_other_rates_become_25_fps_nearest_in_time(tmp_path: Path, suffix: str, fps: Fraction) -> None:
    count = 91
    found = numbers(make_video(tmp_path / f"a{suffix}", fps=fps, frames=count))
    assert len(found) == round(float(count / Fraction(fps)) * 25)
    rounding = 0.0006 if suffix == ".mkv" else 1e-6
    for k, number in enumerate(found):
        late = k / 25 - float(number / Fraction(fps))
        slower = max(0.0, float(1 / Fraction(fps)) - 1 / 25)
        assert -0.02 - rounding <= late <= 0.02 + slower + rounding, (k, number)


def test_another_rate_can_be_asked_for(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=50)
    # Every second frame lies half-way between two ticks and goes to the later one, where the next replaces it.
    assert numbers(path, fps=12.5) == list(range(0, 50, 2))
    assert numbers(path, fps=50) == [k // 2 for k in range(100)]


def test_variable_rate_shows_each_picture_for_its_time(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.08, 0.5, 0.51, 0.52, 1.0, 2.0]
    found = numbers(make_video(tmp_path / "a.mkv", frames=len(times), times=times))
    assert len(found) in (51, 52)
    ticks = [max(i for i, time in enumerate(times) if round(time * 25 + 1e-6) <= k) for k in range(len(found))]
    assert found == ticks


def test_gif_delays(tmp_path: Path) -> None:
    times = [0.0, 0.2, 0.28, 1.0]
    found = numbers(make_video(tmp_path / "a.gif", frames=4, times=times))
    assert found[:5] == [0] * 5
    assert found[5:7] == [1] * 2
    assert found[7:25] == [2] * 18
    assert set(found[25:]) == {3}


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".mp4", ".webm"])
def test_time_zero_is_the_first_picture(tmp_path: Path, suffix: str) -> None:
    path = make_video(tmp_path / f"a{suffix}", frames=50, start=7.2, sound=click(2, 1.0, 48000))
    assert numbers(path) == list(range(50))
    assert click_time(read_audio(path), RATE) == pytest.approx(1.0, abs=0.002)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".mpg", ".ts", ".gif", ".avi", ".flv"])
def test_a_window_is_a_slice_of_the_whole(tmp_path: Path, suffix: str) -> None:
    path = make_video(tmp_path / f"a{suffix}", frames=200, options={"g": "30"} if suffix != ".gif" else None)
    whole = numbers(path)
    assert whole == list(range(200))
    for start, end in [(0.0, 0.4), (1.0, 2.0), (3.0, 3.2), (4.6, 6.0), (7.5, None), (0.52, 0.52), (9.0, None)]:
        last = None if end is None else round(end * 25)
        assert numbers(path, start=start, end=end) == whole[round(start * 25) : last], (start, end)


@pytest.mark.parametrize(
    ("rotation", "mirrored", "expected", "turned"),
    [
        (0, False, {"top left": "top left", "top right": "top right", "bottom left": "bottom left"}, False),
        (90, False, {"top right": "top left", "bottom right": "top right", "top left": "bottom left"}, True),
        (180, False, {"bottom right": "top left", "bottom left": "top right", "top right": "bottom left"}, False),
        (270, False, {"bottom left": "top left", "top left": "top right", "bottom right": "bottom left"}, True),
        (0, True, {"top right": "top left", "top left": "top right", "bottom right": "bottom left"}, False),
    ],
)
def test_rotation_is_applied(
    tmp_path: Path, rotation: int, mirrored: bool, expected: dict[str, str], turned: bool
) -> None:
    path = make_video(tmp_path / "a.mp4", frames=3, rotation=rotation, mirrored=mirrored)
    frame = next(read_video(path))
    assert frame.shape == ((WIDTH, HEIGHT, 3) if turned else (HEIGHT, WIDTH, 3))
    assert corners(frame) == expected
    info = probe(path)
    assert (info.width, info.height) == (frame.shape[1], frame.shape[0])
    if not mirrored:
        assert info.rotation == rotation
    grey = next(read_video(path, grey=True))
    assert grey.shape == frame.shape[:2]


@pytest.mark.parametrize("size", [(127, 95), (65, 48), (33, 31)])
def test_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    path = make_video(tmp_path / "a.webm", size=size, frames=5)
    frames = list(read_video(path))
    assert [frame.shape for frame in frames] == [(size[1], size[0], 3)] * 5
    assert all(frame.flags.writeable and frame.flags.c_contiguous and frame.flags.owndata for frame in frames)
    assert corners(frames[0])["top left"] == "top left"
    assert probe(path).width == size[0]


def test_pixels_become_square(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=3, pixel_aspect=Fraction(64, 45))
    frame = next(read_video(path))
    assert frame.shape == (HEIGHT, round(WIDTH * 64 / 45), 3)
    assert probe(path).width == round(WIDTH * 64 / 45)
    assert number_of(list(read_video(path))[2]) == 2


def test_grey_is_full_range_luma(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", frames=2, codec="ffv1")
    colour = list(read_video(path))[1].astype(float) @ [0.299, 0.587, 0.114]
    grey = list(read_video(path, grey=True))[1]
    assert grey.dtype == np.uint8
    assert np.abs(colour - grey).mean() < 3
    assert grey.min() < 25
    assert grey.max() > 230


def test_repeated_frames_do_not_share_memory(tmp_path: Path) -> None:
    frames = list(read_video(make_video(tmp_path / "a.mp4", fps=5, frames=3)))
    assert len(frames) == 15
    frames[0][:] = 0
    assert frames[1].max() > 0


def test_cover_art_is_not_the_video(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=10, cover=True, sound=click(0.4, 0.2, 48000))
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 2
    assert (probe(path).width, probe(path).height) == (WIDTH, HEIGHT)
    assert numbers(path) == list(range(10))


def test_a_song_with_cover_art_holds_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as container:
        voice = container.add_stream("libmp3lame", rate=RATE)
        art = container.add_stream("mjpeg", rate=25)
        art.width, art.height, art.pix_fmt = 64, 64, "yuvj420p"
        art.disposition = av.stream.Disposition.attached_pic
        container.start_encoding()
        frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 77, np.uint8), format="rgb24")
        container.mux(art.encode(frame.reformat(format="yuvj420p")))
        sound = av.AudioFrame.from_ndarray(np.zeros((1, RATE), np.float32), format="fltp", layout="mono")
        sound.sample_rate = RATE
        for packet in [*voice.encode(sound), *voice.encode(None)]:
            container.mux(packet)
    info = probe(path)
    assert not info.has_video
    assert info.has_audio
    assert info.duration == pytest.approx(1.0, abs=0.06)
    with pytest.raises(MediaError, match="holds no video"):
        next(read_video(path))
    assert read_audio(path).size == pytest.approx(RATE, abs=2)


def test_a_picture_that_changes_its_size_is_scaled_to_the_first(tmp_path: Path) -> None:
    small = make_video(tmp_path / "a.ts", frames=10, size=(64, 48))
    large = make_video(tmp_path / "b.ts", frames=10)
    joined = tmp_path / "c.ts"
    joined.write_bytes(small.read_bytes() + large.read_bytes())
    frames = list(read_video(joined))
    assert {frame.shape for frame in frames} == {(48, 64, 3)}
    assert len(frames) in (19, 20)


def test_memory_is_flat(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=1500, size=(160, 128), options={"preset": "ultrafast"})
    tracemalloc.start()
    count = sum(1 for _ in read_video(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 1500
    assert peak < 8 * 160 * 128 * 3


def test_wrong_arguments_are_the_callers_mistake(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=2)
    for fps, start, end in [(0.0, 0.0, None), (float("nan"), 0.0, None), (25.0, -1.0, None), (25.0, 2.0, 1.0)]:
        with pytest.raises(ValueError, match=r"need|must"):
            read_video(path, fps, start=start, end=end)
    with pytest.raises(ValueError, match="positive"):
        read_audio(path, 0)


# --- damage ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mp4", ".mpg", ".mkv", ".webm", ".avi"])
def test_broken_frames_in_the_middle_are_bridged(tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture) -> None:
    path = make_video(tmp_path / f"a{suffix}", size=(320, 240), options={"g": "10"})
    spoil(path, 0.45, 0.5)
    with caplog.at_level(logging.WARNING, "unsilent.media"):
        found = numbers(path)
    assert len(found) == pytest.approx(75, abs=8 if suffix == ".avi" else 1)
    assert found[:20] == list(range(20))
    # What refers to damaged pictures shows damage too, until the next picture that stands alone.
    assert found[-4:] == list(range(71, 75))
    if suffix not in {".mpg", ".webm"}:
        assert len(caplog.records) == 1
        assert str(path) in caplog.text


@pytest.mark.parametrize("suffix", [".mpg", ".mkv", ".webm", ".ts", ".flv", ".avi"])
def test_what_is_left_of_a_cut_file_is_decoded(tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture) -> None:
    path = make_video(tmp_path / f"a{suffix}")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    with caplog.at_level(logging.WARNING, "unsilent.media"):
        found = numbers(path)
    assert 20 < len(found) < 70
    assert found[:20] == list(range(20))
    assert len(caplog.records) <= 1
    if suffix in {".mkv", ".webm", ".avi", ".flv"}:
        assert "cut short" in caplog.text


def test_a_stream_that_appears_late_ends_the_file_without_an_error(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.flv", frames=5)

    class Late:
        def demux(self, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
            yield from container.demux(stream)
            raise IndexError("list index out of range")

    damage = Damage(path, "video")
    with av.open(str(path)) as container:
        found = list(packets(cast("InputContainer", Late()), container.streams.video[0], damage))
    assert len(found) == 6
    assert found[-1].size == 0
    assert not damage.cut


def test_cut_sound_is_decoded(tmp_path: Path) -> None:
    tone = np.sin(np.arange(72000) / 10).astype(np.float32)
    path = tmp_path / "a.flac"
    write_audio(path, tone, RATE)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    found = read_audio(path)
    assert 20000 < found.size < 60000
    np.testing.assert_allclose(found[:10000], tone[:10000], atol=1e-3)


def _gif_header(width: int, height: int) -> bytes:
    size = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    image = b"," + b"\0\0\0\0" + size + b"\0" + b"\x02\x02\x4c\x01\x00"
    return b"GIF89a" + size + b"\x80\0\0" + b"\0\0\0\xff\xff\xff" + image + b";"


@pytest.mark.parametrize(("width", "height"), [(16000, 16000), (MAX_SIDE + 1, 100), (65535, 65535)])
def test_a_huge_picture_is_refused_before_memory_is_taken(tmp_path: Path, width: int, height: int) -> None:
    resource = pytest.importorskip("resource", reason="peak memory is not told on this system")
    path = tmp_path / "a.gif"
    path.write_bytes(_gif_header(width, height))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for read in (probe, lambda file: list(read_video(file))):
        with pytest.raises(MediaError) as caught:
            read(path)
        assert str(path) in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_a_picture_of_no_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    path.write_bytes(_gif_header(0, 0))
    with pytest.raises(MediaError):
        probe(path)


def _bad_inputs(folder: Path) -> Iterator[tuple[Path, str]]:
    (folder / "folder.mp4").mkdir()
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("this is not a video\n" * 100)
    (folder / "notes.txt").write_text("this is not a video\n" * 100)
    (folder / "noise.mkv").write_bytes(np.random.default_rng(0).bytes(5000))
    whole = make_video(folder / "whole.mp4", frames=25).read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n")
    (folder / "playlist.mp4").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n")
    (folder / "joined.mp4").write_text(f"ffconcat version 1.0\nfile '{folder / 'whole.mp4'}'\n")
    (folder / "still.png").write_bytes(_png(folder))
    yield folder / "missing.mp4", "does not exist"
    yield folder / "missing\n.mp4", "does not exist"
    yield folder / "nul\0.mp4", "path"
    yield folder / ("long" * 100), "path"
    yield folder / "folder.mp4", "folder"
    yield folder / "empty.mp4", "empty"
    yield folder / "text.mp4", "not a readable"
    yield folder / "notes.txt", ""
    yield folder / "noise.mkv", ""
    yield folder / "cut.mp4", "not a readable"
    yield folder / "list.m3u8", ""
    yield folder / "playlist.mp4", ""
    yield folder / "joined.mp4", ""
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.mp4")
        yield folder / "pipe.mp4", "regular"
    yield folder / "still.png", "still picture"
    yield folder / "whole.mp4" / "below.mp4", ""


def _png(folder: Path) -> bytes:
    frame = av.VideoFrame.from_ndarray(np.zeros((20, 20, 3), np.uint8), format="rgb24")
    frame.save(str(folder / "frame.png"))
    return (folder / "frame.png").read_bytes()


def test_every_bad_input_is_one_line_that_names_the_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for path, said in _bad_inputs(tmp_path):
        for read in (probe, lambda file: list(read_video(file)), read_audio, _muxed):
            with pytest.raises(MediaError) as caught:
                read(path)
            message = str(caught.value)
            assert path.name.split("\n")[0].split("\0")[0][:50] in message
            assert "\n" not in message, message
            if read is not read_audio:
                assert said in message, message
    assert capfd.readouterr().err == ""


def _muxed(path: Path) -> None:
    mux_speech(path, np.zeros(100, np.float32), RATE, path.parent.parent / "never.mp4")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=2)
    path.chmod(0)
    with pytest.raises(MediaError, match="permissions"):
        probe(path)


def test_permission_is_asked_before_ffmpeg_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_video(tmp_path / "a.mp4", frames=2)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(MediaError, match="permissions"):
        probe(path)


def test_sound_alone_holds_no_video(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_audio(path, np.zeros(2400, np.float32), RATE)
    for read in (lambda file: next(read_video(file)), lambda file: _muxed(file)):
        with pytest.raises(MediaError, match=r"a\.wav: holds no video"):
            read(path)


def test_names_that_look_like_addresses_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("http:a.mp4", "a%03d.mp4", "-a.mp4", "ä ü.mp4"):
        path = make_video(tmp_path / "plain.mp4", frames=2).rename(name)
        assert len(list(read_video(path))) == 2


def test_ffmpeg_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = make_video(tmp_path / "a.mp4", options={"g": "10", "x264-params": "log-level=none"})
    spoil(path, 0.4, 0.6)
    capfd.readouterr()
    list(read_video(path))
    captured = capfd.readouterr()
    assert captured.err == captured.out == ""


SEEDS: dict[str, bytes] = {}


def _seed(suffix: str, folder: Path) -> bytes:
    if suffix not in SEEDS:
        path = make_video(folder / f"seed{suffix}", frames=12, size=(64, 48), sound=click(0.5, 0.2, 48000))
        SEEDS[suffix] = path.read_bytes()
    return SEEDS[suffix]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mpg", ".avi"])
@settings(max_examples=40)
@given(data=st.data())
def test_mutated_files_never_crash_or_hang(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp()
    content = bytearray(_seed(suffix, folder))
    positions = data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=12))
    for position in positions:
        content[position] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(1, len(content)))]
    path = folder / f"mutated{suffix}"
    path.write_bytes(content)
    for read in (
        probe,
        lambda file: sum(1 for _ in itertools.islice(read_video(file), 20000)),
        lambda file: read_audio(file),
        lambda file: mux_speech(file, click(0.4, 0.2, RATE), RATE, folder / "mutated_out.mp4"),
    ):
        message = ""
        try:
            read(path)
        except UnsilentError as error:
            message = str(error)
        assert "\n" not in message
        assert not message or str(folder) in message


# --- timing ---------------------------------------------------------------------------------------------------------


def _ticks(times: list[float | None], fps: float = 25.0) -> list[int]:
    timeline = Timeline(1 / fps)
    timed = timeline(Timed(time, 0.0, k) for k, time in enumerate(times))
    return [item for item, count in constant_rate(timed, fps, timeline) for _ in range(count)]


def test_missing_times_follow_at_the_nominal_rate() -> None:
    assert _ticks([None] * 75) == list(range(75))
    assert _ticks([0.0, None, 0.08, None, None, 0.2]) == [0, 1, 2, 3, 4, 5]


def test_repeated_times_are_spread() -> None:
    assert _ticks([0.0, 0.04, 0.04, 0.12]) == [0, 1, 2, 3]
    assert _ticks([0.0] * 30) == list(range(30))


def test_a_restarted_clock_goes_on() -> None:
    first = [k / 25 for k in range(50)]
    assert _ticks([*first, *first]) == list(range(100))


def test_an_impossible_jump_is_not_believed() -> None:
    times: list[float | None] = [k / 25 for k in range(50)]
    times[20] = 1e9
    assert _ticks(times) == list(range(50))
    assert len(_ticks([0.0, MAX_GAP * 0.9])) == pytest.approx(MAX_GAP * 0.9 * 25, abs=2)


def test_negative_times_before_the_first_tick_are_not_shown() -> None:
    assert _ticks([-0.08, -0.04, 0.0, 0.04]) == [2, 3]


wild_times = st.lists(
    st.none() | st.floats(-1e4, 1e4) | st.just(float("nan")) | st.sampled_from([0.0, 0.04]), min_size=1
)


@given(wild_times)
def test_times_become_strictly_increasing(times: list[float | None]) -> None:
    timeline = Timeline(0.04)
    found = list(timeline(Timed(time, 0.0, k) for k, time in enumerate(times)))
    assert [item for _, item in found] == list(range(len(times)))
    assert all(after[0] > before[0] for before, after in itertools.pairwise(found))
    assert timeline.end > found[-1][0]


@given(st.integers(1, 240), st.sampled_from(["10", "12.5", "24", "25", "29.97", "30", "50", "59.94"]))
def test_a_steady_clip_has_round_duration_times_fps_frames(count: int, rate: str) -> None:
    fps = Fraction(rate)
    timeline = Timeline(float(1 / fps))
    timed = timeline(Timed(float(k / fps), float(1 / fps), k) for k in range(count))
    found = [item for item, repeats in constant_rate(timed, 25.0, timeline) for _ in range(repeats)]
    assert len(found) == max(1, round(count / fps * 25))
    assert found == sorted(found)


# --- sound ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".mpg", ".ts", ".flv"])
@pytest.mark.parametrize("late", [0.0, 0.5])
def test_sound_is_aligned_with_the_picture(tmp_path: Path, suffix: str, late: float) -> None:
    path = make_video(tmp_path / f"a{suffix}", frames=50, sound=click(2.0, 1.0, 48000), sound_start=late)
    found = read_audio(path)
    assert click_time(found, RATE) == pytest.approx(1.0 + late, abs=0.003)
    assert found.dtype == np.float32
    assert found.size == pytest.approx((2.0 + late) * RATE, abs=700)
    assert np.abs(found).max() <= 1


def test_sound_that_starts_before_the_picture_is_cut(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", frames=50, start=1.0, sound=click(3.0, 1.5, 48000), sound_start=0.25)
    assert click_time(read_audio(path), RATE) == pytest.approx(0.75, abs=0.002)


@pytest.mark.parametrize("codec", ["aac", "libopus", "flac", "pcm_s16le", "libmp3lame"])
@pytest.mark.parametrize("rate", [48000, 16000])
def test_codecs_keep_time_and_length(tmp_path: Path, codec: str, rate: int) -> None:
    path = make_sound(tmp_path / "a.mka", click(2.0, 1.0, rate), rate, codec=codec)
    found = read_audio(path)
    assert click_time(found, RATE) == pytest.approx(1.0, abs=0.002)
    assert found.size == pytest.approx(2 * RATE, abs=1200 if codec in {"aac", "libmp3lame"} else 200)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000])
def test_resampling_keeps_a_tone(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate), rate, subtype="FLOAT")
    found = read_audio(path)
    assert found.size == pytest.approx(RATE, abs=1)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(found.size) / RATE)
    np.testing.assert_allclose(found[500:-500], expected[500:-500], atol=1e-3)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_sample_formats_keep_their_scale(tmp_path: Path, subtype: str) -> None:
    tone = 0.5 * np.sin(np.arange(RATE) / 20)
    path = tmp_path / "a.wav"
    soundfile.write(path, tone, RATE, subtype=subtype)
    np.testing.assert_allclose(read_audio(path), tone, atol=0.01 if subtype == "PCM_U8" else 1e-4)


@pytest.mark.parametrize("rate", [1, 100, 2**30])
def test_an_impossible_sample_rate_is_refused(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(1000), RATE)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[24:28] = rate.to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(MediaError, match=r"a\.wav: "):
        read_audio(tmp_path / "a.wav")


def test_stereo_is_averaged(tmp_path: Path) -> None:
    left, right = np.full(RATE, 0.5, np.float32), np.full(RATE, -0.1, np.float32)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], 1), RATE)
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav"), 0.2, atol=1e-3)


def test_surround_is_led_by_its_centre(tmp_path: Path) -> None:
    channels = np.zeros((6, RATE), np.float32)
    names = ["FL", "FR", "FC", "LFE", "BL", "BR"]
    levels = {}
    for index, name in enumerate(names):
        planes = channels.copy()
        planes[index] = 0.5
        path = make_sound(tmp_path / f"{name}.wav", planes, RATE, codec="pcm_s16le", layout="5.1")
        levels[name] = float(np.abs(read_audio(path)).mean())
    assert levels["FC"] == max(levels.values())
    assert levels["LFE"] == 0
    assert levels["FL"] == pytest.approx(levels["FR"])
    assert sum(levels.values()) == pytest.approx(0.5, abs=0.01)


def test_samples_that_are_not_finite_become_zero(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    samples = np.full(RATE, 0.25, np.float32)
    samples[1000:1010] = [np.nan, np.inf, -np.inf, np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, 3.0]
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    found = read_audio(tmp_path / "a.wav")
    assert np.isfinite(found).all()
    assert (found[1000:1009] == 0).all()
    assert found[1009] == 1
    assert "9 samples are not finite" in caplog.text


def test_sound_as_it_is_stored_is_not_clipped_and_says_what_is_wrong(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    samples = np.linspace(-30, 20, RATE, dtype=np.float32)
    samples[5] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    found = read_stored(tmp_path / "a.wav", RATE)
    samples[5] = 0
    assert np.array_equal(found.samples, samples)
    assert (found.peak, found.not_finite, found.damage) == (30, 1, "")
    assert not caplog.records
    assert np.array_equal(read_audio(tmp_path / "a.wav", RATE), np.clip(samples, -1, 1))


def test_a_video_without_sound_says_so(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=5)
    with pytest.raises(MediaError, match=r"a\.mp4: holds no sound; give"):
        read_audio(path)
    assert not probe(path).has_audio


@pytest.mark.parametrize("seconds", [1.0, 5.0])
def test_sound_keeps_its_own_length(tmp_path: Path, seconds: float) -> None:
    path = make_video(tmp_path / "a.mp4", frames=75, sound=click(seconds, 0.5, 48000))
    assert read_audio(path).size == pytest.approx(seconds * RATE, abs=2)
    assert len(numbers(path)) == 75


def test_lost_sound_leaves_silence_in_its_place(tmp_path: Path) -> None:
    path = make_video(
        tmp_path / "a.mkv", frames=75, sound=click(3.0, 2.5, 48000), sound_codec="flac", options={"crf": "40"}
    )
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(audio=0) if packet.size]
    data = bytearray(path.read_bytes())
    for position, size in places[5:9]:
        assert position is not None
        data[position + 8 : position + size] = b"\x55" * (size - 8)
    path.write_bytes(data)
    assert click_time(read_audio(path), RATE) == pytest.approx(2.5, abs=0.003)


# --- writing sound --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", AUDIO_SUFFIXES)
@pytest.mark.parametrize("rate", [24000, 22050, 48000, 7999])
def test_written_sound_is_read_back_in_place_and_tagged(tmp_path: Path, suffix: str, rate: int) -> None:
    path = tmp_path / "deep" / f"a{suffix.upper()}"
    samples = click(1.3, 0.7, rate)
    write_audio(path, samples, rate)
    found = read_audio(path)
    assert click_time(found, RATE) == pytest.approx(0.7, abs=0.001)
    assert found.size == pytest.approx(1.3 * RATE, abs=4)
    assert comment_of(path) == SYNTHETIC_TAG
    assert is_synthetic(path)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert probe(path).duration == pytest.approx(1.3, abs=0.03)


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_lossless_formats_keep_16_bits(tmp_path: Path, suffix: str) -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, 12345).astype(np.float32)
    write_audio(tmp_path / f"a{suffix}", samples, RATE)
    stored, rate = soundfile.read(tmp_path / f"a{suffix}", dtype="int16")
    assert rate == RATE
    np.testing.assert_array_equal(stored, np.round(samples * 32767).astype(np.int16))


def test_loud_samples_are_clipped_not_wrapped(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", np.array([0.0, 1.7, -1.7, 1.0, -1.0] * 100, np.float32), RATE)
    stored, _ = soundfile.read(tmp_path / "a.wav")
    assert stored[1] > 0.99
    assert stored[2] < -0.99


@pytest.mark.parametrize(
    ("name", "samples", "said"),
    [
        ("a.xyz", np.zeros(10, np.float32), "use one of .wav"),
        ("a", np.zeros(10, np.float32), "use one of .wav"),
        ("a.wav", np.zeros(0, np.float32), "no sound"),
        ("a.wav", np.array([0.0, np.nan], np.float32), "not finite"),
        ("a.wav", np.array([0.0, np.inf], np.float32), "not finite"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, name: str, samples: NDArray[np.float32], said: str) -> None:
    with pytest.raises(OutputError, match=said) as caught:
        write_audio(tmp_path / name, samples, RATE)
    assert name in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_shape_is_the_callers_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one-dimensional"):
        write_audio(tmp_path / "a.wav", np.zeros((2, 10), np.float32), RATE)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_audio(path, np.zeros(10, np.float32), RATE)
    before = path.read_bytes()
    with pytest.raises(OutputError):
        write_audio(path, np.full(10, np.nan, np.float32), RATE)
    assert path.read_bytes() == before


# --- picture and speech ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", VIDEO_SUFFIXES)
@pytest.mark.parametrize("source", [".mp4", ".webm", ".mpg", ".gif", ".avi"])
def test_speech_is_muxed_in_step_with_the_picture(tmp_path: Path, source: str, target: str) -> None:
    sound = None if source in {".gif", ".avi"} else click(3, 0.5, 48000)
    video = make_video(tmp_path / f"in{source}", sound=sound, title=None if source == ".gif" else "a title")
    output = tmp_path / f"out{target}"
    mux_speech(video, click(2.9, 1.0, RATE), RATE, output)
    assert numbers(output) == list(range(75))
    assert click_time(read_audio(output), RATE) == pytest.approx(1.0, abs=0.002)
    assert comment_of(output) == SYNTHETIC_TAG
    assert is_synthetic(output)
    assert not is_synthetic(video)
    info = probe(output)
    assert info.duration == pytest.approx(3.0, abs=0.002)
    with av.open(str(output)) as container:
        assert len(container.streams) == 2
        assert (container.duration or 0) / 1e6 == pytest.approx(3.0, abs=0.02)
        if source not in {".gif", ".mpg"}:
            assert container.metadata.get("title") == "a title"


def _payloads(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("target", [".mp4", ".mov", ".mkv"])
def test_packets_are_copied_and_rotation_is_kept(tmp_path: Path, rotation: int, target: str) -> None:
    video = make_video(tmp_path / "in.mp4", rotation=rotation, frames=30)
    output = tmp_path / f"out{target}"
    mux_speech(video, click(1.2, 0.5, RATE), RATE, output)
    assert _payloads(output) == _payloads(video)
    before, after = next(read_video(video)), next(read_video(output))
    np.testing.assert_array_equal(before, after)
    assert probe(output).rotation == rotation


@pytest.mark.parametrize("source", [".mkv", ".mov", ".ts", ".flv"])
@pytest.mark.parametrize("target", [".mp4", ".mkv"])
def test_pictures_stored_out_of_order_are_copied(tmp_path: Path, source: str, target: str) -> None:
    video = make_video(tmp_path / f"in{source}", codec="libx264", frames=30)
    with av.open(str(video)) as container:
        shown = [packet.pts for packet in container.demux(video=0) if packet.size]
    assert shown != sorted(shown, key=lambda time: time or 0)
    mux_speech(video, click(1.2, 0.5, RATE), RATE, tmp_path / f"out{target}")
    assert numbers(tmp_path / f"out{target}") == list(range(30))
    assert click_time(read_audio(tmp_path / f"out{target}"), RATE) == pytest.approx(0.5, abs=0.002)
    if source != ".ts":
        # A transport stream marks where each picture begins in another way than a file does.
        assert _payloads(tmp_path / f"out{target}") == _payloads(video)


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_avi_with_pictures_stored_out_of_order(tmp_path: Path, codec: str) -> None:
    video = make_video(tmp_path / "in.avi", codec=codec, frames=30, options={"bf": "2"})
    assert numbers(video) == list(range(30))
    mux_speech(video, click(1.2, 0.5, RATE), RATE, tmp_path / "out.mp4")
    assert numbers(tmp_path / "out.mp4") == list(range(30))


def test_hevc_is_copied_under_the_tag_that_all_players_know(tmp_path: Path) -> None:
    video = make_video(tmp_path / "in.mkv", codec="libx265", frames=10)
    mux_speech(video, click(0.4, 0.2, RATE), RATE, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].codec_context.codec_tag == "hvc1"
    assert _payloads(tmp_path / "out.mp4") == _payloads(video)
    assert numbers(tmp_path / "out.mp4") == list(range(10))


def test_rotation_is_baked_in_where_the_container_cannot_say_it(tmp_path: Path) -> None:
    video = make_video(tmp_path / "in.mkv", codec="mpeg4", rotation=90, frames=10)
    mux_speech(video, click(0.4, 0.2, RATE), RATE, tmp_path / "out.avi")
    frame = next(read_video(tmp_path / "out.avi"))
    assert corners(frame) == corners(next(read_video(video)))
    assert frame.shape == (WIDTH, HEIGHT, 3)


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".mp4"])
def test_a_late_start_is_moved_to_zero(tmp_path: Path, suffix: str) -> None:
    video = make_video(tmp_path / f"in{suffix}", frames=50, start=5.0, sound=click(2, 0.3, 48000))
    for target in (".mp4", ".mkv", ".webm"):
        output = tmp_path / f"out{target}"
        mux_speech(video, click(2, 1.0, RATE), RATE, output)
        assert numbers(output) == list(range(50))
        assert click_time(read_audio(output), RATE) == pytest.approx(1.0, abs=0.002)
        assert probe(output).duration == pytest.approx(2.0, abs=0.002)


def test_variable_rate_is_kept_by_copying(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.08, 0.5, 0.6, 1.0, 2.0]
    video = make_video(tmp_path / "in.mkv", frames=len(times), times=times)
    mux_speech(video, click(2, 1.0, RATE), RATE, tmp_path / "out.mp4")
    assert numbers(tmp_path / "out.mp4")[:50] == numbers(video)[:50]


def test_hidden_pictures_stay_hidden(tmp_path: Path) -> None:
    trimmed = _trimmed(tmp_path)
    assert numbers(trimmed) == list(range(5, 50))
    for target in (".mp4", ".mkv"):
        mux_speech(trimmed, click(1.8, 1.0, RATE), RATE, tmp_path / f"out{target}")
        assert numbers(tmp_path / f"out{target}") == list(range(5, 50))
        assert click_time(read_audio(tmp_path / f"out{target}"), RATE) == pytest.approx(1.0, abs=0.002)


def _trimmed(folder: Path) -> Path:
    """Return an mp4 whose edit list leaves out the first five pictures, as phones write after trimming."""
    whole = make_video(folder / "whole.mp4", frames=50, options={"bf": "0"})
    path = folder / "trimmed.mp4"
    with av.open(str(whole)) as source, av.open(str(path), "w") as sink:
        stream = source.streams.video[0]
        copy = sink.add_stream_from_template(stream, opaque=True)
        for packet in source.demux(stream):
            if packet.size:
                assert packet.pts is not None
                assert packet.dts is not None
                shift = round(0.2 / float(packet.time_base))
                packet.pts -= shift
                packet.dts -= shift
                packet.stream = copy
                sink.mux(packet)
    return path


def test_odd_sizes_are_encoded(tmp_path: Path) -> None:
    video = make_video(tmp_path / "in.webm", size=(127, 95), frames=10)
    mux_speech(video, click(0.4, 0.2, RATE), RATE, tmp_path / "out.mp4")
    assert next(read_video(tmp_path / "out.mp4")).shape == (96, 128, 3)
    assert numbers(tmp_path / "out.mp4") == list(range(10))


@pytest.mark.parametrize(("target", "fps"), [(".mp4", 30), (".webm", Fraction(30000, 1001)), (".avi", 50)])
def test_encoding_keeps_the_frame_rate(tmp_path: Path, target: str, fps: Fraction) -> None:
    video = make_video(tmp_path / "in.mpg" if fps != 50 else tmp_path / "in.mp4", fps=fps, frames=40)
    mux_speech(video, click(0.8, 0.2, RATE), RATE, tmp_path / f"out{target}")
    assert probe(tmp_path / f"out{target}").fps == pytest.approx(float(fps), rel=1e-3)
    assert numbers(tmp_path / f"out{target}", float(fps)) == list(range(40))


@pytest.mark.parametrize("target", [".mp4", ".webm", ".mkv", ".avi"])
def test_sound_that_outlasts_the_picture_is_cut(tmp_path: Path, target: str) -> None:
    video = make_video(tmp_path / "in.mp4", frames=25)
    mux_speech(video, np.full(5 * RATE, 0.1, np.float32), RATE, tmp_path / f"out{target}")
    with av.open(str(tmp_path / f"out{target}")) as container:
        assert (container.duration or 0) / 1e6 == pytest.approx(1.0, abs=0.02)
    assert read_audio(tmp_path / f"out{target}").size == pytest.approx(RATE, abs=200)


def test_short_sound_does_not_shorten_the_picture(tmp_path: Path) -> None:
    video = make_video(tmp_path / "in.mp4", frames=50)
    mux_speech(video, np.full(1000, 0.1, np.float32), RATE, tmp_path / "out.mp4")
    assert numbers(tmp_path / "out.mp4") == list(range(50))
    assert read_audio(tmp_path / "out.mp4").size == pytest.approx(1000, abs=2)


def test_the_input_is_never_overwritten(tmp_path: Path) -> None:
    video = make_video(tmp_path / "in.mp4", frames=5)
    before = video.read_bytes()
    link = tmp_path / "link.mp4"
    link.symlink_to(video)
    for output in (video, link):
        with pytest.raises(OutputError, match="is the input itself"):
            mux_speech(video, np.zeros(100, np.float32), RATE, output)
    assert video.read_bytes() == before


@pytest.mark.parametrize("name", ["out.gif", "out.wav", "out", "out.txt"])
def test_other_suffixes_are_refused(tmp_path: Path, name: str) -> None:
    video = make_video(tmp_path / "in.mp4", frames=5)
    with pytest.raises(OutputError, match=r"use one of \.mp4"):
        mux_speech(video, np.zeros(100, np.float32), RATE, tmp_path / name)
    assert not (tmp_path / name).exists()


# --- real recordings ------------------------------------------------------------------------------------------------


def test_grid_is_read_sample_by_sample_and_frame_by_frame(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "grid" / "s1" / "bbaf2n.mp4"
    info = probe(path)
    assert (info.width, info.height, info.fps, info.duration) == (360, 288, 25.0, 3.0)
    frames = list(read_video(path))
    assert len(frames) == 75
    samples = read_audio(path)
    assert samples.size in (71471, 71472)
    mux_speech(path, samples, RATE, tmp_path / "out.mp4")
    assert _payloads(tmp_path / "out.mp4") == _payloads(path)
    again = read_audio(tmp_path / "out.mp4")
    assert again.size == pytest.approx(samples.size, abs=2)
    lags = range(-48, 49)
    match = [float(np.dot(samples[1000:60000], again[1000 + lag : 60000 + lag])) for lag in lags]
    assert abs(lags[int(np.argmax(match))]) <= 1
