"""Wait for conditions with deadlines, never for time to pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")
STEP_S = 0.02
PROCESS_STEP_S = 0.2


class TooLate(AssertionError):
    """The condition did not come true in time; the message says what it was and what was there instead."""


def wait_for(what: str, look: Callable[[], Found], deadline_s: float = 15.0, step_s: float = STEP_S) -> Found:
    """The first true value that `look` gives; raises TooLate after `deadline_s`.

    `step_s` between two looks: one that starts a process costs the very CPU time that what is waited for needs.
    """
    until = time.monotonic() + deadline_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > until:
            raise TooLate(f"not within {deadline_s:g} s: {what}; last look: {found!r}")
        time.sleep(step_s)


def stays(what: str, look: Callable[[], bool], for_s: float) -> None:
    """Raises TooLate as soon as `look` is false within `for_s`: the proof that something does not happen."""
    until = time.monotonic() + for_s
    while time.monotonic() < until:
        if not look():
            raise TooLate(f"it did not stay so: {what}")
        time.sleep(STEP_S)
