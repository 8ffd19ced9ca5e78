from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any

import pytest
from tests.web.tasks import echo

from unsilent.web.limits import Refused
from unsilent.web.pool import Job, Pool

PATIENCE = 120


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool(echo, [], 1, 3, 30.0)
    yield made
    made.close()


class _Asked:
    def __init__(self, pool: Pool, **request: Any) -> None:
        self.messages: queue.Queue[dict[str, Any]] = queue.Queue()
        self.job = Job(request, self.messages.put)
        pool.submit(self.job)

    def answer(self) -> dict[str, Any]:
        while True:
            message = self.messages.get(timeout=PATIENCE)
            if "progress" not in message:
                return message


def test_jobs_are_answered_in_order_by_one_process(pool: Pool) -> None:
    asked = [_Asked(pool, do="number", number=number) for number in range(4)]
    answers = [one.answer()["done"] for one in asked]
    assert [answer["number"] for answer in answers] == [0, 1, 2, 3]
    assert len({answer["process"] for answer in answers}) == 1
    assert pool.state() == {"running": 0, "waiting": 0}


@pytest.mark.parametrize("how", ["crash", "garbage"])
def test_a_worker_that_dies_costs_one_job(how: str, pool: Pool) -> None:
    asked = [_Asked(pool, do=how), _Asked(pool, do="number", number=1)]
    answer = asked[0].answer()
    assert answer["status"] == 422
    assert "failed on this file" in answer["error"]
    assert asked[1].answer()["done"]["number"] == 1


def test_a_job_that_takes_too_long_is_given_up() -> None:
    pool = Pool(echo, [], 1, 3, 1.0)
    try:
        hanging, after = _Asked(pool, do="hang"), _Asked(pool, do="number", number=1)
        assert "longer than 1 s" in hanging.answer()["error"]
        assert after.answer()["done"]["number"] == 1
    finally:
        pool.close()


def test_a_full_queue_refuses_and_has_room_again(pool: Pool) -> None:
    first = _Asked(pool, do="slow")
    first.messages.get(timeout=PATIENCE)
    waiting = [_Asked(pool, do="number", number=number) for number in range(3)]
    assert [pool.ahead(one.job) for one in (first, *waiting)] == [-1, 0, 1, 2]
    with pytest.raises(Refused, match="too many") as refused:
        _Asked(pool, do="number", number=9)
    assert refused.value.status == 429
    first.job.cancelled.set()
    assert first.answer()["error"] == "cancelled"
    assert [one.answer()["done"]["number"] for one in waiting] == [0, 1, 2]
    assert _Asked(pool, do="number", number=9).answer()["done"]["number"] == 9


def test_a_job_cancelled_while_it_waits_is_not_begun(pool: Pool) -> None:
    first = _Asked(pool, do="slow")
    second = _Asked(pool, do="crash")
    second.job.cancelled.set()
    first.job.cancelled.set()
    assert second.answer()["status"] == 499


def test_closing_answers_everybody() -> None:
    pool = Pool(echo, [], 1, 3, 30.0)
    asked = [_Asked(pool, do="hang"), _Asked(pool, do="hang")]
    pool.close()
    assert [one.answer()["status"] for one in asked] == [503, 503]
