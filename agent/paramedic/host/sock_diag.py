"""Ask the kernel for its sockets (sock_diag(7)): one netlink dump, whose messages the callers know to read."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST_DUMP = 0x301
_DONE, _ERROR = 3, 2
_HEADER = struct.Struct("=IHHII")
_kept = threading.local()
_PART_BYTES = 1 << 15  # the most that the kernel puts into one datagram (net/netlink/af_netlink.c)


def dump(*requests: bytes) -> Iterator[bytes]:
    """The body of every message that answers; raises OSError where the kernel cannot tell. It never waits: the kernel
    answers while it is asked (net/netlink/af_netlink.c, netlink_dump).

    Each thread keeps its socket for the next dump, unless this one was not read to its end.
    """
    link: socket.socket | None = _kept.__dict__.pop("link", None)
    if link is None:
        link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG)
        link.setblocking(False)
    is_read = False
    try:
        for request in requests:
            link.send(_HEADER.pack(_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0) + request)
            yield from _answer(link)
        is_read = True
    finally:
        if is_read:
            _kept.link = link
        else:
            link.close()


def _answer(link: socket.socket) -> Iterator[bytes]:
    """Until the kernel says that it was all."""
    while True:
        data, at = link.recv(_PART_BYTES), 0
        while at + _HEADER.size <= len(data):
            length, kind, _, _, _ = _HEADER.unpack_from(data, at)
            if kind == _DONE:
                return
            if kind == _ERROR:
                code = -struct.unpack_from("=i", data, at + _HEADER.size)[0]
                raise OSError(code, os.strerror(code))
            yield data[at + _HEADER.size : at + length]
            at += (max(length, _HEADER.size) + 3) & ~3
