"""What wakes the decision thread: pokes of other threads, the end of watched processes, memory stalls, and time."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterable

from paramedic.host.pressure import WAKES, WINDOW_US, Trigger, trigger_of
from paramedic.host.proc import Proc
from paramedic.model.readings import Identity

QUIET_S = WINDOW_US / 1e6


class Wake:
    """One eventfd, the pidfds of the daemons looked after, and a trigger on memory stalls.

    Events are hints, the timeout is the guarantee.
    """

    def __init__(self, proc: Proc) -> None:
        self._proc = proc
        self._event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._watched: dict[Identity, int] = {}
        self._pressed: tuple[tuple[str, ...], Trigger | None] = ((), None)
        self._quiet_until = 0.0

    def poke(self, _why: str = "") -> None:
        """Wake the decision thread: from any thread and from a signal handler, so without a lock."""
        os.eventfd_write(self._event, 1)

    def watch(self, identities: Iterable[Identity]) -> None:
        """Wake when one of these processes ends; replaces those watched before."""
        wanted = set(identities)
        if wanted == self._watched.keys():
            return
        for gone in set(self._watched) - wanted:
            os.close(self._watched.pop(gone))
        for identity in wanted - set(self._watched):
            try:
                fd = os.pidfd_open(identity.pid)
            except OSError:
                continue
            if self._proc.is_alive(identity):
                self._watched[identity] = fd
            else:
                os.close(fd)

    def watch_pressure(self, paths: tuple[str, ...]) -> None:
        """Wake when tasks stall on memory, by the first of these PSI files that takes a trigger; replaces the last."""
        if paths == self._pressed[0]:
            return
        self._release()
        self._pressed = (paths, trigger_of(paths))

    def wait(self, timeout_s: float) -> bool:
        """True when woken, False when the time is over. A watched process that ended is watched no more.

        After a memory stall the next one wakes only two seconds later: a host that stalls all the time is looked at
        often, not without end.
        """
        until = time.monotonic() + max(0.0, timeout_s)
        while True:
            now = time.monotonic()
            quiet_s = max(0.0, self._quiet_until - now)
            ready = self._poll(min(until - now, quiet_s) if quiet_s else until - now, listens=not quiet_s)
            if ready or time.monotonic() >= until:
                return bool(ready)

    def _poll(self, timeout_s: float, listens: bool) -> set[int]:
        poll = select.poll()
        poll.register(self._event, select.POLLIN)
        for fd in self._watched.values():
            poll.register(fd, select.POLLIN)
        trigger = self._pressed[1]
        if trigger and listens:
            poll.register(trigger.fd, WAKES)
        events = dict(poll.poll(max(0.0, timeout_s) * 1000))
        if self._event in events:
            os.eventfd_read(self._event)
        for identity in [i for i, fd in self._watched.items() if fd in events]:
            os.close(self._watched.pop(identity))
        if trigger and trigger.fd in events:
            self._quiet_until = time.monotonic() + QUIET_S
            if events[trigger.fd] & select.POLLERR:
                self._release()
        return set(events)

    def _release(self) -> None:
        """Let go of the trigger; one whose cgroup is gone reports POLLERR for ever."""
        paths, trigger = self._pressed
        if trigger:
            trigger.close()
        self._pressed = (paths, None)

    def close(self) -> None:
        """Give all descriptors back."""
        self.watch(())
        self._release()
        os.close(self._event)
