"""decide/breaker.py: it opens at the limit, half-opens for one trial, doubles, and closes after a quiet period."""

from __future__ import annotations

from paramedic.decide.breaker import Breaker, breaker, open_s
from paramedic.model.policy import Limit
from paramedic.model.record import Attempt, Status
from unit.builders import attempt


def met(*times: float) -> list[Attempt]:
    """Attempts that began then."""
    return [attempt(Status.MET, started=at, finished=at + 1, incident=f"i{at}") for at in times]


def test_the_breaker_opens_with_the_attempt_that_reaches_the_limit() -> None:
    limit = Limit(3, 600.0)
    assert breaker(limit, []) == Breaker()
    assert breaker(limit, met(0, 100)) == Breaker(recent=(0, 100))
    assert breaker(limit, met(0, 100, 200)) == Breaker(1, 800.0)
    assert breaker(limit, met(0, 100, 599.9)) == Breaker(1, 1199.9)
    assert breaker(limit, met(0, 100, 600)) == Breaker(recent=(100, 600))


def test_every_trial_that_did_not_last_doubles_the_time_and_a_quiet_period_closes_it() -> None:
    limit = Limit(3, 600.0)
    assert breaker(limit, met(0, 100, 200, 800)) == Breaker(2, 2000.0)
    assert breaker(limit, met(0, 100, 200, 1399)) == Breaker(2, 2599.0)
    assert breaker(limit, met(0, 100, 200, 1400)) == Breaker(recent=(1400,))
    assert breaker(limit, met(0, 100, 200, 800, 2000)) == Breaker(3, 4400.0)
    assert breaker(Limit(1, 600.0), met(0)) == Breaker(1, 600.0)


def test_a_breaker_stays_open_a_day_at_most_unless_its_period_is_longer() -> None:
    assert [open_s(Limit(3, 3600.0), trips) for trips in (1, 2, 5, 6, 99)] == [3600, 7200, 57600, 86400, 86400]
    assert open_s(Limit(3, 7 * 86400.0), 2) == 7 * 86400.0


def test_what_was_refused_or_cut_short_does_not_count() -> None:
    limit = Limit(2, 600.0)
    for status in (Status.REFUSED, Status.INTERRUPTED):
        assert breaker(limit, [*met(0), attempt(status, started=10.0)]) == Breaker(recent=(0,))
    for status in (Status.RUNNING, Status.DONE, Status.MISSED, Status.OBSERVED):
        assert breaker(limit, [*met(0), attempt(status, started=10.0)]).trips == 1
