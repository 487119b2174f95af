"""schedule.py: a moment is due once, whatever the wall clock does; what is late is made up for as cron would."""

from __future__ import annotations

from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest

from paramedic import cron
from paramedic.model.policy import Policy
from paramedic.model.record import Slot
from paramedic.schedule import shift_s, step
from unit.builders import policy

UTC = ZoneInfo("UTC")
NIGHTLY = policy(at="30 3 * * *")


def wall(text: str, zone: str = "UTC") -> float:
    """Epoch seconds of a local time."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


class Clock:
    """Looks at a policy at given times; `due` collects those at which it was."""

    def __init__(self, of: Policy, zone: tzinfo = UTC) -> None:
        self.policy, self.zone = of, zone
        self.slots: dict[str, Slot] = {}
        self.due: list[float] = []

    def look(self, *times: float) -> Clock:
        """One step for each time."""
        for at in times:
            self.slots, due = step([self.policy], self.slots, at, self.zone, "host")
            self.due += [at] if due else []
        return self

    def restart(self) -> Clock:
        """Another agent recalls where it stood."""
        self.slots = {n: Slot(s.rule, s.next_at, s.seen_at, is_recalled=True) for n, s in self.slots.items()}
        return self


def every(seconds: float, first: str, last: str, zone: str = "UTC") -> list[float]:
    """Looks at a steady interval."""
    start, end = wall(first, zone), wall(last, zone)
    return [start + n * seconds for n in range(int((end - start) / seconds) + 1)]


def test_it_is_due_once_a_day_and_not_before_its_time() -> None:
    clock = Clock(NIGHTLY).look(*every(5, "2026-01-05 03:20", "2026-01-05 03:40"))
    assert clock.due == [wall("2026-01-05 03:30")]


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        ("Europe/Berlin", "2026-03-29", "03:00"),
        ("Europe/Berlin", "2026-10-25", "02:30"),
        ("America/New_York", "2026-03-08", "03:00"),
        ("America/New_York", "2026-11-01", "02:30"),
        ("Europe/Berlin", "2026-06-01", "02:30"),
    ],
)
def test_half_past_two_comes_once_on_change_days_too(zone: str, day: str, expected: str) -> None:
    clock = Clock(policy(at="30 2 * * *", zone=ZoneInfo(zone)))
    clock.look(*every(60, f"{day} 00:10", f"{day} 12:00", zone))
    assert [f"{datetime.fromtimestamp(at, ZoneInfo(zone)):%H:%M}" for at in clock.due] == [expected]


def test_without_tz_it_is_the_hosts_own_time() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    clock = Clock(NIGHTLY, berlin).look(*every(60, "2026-01-05 03:00", "2026-01-05 04:00", "Europe/Berlin"))
    assert clock.due == [wall("2026-01-05 03:30", "Europe/Berlin")]


def test_a_clock_set_back_by_an_hour_does_not_repeat_it() -> None:
    clock = Clock(NIGHTLY).look(*every(5, "2026-01-05 03:20", "2026-01-05 03:35"))
    clock.look(*every(5, "2026-01-05 02:35", "2026-01-05 04:00"))
    assert clock.due == [wall("2026-01-05 03:30")]


def test_a_clock_set_back_by_a_day_begins_a_new_time() -> None:
    clock = Clock(NIGHTLY).look(*every(5, "2026-01-05 03:20", "2026-01-05 03:35"))
    clock.look(*every(5, "2026-01-04 03:20", "2026-01-04 03:35"))
    assert clock.due == [wall("2026-01-05 03:30"), wall("2026-01-04 03:30")]


def test_what_an_hour_of_suspend_skipped_is_made_up_for_once() -> None:
    often = policy(at="*/10 * * * *")
    clock = Clock(often).look(wall("2026-01-05 03:01"), wall("2026-01-05 04:05"), wall("2026-01-05 04:06"))
    assert clock.due == [wall("2026-01-05 04:05")]


def test_what_a_clock_set_forward_by_a_day_skipped_is_not() -> None:
    clock = Clock(NIGHTLY).look(wall("2026-01-05 03:20"), wall("2026-01-06 09:00"), wall("2026-01-06 09:01"))
    assert clock.due == []
    assert clock.look(*every(60, "2026-01-07 03:00", "2026-01-07 04:00")).due == [wall("2026-01-07 03:30")]


@pytest.mark.parametrize(
    ("misfire", "late", "is_due"),
    [
        (None, "03:40", False),
        (None, "03:34", True),
        (7200.0, "05:29", True),
        (7200.0, "05:31", False),
        (0.0, "03:34", True),
        (0.0, "03:36", False),
    ],
)
def test_what_was_missed_while_the_agent_was_down_follows_misfire(
    misfire: float | None, late: str, is_due: bool
) -> None:
    clock = Clock(policy(at="30 3 * * *", misfire_s=misfire)).look(wall("2026-01-05 03:20")).restart()
    clock.look(wall(f"2026-01-05 {late}"))
    assert bool(clock.due) == is_due


def test_misfire_skip_does_not_make_up_for_a_suspend_either() -> None:
    clock = Clock(policy(at="30 3 * * *", misfire_s=0.0)).look(wall("2026-01-05 03:20"), wall("2026-01-05 04:20"))
    assert clock.due == []
    patient = Clock(policy(at="30 3 * * *", misfire_s=86400.0)).look(wall("2026-01-05 03:20"), wall("2026-01-05 22:00"))
    assert patient.due == [wall("2026-01-05 22:00")]


def test_a_restart_at_the_minute_neither_loses_nor_repeats_it() -> None:
    clock = Clock(NIGHTLY).look(wall("2026-01-05 03:29:58")).restart().look(wall("2026-01-05 03:30:20"))
    assert clock.due == [wall("2026-01-05 03:30:20")]
    clock.restart().look(wall("2026-01-05 03:30:40"))
    assert len(clock.due) == 1


def test_another_time_in_the_file_is_reckoned_anew() -> None:
    clock = Clock(NIGHTLY).look(wall("2026-01-05 03:20"))
    clock.policy = policy(at="25 3 * * *")
    clock.look(*every(5, "2026-01-05 03:21", "2026-01-05 03:40"))
    assert clock.due == [wall("2026-01-05 03:25")]


def test_splay_shifts_every_night_by_the_same_time_that_differs_between_hosts() -> None:
    spread = policy(at="30 3 * * *", splay_s=1200.0)
    shifts = {shift_s(spread, f"host{n}") for n in range(50)}
    assert len(shifts) > 40
    assert all(0 <= shift < 1200 for shift in shifts)
    clock = Clock(spread).look(*every(1, "2026-01-05 03:29", "2026-01-05 03:55"))
    (due,) = clock.due
    assert 0 <= due - wall("2026-01-05 03:30") - shift_s(spread, "host") < 1.0
    clock.look(*every(1, "2026-01-06 03:29", "2026-01-06 03:55"))
    assert clock.due[1] - clock.due[0] == 86400.0


def test_a_time_that_never_comes_is_refused_when_loading() -> None:
    assert cron.fault("0 0 30 2 *") == "Bad day-of-month"
    assert cron.fault("0 0 29 2 *") is None


def test_policies_without_at_have_no_slot() -> None:
    assert step([policy()], {}, 0.0, UTC, "host") == ({}, frozenset())


def test_between_two_moments_nothing_is_reckoned_twice_in_a_minute() -> None:
    at = wall("2026-11-27 03:28:00")
    clock = Clock(NIGHTLY).look(at)
    before = clock.slots[NIGHTLY.name]
    assert clock.look(at + 1.0, at + 59.0).slots[NIGHTLY.name] is before
    assert clock.look(at + 61.0).slots[NIGHTLY.name].seen_at == at + 61.0, "a clock set back is measured from there"
    assert clock.look(at + 119.9, at + 120.0, at + 121.0).due == [at + 120.0]
