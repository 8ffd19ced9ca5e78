# ruff: noqa: RUF001 (phonetic symbols are meant)
"""Speech for the talkers: the synthesiser hibari, with the times of its phones, in as many voices as one wants.

hibari (hibari-tts, Apache-2.0; an ONNX network and NumPy) has one voice in its package. It predicts, for each frame of
12.5 ms, a harmonic filter, noise and the pitch, so that pitch and its range are changed before the waveform is made;
formants are moved by resampling, with the network's pace set so that the duration stays.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from unsilent.corpora.base import Word
from unsilent.corpora.talker.alignment import align
from unsilent.corpora.talker.phones import PAUSES, SILENCE, Phone, Spelled, spell
from unsilent.errors import CorpusError
from unsilent.media.audio import resample

__all__ = ["MODEL_SHA256", "SAMPLE_RATE", "SYNTHESISER", "Spoken", "Synthesiser", "Voice", "load_synthesiser"]

SAMPLE_RATE: Final = 24_000
SYNTHESISER: Final = "hibari-tts 0.2.1, voice heart (Apache-2.0)"
MODEL_SHA256: Final = "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8"
"""Of ``hibari.onnx`` in hibari-tts 0.2.1; the name of the durations below is that file's own."""
_DURATIONS: Final = "/Cast_32_output_0"
_REMEDY: Final = "pip install 'unsilent[talker]'"
_LETTER_A: Final = "[a](/ˈA/)"
"""How hibari is told the pronunciation of a word."""
_MARKS: Final = "".join(PAUSES)
_VOICED: Final = 40.0
_NEPER: Final = float(np.log(10) / 20)
_TILT_FROM: Final = 1000.0
_FREE: Final = -1.2
"""Change, in nepers, of the free phase below 1 kHz where there is voice."""
_BASE_PITCH: Final = 195.0
"""Mean pitch of hibari's voice, Hz."""


@dataclass(frozen=True, slots=True)
class Voice:
    """How a talker sounds.

    Attributes:
        pitch: mean fundamental frequency, Hz.
        liveliness: how far the pitch moves, 1 as hibari's.
        formants: factor on the frequencies of the formants; below 1 a longer vocal tract.
        pace: 1 as hibari's, above that faster.
        tilt: change of the spectrum's slope, dB an octave above 1 kHz.
        breath: change of the noise in the voice, dB.
    """

    pitch: float = _BASE_PITCH
    liveliness: float = 1.0
    formants: float = 1.0
    pace: float = 1.0
    tilt: float = 0.0
    breath: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """A spoken sentence: (n,) float32 samples at 24 kHz, phones that cover them, and words."""

    samples: NDArray[np.float32]
    phones: tuple[Phone, ...]
    words: tuple[Word, ...]


