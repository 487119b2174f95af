"""One agent per state folder: an exclusive lock that names its holder.

flock(2) keeps the second agent away, also where the disk is read-only. A lock of the open file description (fcntl(2),
F_OFD_SETLK) beside it can be asked for without being taken, so that who looks is never in an agent's way.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct

WIDTH = 10
_WHOLE_FILE = "hhqqi4x"


class Locked(Exception):
    """Another agent holds it; the message names its pid."""


def take(path: str) -> int:
    """The descriptor that holds the lock until it is closed; raises Locked or OSError."""
    fd = _open(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(fd)
        raise Locked(f"another paramedic runs with this state folder: process {holder}") from None
    with contextlib.suppress(OSError):  # a full or read-only disk must not keep the agent from healing
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _lock(fcntl.F_WRLCK))
        os.pwrite(fd, f"{os.getpid():<{WIDTH}}\n".encode(), 0)
        os.ftruncate(fd, WIDTH + 1)
    return fd


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)


def holder(path: str) -> int | None:
    """The pid of the agent that holds the lock, None when nobody does; raises PermissionError where we may not look."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        found = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _lock(fcntl.F_RDLCK))
        text = os.pread(fd, 20, 0).decode("ascii", "replace").strip()
    finally:
        os.close(fd)
    is_held = struct.unpack(_WHOLE_FILE, found)[0] != fcntl.F_UNLCK
    return int(text) if is_held and text.isascii() and text.isdigit() else None


def _lock(kind: int) -> bytes:
    """struct flock (fcntl(2)) from the first to the last byte."""
    return struct.pack(_WHOLE_FILE, kind, os.SEEK_SET, 0, 0, 0)
