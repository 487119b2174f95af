"""Reach a listening Unix socket whose file was deleted, with nothing prepared before.

pidfd_getfd(2) takes a copy of the listening descriptor, ioctl SIOCUNIXFILE (unix(7), Linux 4.20) opens its file O_PATH,
and connect(2) to /proc/self/fd/N reaches the inode that has no name any more. Needs Linux 5.6, CAP_SYS_PTRACE
and CAP_NET_ADMIN. Nobody can give such an inode a name again: link(2) answers ENOENT.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
from collections.abc import Iterator

from paramedic.host import files
from paramedic.host.proc import Proc
from paramedic.model.readings import Identity
from paramedic.model.supervision import SupervisorReading

_SYS_PIDFD_GETFD = 438
_SIOCUNIXFILE = 0x89E0
_libc = ctypes.CDLL(None, use_errno=True)


def reach(proc: Proc, owner: Identity, socket_inode: int) -> int:
    """An O_PATH descriptor of the file behind a listening socket of `owner`; raises OSError where this host cannot."""
    pidfd = os.pidfd_open(owner.pid)
    try:
        if not proc.is_alive(owner):
            raise ProcessLookupError(errno.ESRCH, f"process {owner.pid} is gone")
        number = proc.fd_of_socket(owner.pid, socket_inode)
        if number is None:
            raise OSError(errno.EBADF, f"process {owner.pid} does not hold that socket")
        copy = _libc.syscall(_SYS_PIDFD_GETFD, pidfd, number, 0)
        if copy < 0:
            code = ctypes.get_errno()
            raise OSError(code, f"pidfd_getfd: {os.strerror(code)}")
    finally:
        os.close(pidfd)
    try:
        if os.readlink(f"/proc/self/fd/{copy}") != f"socket:[{socket_inode}]":
            raise OSError(errno.EBADF, "the descriptor is another one now")
        return _file_of(copy)
    finally:
        os.close(copy)


@contextlib.contextmanager
def reached(reading: SupervisorReading, proc: Proc) -> Iterator[tuple[str | int, str]]:
    """(place to ask the daemon at, its name): a path, or its file without a name; OSError without any."""
    path = path_of(reading)
    if path is not None:
        yield path, path
    elif reading.daemon is not None and reading.socket_inode is not None:
        fd = reach(proc, reading.daemon, reading.socket_inode)
        try:
            yield fd, "its unlinked socket"
        finally:
            os.close(fd)
    else:
        raise OSError(errno.ENOENT, "no path reaches its socket")


def path_of(reading: SupervisorReading) -> str | None:
    """The path that leads to the daemon's socket: its own, or that of the kept link; None where none does."""
    path = reading.conf.socket or ""
    if reading.is_reached:
        return path
    return files.keep_link(path) if reading.kept_inode == reading.listening_inode else None


def _file_of(fd: int) -> int:
    try:
        found = fcntl.ioctl(fd, _SIOCUNIXFILE, 0)
    except OSError as error:
        raise OSError(error.errno, f"SIOCUNIXFILE: {error.strerror}") from error
    os.set_inheritable(found, False)
    return found
