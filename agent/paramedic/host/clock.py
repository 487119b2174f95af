"""Time, in one place: everything below the edges gets it as an argument."""

from __future__ import annotations

import os
import time
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

LOCALTIME = "/etc/localtime"


def monotonic() -> float:
    """CLOCK_MONOTONIC in seconds: no clock steps, no time spent suspended."""
    return time.monotonic()


def wall() -> float:
    """Seconds since the epoch: for calendars and records only."""
    return time.time()


def up() -> float:
    """Seconds since the host booted, suspended ones too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def cpu() -> float:
    """CPU seconds this thread has used, in the kernel on its behalf too."""
    return time.thread_time()


def rest(seconds: float) -> None:
    """Wait a moment before trying something again."""
    time.sleep(seconds)


def local_zone() -> tzinfo:
    """The host's time zone with its rules for summer time: TZ, else /etc/localtime (tzset(3)), else UTC."""
    name = os.environ.get("TZ", "").lstrip(":")
    try:
        if name:
            return ZoneInfo(name)
        with open(LOCALTIME, "rb") as file:
            return ZoneInfo.from_file(file, key=_zone_name())
    except (OSError, ValueError, ZoneInfoNotFoundError):
        return UTC


def _zone_name() -> str:
    """`Europe/Berlin` where /etc/localtime is a link into the tz database."""
    return os.path.realpath(LOCALTIME).partition("zoneinfo/")[2] or "local"
