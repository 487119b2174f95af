"""Time, in one place: everything below the edges gets it as an argument."""

from __future__ import annotations

import time


def monotonic() -> float:
    """CLOCK_MONOTONIC in seconds: no clock steps, no time spent suspended."""
    return time.monotonic()


def wall() -> float:
    """Seconds since the epoch: for calendars and records only."""
    return time.time()
