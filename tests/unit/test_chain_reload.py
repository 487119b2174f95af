"""act/chain_reload.py: a chain that runs is recognised, in the second of its touch, too."""

from __future__ import annotations

import pytest

from paramedic.act.job import Refused
from paramedic.act.workers import prove_no_chain
from unit.builders import uwsgi, worker

TOUCH = 1_700_000_000.6
SECOND = float(int(TOUCH))


def is_running(*spawned: tuple[float, int], at: float = TOUCH + 3.0, uptime_s: float = 100.0) -> bool:
    """Whether a chain is taken to run, with workers of (spawned at, respawns)."""
    workers = [worker(n, 10 + n, spawned_at=when, respawns=times) for n, (when, times) in enumerate(spawned, 1)]
    reading = uwsgi(*workers)._replace(touched_at=TOUCH, uptime_s=uptime_s)
    try:
        prove_no_chain(reading, at)
    except Refused as why:
        assert "is not replaced yet" in str(why)
        return True
    return False


def test_a_chain_runs_while_a_worker_is_older_than_the_touch() -> None:
    assert is_running((SECOND + 1, 2), (SECOND - 50, 1))
    assert not is_running((SECOND + 1, 2), (SECOND + 3, 2))


def test_spawned_in_the_second_of_the_touch_is_older_if_never_respawned() -> None:
    assert is_running((SECOND, 2), (SECOND, 1), uptime_s=3.1)
    assert not is_running((SECOND, 2), (SECOND + 2, 2), uptime_s=3.1)


def test_one_that_we_asked_for_through_the_fifo_runs_as_well() -> None:
    workers = [worker(1, 11, spawned_at=SECOND + 1, respawns=2), worker(2, 12, spawned_at=SECOND - 50, respawns=1)]
    asked = uwsgi(*workers)._replace(touched_at=None, asked_at=TOUCH)
    with pytest.raises(Refused, match="worker 2 is not replaced yet"):
        prove_no_chain(asked, TOUCH + 3.0)
    prove_no_chain(asked._replace(asked_at=None), TOUCH + 3.0)
    assert asked._replace(touched_at=TOUCH - 9).chain_asked_at == TOUCH


def test_a_touch_from_before_the_masters_start_began_no_chain() -> None:
    assert not is_running((SECOND - 50, 1), at=TOUCH + 50.0, uptime_s=49.0)
    assert is_running((SECOND - 50, 1), at=TOUCH + 50.0, uptime_s=51.0)


def test_a_touch_a_moment_ahead_of_the_clock_began_one_and_one_far_ahead_did_not() -> None:
    assert is_running((SECOND - 50, 1), at=TOUCH - 0.9)
    assert not is_running((SECOND - 50, 1), at=TOUCH - 3600.0)


def test_a_chain_that_is_longer_over_than_it_can_last_is_over() -> None:
    assert is_running((SECOND - 50, 1), at=TOUCH + 67.0, uptime_s=900.0)
    assert not is_running((SECOND - 50, 1), at=TOUCH + 69.0, uptime_s=900.0)


def test_a_worker_that_boots_may_be_part_of_one() -> None:
    reading = uwsgi(worker(1, 11), worker(2, 12, accepting=False), worker(3, 13, accepting=False, status="cheap"))
    with pytest.raises(Refused, match="worker 2 is being started"):
        prove_no_chain(reading, TOUCH)
