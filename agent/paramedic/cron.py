"""Five cron fields, a zone and a moment -> the next moment, with cron's own semantics (cronsim, after Debian's cron).

A time that the change to summer time skips happens right after it; one that the change back repeats happens once.
"""

from __future__ import annotations

from datetime import datetime, tzinfo

from cronsim import CronSim, CronSimError

CORRECTION_S = 3 * 3600.0
"""Cron's own border: clock changes of more than three hours are corrections (cron(8), "Daylight saving time")."""


def fault(fields: str) -> str | None:
    """Why these are not five cron fields, or None."""
    if len(fields.split()) != 5:
        return "it has not five fields"
    try:
        next(CronSim(fields, datetime(2026, 1, 1)), None)
    except CronSimError as error:
        return str(error)
    except ValueError:
        return "a number of it is too long"
    return None


def next_after(fields: str, zone: tzinfo, wall: float) -> float | None:
    """The first moment after `wall` (epoch seconds), None where there is none in 50 years."""
    found = next(CronSim(fields, datetime.fromtimestamp(wall, zone)), None)
    return None if found is None else found.timestamp()
