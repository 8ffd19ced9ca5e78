from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from tests.test_shards import crops_of, sound_of

from unsilent.errors import ShardError
from unsilent.shards.codec import MOST_FRAMES, decode_audio, decode_crops, encode_audio, encode_crops


def test_frames_follow_one_another_from_top_to_bottom() -> None:
    crops = np.stack([np.full((96, 96), value, np.uint8) for value in (3, 200, 77)])
    picture = cv2.imdecode(np.frombuffer(encode_crops(crops), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    assert [int(picture[row, 0]) for row in (0, 95, 96, 191, 192, 287)] == [3, 3, 200, 200, 77, 77]


def test_a_header_of_another_size_is_refused_before_the_picture_is_made() -> None:
    data = bytearray(encode_crops(np.zeros((2, 96, 96), np.uint8)))
    with pytest.raises(ShardError, match="clip7: the crops are no PNG of 3 frames"):
        decode_crops(bytes(data), 3, "clip7")
    data[16:24] = struct.pack(">II", 96, 96 * 2_000_000)
    with pytest.raises(ShardError, match="no PNG"):
        decode_crops(bytes(data), 2)
    with pytest.raises(ShardError, match="no PNG"):
        decode_crops(b"GIF89a", 2)


@given(st.integers(0, 5000), st.integers(0, 6000))
@settings(max_examples=25)
def test_a_stretch_is_a_part_of_the_whole(first: int, count: int) -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, 5000).astype(np.float32)
    data = encode_audio(samples, 24_000)
    whole = decode_audio(data, 5000)
    np.testing.assert_array_equal(decode_audio(data, 5000, first=first, count=count), whole[first : first + count])


def test_more_frames_than_fit_are_refused() -> None:
    with pytest.raises(ShardError, match="cut the clip into shorter ones"):
        encode_crops(np.broadcast_to(np.zeros((1, 96, 96), np.uint8), (MOST_FRAMES + 1, 96, 96)))


@given(seed=st.integers(0, 2**32 - 1), frames=st.integers(1, 5), low=st.integers(0, 255), span=st.integers(0, 255))
def test_crops_come_back_bit_for_bit(seed: int, frames: int, low: int, span: int) -> None:
    high = min(255, low + span)
    crops = np.random.default_rng(seed).integers(low, high + 1, (frames, 96, 96), dtype=np.uint8)
    assert np.array_equal(decode_crops(encode_crops(crops), frames), crops)


@given(hnp.arrays(np.int16, st.integers(1, 3000)), st.sampled_from([8000, 24_000, 48_000]))
def test_16_bit_sound_comes_back_bit_for_bit(integers: NDArray[np.int16], rate: int) -> None:
    sound = np.asarray(integers / np.float32(32768), np.float32)
    packed = encode_audio(sound, rate)
    assert np.array_equal(decode_audio(packed, len(sound)), sound)


def test_sound_is_rounded_and_clipped() -> None:
    sound = np.array([1.5, -1.5, 1.0, 0.4 / 32768, 0.6 / 32768], np.float32)
    back = decode_audio(encode_audio(sound, 24_000), 5)
    assert (back * 32768).tolist() == [32767, -32768, 32767, 0, 1]


@pytest.mark.parametrize(
    "crops",
    [
        np.zeros((0, 96, 96), np.uint8),
        np.zeros((2, 88, 88), np.uint8),
        np.zeros((96, 96), np.uint8),
        np.zeros((1, 96, 96), np.float32),
    ],
)
def test_other_crops_are_refused(crops: NDArray[Any]) -> None:
    with pytest.raises(ShardError, match="give uint8"):
        encode_crops(crops)


@pytest.mark.parametrize("sound", [np.zeros((2, 5), np.float32), np.array([0.0, np.nan], np.float32)])
def test_other_sound_is_refused(sound: NDArray[np.float32]) -> None:
    with pytest.raises(ShardError, match="give mono samples"):
        encode_audio(sound, 24_000)


@given(st.binary(max_size=200))
def test_junk_is_no_picture_and_no_sound(junk: bytes) -> None:
    with pytest.raises(ShardError, match="clip: "):
        decode_crops(junk, 1, "clip")
    with pytest.raises(ShardError, match="clip: "):
        decode_audio(junk, 1, "clip")


def test_damaged_packing_is_named() -> None:
    png, flac = encode_crops(crops_of(0, 4)), encode_audio(sound_of(0, 2000), 24_000)
    for data, frames in ((png, 3), (png[: len(png) // 2], 4), (b"", 4)):
        with pytest.raises(ShardError):
            decode_crops(data, frames)
    for data, samples in ((flac, 1999), (flac[: len(flac) // 2], 2000)):
        with pytest.raises(ShardError):
            decode_audio(data, samples)
