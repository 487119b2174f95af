"""Files of /proc that are read in every pass, through descriptors that stay open.

A descriptor of /proc/PID/stat stays with the process it was opened of, whoever gets the pid later: when that process is
reaped reading it fails (ESRCH), and the name is opened anew. So every answer is what opening the name would have given.
Whether a process lives is asked of its pidfd, which can be read once it has ended (pidfd_open(2)): a tenth of a stat.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
from collections.abc import Set

from paramedic.host.proc import PART_BYTES, Proc
from paramedic.host.stat_text import Stat, stat_of
from paramedic.model.readings import Identity

MOST_HELD = 256
IN_PIECES = "vmstat"
# Which the kernel gives in one piece (seq_file.c, single_open), but for one. Not those that stay with the memory that a
# program had before exec(2): cmdline, environ, smaps_rollup.
_HELD = frozenset(("stat", "status", "meminfo", "memory", IN_PIECES))


class HeldProc(Proc):
    """A Proc for one thread that looks again and again; what a look did not ask for is let go of after it.

    Where descriptors run out it gives its own back, and holds half as many from then on.
    """

    def __init__(self, root: str = "/proc") -> None:
        super().__init__(root)
        self._fds: dict[str, int] = {}
        self._asked: set[str] = set()
        self._most = MOST_HELD
        self._up: float | None = None
        self._stats: dict[int, tuple[bytes, Stat | None]] = {}
        self._lives: dict[Identity, tuple[int, select.poll]] = {}
        self._asked_of: set[Identity] = set()

    def stat(self, pid: int) -> Stat | None:
        """As Proc.stat; the same text is the same answer."""
        data, last = self._bytes(f"{pid}/stat"), self._stats.get(pid)
        if last is None or last[0] != data:
            if data is None:
                return None
            last = self._stats[pid] = (data, stat_of(pid, data))
        return last[1]

    def is_alive(self, identity: Identity) -> bool:
        """As Proc.is_alive, but that one lives whose first thread has ended and others have not. A process without a
        pidfd is looked up.
        """
        self._asked_of.add(identity)
        held = self._lives.get(identity)
        if held is None:
            return self._is_proven(identity)
        return not held[1].poll(0)

    def _is_proven(self, identity: Identity) -> bool:
        """By its stat, after a pidfd of that pid was taken: so it is its own, and is held from now on."""
        fd = None
        if len(self._fds) + len(self._lives) < self._most and self.root == "/proc":
            with contextlib.suppress(OSError):
                fd = os.pidfd_open(identity.pid) if identity.pid > 0 else None
        is_alive = False
        try:
            is_alive = super().is_alive(identity)
        finally:
            if fd is not None and not is_alive:
                os.close(fd)
        if fd is not None and is_alive:
            ends = select.poll()
            ends.register(fd, select.POLLIN)
            self._lives[identity] = fd, ends
        return is_alive

    def children(self, pid: int) -> list[int]:
        """As Proc.children; one without threads, by what its stat said in this look, has no folder of them to look
        through.
        """
        name, only = f"{pid}/stat", f"{pid}/task/{pid}/children"
        stat = self._stats[pid][1] if name in self._asked and pid in self._stats else self.stat(pid)
        if stat is None or stat.threads != 1:
            return super().children(pid)
        return [int(word) for word in (self._bytes(only) or b"").split()]

    def up(self) -> float:
        """As Proc.up; one moment for all of a look, so that ages can be told from starts."""
        if self._up is None:
            self._up = super().up()
        return self._up

    def let_go(self) -> None:
        """After a look."""
        self._close_all_but(self._asked)
        self._let_go_of(self._lives.keys() - self._asked_of)
        self._asked_of.clear()
        if len(self._stats) > len(self._fds):
            self._stats = {pid: last for pid, last in self._stats.items() if f"{pid}/stat" in self._fds}
        self._asked.clear()
        self._up = None

    def _let_go_of(self, identities: Set[Identity]) -> None:
        for identity in tuple(identities):
            os.close(self._lives.pop(identity)[0])

    def _close_all_but(self, names: Set[str]) -> None:
        for name in self._fds.keys() - names:
            os.close(self._fds.pop(name))

    def _bytes(self, name: str) -> bytes | None:
        fd = self._fds.get(name)
        if fd is None and name.rpartition("/")[2] not in _HELD:
            return super()._bytes(name)
        self._asked.add(name)
        data = self._read(name, fd) if fd is not None else b""
        return data or self._opened(name)

    def _opened(self, name: str) -> bytes | None:
        """By its name, and held from now on."""
        if len(self._fds) + len(self._lives) >= self._most:
            return super()._bytes(name)
        try:
            fd = os.open(f"{self.root}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._most = (len(self._fds) + len(self._lives)) // 2
                self._close_all_but(set())
                self._let_go_of(self._lives.keys())
            return super()._bytes(name)
        self._fds[name] = fd
        return self._read(name, fd) or super()._bytes(name)

    def _read(self, name: str, fd: int) -> bytes:
        """Empty where it cannot be read whole through the descriptor, which then is held no more."""
        try:
            data = part = os.pread(fd, PART_BYTES, 0)
            while name == IN_PIECES and part:
                part = os.pread(fd, PART_BYTES, len(data))
                data += part
        except OSError:
            data = b""
        if not data or (len(data) >= PART_BYTES and name != IN_PIECES):
            os.close(self._fds.pop(name))
            return b""
        return data
