"""Calendar work through APScheduler: a hint that wakes the agent at the minute. The engine reckons what is due."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, tzinfo

from paramedic import cron
from paramedic.host import lean

with lean.without_asyncio():
    from apscheduler.schedulers.background import BackgroundScheduler
    from apscheduler.triggers.base import BaseTrigger

MISFIRE_S = 300
Time = tuple[str, tzinfo, float]


class CronTrigger(BaseTrigger):
    """Fires when cron would; CronTrigger.from_crontab of APScheduler counts weekdays from Monday."""

    def __init__(self, fields: str, zone: tzinfo, shift_s: float = 0.0) -> None:
        self._fields, self._zone, self._shift_s = fields, zone, shift_s

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime | None:
        """The next moment after the previous one, or after now."""
        after = max(previous, now) if previous else now
        found = cron.next_after(self._fields, self._zone, after.timestamp() - self._shift_s)
        return None if found is None else datetime.fromtimestamp(found + self._shift_s, self._zone)


class Calendar:
    """Calls `poke(reason)` at each of the times (cron fields, zone, shift in seconds), on a thread of its own."""

    def __init__(self, poke: Callable[[str], None]) -> None:
        options = {"misfire_grace_time": MISFIRE_S, "coalesce": True, "max_instances": 1}
        self._scheduler = BackgroundScheduler(timezone=UTC, job_defaults=options)
        self._poke = poke
        self._times: frozenset[Time] = frozenset()

    def set(self, times: Iterable[Time]) -> None:
        """Wake at these times from now on; without any no thread is made."""
        wanted = frozenset(times)
        if wanted == self._times:
            return
        self._times = wanted
        self._scheduler.remove_all_jobs()
        for fields, zone, shift_s in wanted:
            self._scheduler.add_job(self._poke, CronTrigger(fields, zone, shift_s), args=[f"{fields} is due"])
        if not self._scheduler.running:
            self._scheduler.start()

    def stop(self) -> None:
        """End the scheduler's thread."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    @property
    def is_alive(self) -> bool:
        """Whether the scheduler's heart beats: `running` stays true when its thread died of an exception."""
        if not self._times:
            return True
        thread = self._scheduler._thread
        return bool(self._scheduler.running and thread is not None and thread.is_alive())
