"""What `unsilent adapt` says before it trains."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from unsilent.adaptation.forecast import Forecast, forecast
from unsilent.cli.adapt import _Stages


@pytest.fixture
def stages() -> Iterator[_Stages]:
    with _Stages(None) as made:
        yield made


@pytest.mark.parametrize(
    ("known", "before", "said", "unsaid"),
    [
        (forecast(5), 0.2, "starts from has ESTOI 0.20, on clips that are kept for judging", "more than forecast"),
        (forecast(5), 0.6, "more than forecast, since the forecast is of training from scratch", "no forecast"),
        (forecast(5), None, "forecast: with 5.0 min", "starts from"),
        (None, 0.6, "no forecast: what is known was measured on a real person", "more than forecast"),
    ],
)
def test_a_start_that_is_better_than_the_forecast_is_said_to_be(
    known: Forecast | None,
    before: float | None,
    said: str,
    unsaid: str,
    stages: _Stages,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stages.expect(known, before)
    printed = " ".join(capsys.readouterr().out.split())
    assert said in printed
    assert unsaid not in printed
