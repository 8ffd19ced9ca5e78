from __future__ import annotations

import cmath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unsilent.face.geometry import Pose
from unsilent.face.smoothing import LOOK_AHEAD, MAX_BRIDGE, PoseSmoother, SmoothPose


def pose(x: float = 0.0, *, size: float = 1.0, angle: float = 0.0, down: float = 0.0) -> Pose:
    return Pose(cmath.rect(size, angle), complex(x, 50), complex(0, down), 0.1, (x, 0.0, x + 10, 10.0))


def run(poses: list[Pose | None]) -> list[SmoothPose | None]:
    smoother = PoseSmoother()
    answers = []
    for item in poses:
        ready = smoother.ready
        answer = smoother.push(item)
        if ready:
            answers.append(answer)
        else:
            assert answer is None
    return answers + list(smoother.finish())


def known(answers: list[SmoothPose | None]) -> list[SmoothPose]:
    assert None not in answers
    return [answer for answer in answers if answer is not None]


@given(st.lists(st.booleans(), max_size=90))
def test_every_frame_gets_one_answer(seen: list[bool]) -> None:
    answers = run([pose(float(index)) if here else None for index, here in enumerate(seen)])
    assert len(answers) == len(seen)
    if not any(seen):
        assert all(answer is None for answer in answers)
        return
    first = seen.index(True)
    for index, answer in enumerate(answers):
        assert (answer is None) == (index < first - MAX_BRIDGE)


@given(st.integers(1, 80), st.floats(0.2, 5), st.floats(-3.1, 3.1))
def test_what_stands_still_stays(count: int, size: float, angle: float) -> None:
    for answer in known(run([pose(7, size=size, angle=angle, down=2)] * count)):
        assert answer.factor == pytest.approx(cmath.rect(size, angle))
        assert answer.centre == pytest.approx(7 + 50j + cmath.rect(size, angle) * 2j)
        assert answer.aperture == 0.1
        assert answer.box == (7, 0, 17, 10)


def test_an_even_motion_is_followed_without_lag() -> None:
    answers = known(run([pose(2.0 * index) for index in range(80)]))
    centres = np.array([answer.centre.real for answer in answers])
    np.testing.assert_allclose(centres[6:-6], 2.0 * np.arange(80)[6:-6], atol=1e-2)


def test_a_turn_through_half_a_circle_is_continuous() -> None:
    answers = known(run([pose(angle=3.0 + 0.02 * index) for index in range(40)]))
    turns = np.unwrap([cmath.phase(answer.factor) for answer in answers])
    np.testing.assert_allclose(turns[6:-6], 3.0 + 0.02 * np.arange(40)[6:-6], atol=1e-3)


def test_jitter_is_averaged_out() -> None:
    noise = np.random.default_rng(0).normal(size=300)
    centres = np.array([answer.centre.real for answer in known(run([pose(value) for value in noise]))])
    assert centres.std() < 0.5 * noise.std()


def test_speech_does_not_move_the_crop() -> None:
    # The lips' centre swings by 3 pixels, five times a second.
    answers = known(run([pose(down=3 * np.sin(index * 2 * np.pi / 5)) for index in range(100)]))
    heights = np.array([answer.centre.imag for answer in answers])
    assert np.ptp(heights[LOOK_AHEAD:-LOOK_AHEAD]) < 0.1


@pytest.mark.parametrize("lost", [1, 5, MAX_BRIDGE])
def test_a_short_loss_is_interpolated(lost: int) -> None:
    poses: list[Pose | None] = [pose(float(index)) for index in range(60)]
    poses[20 : 20 + lost] = [None] * lost
    centres = [answer.centre.real for answer in known(run(poses))]
    np.testing.assert_allclose(centres[6:-6], np.arange(60)[6:-6], atol=1e-2)


def test_a_long_loss_is_held_then_bridged() -> None:
    poses: list[Pose | None] = [pose(0.0)] * 30 + [None] * 40 + [pose(10.0)] * 30
    centres = np.array([answer.centre.real for answer in known(run(poses))])
    assert (np.abs(centres[:50]) < 0.1).all()
    assert (np.diff(centres) > -1e-9).all()
    assert (np.abs(centres[75:] - 10) < 0.1).all()


def test_an_answer_does_not_depend_on_what_comes_later() -> None:
    poses: list[Pose | None] = [pose(float(index % 7)) for index in range(100)]
    short, long = run(poses[: 40 + LOOK_AHEAD + 1]), run(poses)
    assert short[:41] == long[:41]
