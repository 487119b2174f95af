"""Ask the kernel for its sockets (sock_diag(7)): one netlink dump, whose messages the callers know how to read."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterable, Iterator, Sequence

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST_DUMP = 0x301
_DONE, _ERROR = 3, 2
_HEADER = struct.Struct("=IHHII")
_kept = threading.local()
_PART_BYTES = 1 << 15  # the most that the kernel puts into one datagram (net/netlink/af_netlink.c)


def told(request: bytes, last: Sequence[bytes] = ()) -> Sequence[bytes]:
    """The datagrams that answer; `last` itself where they are the same. Raises OSError where the kernel cannot tell. It
    never waits: the kernel answers while it is asked (net/netlink/af_netlink.c, netlink_dump).

    Each thread keeps its socket for the next question, unless this answer was not read to its end.
    """
    link: socket.socket | None = _kept.__dict__.pop("link", None)
    if link is None:
        link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG)
        link.setblocking(False)
    try:
        link.send(_HEADER.pack(_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0) + request)
        found = _read(link, last)
    except BaseException:
        link.close()
        raise
    _kept.link = link
    return found


def _read(link: socket.socket, last: Sequence[bytes]) -> Sequence[bytes]:
    """To the end; what begins as `last` did is looked into only where it goes on otherwise."""
    found: list[bytes] = []
    for was in last:
        found.append(link.recv(_PART_BYTES))
        if found[-1] != was:
            break
    else:
        if last:
            return last
    while not (found and _is_end(found[-1])):
        found.append(link.recv(_PART_BYTES))
    return found


def _is_end(datagram: bytes) -> bool:
    """Whether the kernel says in it that it was all; raises OSError where it says what went wrong."""
    for kind, begins, _ in _messages(datagram):
        if kind == _ERROR:
            code = -struct.unpack_from("=i", datagram, begins)[0]
            raise OSError(code, os.strerror(code))
        if kind == _DONE:
            return True
    return False


def bodies(datagrams: Iterable[bytes]) -> Iterator[bytes]:
    """Of every message that tells of a socket."""
    for datagram in datagrams:
        for kind, begins, ends in _messages(datagram):
            if kind == _DONE:
                return
            yield datagram[begins:ends]


def _messages(datagram: bytes) -> Iterator[tuple[int, int, int]]:
    """(kind, where its body begins, where it ends) of each."""
    at, last = 0, len(datagram) - _HEADER.size
    while at <= last:
        length, kind, _, _, _ = _HEADER.unpack_from(datagram, at)
        yield kind, at + _HEADER.size, at + length
        at += (max(length, _HEADER.size) + 3) & ~3
