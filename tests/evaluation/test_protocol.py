from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.evaluation.sounds import Echo, Spoken, clips

from unsilent.errors import EvaluationError
from unsilent.evaluation import SYSTEMS, EvalClip, derangement, model_systems, needs_crops
from unsilent.evaluation.metrics import Samples
from unsilent.evaluation.protocol import lenders, usual_systems


@given(st.lists(st.sampled_from(["a", "b", "c", "d", "e", None]), min_size=2, max_size=40), st.integers(0, 50))
def test_no_clip_meets_its_own_sentence(texts: list[str | None], seed: int) -> None:
    most = max((texts.count(text) for text in texts if text is not None), default=1)
    if 2 * most > len(texts):
        with pytest.raises(EvaluationError, match="cannot be shuffled"):
            derangement(texts, seed=seed)
        return
    partners = derangement(texts, seed=seed)
    assert sorted(partners) == list(range(len(texts)))
    for index, partner in enumerate(partners):
        assert index != partner
        assert texts[index] is None or texts[index] != texts[partner]


def test_derangement_is_seeded() -> None:
    texts = [str(number) for number in range(30)]
    assert derangement(texts) == derangement(texts)
    assert derangement(texts, seed=1) != derangement(texts)


def test_one_clip_cannot_be_shuffled() -> None:
    with pytest.raises(EvaluationError, match="leave out the system `shuffled`"):
        derangement(["bin"])


class Parrot:
    """A pre-trained speech model that copies half as loud."""

    def copy(self, samples: Samples, /) -> Samples:
        return np.asarray(0.5 * samples, np.float32)


def test_systems_of_a_model() -> None:
    known = clips(4)
    systems = model_systems(Echo(known), known, list(SYSTEMS), a2a=Parrot())
    assert list(systems) == list(SYSTEMS) == ["real", "vocoder", "a2a", "model", "shuffled", "mean", "silence"]
    for clip in known:
        assert np.array_equal(systems["real"](clip), clip.real)
        assert np.array_equal(systems["a2a"](clip), 0.5 * clip.real)
        assert np.array_equal(systems["model"](clip), clip.real)
        silence = systems["silence"](clip)
        assert silence.shape == clip.real.shape
        assert not silence.any()
        other = systems["shuffled"](clip)
        assert not np.array_equal(other, clip.real)
        assert any(np.array_equal(other, known_clip.real) for known_clip in known)


def test_bounds_may_be_made_by_another_vocoder() -> None:
    known = clips(4)

    class Quiet(Echo):
        def vocode(self, mel: NDArray[np.float32], /) -> Samples:
            return np.zeros(mel.shape[1] * 240, np.float32)

    systems = model_systems(Echo(known), known, list(SYSTEMS), a2a=Parrot(), vocoder=Quiet(known))
    assert not systems["vocoder"](known[0]).any()
    assert not systems["mean"](known[0]).any()
    assert np.array_equal(systems["model"](known[0]), known[0].real)


def test_systems_that_do_not_exist_or_lack_a_model() -> None:
    known = clips(2)
    with pytest.raises(EvaluationError, match="psychic: no such system"):
        model_systems(Echo(known), known, ["psychic"])
    for name in ("vocoder", "mean"):
        with pytest.raises(EvaluationError, match=f"{name}: needs a model"):
            model_systems(None, known, [name])
    with pytest.raises(EvaluationError, match="a2a: needs a pre-trained speech model; name one with --a2a"):
        model_systems(Echo(known), known, ["a2a"])
    assert list(model_systems(None, known, ["real", "a2a", "silence"], a2a=Parrot())) == ["real", "a2a", "silence"]


def test_what_can_be_compared_with_what_is_at_hand() -> None:
    assert usual_systems() == ["real", "vocoder", "model", "shuffled", "mean", "silence"]
    assert usual_systems(a2a=True) == list(SYSTEMS)
    assert usual_systems(model=False) == ["real", "silence"]


class Plain(Echo):
    """Its mel is the sound in rows of ten samples, and back."""

    def mel(self, samples: Samples, /) -> NDArray[np.float32]:
        return np.asarray(samples[: len(samples) // 10 * 10].reshape(-1, 10).T, np.float32)

    def vocode(self, mel: NDArray[np.float32], /) -> Samples:
        return np.ascontiguousarray(mel.T).reshape(-1)


def test_mean_is_that_of_all_other_clips_frame_by_frame() -> None:
    crops = np.zeros((2, 96, 96), np.uint8)
    lengths = {"a": 30, "b": 50, "c": 45, "d": 80}
    known = [
        EvalClip(name, name, np.full(length, 2.0**at, np.float32), crops)
        for at, (name, length) in enumerate(lengths.items())
    ]
    mean = model_systems(Plain(known), known, ["mean"])["mean"]
    # Frames of ten samples: a has 3, b 5, c 4, d 8; they say 1, 2, 4 and 8.
    made = {clip.id: mean(clip)[::10].tolist() for clip in known}
    assert made["a"] == pytest.approx([14 / 3] * 3)
    assert made["b"] == pytest.approx([13 / 3] * 3 + [12 / 2] + [8])
    assert made["d"] == pytest.approx([7 / 3] * 3 + [6 / 2] + [2] * 4)
    with pytest.raises(EvaluationError, match="no others to average"):
        model_systems(Plain(known), known[:1], ["mean"])


class Told(Echo):
    """Says whose voice it was told by the value of its samples."""

    voices = True

    def voice_of(self, reference: Samples, /) -> NDArray[np.float32]:
        return np.asarray(reference[:1], np.float32)

    def speak_crops(self, crops: NDArray[np.uint8], /, *, voice: NDArray[np.float32] | None = None) -> Spoken:
        return Spoken(np.full(10, -1.0 if voice is None else voice[0], np.float32))


def test_a_model_is_told_the_voice_of_another_clip_of_the_same_speaker() -> None:
    owners = ["a", "b", "a", "c", "a", None]
    known = [
        EvalClip(str(n), f"text {n}", np.full(10, n, np.float32), np.full((2, 96, 96), n, np.uint8), None, owner)
        for n, owner in enumerate(owners)
    ]
    assert {name: clip.id for name, clip in lenders(known).items()} == {"0": "2", "2": "4", "4": "0"}
    for name in ("model", "shuffled"):
        system = model_systems(Told(known), known, ["model", "shuffled"])[name]
        assert [system(clip)[0] for clip in known] == [2, -1, 4, -1, 0, -1]
    system = model_systems(Told(known), known, ["model"], told=False)["model"]
    assert {float(system(clip)[0]) for clip in known} == {-1.0}


def test_who_looks_at_the_mouth() -> None:
    assert needs_crops(["real", "shuffled"])
    assert not needs_crops(["real", "vocoder", "a2a", "mean", "silence"])
