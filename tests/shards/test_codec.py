from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unsilent.errors import ShardError
from unsilent.shards.codec import MOST_FRAMES, decode_audio, decode_crops, encode_audio, encode_crops


@settings(max_examples=20)
@given(st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_crops_come_back_as_they_were(frames: int, seed: int) -> None:
    crops = np.random.default_rng(seed).integers(0, 256, (frames, 96, 96), dtype=np.uint8)
    np.testing.assert_array_equal(decode_crops(encode_crops(crops), frames), crops)


def test_frames_follow_one_another_from_top_to_bottom() -> None:
    crops = np.stack([np.full((96, 96), value, np.uint8) for value in (3, 200, 77)])
    picture = cv2.imdecode(np.frombuffer(encode_crops(crops), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    assert [int(picture[row, 0]) for row in (0, 95, 96, 191, 192, 287)] == [3, 3, 200, 200, 77, 77]


@pytest.mark.parametrize(
    "crops",
    [
        np.zeros((0, 96, 96), np.uint8),
        np.zeros((2, 96, 95), np.uint8),
        np.zeros((96, 96), np.uint8),
        np.zeros((2, 96, 96), np.float32),
        np.broadcast_to(np.zeros((1, 96, 96), np.uint8), (MOST_FRAMES + 1, 96, 96)),
    ],
)
def test_what_is_no_clip_of_crops_is_refused(crops: np.ndarray) -> None:
    with pytest.raises(ShardError, match="crops"):
        encode_crops(crops)


def test_a_header_of_another_size_is_refused_before_the_picture_is_made() -> None:
    data = bytearray(encode_crops(np.zeros((2, 96, 96), np.uint8)))
    with pytest.raises(ShardError, match="clip7: the crops are no PNG of 3 frames"):
        decode_crops(bytes(data), 3, "clip7")
    data[16:24] = struct.pack(">II", 96, 96 * 2_000_000)
    with pytest.raises(ShardError, match="no PNG"):
        decode_crops(bytes(data), 2)
    with pytest.raises(ShardError, match="no PNG"):
        decode_crops(b"GIF89a", 2)


@given(st.lists(st.floats(-1.5, 1.5, width=32), min_size=1, max_size=300))
def test_sound_comes_back_to_half_a_step_of_16_bits(values: list[float]) -> None:
    samples = np.array(values, np.float32)
    back = decode_audio(encode_audio(samples, 24_000), len(samples))
    np.testing.assert_allclose(back, np.clip(samples, -1, 32767 / 32768), atol=0.5 / 32768 + 1e-7)


@given(st.integers(0, 5000), st.integers(0, 6000))
@settings(max_examples=25)
def test_a_stretch_is_a_part_of_the_whole(first: int, count: int) -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, 5000).astype(np.float32)
    data = encode_audio(samples, 24_000)
    whole = decode_audio(data, 5000)
    np.testing.assert_array_equal(decode_audio(data, 5000, first=first, count=count), whole[first : first + count])


def test_damaged_sound_is_refused_by_name() -> None:
    data = encode_audio(np.zeros(5000, np.float32), 24_000)
    with pytest.raises(ShardError, match=r"clip7: 5000 samples, not 4000"):
        decode_audio(data, 4000, "clip7")
    with pytest.raises(ShardError, match="clip7: the sound"):
        decode_audio(b"fLaC" + data[40:], 5000, "clip7")
    with pytest.raises(ShardError, match="finite"):
        encode_audio(np.array([np.nan], np.float32), 24_000)
    with pytest.raises(ShardError, match="mono"):
        encode_audio(np.zeros((2, 9), np.float32), 24_000)
