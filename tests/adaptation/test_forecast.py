from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from unsilent.adaptation.forecast import _measured, forecast

_, POINTS = _measured()


def test_what_was_measured_is_said_as_measured() -> None:
    for point in POINTS:
        found = forecast(point["minutes"])
        assert (found.estoi, found.low, found.high) == (point["estoi"], point["low"], point["high"])
        assert found.inside


@given(minutes=st.floats(1e-3, 1e5))
def test_between_amounts_it_lies_between_their_figures(minutes: float) -> None:
    found = forecast(minutes)
    scores = [point["estoi"] for point in POINTS]
    assert min(scores) <= found.estoi <= max(scores)
    assert found.low <= found.estoi <= found.high
    assert found.inside == (POINTS[0]["minutes"] <= minutes <= POINTS[-1]["minutes"])


def test_beyond_what_was_measured_nothing_is_promised() -> None:
    found = forecast(10 * POINTS[-1]["minutes"])
    assert found.estoi == POINTS[-1]["estoi"]
    assert "outside what was measured" in found.sentence()
    assert "s1" in found.sentence()
