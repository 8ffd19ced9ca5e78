"""Every metric of a report: its name, its label, its unit, its direction and where it comes from.

Two papers may both print "PESQ" and mean different things; so a label here names the variant and the sample rate, and
the source says what was computed. The order is that of a report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

__all__ = ["CATALOGUE", "MetricInfo"]


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """What a metric is.

    Attributes:
        name: in reports and on the command line, for instance ``pesq_nb_8k``.
        label: for the head of a table, without the unit.
        unit: of a value times ``scale``: "", "dB", "Hz", "ms" or "%".
        higher_is_better: None where neither is.
        digits: after the decimal point of a value times ``scale``.
        scale: what a value is multiplied by for a table: 100 for rates shown in per cent.
        source: paper or standard, and what was made of it here.
        packages: distributions whose versions the value depends on, beside unsilent's own; of an error rate, those of
            the recogniser come on top.
        needs_reference: whether it compares with the real sound (a text is another matter: see ``needs_text``).
        paired: whether two systems may be compared by their differences clip by clip.
        needs_text: whether it compares with what is said.
    """

    name: str
    label: str
    unit: str
    higher_is_better: bool | None
    digits: int
    scale: float
    source: str
    packages: tuple[str, ...]
    needs_reference: bool
    paired: bool = True
    needs_text: bool = False

    @property
    def head(self) -> str:
        """Label with the unit, for the head of a column."""
        return f"{self.label}, {self.unit}" if self.unit else self.label


def _higher(name: str, label: str, source: str, packages: str, *, digits: int = 3, **more: bool) -> MetricInfo:
    named = tuple(packages.split())
    return MetricInfo(name, label, "", True, digits, 1.0, source, named, more.pop("needs_reference", True), **more)


def _lower(name: str, label: str, unit: str, source: str, packages: str, *, digits: int) -> MetricInfo:
    return MetricInfo(name, label, unit, False, digits, 1.0, source, tuple(packages.split()), needs_reference=True)


def _rate(name: str, label: str, source: str, *, packages: str = "jiwer", to_text: bool = False) -> MetricInfo:
    named = tuple(packages.split())
    return MetricInfo(name, label, "%", False, 1, 100.0, source, named, needs_reference=not to_text, needs_text=to_text)


_STOI: Final = "Taal, Hendriks, Heusdens, Jensen 2011; pystoi at 24 kHz (it resamples to 10 kHz)"
_ESTOI: Final = "Jensen & Taal 2016; pystoi at 24 kHz (it resamples to 10 kHz)"
_MOVED: Final = ", after the speech is moved by the lag of best mel correlation (at most 150 ms)"
_PITCHED: Final = "swift_f0 onnxruntime soxr"
_PITCH: Final = "pitch by SwiftF0 (Nieradzik 2025), 60 to 500 Hz, every 16 ms"
_HEARD: Final = "Levenshtein distance by jiwer"

CATALOGUE: Final[Mapping[str, MetricInfo]] = MappingProxyType(
    {
        info.name: info
        for info in (
            _higher("stoi", "STOI", _STOI, "pystoi"),
            _higher("estoi", "ESTOI", _ESTOI, "pystoi"),
            _higher("stoi_aligned", "STOI, in step", _STOI + _MOVED, "pystoi torch"),
            _higher("estoi_aligned", "ESTOI, in step", _ESTOI + _MOVED, "pystoi torch"),
            _higher("pesq_nb_8k", "PESQ nb 8 kHz", "ITU-T P.862 and P.862.1, signals at 8 kHz", "pesq soxr", digits=2),
            _higher("pesq_nb", "PESQ nb 16 kHz", "ITU-T P.862 and P.862.1, signals at 16 kHz", "pesq soxr", digits=2),
            _higher("pesq_wb", "PESQ wb 16 kHz", "ITU-T P.862.2, signals at 16 kHz", "pesq soxr", digits=2),
            _lower(
                "mcd",
                "MCD, DTW",
                "dB",
                "Kubichek 1993; mel-cepstra 1 to 13 (SPTK's, alpha .41) at 16 kHz, 5 ms, dynamic time warping",
                "numpy soxr",
                digits=2,
            ),
            _lower(
                "mel_l1",
                "mel L1",
                "",
                "mean absolute difference of natural-log mels (80 bands, 24 kHz)",
                "torch",
                digits=3,
            ),
            _lower(
                "lsd",
                "LSD",
                "dB",
                "Gray & Markel 1976; power spectra at 16 kHz, windows of 32 ms every 8 ms, floor 60 dB below the peak",
                "numpy soxr",
                digits=2,
            ),
            _lower("f0_rmse", "F0 RMSE", "Hz", _PITCH + "; frames voiced in both", _PITCHED, digits=1),
            _rate("voicing_error", "voicing error", _PITCH + "; frames whose voicing differs", packages=_PITCHED),
            _higher(
                "speaker",
                "speaker, cosine",
                "Wan et al. 2018 (GE2E), the network of Resemblyzer",
                "resemblyzer webrtcvad_wheels torch soxr",
            ),
            _higher(
                "dnsmos",
                "DNSMOS P.835 overall",
                "Reddy, Gopal, Cutler 2022",
                "speechmos onnxruntime soxr",
                digits=2,
                needs_reference=False,
            ),
            _lower(
                "offset_ms",
                "offset",
                "ms",
                "lag of best mel correlation with the real sound, unsigned",
                "torch",
                digits=0,
            ),
            MetricInfo(
                "offset_lips_ms",
                "offset to the lips",
                "ms",
                False,
                0,
                1.0,
                "lag of best correlation of the changes of lip aperture and of energy, unsigned",
                ("numpy",),
                needs_reference=False,
            ),
            _rate("wer_constrained", "WER, grammar", _HEARD + ", recogniser held to the grammar", to_text=True),
            _rate("wer_free", "WER, free", _HEARD + ", free recogniser", to_text=True),
            _rate("cer_free", "CER, free", _HEARD + " over characters, free recogniser", to_text=True),
            _rate("wer_vs_real", "WER to ASR(real)", _HEARD + ", to what is heard in the real sound"),
            _rate("cer_vs_real", "CER to ASR(real)", _HEARD + " over characters, to what is heard in the real sound"),
        )
    }
)
"""Name -> what it is, in the order of a report."""
