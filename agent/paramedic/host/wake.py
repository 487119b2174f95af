"""What wakes the decision thread: pokes of other threads, the end of watched processes, and time."""

from __future__ import annotations

import os
import select
from collections.abc import Iterable

from paramedic.host.proc import Proc
from paramedic.model.readings import Identity


class Wake:
    """One eventfd and the pidfds of the daemons looked after. Events are hints, the timeout is the guarantee."""

    def __init__(self, proc: Proc) -> None:
        self._proc = proc
        self._event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._watched: dict[Identity, int] = {}

    def poke(self, _why: str = "") -> None:
        """Wake the decision thread: from any thread and from a signal handler, so without a lock."""
        os.eventfd_write(self._event, 1)

    def watch(self, identities: Iterable[Identity]) -> None:
        """Wake when one of these processes ends; replaces those watched before."""
        wanted = set(identities)
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

    def wait(self, timeout_s: float) -> bool:
        """True when woken, False when the time is over. A watched process that ended is watched no more."""
        poll = select.poll()
        poll.register(self._event, select.POLLIN)
        for fd in self._watched.values():
            poll.register(fd, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(max(0.0, timeout_s) * 1000)}
        if self._event in ready:
            os.eventfd_read(self._event)
        for identity in [i for i, fd in self._watched.items() if fd in ready]:
            os.close(self._watched.pop(identity))
        return bool(ready)

    def close(self) -> None:
        """Give all descriptors back."""
        self.watch(())
        os.close(self._event)
