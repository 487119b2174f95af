"""The breaker behind `limit`, read off the attempts alone, so it survives restarts of the agent as they do.

It opens with the attempt that reaches the limit, half-opens after the limit's period for one trial, and doubles that
time with every trial that did not last; a period without a trial closes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from paramedic.model.policy import Limit
from paramedic.model.record import Attempt, Status

LONGEST_OPEN_S = 86400.0
UNCOUNTED = (Status.REFUSED, Status.INTERRUPTED)


@dataclass(frozen=True, slots=True)
class Breaker:
    """`trips` is how often it opened in a row; while it is open no attempt begins before `until` (monotonic)."""

    trips: int = 0
    until: float = float("-inf")
    recent: tuple[float, ...] = ()


def breaker(limit: Limit, attempts: Iterable[Attempt]) -> Breaker:
    """Where the breaker stands after these attempts of one policy on one target, oldest first.

    What was refused, or cut short by the end of the agent, does not count: nothing was done, or it is done again.
    """
    state = Breaker()
    for attempt in attempts:
        if attempt.status not in UNCOUNTED:
            state = _after(state, limit, attempt.started)
    return state


def open_s(limit: Limit, trips: int) -> float:
    """How long it stays open the `trips`th time: never shorter than the period, a day at most unless that is longer."""
    longest = max(LONGEST_OPEN_S, limit.per_s)
    return float(min(limit.per_s * 2 ** min(trips - 1, 30), longest))


def _after(state: Breaker, limit: Limit, at: float) -> Breaker:
    if state.trips and at < state.until + limit.per_s:
        trips = state.trips + 1
        return Breaker(trips, at + open_s(limit, trips))
    recent = (*(begun for begun in state.recent if at - begun < limit.per_s), at)
    if len(recent) < limit.count:
        return Breaker(recent=recent)
    return Breaker(1, at + open_s(limit, 1))
