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
from unsilent.evaluation.protocol import lenders


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


def test_systems_of_a_model() -> None:
    known = clips(4)
    systems = model_systems(Echo(known), known, list(SYSTEMS))
    assert list(systems) == list(SYSTEMS)
    for clip in known:
        assert np.array_equal(systems["real"](clip), clip.real)
        assert np.array_equal(systems["model"](clip), clip.real)
        other = systems["shuffled"](clip)
        assert not np.array_equal(other, clip.real)
        assert any(np.array_equal(other, known_clip.real) for known_clip in known)


def test_systems_that_do_not_exist_or_lack_a_model() -> None:
    known = clips(2)
    with pytest.raises(EvaluationError, match="psychic: no such system"):
        model_systems(Echo(known), known, ["psychic"])
    with pytest.raises(EvaluationError, match="vocoder: needs a model"):
        model_systems(None, known, ["vocoder"])
    assert list(model_systems(None, known, ["real"])) == ["real"]


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
    assert not needs_crops(["real", "vocoder"])
