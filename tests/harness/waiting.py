"""Wait for conditions with deadlines, never for time to pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")
STEP_S = 0.02
RESTS = 3.0  # times as long as a look took: one that starts a process costs the CPU that what is awaited needs
LONGEST_STEP_S = 0.5
PATIENCE = 2.0  # deadlines are those of a quiet machine, and the tests of a whole run keep theirs busy


class TooLate(AssertionError):
    """The condition did not come true in time; the message says what it was and what was there instead."""


def wait_for(what: str, look: Callable[[], Found], deadline_s: float = 15.0) -> Found:
    """The first true value that `look` gives; raises TooLate after `deadline_s`, on a busy machine twice as long."""
    until = time.monotonic() + PATIENCE * deadline_s
    while True:
        began = time.monotonic()
        found = look()
        if found:
            return found
        _rest(began)
        if began > until:
            raise TooLate(f"not within {deadline_s:g} s: {what}; last look: {found!r}")


def _rest(began: float) -> None:
    time.sleep(min(LONGEST_STEP_S, max(STEP_S, RESTS * (time.monotonic() - began))))


def stays(what: str, look: Callable[[], bool], for_s: float) -> None:
    """Raises TooLate as soon as `look` is false within `for_s`: the proof that something does not happen."""
    until = time.monotonic() + for_s
    while (began := time.monotonic()) < until:
        if not look():
            raise TooLate(f"it did not stay so: {what}")
        _rest(began)