class Synthesiser:
    """hibari with its durations. Deterministic on one machine: one thread, and noise from the given seed.

    Raises:
        CorpusError: hibari is not installed, or its network is not the one whose durations are known here.
    """

    def __init__(self) -> None:
        try:
            package = importlib.import_module("hibari.tts")
            voices = importlib.import_module("hibari.voices")
            self._dsp: Any = importlib.import_module("hibari.dsp")
        except ImportError as error:
            raise CorpusError(f"hibari-tts cannot be imported ({error}); {_REMEDY}") from error
        path = Path(voices.voice_path(voices.DEFAULT))
        network = path.read_bytes()
        if hashlib.sha256(network).hexdigest() != MODEL_SHA256:
            raise CorpusError(f"{path}: is not the network of hibari-tts 0.2.1; {_REMEDY}")
        self._tts: Any = package.Hibari(model=network + _further_output(_DURATIONS))

    def spelling(self, text: str, *, letters: bool = False) -> str:
        """The characters, of hibari's alphabet, that a sentence is spoken by.

        Args:
            text: one sentence.
            letters: a word of one letter is the letter's name, so that ``a`` is no article.

        Raises:
            CorpusError: the text is empty or more than one sentence.
        """
        words = [_LETTER_A if letters and word == "a" else word for word in text.split()]
        spelled = self._tts.phonemize(" ".join(words))
        if len(spelled) != 1:
            raise CorpusError(f"`{text}`: {len(spelled)} sentences; give one of at most 400 phones")
        return "".join(character for character in spelled[0] if character in self._tts.vocab)

    def base(self, characters: str, pace: float = 1.0, seed: int = 0) -> tuple[NDArray[np.float32], list[Spelled]]:
        """Speak spelled characters in hibari's own voice: (n,) samples, and where its predictor sees the phones."""
        heard, spelled, _ = self._predict(characters, pace, seed)
        return heard, spelled

    def _predict(
        self, characters: str, pace: float, seed: int
    ) -> tuple[NDArray[np.float32], list[Spelled], tuple[NDArray[np.float32], ...]]:
        inputs = {"ids": np.array([self._tts.ids(characters)]), "speed": np.array([pace], np.float32)}
        *outputs, durations = self._tts.sess.run(None, inputs)
        parts = tuple(output[0] for output in outputs)
        return self._sound(parts, seed), spell(characters, durations.tolist()), parts

    def _sound(self, parts: tuple[NDArray[np.float32], ...], seed: int) -> NDArray[np.float32]:
        samples: NDArray[np.float32] = self._dsp.synth(*parts, np.random.default_rng(seed))
        return samples

    def say(self, text: str, voice: Voice, seed: int = 0, *, letters: bool = False) -> Spoken:
        """Speak one sentence.

        Args:
            text: words between spaces.
            voice: how to speak it.
            seed: of the noise in the voice.
            letters: see :meth:`spelling`.

        Raises:
            CorpusError: as :meth:`spelling`, or what is spoken is not one word for each word of the text.
        """
        characters = self.spelling(text, letters=letters)
        heard, spelled, parts = self._predict(characters, voice.pace / voice.formants, seed)
        phones = align(heard, spelled)
        # Played at another rate, the whole spectrum moves; the network's pace has made up for the time.
        samples = resample(self._sound(_revoiced(voice, parts), seed), round(SAMPLE_RATE * voice.formants), SAMPLE_RATE)
        factor = len(samples) / len(heard)
        said = tuple(Phone(p.phone, p.start * factor, p.end * factor, p.word, p.release * factor) for p in phones)
        return Spoken(samples, said, _words(text, said))


def _revoiced(voice: Voice, parts: tuple[NDArray[np.float32], ...]) -> tuple[NDArray[np.float32], ...]:
    """The network's answer with another pitch, slope of the spectrum and breath, for playing at another rate."""
    lh, theta, ln, lr, phi, pitch = parts
    voiced = pitch > _VOICED
    mean = float(pitch[voiced].mean()) if voiced.any() else _BASE_PITCH
    wanted = voice.pitch / voice.formants * (np.maximum(pitch, 1.0) / mean) ** voice.liveliness
    octaves = np.log2(np.maximum(np.arange(len(lh)) * SAMPLE_RATE / (2 * (len(lh) - 1)), _TILT_FROM) / _TILT_FROM)
    tilt = (voice.tilt * _NEPER * octaves)[:, None]
    # The branch of free phase holds remnants of hibari's own pitch, which would sound beside the new one.
    softer = np.where(voiced, _FREE * (1 - np.minimum(octaves[:, None] / 2, 1)), 0)
    changed = (lh + tilt, theta, ln + tilt + voice.breath * _NEPER, lr + tilt + softer, phi)
    return tuple(part.astype(np.float32) for part in (*changed, np.where(voiced, wanted, pitch)))


def _words(text: str, phones: Sequence[Phone]) -> tuple[Word, ...]:
    names = [word.strip(_MARKS).lower() for word in text.split()]
    spans: dict[int, tuple[float, float]] = {}
    for phone in phones:
        if phone.phone != SILENCE:
            begin, _ = spans.get(phone.word, (phone.start, 0.0))
            spans[phone.word] = (begin, phone.end)
    if sorted(spans) != list(range(len(names))):
        raise CorpusError(f"`{text}`: is not spoken as one word for each that is written; write it otherwise")
    return tuple(Word(name, *spans[index]) for index, name in enumerate(names))


def _further_output(name: str) -> bytes:
    """What, appended to an ONNX file, makes a value inside its graph one more output.

    Messages of Protocol Buffers merge when they are concatenated: this is ``ModelProto(graph=GraphProto(output=
    [ValueInfoProto(name=name)]))``, fields 7, 12 and 1.
    """
    message = name.encode()
    for number in (1, 12, 7):
        message = bytes([number << 3 | 2, len(message)]) + message
    return message


@cache
def load_synthesiser() -> Synthesiser:
    """The synthesiser, loaded once a process. Raises as :class:`Synthesiser`."""
    return Synthesiser()
