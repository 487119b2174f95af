"""TCP sockets of this network namespace: who listens, who is connected.

From inet_diag (include/uapi/linux/inet_diag.h): 0.1 ms for who listens, 0.4 for who is connected, where /proc/net/tcp
and tcp6 take 7 ms on an idle machine, since they visit every slot of the kernel's hash table, and 200 ms with 20,000
sockets in TIME_WAIT. They are read only where the kernel has no inet_diag.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

from paramedic.host import sock_diag
from paramedic.host.proc import Proc

_ESTABLISHED, _LISTEN = 1, 10
_REQUEST = struct.Struct("=BBBBI48x")
_PORT = struct.Struct("!4xH")
_INODE = struct.Struct("=68xI")


def listening(proc: Proc) -> dict[int, list[int]]:
    """Port -> the inodes of the sockets that listen on it."""
    found: dict[int, list[int]] = {}
    for port, inode in _in_state(_LISTEN, proc):
        found.setdefault(port, []).append(inode)
    return found


def connected(proc: Proc) -> dict[int, int]:
    """Port -> how many established connections have it as their local one: about 1 ms per thousand sockets."""
    found: dict[int, int] = {}
    for port, _ in _in_state(_ESTABLISHED, proc):
        found[port] = found.get(port, 0) + 1
    return found


def _in_state(state: int, proc: Proc) -> list[tuple[int, int]]:
    """(local port, inode) of each socket in this state."""
    try:
        return list(_dumped(state))
    except OSError:
        return list(_listed(state, proc))


def _dumped(state: int) -> Iterator[tuple[int, int]]:
    for family in (socket.AF_INET, socket.AF_INET6):
        answer = sock_diag.told(_REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, 1 << state))
        for body in sock_diag.bodies(answer):
            yield _PORT.unpack_from(body)[0], _INODE.unpack_from(body)[0]


def _listed(state: int, proc: Proc) -> Iterator[tuple[int, int]]:
    """From /proc/net/tcp and tcp6 (proc(5))."""
    for name in ("net/tcp", "net/tcp6"):
        for line in (proc.text(name) or "").splitlines()[1:]:
            words = line.split()
            if int(words[3], 16) == state:
                yield int(words[1].rpartition(":")[2], 16), int(words[9])
