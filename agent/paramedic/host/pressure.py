"""A PSI trigger: the kernel says at once when tasks stall on memory (Documentation/accounting/psi.rst).

A hint that comes before the next look, never the guarantee. Where it cannot be had nothing is missing but time.
"""

from __future__ import annotations

import os
import select

STALL_US = 200_000
WINDOW_US = 2_000_000  # without CAP_SYS_RESOURCE the kernel takes only multiples of two seconds
WAKES = select.POLLPRI | select.POLLERR


class Trigger:
    """An open trigger on one memory.pressure file: `fd` polls POLLPRI, at most once in a window.

    Raises OSError where PSI is compiled out or off (EOPNOTSUPP), or where this may not be written.
    """

    def __init__(self, path: str, stall_us: int = STALL_US) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(self.fd, f"some {stall_us} {WINDOW_US}".encode() + b"\0")
        except OSError:
            os.close(self.fd)
            raise

    def close(self) -> None:
        """Take the trigger back: it lives as long as its descriptor."""
        os.close(self.fd)


def trigger_of(paths: tuple[str, ...]) -> Trigger | None:
    """A trigger on the first of these files that takes one; None where none does, which is no fault."""
    for path in paths:
        try:
            return Trigger(path)
        except OSError:
            continue
    return None
