"""Calendar work through APScheduler, with cron's own meaning of the five fields (cronsim)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from cronsim import CronSim

MISFIRE_S = 300


class CronTrigger(BaseTrigger):
    """Fires when cron would; CronTrigger.from_crontab of APScheduler counts weekdays from Monday."""

    def __init__(self, fields: str) -> None:
        self._fields = fields

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime | None:
        """The next moment after the previous one, or after now."""
        return next(CronSim(self._fields, max(previous, now) if previous else now), None)


class Calendar:
    """Calls `poke(name)` at each policy's times, on a thread of its own."""

    def __init__(self, times: Mapping[str, str], poke: Callable[[str], None]) -> None:
        options = {"misfire_grace_time": MISFIRE_S, "coalesce": True, "max_instances": 1}
        self._scheduler = BackgroundScheduler(job_defaults=options)
        for name, fields in times.items():
            self._scheduler.add_job(poke, CronTrigger(fields), args=[name], id=name)
        self._has_jobs = bool(times)

    def start(self) -> None:
        """Begin; without times no thread is made."""
        if self._has_jobs:
            self._scheduler.start()

    def stop(self) -> None:
        """End the scheduler's thread."""
        if self._has_jobs:
            self._scheduler.shutdown(wait=False)

    @property
    def is_alive(self) -> bool:
        """Whether the scheduler's heart beats: `running` stays true when its thread died of an exception."""
        if not self._has_jobs:
            return True
        thread = self._scheduler._thread
        return bool(self._scheduler.running and thread is not None and thread.is_alive())
