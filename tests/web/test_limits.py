from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from unsilent.web.limits import Limits, Refused


@given(st.floats(0.1, 10_000), st.integers(1, 64), st.integers(0, 1000))
def test_all_that_may_wait_fits_into_what_may_be_held(megabytes: float, workers: int, queue: int) -> None:
    limits = Limits(max_mb=megabytes, workers=workers, queue=queue)
    assert limits.max_bytes == round(megabytes * 1_000_000)
    # Every video that waits or is worked on, each with a result of its size.
    assert limits.total_bytes >= 2 * (workers + queue) * limits.max_bytes
    assert limits.session_bytes >= 2 * limits.max_bytes
    assert limits.sessions > workers + queue


@given(st.floats(1, 7200))
def test_work_is_given_more_time_than_the_video_lasts(seconds: float) -> None:
    assert Limits(max_seconds=seconds).job_seconds > 2 * seconds


def test_a_refusal_says_what_when_and_why() -> None:
    refused = Refused(503, "full; come back", retry=5)
    assert (refused.status, refused.retry, str(refused)) == (503, 5, "full; come back")
    assert Refused(413, "too large").retry is None
