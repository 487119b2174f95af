"""The children of one process, proven once each and then read through a descriptor that stays with the process."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator

from paramedic.host.proc import Proc
from paramedic.host.stat_text import PAGE_BYTES
from paramedic.model.readings import Identity

STATM_BYTES = 128
MOST_HELD = 256


class _Child:
    """`data` is what its statm said last, nothing that it could say before that, `answer` what that means."""

    __slots__ = ("answer", "data", "fd", "uid")

    def __init__(self, identity: Identity, uid: int, fd: int) -> None:
        self.uid, self.fd = uid, fd
        self.data, self.answer = b"\0", (identity, 0)


class Children:
    """Reads the RSS of a living parent's children: 2 us each, where a proof by stat and status takes 45.

    A descriptor of /proc/PID/statm stays with the process it was opened of, whoever gets its pid later; a child loses
    its parent only with the parent's end; and a program that changes its user changes the owner of /proc/PID, which is
    looked at in turn, one in each look: whoever signals a child proves it anew. Of more than `most` the rest is proven
    in every look: descriptors are for the repairs, too.
    """

    def __init__(self, proc: Proc, most: int = MOST_HELD) -> None:
        self._proc, self._most = proc, most
        self._parent: tuple[Identity, int | None] | None = None
        self._held: dict[int, _Child] = {}
        self._turn: Iterator[int] = iter(())

    def of(self, parent: Identity, uid: int | None) -> None:
        """From now on those of this parent, which lives and runs as `uid` (None: nobody for sure)."""
        if self._parent != (parent, uid):
            self.keep(())
            self._parent = (parent, uid)
        self._look_at_one()

    def keep(self, pids: Collection[int]) -> None:
        """Let go of all others."""
        for pid in self._held.keys() - pids:
            os.close(self._held.pop(pid).fd)

    def read(self, pid: int) -> tuple[Identity, int] | None:
        """(identity, RSS in bytes) of a living child that runs as its parent's user; anybody's where that is root."""
        held = self._held.get(pid)
        if held is None:
            return self._prove(pid)
        try:
            data = os.pread(held.fd, STATM_BYTES, 0)
        except OSError:
            data = b""
        if data == held.data or _is_resident(held, data):
            return held.answer
        os.close(self._held.pop(pid).fd)
        return self._prove(pid)

    def _look_at_one(self) -> None:
        """Whether the next in turn is still its user's; if not it must be proven anew."""
        pid = next(self._turn, 0)
        if not pid:
            self._turn = iter(tuple(self._held))
            pid = next(self._turn, 0)
        if pid in self._held and self._owner(pid) != self._held[pid].uid:
            os.close(self._held.pop(pid).fd)

    def _prove(self, pid: int) -> tuple[Identity, int] | None:
        if self._parent is None or pid <= 0:
            return None
        parent, uid = self._parent
        fd = self._open(pid)
        stat = self._proc.stat(pid)
        is_child = stat is not None and stat.is_alive and stat.ppid == parent.pid
        own = self._proc.uid(pid)
        if stat is None or not is_child or own is None or uid not in (0, own):
            if fd is not None:
                os.close(fd)
            return None
        if fd is not None:
            self._hold(pid, _Child(stat.identity, self._owner(pid), fd))
        return stat.identity, stat.rss_bytes

    def _open(self, pid: int) -> int | None:
        """Opened before the proof, so that both are of one process; None where there are no descriptors for it."""
        if len(self._held) >= self._most:
            return None
        try:
            return os.open(f"{self._proc.root}/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None

    def _owner(self, pid: int) -> int:
        try:
            return os.stat(f"{self._proc.root}/{pid}").st_uid
        except OSError:
            return -1

    def _hold(self, pid: int, child: _Child) -> None:
        try:
            data = os.pread(child.fd, STATM_BYTES, 0)
        except OSError:
            data = b""
        if child.uid >= 0 and _is_resident(child, data):
            self._held[pid] = child
        else:
            os.close(child.fd)


def _is_resident(child: _Child, data: bytes) -> bool:
    """Whether its statm says so, which is kept then: not that of a process that ended, a zombie too."""
    words = data.split(None, 2)
    rss = int(words[1]) * PAGE_BYTES if len(words) > 1 else 0
    if rss > 0:
        child.data, child.answer = data, (child.answer[0], rss)
    return rss > 0
