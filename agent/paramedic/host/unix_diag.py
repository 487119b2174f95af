"""Listening Unix sockets from the kernel (sock_diag(7), include/uapi/linux/unix_diag.h).

Unlike /proc/net/unix it names the inode of the socket's *file*, which stays when the path is deleted.
It sees the caller's network namespace only.
"""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST_DUMP = 0x301
_LISTEN = 10
_SHOW_NAME, _SHOW_VFS, _SHOW_RQLEN = 0x1, 0x2, 0x10
_ATTR_NAME, _ATTR_VFS, _ATTR_RQLEN = 0, 1, 4
_DONE, _ERROR = 3, 2
_HEADER = struct.Struct("=IHHII")
_MESSAGE = struct.Struct("=BBBBIII")
_DEADLINE_S = 2.0


@dataclass(frozen=True, slots=True)
class Listener:
    """One listening socket: its own inode, the name it was bound to, the inode of its file, its backlog."""

    socket_inode: int
    name: str
    file_inode: int
    waiting: int


def listeners() -> list[Listener]:
    """All listening Unix sockets with a file; raises OSError where the kernel has no unix_diag."""
    request = struct.pack(
        "=BBHIIIII", socket.AF_UNIX, 0, 0, 1 << _LISTEN, 0, _SHOW_NAME | _SHOW_VFS | _SHOW_RQLEN, 0xFFFFFFFF, 0xFFFFFFFF
    )
    found: list[Listener] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as link:
        link.settimeout(_DEADLINE_S)
        link.send(_HEADER.pack(_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0) + request)
        while not _collect(link.recv(1 << 18), found):
            pass
    return found


def _collect(data: bytes, found: list[Listener]) -> bool:
    """Add what the datagram tells; True when the dump is done."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, at)
        if kind == _DONE:
            return True
        if kind == _ERROR:
            code = -struct.unpack_from("=i", data, at + _HEADER.size)[0]
            raise OSError(code, os.strerror(code))
        listener = _listener(data[at + _HEADER.size : at + length])
        if listener is not None:
            found.append(listener)
        at += (length + 3) & ~3
    return False


def _listener(body: bytes) -> Listener | None:
    _, _, state, _, socket_inode, _, _ = _MESSAGE.unpack_from(body)
    name, file_inode, waiting = "", 0, 0
    at = _MESSAGE.size
    while at + 4 <= len(body):
        size, kind = struct.unpack_from("=HH", body, at)
        value = body[at + 4 : at + size]
        if kind == _ATTR_NAME:
            name = os.fsdecode(value.rstrip(b"\0"))
        elif kind == _ATTR_VFS:
            file_inode = struct.unpack_from("=I", value)[0]
        elif kind == _ATTR_RQLEN:
            waiting = struct.unpack_from("=I", value)[0]
        at += max(4, (size + 3) & ~3)
    return Listener(socket_inode, name, file_inode, waiting) if state == _LISTEN and file_inode else None
