"""Metrics of one pair of recordings: the real sound (reference) and what a system made of it (degraded).

All take mono arrays at 24 kHz. What each is computed on:

========== ===================================================================================================
stoi       short-time objective intelligibility, 0 to 1 (Taal et al. 2011), pystoi at 24 kHz (it resamples to 10)
estoi      extended STOI, 0 to 1 (Jensen & Taal 2016), the same
pesq_nb_8k narrow-band PESQ, MOS-LQO by P.862.1, 1.0 to 4.6, of signals at **8 kHz**, as in most papers on GRID
pesq_nb    the same of signals at **16 kHz**, which is another figure
pesq_wb    wide-band PESQ, MOS-LQO by P.862.2, 1.0 to 4.7, of signals at 16 kHz
mcd        mel-cepstral distortion with dynamic time warping, dB (:mod:`unsilent.evaluation.mcd`)
mel_l1     mean absolute difference of natural-log mels, 0 upwards, lower is better (:mod:`unsilent.features`)
lsd        log-spectral distance, dB (:mod:`unsilent.evaluation.mcd`)
f0_rmse    root mean square difference of pitch, Hz, where both are voiced (:mod:`unsilent.evaluation.pitch`)
voicing_error share of frames voiced in one and not in the other, 0 to 1 (the same)
dnsmos     DNSMOS P.835 overall, 1 to 5, no reference (Reddy et al. 2022), at 16 kHz
speaker    cosine of the two recordings' speaker embeddings, about .8 for one voice (`unsilent.evaluation.speaker`)
..._aligned STOI and ESTOI after the degraded signal is moved to where it fits best (`unsilent.evaluation.alignment`)
offset_ms  how far that is, without sign
========== ===================================================================================================

Two signals of unequal length are cut to the shorter; if more than half a second apart they are not the same clip
and no metric is given. Nothing is scaled, and but for ``..._aligned`` nothing is moved: an offset in time costs points,
as in the published figures. There is no ``pesq_aligned``: PESQ takes a constant delay, and that of every utterance, out
by itself before it compares.
A metric that cannot be had raises :class:`EvaluationError`; :func:`measure` turns that into a missing value with its
reason, never into a number.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import soxr
from numpy.typing import NDArray

from unsilent.errors import EvaluationError
from unsilent.evaluation.alignment import move, offset
from unsilent.evaluation.optional import require

__all__ = [
    "MAX_LENGTH_DIFFERENCE",
    "METRICS",
    "SAMPLE_RATE",
    "Measurement",
    "Samples",
    "common_length",
    "dnsmos",
    "estoi",
    "estoi_aligned",
    "f0_rmse",
    "lsd",
    "mcd",
    "measure",
    "mel_l1",
    "offset_ms",
    "pesq_nb",
    "pesq_nb_8k",
    "pesq_wb",
    "resample",
    "speaker",
    "stoi",
    "stoi_aligned",
    "voicing_error",
]

Samples = NDArray[np.float32]

SAMPLE_RATE: Final = 24_000
"""Sample rate of every array given to this module, Hz."""

MAX_LENGTH_DIFFERENCE: Final = 0.5
"""Seconds by which two recordings of one clip may differ."""

_PESQ_SECONDS: Final = 60.0
"""The reference implementation has room for 50 utterances; longer recordings overrun it."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """A value, or None and the reason why there is none."""

    value: float | None
    reason: str | None = None


def resample(samples: Samples, target: int, source: int = SAMPLE_RATE) -> Samples:
    """Convert (n,) samples from ``source`` to ``target`` Hz with soxr at its high quality."""
    if source == target or not len(samples):
        return np.asarray(samples, np.float32)
    return np.asarray(soxr.resample(samples, source, target, quality="HQ"), np.float32)


def common_length(reference: Samples, degraded: Samples) -> tuple[Samples, Samples]:
    """Cut both signals to the shorter length.

    Raises:
        EvaluationError: they differ by more than :data:`MAX_LENGTH_DIFFERENCE`, one is no mono signal, is empty, or
            holds values that are not finite.
    """
    for name, signal in (("reference", reference), ("degraded", degraded)):
        if signal.ndim != 1 or not len(signal):
            raise EvaluationError(f"the {name} signal has shape {signal.shape}; give mono samples, shape (n,)")
        if not np.isfinite(signal).all():
            raise EvaluationError(f"the {name} signal holds NaN or infinity; the system that made it is broken")
    difference = abs(len(reference) - len(degraded)) / SAMPLE_RATE
    if difference > MAX_LENGTH_DIFFERENCE:
        raise EvaluationError(
            f"the signals last {len(reference) / SAMPLE_RATE:.2f} s and {len(degraded) / SAMPLE_RATE:.2f} s; they may "
            f"differ by {MAX_LENGTH_DIFFERENCE} s at most"
        )
    length = min(len(reference), len(degraded))
    return reference[:length], degraded[:length]


def _audible(reference: Samples, degraded: Samples) -> tuple[Samples, Samples]:
    pair = common_length(reference, degraded)
    for name, signal in zip(("reference", "degraded"), pair, strict=True):
        if not np.any(signal):
            raise EvaluationError(f"the {name} signal is silence, on which this metric is not defined")
    return pair


def _stoi(reference: Samples, degraded: Samples, *, extended: bool) -> float:
    package = require("pystoi")
    reference, degraded = _audible(reference, degraded)
    with warnings.catch_warnings():
        # pystoi warns and returns 1e-5, which is no measurement, where under 0.4 s of speech are left.
        warnings.simplefilter("error", RuntimeWarning)
        try:
            value = float(package.stoi(reference, degraded, SAMPLE_RATE, extended=extended))
        except (RuntimeWarning, ValueError) as error:
            raise EvaluationError("less than 0.4 s of speech is left once silent frames are removed") from error
    if not np.isfinite(value):
        raise EvaluationError("pystoi gave no finite value")
    return value


def stoi(reference: Samples, degraded: Samples) -> float:
    """Short-time objective intelligibility, about 0 (nothing) to 1 (all), of (n,) samples at 24 kHz.

    Raises:
        EvaluationError: pystoi is missing, a signal is silence or too short, or the lengths do not fit.
    """
    return _stoi(reference, degraded, extended=False)


def estoi(reference: Samples, degraded: Samples) -> float:
    """Extended STOI, about 0 to 1, of (n,) samples at 24 kHz; raises as :func:`stoi`."""
    return _stoi(reference, degraded, extended=True)


def _aligned(reference: Samples, degraded: Samples) -> tuple[Samples, Samples]:
    reference, degraded = _audible(reference, degraded)
    return reference, move(degraded, round(offset(reference, degraded) * SAMPLE_RATE))


def stoi_aligned(reference: Samples, degraded: Samples) -> float:
    """:func:`stoi` after ``degraded`` is moved to where it fits ``reference`` best; raises as :func:`offset_ms` too."""
    return stoi(*_aligned(reference, degraded))


def estoi_aligned(reference: Samples, degraded: Samples) -> float:
    """:func:`estoi` after ``degraded`` is moved to where it fits ``reference`` best; raises as :func:`stoi_aligned`."""
    return estoi(*_aligned(reference, degraded))


def offset_ms(reference: Samples, degraded: Samples) -> float:
    """Milliseconds, without sign, between ``degraded`` and where it fits ``reference`` best.

    Raises:
        EvaluationError: a signal is silence, they are too short to tell (under .6 s), or the lengths do not fit.
    """
    return abs(1000 * offset(*_audible(reference, degraded)))


def _pesq(reference: Samples, degraded: Samples, mode: str, rate: int = 16_000) -> float:
    package = require("pesq")
    reference, degraded = _audible(reference, degraded)
    if len(reference) > _PESQ_SECONDS * SAMPLE_RATE:
        raise EvaluationError(f"PESQ is not defined for more than {_PESQ_SECONDS:.0f} s; cut the recording")
    try:
        value = package.pesq(rate, resample(reference, rate), resample(degraded, rate), mode)
    except package.PesqError as error:  # NoUtterancesError, BufferTooShortError ...
        raise EvaluationError(f"PESQ cannot be computed: {_first_line(error)}") from error
    if not np.isfinite(value):
        raise EvaluationError("PESQ gave no finite value")
    return float(value)


def _first_line(error: Exception) -> str:
    text = error.args[0] if error.args else ""
    text = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    return text.splitlines()[0] if text else type(error).__name__


def pesq_nb_8k(reference: Samples, degraded: Samples) -> float:
    """Narrow-band PESQ (P.862.1 MOS-LQO) at 8 kHz, 1.0 to 4.6, of (n,) samples at 24 kHz; raises as :func:`pesq_nb`."""
    return _pesq(reference, degraded, "nb", rate=8_000)


def pesq_nb(reference: Samples, degraded: Samples) -> float:
    """Narrow-band PESQ (P.862.1 MOS-LQO) at 16 kHz, 1.0 to 4.6, of (n,) samples at 24 kHz.

    Raises:
        EvaluationError: pesq is missing, finds no utterance (silence, noise), a signal is shorter than a quarter of a
            second or longer than a minute, or the lengths do not fit.
    """
    return _pesq(reference, degraded, "nb")


def pesq_wb(reference: Samples, degraded: Samples) -> float:
    """Wide-band PESQ (P.862.2 MOS-LQO) at 16 kHz, 1.0 to 4.7; raises as :func:`pesq_nb`."""
    return _pesq(reference, degraded, "wb")


def mel_l1(reference: Samples, degraded: Samples) -> float:
    """Mean absolute difference of the two log-mel spectrograms, in nepers; lower is better, silence is allowed.

    Raises:
        EvaluationError: the lengths do not fit.
    """
    import torch

    from unsilent.features import MelConfig, log_mel

    pair = common_length(reference, degraded)
    with torch.inference_mode():
        mels = [log_mel(torch.from_numpy(np.array(signal, np.float32))[None], MelConfig()) for signal in pair]
        return float((mels[0] - mels[1]).abs().mean())


def mcd(reference: Samples, degraded: Samples) -> float:
    """Mel-cepstral distortion in dB with dynamic time warping, of (n,) samples at 24 kHz.

    Raises:
        EvaluationError: a signal is silence, or the lengths do not fit.
    """
    from unsilent.evaluation.mcd import RATE, mel_cepstral_distortion

    first, second = (resample(signal, RATE) for signal in _audible(reference, degraded))
    return mel_cepstral_distortion(first, second)


def lsd(reference: Samples, degraded: Samples) -> float:
    """Log-spectral distance in dB of (n,) samples at 24 kHz; ``degraded`` may be silence.

    Raises:
        EvaluationError: the reference is silence, or the lengths do not fit.
    """
    from unsilent.evaluation.mcd import RATE, log_spectral_distance

    first, second = common_length(reference, degraded)
    if not np.any(first):
        raise EvaluationError("the reference signal is silence, on which this metric is not defined")
    return log_spectral_distance(resample(first, RATE), resample(second, RATE))


def f0_rmse(reference: Samples, degraded: Samples) -> float:
    """Root mean square difference of pitch in Hz over frames voiced in both, of (n,) samples at 24 kHz.

    Raises:
        EvaluationError: swift-f0 is missing, a signal is silence, hardly anything is voiced in both, or the lengths
            do not fit.
    """
    from unsilent.evaluation import pitch

    return pitch.f0_rmse(*(resample(signal, pitch.RATE) for signal in _audible(reference, degraded)))


def voicing_error(reference: Samples, degraded: Samples) -> float:
    """Share, 0 to 1, of frames voiced in one of two signals (n,) at 24 kHz alone; ``degraded`` may be silence.

    Raises:
        EvaluationError: swift-f0 is missing, the reference is silence, or the lengths do not fit.
    """
    from unsilent.evaluation import pitch

    first, second = common_length(reference, degraded)
    if not np.any(first):
        raise EvaluationError("the reference signal is silence, on which this metric is not defined")
    return pitch.voicing_error(resample(first, pitch.RATE), resample(second, pitch.RATE))


def dnsmos(reference: Samples, degraded: Samples) -> float:
    """DNSMOS P.835 overall quality of ``degraded`` alone, 1 to 5; ``reference`` only has to be of its length.

    Raises:
        EvaluationError: speechmos (for its network) or onnxruntime is missing, or the signal is silence.
    """
    from unsilent.evaluation.dnsmos import RATE, overall

    _, degraded = _audible(reference, degraded)
    return overall(np.clip(resample(degraded, RATE), -1, 1))


def speaker(reference: Samples, degraded: Samples) -> float:
    """Cosine, 0 to 1, of the speaker embeddings of the two signals, each at 16 kHz.

    Raises:
        EvaluationError: resemblyzer (for its network) is missing, a signal holds no speech, or the lengths do not fit.
    """
    from unsilent.evaluation.speaker import RATE, embed

    return float(np.dot(*(embed(resample(signal, RATE)) for signal in _audible(reference, degraded))))


METRICS: Final[Mapping[str, Callable[[Samples, Samples], float]]] = {
    "stoi": stoi,
    "estoi": estoi,
    "stoi_aligned": stoi_aligned,
    "estoi_aligned": estoi_aligned,
    "pesq_nb_8k": pesq_nb_8k,
    "pesq_nb": pesq_nb,
    "pesq_wb": pesq_wb,
    "mcd": mcd,
    "mel_l1": mel_l1,
    "lsd": lsd,
    "f0_rmse": f0_rmse,
    "voicing_error": voicing_error,
    "speaker": speaker,
    "dnsmos": dnsmos,
    "offset_ms": offset_ms,
}
"""Name -> function of (reference, degraded); what they are is in :data:`unsilent.evaluation.catalogue.CATALOGUE`."""


def measure(name: str, reference: Samples, degraded: Samples) -> Measurement:
    """Compute the metric called ``name``, or say why it is missing.

    Raises:
        EvaluationError: there is no metric of that name.
    """
    if name not in METRICS:
        raise EvaluationError(f"{name}: no such metric; choose from {', '.join(METRICS)}")
    try:
        return Measurement(METRICS[name](reference, degraded))
    except EvaluationError as error:
        return Measurement(None, str(error))
