"""windows.py: avg, min and max of a whole window only; slope and forecast through the saw-tooth of recycled workers."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest

from paramedic.model.facts import Facts, Subject, SubjectFacts, Unknown, Value
from paramedic.model.policy import Window
from paramedic.published import Published
from paramedic.windows import BUCKETS, Ring, Windows, theil_sen, trend_of
from unit.builders import HOST, MIB, WEB, facts, subject

HOUR = 3600.0
LOOKED = (("rss", HOUR),)


def fed(
    window_s: float, values: Sequence[float | Unknown], every_s: float = 5.0, start: float = 1000.0
) -> tuple[Ring, float]:
    """A ring after these readings, and the time of the last."""
    ring = Ring(window_s, 0)
    at = start
    for number, value in enumerate(values):
        at = start + number * every_s
        ring.take(at, value)
    return ring, at


@pytest.mark.parametrize(("func", "expected"), [("avg", 30.0), ("min", 0.0), ("max", 60.0)])
def test_a_whole_window_has_its_value(func: str, expected: float) -> None:
    ring, now = fed(60.0, [float(n * 5) for n in range(13)])
    assert ring.value(func, now) == expected


def test_what_is_older_than_the_window_is_forgotten() -> None:
    ring, now = fed(60.0, [500.0] * 20 + [1.0] * 20)
    assert ring.value("max", now) == 1.0
    assert ring.value("avg", now) == 1.0
    assert len(ring.buckets) <= BUCKETS + 1


@pytest.mark.parametrize("func", ["avg", "min", "max"])
def test_a_window_that_was_not_seen_whole_is_unknown(func: str) -> None:
    young, now = fed(60.0, [1.0] * 5)
    assert young.value(func, now) == Unknown("only 20s of the last 1m were seen")
    once, now = fed(60.0, [1.0] * 10 + [Unknown("no stats socket")] + [1.0] * 10)
    assert once.value(func, now) == Unknown("not read all the time: no stats socket")
    later, now = fed(60.0, [1.0] * 10 + [Unknown("no stats socket")] + [1.0] * 20)
    assert later.value(func, now) == 1.0, "what was missing left the window"
    silent, now = fed(60.0, [1.0] * 20)
    assert silent.value(func, now + 11.0) == 1.0
    assert silent.value(func, now + 13.0) == Unknown("13s within the last 1m were not looked at")


def test_a_hole_within_the_window_makes_it_unknown_until_it_left() -> None:
    ring, now = fed(60.0, [1.0] * 20)
    found = []
    for step in range(30):
        at = now + 20.0 + step * 5
        ring.take(at, 1.0)
        found.append(isinstance(ring.value("avg", at), Unknown))
    assert found[:8] == [True] * 8
    assert found[14:] == [False] * 16


def test_a_reading_that_is_not_newer_is_left_out() -> None:
    ring, now = fed(60.0, [1.0] * 20)
    ring.take(now, 900.0)
    ring.take(now - 30.0, 900.0)
    assert ring.value("max", now) == 1.0


def test_a_straight_leak_has_its_slope_and_forecast() -> None:
    leak = [100.0 * MIB + n * 5 * 50 * MIB / HOUR for n in range(720)]
    ring, now = fed(HOUR, list(leak))
    slope = ring.value("slope", now)
    assert isinstance(slope, float)
    assert math.isclose(slope * HOUR, 50 * MIB, rel_tol=1e-6)
    ahead = ring.value("forecast", now)
    assert isinstance(ahead, float)
    assert math.isclose(ahead, leak[-1] + 50 * MIB, rel_tol=1e-3)


def noisy(values: Sequence[float], by: float) -> list[float | Unknown]:
    """The values with some noise, always the same."""
    chance = random.Random(1)
    return [value + chance.uniform(-by, by) for value in values]


def test_a_recycled_worker_does_not_hide_the_leak() -> None:
    for recycled_at in (200, 360, 500):
        leak = [(100 + (n - (recycled_at if n >= recycled_at else 0)) / 7.2) * MIB for n in range(720)]
        ring, now = fed(HOUR, noisy(leak, 0.3 * MIB))
        slope = ring.value("slope", now)
        assert isinstance(slope, float)
        assert 90 * MIB < slope * HOUR < 110 * MIB, recycled_at
        ahead = ring.value("forecast", now)
        assert isinstance(ahead, float)
        assert math.isclose(ahead, leak[-1] + 100 * MIB, rel_tol=0.08), "from where it is now, at the rate it leaks"


def test_a_saw_tooth_that_recurs_is_not_forecast_to_the_sky() -> None:
    teeth = [(100 + (n % 120) * 1.0) * MIB for n in range(720)]
    ring, now = fed(HOUR, noisy(teeth, 0.3 * MIB))
    slope = ring.value("slope", now)
    assert isinstance(slope, float)
    assert 600 * MIB < slope * HOUR < 840 * MIB, "it leaks 720 MiB an hour between recycles"
    ahead = ring.value("forecast", now)
    assert isinstance(ahead, float)
    assert 80 * MIB < ahead < 260 * MIB, "but it is recycled again and again, so it stays where it is"


def test_memory_that_is_freed_slowly_has_a_falling_slope() -> None:
    ring, now = fed(HOUR, noisy([(500 - n / 7.2) * MIB for n in range(720)], 0.3 * MIB))
    slope = ring.value("slope", now)
    assert isinstance(slope, float)
    assert -110 * MIB < slope * HOUR < -90 * MIB


def test_noise_on_a_level_has_next_to_no_slope() -> None:
    ring, now = fed(HOUR, noisy([300.0 * MIB] * 720, 5 * MIB))
    slope = ring.value("slope", now)
    assert isinstance(slope, float)
    assert abs(slope * HOUR) < 6 * MIB


def test_too_few_points_are_no_trend() -> None:
    short, now = fed(HOUR, [float(n) for n in range(100)])
    assert short.value("slope", now) == Unknown("too few points for a trend over 1h: 6 readings over 7m")
    sparse = [(1000.0 + n * 100, float(n)) for n in range(7)]
    assert isinstance(trend_of(sparse, 600.0), Unknown)
    assert not isinstance(trend_of([*sparse, (1700.0, 7.0)], 600.0), Unknown)
    assert isinstance(trend_of([], 600.0), Unknown)


def test_a_trend_that_nobody_looked_at_lately_is_unknown() -> None:
    ring, now = fed(HOUR, [float(n) for n in range(720)])
    assert isinstance(ring.value("slope", now + 700), float)
    assert ring.value("slope", now + 800) == Unknown("not looked at for 13m20s")
    assert ring.value("forecast", now + 800) == Unknown("not looked at for 13m20s")


def test_missing_readings_do_not_spoil_a_trend_with_enough_others() -> None:
    values: list[float | Unknown] = [Unknown("busy") if n % 3 == 0 else n * 5.0 for n in range(720)]
    dark, at = fed(HOUR, values[:-1])
    assert values[-2] != 0.0
    dark.take(at + 5.0, Unknown("busy"))
    assert dark.value("slope", at + 5.0) == Unknown("not read now: busy"), "but what is not read now is not acted on"
    ring, now = fed(HOUR, values)
    slope = ring.value("slope", now)
    assert isinstance(slope, float)
    assert math.isclose(slope, 1.0, rel_tol=0.01)


def test_theil_sen_is_the_median_slope_of_all_pairs() -> None:
    assert theil_sen([(0, 0), (1, 1), (2, 2), (3, 3), (4, 100)]) == 1
    assert theil_sen([(0, 0), (1, 1), (2, 4)]) == 2
    assert theil_sen([(0, 5), (10, 5)]) == 0


def looking(*paths: tuple[str, float]) -> Windows:
    """Windows over fields of uwsgi."""
    return Windows({"uwsgi": tuple(Window("max", path, window_s) for path, window_s in paths)})


def seen(value: Value, at: float) -> Facts:
    """Web with this rss."""
    return facts(subject(WEB, {"rss": value}), at=at)


def test_only_what_policies_look_at_is_kept() -> None:
    windows = looking(*LOOKED)
    windows.take(facts(subject(WEB, {"rss": 1.0, "uss": 2.0}), subject(HOST, {"memory.total": 1.0}), at=10.0))
    assert windows.value(WEB, Window("max", "uss", HOUR), 10.0) == Unknown("uss was not read yet")
    assert windows.value(HOST, Window("max", "memory.total", HOUR), 10.0) == Unknown("memory.total was not read yet")
    assert windows.value(WEB, Window("max", "rss", HOUR), 10.0) == Unknown("only 0s of the last 1h were seen")
    assert (windows.longest_s, windows.paths("uwsgi"), windows.paths("host")) == (HOUR, {"rss"}, set())


def test_other_policies_keep_the_readings_they_still_need() -> None:
    windows = looking(("rss", 60.0), ("uss", 60.0))
    for step in range(20):
        windows.take(facts(subject(WEB, {"rss": 1.0, "uss": 2.0}), at=1000.0 + step * 5))
    windows.need({"uwsgi": (Window("max", "rss", 60.0),)})
    assert windows.value(WEB, Window("max", "rss", 60.0), 1095.0) == 1.0
    assert isinstance(windows.value(WEB, Window("max", "uss", 60.0), 1095.0), Unknown)


def test_a_subject_that_is_gone_for_longer_than_its_windows_is_forgotten() -> None:
    windows = looking(("rss", 60.0))
    windows.take(seen(1.0, 1000.0))
    windows.take(facts(at=1050.0))
    assert windows._rings
    windows.take(facts(at=1061.0))
    assert not windows._rings


def test_words_and_what_is_not_there_are_missing_readings() -> None:
    windows = looking(("rss", 60.0))
    values: list[Value] = ["many", *[1.0] * 19]
    for step, value in enumerate(values):
        windows.take(seen(value, 1000.0 + step * 5))
    assert windows.value(WEB, Window("max", "rss", 60.0), 1095.0) == 1.0
    windows.take(facts(SubjectFacts(WEB, {}), at=1100.0))
    assert windows.value(WEB, Window("max", "rss", 60.0), 1100.0) == Unknown("not read all the time: rss was not read")


def test_readings_of_an_earlier_agent_fill_the_window() -> None:
    windows = looking(("rss", 60.0))
    windows.recall(WEB, "rss", [(940.0 + n * 5, 3.0) for n in range(13)])
    windows.recall(WEB, "uss", [(940.0, 3.0)])
    windows.take(seen(1.0, 1005.0))
    assert windows.value(WEB, Window("max", "rss", 60.0), 1005.0) == 3.0


def test_what_is_published_reads_the_same() -> None:
    windows = looking(("rss", 60.0))
    for step in range(20):
        windows.take(seen(7.0, 1000.0 + step * 5))
    other = Subject("uwsgi", "other")
    windows.take(facts(subject(WEB, {"rss": 7.0}), subject(other, {"rss": 1.0}), at=1100.0))
    published = Published(windows.published(1100.0))
    for one in (WEB, other):
        window = Window("max", "rss", 60.0)
        assert published.value(one, window, 0.0) == windows.value(one, window, 1100.0)
    assert published.value(HOST, Window("max", "rss", 60.0), 0.0) == Unknown("rss was not read yet")
