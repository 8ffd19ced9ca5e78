# ruff: noqa: RUF001 (phonetic symbols are meant)
"""The drawn face through the real tracker."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from unsilent.corpora.talker.articulation import VISEMES, Mouth, articulate
from unsilent.corpora.talker.look import Speaker, generator, make_speaker
from unsilent.corpora.talker.phones import SILENCE, Phone
from unsilent.corpora.talker.render import Performance, render
from unsilent.corpora.talker.scene import SIDE, make_scene
from unsilent.face import MouthTrack, track_mouth

SPEAKERS = 32
FPS = 25
# Long enough for the tracker's smoothing, with closures between open vowels.
SOUNDS = ("m", "ɑ", "b", "i", "p", "æ", "f", "u")


def phones(sounds: tuple[str, ...] = SOUNDS, each: float = 0.12) -> list[Phone]:
    starts = 0.08 + each * np.arange(len(sounds))
    end = float(starts[-1] + each)
    spoken = [Phone(s, float(t), float(t + each), 0, float(t + each)) for s, t in zip(sounds, starts, strict=True)]
    return [Phone(SILENCE, 0.0, 0.08, -1, 0.08), *spoken, Phone(SILENCE, end, end + 0.08, -1, end + 0.08)]


def perform(
    speaker: Speaker, mouth: Mouth, number: int
) -> tuple[list[NDArray[np.uint8]], NDArray[np.float64], NDArray[np.float64]]:
    """Frames, the drawn apertures, and where the middle of the resting mouth was drawn."""
    frames = len(mouth.opening)
    scene = make_scene(generator(0, "test scene", number), frames, FPS, speaker.motion)
    performance = Performance(mouth, np.zeros(frames, np.int64), np.zeros(frames))
    aperture = np.array([performance.lips(speaker.look, frame).aperture for frame in range(frames)])
    middle = scene.poses @ np.array([140 * 1.2, 185 * 1.2, 1.0])
    return list(render(speaker.look, scene, performance, number)), aperture, middle


@pytest.fixture(scope="module")
def tracked() -> list[tuple[MouthTrack, NDArray[np.float64], NDArray[np.float64]]]:
    """Many talkers, half a second each: what the tracker saw, what was drawn, and where."""
    times = np.arange(0.02, 1.1, 2 / FPS)
    found = []
    for number in range(SPEAKERS):
        speaker = make_speaker(99, f"t{number}")
        frames, aperture, middle = perform(speaker, articulate(phones(), times, clarity=speaker.clarity), number)
        found.append((track_mouth(frames), aperture, middle))
    return found


def test_tracker_finds_every_face(
    tracked: list[tuple[MouthTrack, NDArray[np.float64], NDArray[np.float64]]],
) -> None:
    valid = np.concatenate([track.valid for track, _, _ in tracked])
    assert len(valid) >= 400
    assert valid.mean() >= 0.99
    assert all(track.faces == 1 for track, _, _ in tracked)
    assert np.mean([track.confidence.mean() for track, _, _ in tracked]) > 0.95


def test_crops_are_where_the_mouth_is_drawn(
    tracked: list[tuple[MouthTrack, NDArray[np.float64], NDArray[np.float64]]],
) -> None:
    away = np.array([(track.centre - middle).mean(axis=0) for track, _, middle in tracked])
    assert np.abs(away[:, 0]).max() < 4
    assert np.abs(away[:, 1]).max() < 7
    width = np.array([np.sqrt(np.linalg.det(track.transform[:, :, :2])).mean() for track, _, _ in tracked])
    assert (np.abs(width - 1.08) < 0.22).all()


def test_tracked_aperture_follows_the_drawn_one(
    tracked: list[tuple[MouthTrack, NDArray[np.float64], NDArray[np.float64]]],
) -> None:
    r = np.array([np.corrcoef(track.aperture, aperture)[0, 1] for track, aperture, _ in tracked])
    assert np.median(r) > 0.85
    assert np.mean(r > 0.5) > 0.9


def steady(name: str, frames: int) -> Mouth:
    """A mouth that holds the target of one viseme."""
    viseme = VISEMES[name]
    held = {key: np.full(frames, getattr(viseme, key)) for key in ("spread", "rounding", "jaw", "tuck", "tongue")}
    return Mouth(opening=np.full(frames, max(0.0, viseme.opening)), pressed=np.full(frames, viseme.opening < 0), **held)


def test_visemes_that_differ_in_life_differ_in_the_crops() -> None:
    speaker = make_speaker(99, "t3")
    means, noise = {}, []
    for name in ("open", "spread high", "high round", "labiodental", "bilabial"):
        # The same scene for each: all that differs is the mouth.
        crops = track_mouth(perform(speaker, steady(name, 6), 0)[0]).crops.astype(float)
        means[name] = crops.mean(axis=0)[24:76, 16:80]
        noise.append(np.abs(crops[1:] - crops[:-1])[:, 24:76, 16:80].mean())
    for first, second in itertools.combinations(means, 2):
        assert np.abs(means[first] - means[second]).mean() > 1.5 * np.mean(noise), (first, second)


def test_faces_differ_from_talker_to_talker_and_not_from_draw_to_draw() -> None:
    mouth = steady("rest", 1)
    drawn = [perform(make_speaker(99, f"t{number}"), mouth, 0)[0][0] for number in (0, 0, 1, 2)]
    assert drawn[0].shape == (SIDE, SIDE, 3)
    np.testing.assert_array_equal(drawn[0], drawn[1])
    for first, second in itertools.combinations(drawn[1:], 2):
        assert cv2.norm(first, second, cv2.NORM_L1) / first.size > 4
