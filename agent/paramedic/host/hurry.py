"""One deadline for a whole conversation over a socket."""

from __future__ import annotations

import socket

from paramedic.host import clock

WORTH_S = 0.01


def hurry(link: socket.socket, until: float) -> None:
    """Let its next call wait no longer than to monotonic `until`; raises TimeoutError when that is over.

    What it may wait for already is changed only by what is worth a system call.
    """
    left = until - clock.monotonic()
    if left <= 0:
        raise TimeoutError(110, "no complete answer within the deadline")
    may = link.gettimeout()
    if not may or may - left > WORTH_S:
        link.settimeout(left)
