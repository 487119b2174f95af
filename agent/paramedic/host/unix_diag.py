"""Listening Unix sockets from the kernel (sock_diag(7), include/uapi/linux/unix_diag.h).

Unlike /proc/net/unix it names the inode of the socket's *file*, which stays when the path is deleted.
It sees the caller's network namespace only.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

from paramedic.host import inodes, sock_diag

_LISTEN = 10
_SHOW_NAME, _SHOW_VFS, _SHOW_RQLEN = 0x1, 0x2, 0x10
_ATTR_NAME, _ATTR_VFS, _ATTR_RQLEN = 0, 1, 4
_MESSAGE = struct.Struct("=BBBBIII")
_SHOWN = _SHOW_NAME | _SHOW_VFS | _SHOW_RQLEN
_ANY = 0xFFFFFFFF
_REQUEST = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, 1 << _LISTEN, 0, _SHOWN, _ANY, _ANY)
_last: tuple[tuple[frozenset[int], Sequence[bytes]], tuple[Listener, ...]] = ((frozenset(), ()), ())


class Listener(NamedTuple):
    """One listening socket: its own inode, the name it was bound to, the number of its file (inodes.py), its backlog.

    `is_stream` is false for a sequenced-packet socket.
    """

    socket_inode: int
    name: str
    file_inode: int
    waiting: int
    is_stream: bool = True


def listeners() -> Sequence[Listener]:
    """All listening Unix sockets with a file; the very same tuple while the kernel tells this thread the same.

    Raises OSError where it has no unix_diag.
    """
    global _last
    last, systems = _last, inodes.known()
    told = sock_diag.told(_REQUEST, last[0][1])
    if told is not last[0][1] or systems is not last[0][0]:
        found = (_listener(body) for body in sock_diag.bodies(told))
        last = _last = ((systems, told), tuple(one for one in found if one.file_inode))
    return last[1]


def _listener(body: bytes) -> Listener:
    """One socket; its file is 0 where it has none, or does not listen any more."""
    _, kind_of, state, _, socket_inode, _, _ = _MESSAGE.unpack_from(body)
    name, file_inode, waiting = "", 0, 0
    at = _MESSAGE.size
    while at + 4 <= len(body):
        size, kind = struct.unpack_from("=HH", body, at)
        value = body[at + 4 : at + size]
        if kind == _ATTR_NAME:
            name = os.fsdecode(value.rstrip(b"\0"))
        elif kind == _ATTR_VFS:
            file_inode = inodes.of_socket(*struct.unpack_from("=II", value))
        elif kind == _ATTR_RQLEN:
            waiting = struct.unpack_from("=I", value)[0]
        at += max(4, (size + 3) & ~3)
    is_open = state == _LISTEN
    return Listener(socket_inode, name, file_inode if is_open else 0, waiting, kind_of == socket.SOCK_STREAM)
