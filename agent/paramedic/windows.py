"""The recent past of fields: avg, min, max, slope and forecast over a window. Pure: time comes with the facts.

A window has at most 40 buckets. avg, min and max are unknown unless every reading of the whole window is there; slope
and forecast are robust (Theil-Sen: the median of the slopes of all pairs, Sen 1968) and need enough points.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from paramedic.model.facts import Facts, Subject, Unknown, unknown
from paramedic.model.policy import Window
from paramedic.model.units import render_seconds

BUCKETS = 40
POINTS_NEEDED = 8
SPAN_NEEDED = 0.25
AHEAD_NEEDED = 0.5
GAP_SHARE = 0.2
REACH_SHARE = 0.95
DROP = 3.0
DROP_SHARE = 0.05
REGULAR_DROPS = 2
Looked = tuple[str, float]
Reading = float | Unknown


class Bucket:
    """The readings of a fortieth of a window: their number, sum, extremes, the last one, and what is missing."""

    __slots__ = ("count", "first_at", "gap_s", "high", "index", "last", "last_at", "low", "missing", "total")

    def __init__(self, index: int, at: float) -> None:
        self.index, self.first_at, self.last_at = index, at, at
        self.count, self.total, self.gap_s, self.missing = 0, 0.0, 0.0, ""
        self.low, self.high, self.last = float("inf"), float("-inf"), 0.0

    def take(self, at: float, value: Reading, gap_s: float) -> None:
        """One reading at monotonic `at`, `gap_s` after the one before."""
        self.last_at = at
        self.gap_s = max(self.gap_s, gap_s)
        if isinstance(value, Unknown):
            self.missing = value.reason
            return
        self.count += 1
        self.total += value
        self.last = value
        self.low, self.high = min(self.low, value), max(self.high, value)


class Ring:
    """One field of one subject over one window. `phase_s` spreads the ends of buckets over time."""

    __slots__ = ("_trend", "_unread", "_values", "_values_at", "buckets", "last_at", "phase_s", "width_s", "window_s")

    def __init__(self, window_s: float, phase: int) -> None:
        self.window_s = window_s
        self.width_s = window_s / BUCKETS
        self.phase_s = phase % 1000 / 1000 * self.width_s
        self.buckets: deque[Bucket] = deque()
        self.last_at: float | None = None
        self._trend: tuple[int, Trend | Unknown] | None = None
        self._values: dict[str, Reading] = {}
        self._unread: Unknown | None = None
        self._values_at = float("nan")

    def take(self, at: float, value: Reading) -> None:
        """A reading; one that is not newer than the last is left out."""
        last = self.last_at
        if last is not None and at <= last:
            return
        index = int((at + self.phase_s) // self.width_s)
        buckets = self.buckets
        if not buckets or buckets[-1].index != index:
            buckets.append(Bucket(index, at))
            while buckets[0].index < index - BUCKETS:
                buckets.popleft()
        self._values_at = float("nan")
        self._unread = value if isinstance(value, Unknown) else None
        buckets[-1].take(at, value, 0.0 if last is None else at - last)
        self.last_at = at

    def value(self, func: str, now: float) -> Reading:
        """The window's value at monotonic `now`, or why there is none; slope is per second.

        Reckoned once for each look: many policies ask for the same.
        """
        if self._values_at != now:
            self._values_at = now
            self._values.clear()
        found = self._values.get(func)
        if found is None:
            is_trend = func in ("slope", "forecast")
            found = self._trending(func, now) if is_trend else self._broken(now) or self._plain(func)
            self._values[func] = found
        return found

    def _plain(self, func: str) -> float:
        filled = [bucket for bucket in self.buckets if bucket.count]
        if func == "min":
            return min(bucket.low for bucket in filled)
        if func == "max":
            return max(bucket.high for bucket in filled)
        return sum(bucket.total for bucket in filled) / sum(bucket.count for bucket in filled)

    def _broken(self, now: float) -> Unknown | None:
        """Why the window is not whole."""
        reach = now - self.buckets[0].first_at if self.buckets else 0.0
        if reach < REACH_SHARE * self.window_s:
            return Unknown(f"only {render_seconds(reach)} of the last {render_seconds(self.window_s)} were seen")
        gap = max(now - (self.last_at or now), *(bucket.gap_s for bucket in list(self.buckets)[1:]), 0.0)
        if gap > GAP_SHARE * self.window_s:
            return Unknown(f"{render_seconds(gap)} within the last {render_seconds(self.window_s)} were not looked at")
        missing = next((bucket.missing for bucket in self.buckets if bucket.missing), "")
        return Unknown(f"not read all the time: {missing}") if missing else None

    def _trending(self, func: str, now: float) -> Reading:
        if self._unread is not None:
            return Unknown(f"not read now: {self._unread.reason}")
        silent_s = now - (self.last_at if self.last_at is not None else now)
        if silent_s > GAP_SHARE * self.window_s:
            return Unknown(f"not looked at for {render_seconds(silent_s)}")
        trend = self._fresh_trend()
        if func == "forecast" and not isinstance(trend, Unknown):
            points = self._points()
            trend = trend if points[-1][0] - points[0][0] >= AHEAD_NEEDED * self.window_s else self._too_short(points)
        if isinstance(trend, Unknown) or func == "slope":
            return trend if isinstance(trend, Unknown) else trend.slope
        level = self._newest() if trend.level is None else trend.level
        return level + trend.rise * self.window_s

    def _too_short(self, points: Sequence[tuple[float, float]]) -> Unknown:
        """A forecast looks a window ahead, so it must have seen half of one: else a saw-tooth looks like a leak."""
        seen = render_seconds(points[-1][0] - points[0][0])
        return Unknown(f"only {seen} were seen, too little to look {render_seconds(self.window_s)} ahead")

    def _fresh_trend(self) -> Trend | Unknown:
        """Reckoned once for each bucket: pairs are many."""
        index = self.buckets[-1].index if self.buckets else 0
        if self._trend is None or self._trend[0] != index:
            self._trend = (index, trend_of(self._points(), self.window_s))
        return self._trend[1]

    def _points(self) -> list[tuple[float, float]]:
        newest_first = [bucket for bucket in reversed(self.buckets) if bucket.count]
        return [(bucket.last_at, bucket.last) for bucket in newest_first][::-1]

    def _newest(self) -> float:
        return next(bucket.last for bucket in reversed(self.buckets) if bucket.count)


@dataclass(frozen=True, slots=True)
class Trend:
    """`slope` per second, without what drops took away; `rise` per second is what a forecast goes on with.

    `level` is where a forecast starts, None for the newest reading.
    """

    slope: float
    rise: float
    level: float | None


def trend_of(points: Sequence[tuple[float, float]], window_s: float) -> Trend | Unknown:
    """The trend of (time, value), oldest first, of which drops (a recycled worker, a reload) are no part.

    Unknown with too few points, or if they reach back less than a quarter of the window.

    One drop is taken out. Where drops recur they are the pattern: the forecast then runs through the saw-tooth.
    """
    span = points[-1][0] - points[0][0] if points else 0.0
    if len(points) < POINTS_NEEDED or span < SPAN_NEEDED * window_s:
        seen = f"{len(points)} readings over {render_seconds(span)}"
        return Unknown(f"too few points for a trend over {render_seconds(window_s)}: {seen}")
    steps = [later[1] - earlier[1] for earlier, later in pairwise(points)]
    typical = median(abs(step) for step in steps)
    dropped = [
        step < -DROP * typical and -step > DROP_SHARE * abs(before[1])
        for step, before in zip(steps, points, strict=False)
    ]
    usual = median([step for step, drop in zip(steps, dropped, strict=True) if not drop] or [0.0])
    lifted, offset = [points[0]], 0.0
    for (at, value), step, drop in zip(points[1:], steps, dropped, strict=True):
        offset += usual - step if drop else 0.0
        lifted.append((at, value + offset))
    slope = theil_sen(lifted)
    if sum(dropped) < REGULAR_DROPS:
        return Trend(slope, slope, None)
    rise = theil_sen(points)
    return Trend(slope, rise, median(value + rise * (points[-1][0] - at) for at, value in points))


def theil_sen(points: Sequence[tuple[float, float]]) -> float:
    """The median slope of all pairs."""
    return median((v2 - v1) / (t2 - t1) for (t1, v1), (t2, v2) in combinations(points, 2))


class Windows:
    """All rings that the policies in force need, fed from facts; what it keeps is readings, never conclusions."""

    def __init__(self, needed: Mapping[str, Sequence[Window]] | None = None) -> None:
        self._needed: dict[str, tuple[Looked, ...]] = {}
        self._rings: dict[Subject, dict[Looked, Ring]] = {}
        self._funcs: dict[tuple[str, str, float], set[str]] = {}
        self.need(needed or {})

    def need(self, needed: Mapping[str, Sequence[Window]]) -> None:
        """Keep rings for these windows by kind of subject from now on; those already there keep their readings."""
        self._needed = {
            kind: tuple(dict.fromkeys((window.path, window.window_s) for window in found))
            for kind, found in needed.items()
        }
        self._funcs = {}
        for kind, found in needed.items():
            for window in found:
                self._funcs.setdefault((kind, window.path, window.window_s), set()).add(window.func)
        for subject, rings in list(self._rings.items()):
            wanted = self._needed.get(subject.kind, ())
            self._rings[subject] = {looked: ring for looked, ring in rings.items() if looked in wanted}

    @property
    def longest_s(self) -> float:
        """How far back the longest window looks."""
        return max((window_s for found in self._needed.values() for _, window_s in found), default=0.0)

    def paths(self, kind: str) -> set[str]:
        """The fields of a kind that some window looks at."""
        return {path for path, _ in self._needed.get(kind, ())}

    def take(self, facts: Facts) -> None:
        """The readings of one pass. Subjects that were not seen for longer than their windows are forgotten."""
        seen = 0
        for kind, needed in self._needed.items():
            if not needed:
                continue
            for found in facts.of_kind(kind):
                seen += 1
                rings = self._rings_of(found.subject)
                for looked in needed:
                    value = found.fields.get(looked[0])
                    if value is None or isinstance(value, str):
                        value = unknown(f"{looked[0]} was not read")
                    rings[looked].take(facts.monotonic, value)
        if seen == len(self._rings):
            return
        gone = [subject for subject in self._rings if subject not in facts.subjects]
        for subject in [one for one in gone if _is_over(self._rings[one], facts)]:
            del self._rings[subject]

    def recall(self, subject: Subject, path: str, readings: Iterable[tuple[float, Reading]]) -> None:
        """What an earlier agent read of one field: (monotonic, value), oldest first."""
        rings = [ring for (name, _), ring in self._rings_of(subject).items() if name == path]
        for at, value in readings:
            for ring in rings:
                ring.take(at, value)

    def value(self, subject: Subject, window: Window, now: float) -> Reading:
        """What a condition sees through `window`, without its factor."""
        ring = self._rings.get(subject, {}).get((window.path, window.window_s))
        return Unknown(f"{window.path} was not read yet") if ring is None else ring.value(window.func, now)

    def published(self, now: float) -> list[list[str | float]]:
        """Every value, for `explain`: subject, function, field, window in seconds, value or `?` and why not."""
        rows: list[list[str | float]] = []
        for subject, rings in self._rings.items():
            for path, window_s in rings:
                for func in self._funcs.get((subject.kind, path, window_s), ()):
                    value = rings[path, window_s].value(func, now)
                    shown = f"?{value.reason}" if isinstance(value, Unknown) else value
                    rows.append([str(subject), func, path, window_s, shown])
        return rows

    def _rings_of(self, subject: Subject) -> dict[Looked, Ring]:
        rings = self._rings.get(subject)
        if rings is None:
            rings = self._rings[subject] = {}
        needed = self._needed.get(subject.kind, ())
        if len(rings) != len(needed):
            for path, window_s in needed:
                phase = zlib.crc32(f"{subject}{path}".encode("utf-8", "surrogatepass"))
                rings.setdefault((path, window_s), Ring(window_s, phase))
        return rings


def median(values: Iterable[float]) -> float:
    """The middle one, of an even number the mean of the two; the library's own brings decimal and random along."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _is_over(rings: Mapping[Looked, Ring], facts: Facts) -> bool:
    return all(facts.monotonic - (ring.last_at or facts.monotonic) > ring.window_s for ring in rings.values())
