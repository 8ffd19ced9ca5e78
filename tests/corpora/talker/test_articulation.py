# ruff: noqa: RUF001 (phonetic symbols are meant)
from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unsilent.corpora.talker.articulation import VISEME_OF, Mouth, articulate
from unsilent.corpora.talker.phones import SILENCE, SPELLING, Phone

TIMES = np.arange(0, 1.0, 0.005)
PHONES = sorted({*SPELLING.values()})


def word(*sounds: str, each: float = 0.1) -> list[Phone]:
    """Phones of equal length in a row, silence around them, in one second."""
    ends = 0.3 + each * np.arange(len(sounds) + 1)
    inner = [
        Phone(sound, float(start), float(end), 0, float(end))
        for sound, start, end in zip(sounds, ends[:-1], ends[1:], strict=True)
    ]
    return [
        Phone(SILENCE, 0.0, 0.3, -1, 0.3),
        *inner,
        Phone(SILENCE, float(ends[-1]), 1.0, -1, 1.0),
    ]


def values(mouth: Mouth) -> np.ndarray:
    return np.stack([getattr(mouth, item.name) for item in fields(mouth)])


@pytest.mark.parametrize("group", ["p b m", "t d n", "f v", "s z", "ʃ ʒ tʃ dʒ", "k ɡ ŋ", "θ ð"])
def test_homophenes_move_the_mouth_alike(group: str) -> None:
    first, *others = group.split()
    for other in others:
        np.testing.assert_array_equal(
            values(articulate(word("ɑ", first, "i"), TIMES)), values(articulate(word("ɑ", other, "i"), TIMES))
        )


@pytest.mark.parametrize("pair", ["p t", "p f", "t θ", "f θ", "s ʃ", "k w", "i u", "ɑ i", "ɑ u", "æ ɔ", "t k", "l t"])
def test_others_do_not(pair: str) -> None:
    first, second = (values(articulate(word("ə", sound, "ə"), TIMES)) for sound in pair.split())
    assert np.abs(first - second).max() > 0.1


@pytest.mark.parametrize("before", ["ɑ", "i", "u", "æ", "s"])
@pytest.mark.parametrize("after", ["ɑ", "i", "u", "ɔ", "l"])
@pytest.mark.parametrize("each", [0.05, 0.1])
def test_bilabials_close_the_lips_whatever_is_beside_them(before: str, after: str, each: float) -> None:
    phones = word(before, "b", after, each=each)
    mouth = articulate(phones, TIMES, clarity=0.88, variation=np.full(5, 1.2))
    closure = phones[2]
    inside = (closure.start + 0.005 <= TIMES) & (closure.release - 0.005 >= TIMES)
    assert mouth.opening[inside].max() == 0
    assert mouth.opening[closure.release + 0.04 < TIMES][: int(each / 2 / 0.005)].max() > 0.5


def test_lips_are_shut_only_where_they_should_be() -> None:
    mouth = articulate(word("ɑ", "t", "i", "f", "ɛ", each=0.08), TIMES)
    speaking = (TIMES > 0.35) & (TIMES < 0.65)
    assert mouth.opening[speaking].min() > 1
    assert mouth.opening[TIMES < 0.05].max() == 0
    assert mouth.opening[TIMES > 0.95].max() == 0
    assert mouth.tuck.max() > 0.7


def test_the_mouth_rests_in_pauses_and_not_between_words() -> None:
    def around(silence: float) -> float:
        end = 0.45 + silence
        phones = [
            Phone("ɑ", 0.0, 0.45, 0, 0.45),
            Phone(SILENCE, 0.45, end, -1, end),
            Phone("ɑ", end, 1.0, 1, 1.0),
        ]
        return float(articulate(phones, TIMES).opening.min())

    assert around(0.03) > 15
    assert around(0.4) == 0


def test_a_vowel_is_coloured_by_its_neighbours() -> None:
    middle = np.array([0.45])
    rounded, plain = (articulate(word(sound, "ə", sound), middle) for sound in ("w", "s"))
    assert rounded.rounding[0] > plain.rounding[0] + 0.2
    assert plain.spread[0] > rounded.spread[0] + 0.1


@given(st.lists(st.sampled_from(PHONES), min_size=1, max_size=10), st.floats(0.012, 0.07), st.floats(0.8, 1.2))
def test_mouth_stays_within_its_bounds(sounds: list[str], each: float, clarity: float) -> None:
    mouth = articulate(word(*sounds, each=each), TIMES, clarity=clarity)
    assert np.isfinite(values(mouth)).all()
    assert (mouth.opening >= 0).all()
    assert mouth.opening.max() <= 20
    for part in (mouth.tuck, mouth.tongue, mouth.rounding, mouth.pressed):
        assert part.min() >= -0.11
        assert part.max() <= 1.01


def test_unknown_phone() -> None:
    assert "x" not in VISEME_OF
    with pytest.raises(KeyError):
        articulate(word("x"), TIMES)
