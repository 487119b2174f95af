"""Signals to proven processes only (pidfd_open(2), pidfd_send_signal(2)).

The pidfd pins the process, the identity is read again behind it, then the signal goes through it: a pid
that was reused meanwhile cannot be hit.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Sequence

from paramedic.host import clock
from paramedic.host.failpoint import reached
from paramedic.host.proc import Proc
from paramedic.model.readings import Identity

Proof = Callable[[Identity], str | None]


class Unproven(Exception):
    """The process could not be proven at the moment of the signal; the message says which proof is missing."""


def open_proven(proc: Proc, identity: Identity, doubt: Proof) -> int | None:
    """A pidfd of this very process, None when it is gone; raises Unproven when `doubt` names one."""
    try:
        fd = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return None
    if not proc.is_alive(identity):
        os.close(fd)
        return None
    reason = doubt(identity)
    if reason is not None:
        os.close(fd)
        raise Unproven(reason)
    return fd


def end_all(fds: Sequence[int], term_s: float, kill_s: float = 5.0) -> str | None:
    """TERM to all, wait, KILL what is left, wait. None when all ended, else what happened."""
    for sign, patience_s in ((signal.SIGTERM, term_s), (signal.SIGKILL, kill_s)):
        for fd in fds:
            try:
                signal.pidfd_send_signal(fd, sign)
            except ProcessLookupError:
                continue
            except PermissionError:
                return f"not allowed to send it {sign.name}"
        reached(f"{sign.name} sent")
        if all_ended(fds, patience_s):
            reached("ended")
            return None
    return "it did not end on SIGKILL: it hangs in the kernel"


def signal_term(fd: int) -> None:
    """Ask a process to end in order."""
    signal.pidfd_send_signal(fd, signal.SIGTERM)
    reached("SIGTERM sent")


def all_ended(fds: Sequence[int], patience_s: float) -> bool:
    """Wait until every process has ended, at most `patience_s` in all."""
    until = clock.monotonic() + patience_s
    return all(has_ended(fd, max(0.0, until - clock.monotonic())) for fd in fds)


def has_ended(fd: int, patience_s: float) -> bool:
    """Wait until the process behind the pidfd has ended, at most `patience_s`."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(patience_s * 1000))
