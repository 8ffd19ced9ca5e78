# ruff: noqa: RUF001, RUF002 (phonetic symbols are meant)
"""The phones that the synthesiser speaks, and how its alphabet spells them.

hibari writes one character a phone (the alphabet of misaki and Kokoro), stress marks and length marks among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["PAUSES", "SILENCE", "SPELLING", "Phone", "Spelled", "spell"]

SILENCE: Final = "sil"
"""Name of what is between words and around the sentence."""

SPELLING: Final[Mapping[str, str]] = {
    **{character: character for character in "bdfhjklmnpstvwzæɑəɛɜiɪuʊɔʌŋɡɹʃʒθðɾʔɚ"},
    "A": "eɪ",
    "I": "aɪ",
    "O": "oʊ",
    "W": "aʊ",
    "Y": "ɔɪ",
    "T": "ɾ",
    "ʤ": "dʒ",
    "ʧ": "tʃ",
    "ᵊ": "ə",
    "ɐ": "ə",
    "ᵻ": "ɪ",
    "r": "ɹ",
}
"""Character of hibari's alphabet -> phone in the IPA."""

PAUSES: Final = frozenset(".,;:!?—…")


@dataclass(frozen=True, slots=True)
class Phone:
    """One spoken phone.

    Attributes:
        phone: in the IPA, or :data:`SILENCE`.
        start: seconds.
        end: seconds.
        word: which word it belongs to, from 0; -1 for silence.
        release: for a stop the moment its closure ends, in seconds; ``end`` for all others.
    """

    phone: str
    start: float
    end: float
    word: int
    release: float


@dataclass(frozen=True, slots=True)
class Spelled:
    """One phone of a spelled sentence.

    Attributes:
        phone: in the IPA, or :data:`SILENCE` between words.
        word: index of the word it belongs to, -1 for silence.
        first: where the duration predictor lets it begin and
        last: end, in its frames from the beginning of the sentence.
        pause: whether punctuation asks for a silence here.
    """

    phone: str
    word: int
    first: int
    last: int
    pause: bool = False


def spell(characters: str, durations: Sequence[int]) -> list[Spelled]:
    """Group the characters of a sentence, with their durations, into phones and the silences between words.

    Stress and length marks have durations of their own; they belong to the vowel beside them. A sentence begins and
    ends with a silence.

    Args:
        characters: as hibari spells it, for instance ``bˈɪn blˈu``; characters that are not of its alphabet are not in.
        durations: frames of each character, and of the padding before (first) and after (last): two more.
    """
    spelled: list[Spelled] = []
    word, position, begun = -1, 0, True
    pending, pause = 0, False
    for character, frames in zip(f" {characters} ", durations, strict=True):
        start, position = position, position + frames
        if character in SPELLING:
            if begun:
                word += 1
                spelled.append(Spelled(SILENCE, -1, pending, start, pause))
                begun, pause = False, False
                pending = start
            spelled.append(Spelled(SPELLING[character], word, pending, position))
            pending = position
        elif character == " " or character in PAUSES:
            pause = pause or character in PAUSES
            pending = pending if begun else start
            begun = True
        elif character == "ː" and spelled and not begun:
            last = spelled[-1]
            spelled[-1] = Spelled(last.phone, last.word, last.first, position)
            pending = position
    spelled.append(Spelled(SILENCE, -1, pending, position, True))
    return spelled
