"""/proc/PID/stat (proc(5)), taken apart."""

from __future__ import annotations

import os
from typing import NamedTuple

from paramedic.model.readings import Identity

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Stat(NamedTuple):
    """The fields of /proc/PID/stat (proc(5)) that paramedic uses. A zombie is dead."""

    identity: Identity
    state: str
    ppid: int
    pgid: int
    rss_bytes: int
    sid: int = 0
    cpu_ticks: int = 0
    threads: int = 0

    @property
    def is_alive(self) -> bool:
        """False for a zombie or a process being reaped: it has ended, whatever kill(pid, 0) says."""
        return self.state not in ("Z", "X", "x")


def stat_of(pid: int, data: bytes) -> Stat | None:
    """/proc/PID/stat taken apart. The name may contain anything, so it starts at the last `)`; None for rubbish."""
    rest = data[data.rfind(b")") + 2 :].split()
    if b")" not in data or len(rest) < 22:
        return None
    try:
        return Stat(
            identity=Identity(pid, int(rest[19])),
            state=rest[0].decode("ascii", "replace"),
            ppid=int(rest[1]),
            pgid=int(rest[2]),
            rss_bytes=int(rest[21]) * PAGE_BYTES,
            sid=int(rest[3]),
            cpu_ticks=int(rest[11]) + int(rest[12]),
            threads=int(rest[17]),
        )
    except ValueError:
        return None
