"""Moments in which a daemon that is gone is somebody's intention: the host is going down, or packages are changed."""

from __future__ import annotations

import fcntl
import os
import struct

from paramedic.host import clock, systemd
from paramedic.host.commands import run

DPKG_LOCKS = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock")
_FLOCK = "hhqqi4x"
STARTS_S = 600.0


def now_is_no_time() -> str | None:
    """Why nothing should be started now, None where nothing speaks against it."""
    for path in DPKG_LOCKS:
        holder = _holder(path)
        if holder:
            return f"process {holder} holds {path}: packages are being changed"
    if systemd.is_running() and os.geteuid() == 0:
        state = run((systemd.SYSTEMCTL, "is-system-running"), systemd.DEADLINE_S, {}, cwd="/").output.strip()
        if state == "stopping":
            return "systemd is shutting the host down"
        if state in ("initializing", "starting") and clock.up() < STARTS_S:
            return "systemd is still starting the host, and may start it itself"
    return None


def _holder(path: str) -> int:
    """Who holds a POSIX lock on the file (fcntl(2), F_GETLK); 0 where nobody does, or it may not be looked at."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        found = fcntl.fcntl(fd, fcntl.F_GETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, 0, 0, 0, 0))
    except OSError:
        return 0
    finally:
        os.close(fd)
    kind, _, _, _, pid = struct.unpack(_FLOCK, found)
    return pid if kind != fcntl.F_UNLCK else 0
