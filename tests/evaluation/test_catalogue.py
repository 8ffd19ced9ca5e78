from __future__ import annotations

from unsilent.evaluation.catalogue import CATALOGUE
from unsilent.evaluation.metrics import METRICS
from unsilent.evaluation.scoring import ALL_METRICS, WER_METRICS


def test_every_metric_is_described_once() -> None:
    assert set(CATALOGUE) == {*METRICS, *WER_METRICS, "offset_lips_ms"}
    assert tuple(CATALOGUE) == ALL_METRICS
    assert all(name == info.name for name, info in CATALOGUE.items())
    heads = [info.head for info in CATALOGUE.values()]
    assert len(set(heads)) == len(heads)


def test_variants_of_pesq_are_told_apart_by_their_labels() -> None:
    labels = [info.label for name, info in CATALOGUE.items() if name.startswith("pesq")]
    assert labels == ["PESQ nb 8 kHz", "PESQ nb 16 kHz", "PESQ wb 16 kHz"]


def test_rates_are_shown_in_per_cent_and_nothing_else_is() -> None:
    for name, info in CATALOGUE.items():
        assert (info.unit == "%") == (info.scale == 100), name
        assert info.source
        assert info.digits >= 0
    assert CATALOGUE["wer_free"].head == "WER, free, %"


def test_what_a_metric_compares_with() -> None:
    alone = {name for name, info in CATALOGUE.items() if not info.needs_reference}
    assert alone == {"dnsmos", "offset_lips_ms", "wer_constrained", "wer_free", "cer_free"}
    assert {name for name, info in CATALOGUE.items() if info.needs_text} == {"wer_constrained", "wer_free", "cer_free"}
