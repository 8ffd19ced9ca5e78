# ruff: noqa: RUF001 (phonetic symbols are meant)
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from unsilent.corpora.talker.articulation import DIPHTHONGS, VISEME_OF, VISEMES
from unsilent.corpora.talker.phones import SILENCE, SPELLING, spell


def test_stress_marks_and_spaces_belong_to_their_neighbours() -> None:
    spelled = spell("bˈɪn, blˈu", [14, 2, 2, 2, 2, 3, 2, 2, 1, 2, 5, 6])
    assert [item.phone for item in spelled] == [SILENCE, "b", "ɪ", "n", SILENCE, "b", "l", "u", SILENCE]
    assert [item.word for item in spelled] == [-1, 0, 0, 0, -1, 1, 1, 1, -1]
    assert (spelled[0].first, spelled[0].last) == (0, 14)
    assert (spelled[2].first, spelled[2].last) == (16, 20)
    assert (spelled[4].first, spelled[4].last) == (22, 27)
    assert (spelled[7].first, spelled[7].last) == (30, 37)
    assert spelled[-1].last == 43
    assert [item.pause for item in spelled if item.phone == SILENCE] == [False, True, True]


def test_every_phone_has_a_viseme() -> None:
    for phone in SPELLING.values():
        assert (phone in VISEME_OF) != (phone in DIPHTHONGS), phone
    assert {*VISEME_OF.values(), *(name for names in DIPHTHONGS.values() for name in names)} == set(VISEMES)


@given(
    st.lists(st.sampled_from([*SPELLING, "ˈ", "ˌ", "ː", " ", ".", ","]), max_size=30),
    st.lists(st.integers(1, 9), min_size=32, max_size=32),
)
def test_spelled_phones_stay_in_order_and_in_the_sentence(characters: list[str], lengths: list[int]) -> None:
    spelled = spell("".join(characters), lengths[: len(characters) + 2])
    total = sum(lengths[: len(characters) + 2])
    assert sum(item.phone != SILENCE for item in spelled) == sum(character in SPELLING for character in characters)
    assert spelled[-1].last == total
    assert all(0 <= item.first <= item.last <= total for item in spelled)
    assert [item.first for item in spelled] == sorted(item.first for item in spelled)
