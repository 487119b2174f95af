"""Questions to supervisord over its Unix socket, with one deadline: connect() proves nothing, only an answer counts.

One HTTP/1.0 request for each call (a fifth of the CPU time of supervisor.xmlrpc's transport, which has no deadline).
The socket is opened by O_PATH and reached as /proc/self/fd/N: no length limit of sun_path, no symbolic
link followed, and the inode that answers is the inode that was looked at.
"""

from __future__ import annotations

import base64
import functools
import os
import re
import socket
import struct
from collections.abc import Sequence
from typing import Any
from xml.parsers.expat import ExpatError

from paramedic.host import clock, files, xml_rpc
from paramedic.host.hurry import hurry
from paramedic.host.proc import readable

DEADLINE_S = 2.0
MAX_BYTES = 4 << 20
Methods = Sequence[tuple[str, tuple[object, ...]]]
MOST_TOLD = 300
PART_BYTES = 1 << 16
_GOES_ON = re.compile(rb"<name>(?:now|description)</name>\s*<value><(int|string)>[^<]*</\1></value>")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*(?:\r\n|$)", re.IGNORECASE)
_PEER = struct.Struct("=iII")  # struct ucred: who called listen(2); only the pid of a daemonized one is out of date


class RpcFailure(Exception):
    """The daemon did not give the answer; the message is the reason, e.g. `401 Unauthorized`."""


class Silent(RpcFailure):
    """No answer within the deadline, or no room in its queue for another question."""


class Stopping(RpcFailure):
    """Fault 6: the daemon is shutting down or restarting (supervisor/rpcinterface.py _update)."""


class Kept:
    """The last answer of one daemon. Its clock and the uptimes it puts into words go on; they are as of when the rest
    last changed.
    """

    def __init__(self) -> None:
        self._last: tuple[bytes, object] = (b"", None)

    def value_of(self, body: bytes) -> object:
        """As xml_rpc.value_of."""
        still = _GOES_ON.sub(b"", body)
        if still != self._last[0]:
            self._last = (still, xml_rpc.value_of(body))
        return self._last[1]


def ask(
    place: str | int,
    methods: Methods,
    username: str | None = None,
    password: str | None = None,
    served_by: int | None = None,
) -> socket.socket:
    """Ask the daemon behind the socket at `place` for several methods at once (system.multicall); `results` hears it.
    It waits for nothing.

    `place` is a path, or an O_PATH descriptor of a file that may have no name any more. A password is sent only to a
    listener of root, of ours or of the uid `served_by`. Raises Silent or another RpcFailure.
    """
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        peers = None if username is None else {0, os.geteuid(), served_by}
        _send(link, place, _request(tuple(methods), username, password), peers)
    except (OSError, RpcFailure) as error:
        link.close()
        raise _failure(error) from error
    return link


def results(link: socket.socket, deadline_s: float = DEADLINE_S, kept: Kept | None = None) -> list[Any]:
    """What it answers within so many seconds; with `kept` an answer that says the same as the last is not read again.

    Raises Stopping, Silent or another RpcFailure.
    """
    try:
        try:
            body = _body(link, clock.monotonic() + deadline_s)
        finally:
            link.close()
        answer = xml_rpc.value_of(body) if kept is None else kept.value_of(body)
    except (OSError, RpcFailure, xml_rpc.Fault, ValueError, TypeError, ExpatError) as error:
        raise _failure(error, deadline_s) from error
    return [_result(one) for one in answer] if isinstance(answer, list) else []


def _failure(error: Exception, deadline_s: float = 0.0) -> RpcFailure:
    if isinstance(error, RpcFailure):
        return error
    if isinstance(error, TimeoutError | BlockingIOError):
        is_full = isinstance(error, BlockingIOError)
        return Silent("its queue is full" if is_full else f"no answer within {deadline_s:.0f} s")
    if isinstance(error, xml_rpc.Fault):
        return RpcFailure(readable(f"fault {error.code}: {error}")[:MOST_TOLD])
    return RpcFailure(getattr(error, "strerror", None) or str(error) or type(error).__name__)


@functools.lru_cache(maxsize=8)
def _request(methods: Methods, username: str | None, password: str | None) -> bytes:
    calls = [{"methodName": name, "params": list(params)} for name, params in methods]
    body = xml_rpc.request("system.multicall", calls).encode("utf-8", "replace")
    head = f"POST /RPC2 HTTP/1.0\r\nHost: localhost\r\nContent-Type: text/xml\r\nContent-Length: {len(body)}\r\n"
    if username:
        key = base64.b64encode(f"{username}:{password or ''}".encode()).decode()
        head += f"Authorization: Basic {key}\r\n"
    return f"{head}\r\n".encode() + body


def _send(link: socket.socket, place: str | int, request: bytes, peers: set[int | None] | None) -> None:
    """Without waiting: a queue that has no room says so at once, and a new connection has room for a question."""
    found = place if isinstance(place, int) else files.open_path(place)
    try:
        link.connect(f"/proc/self/fd/{found}")
    finally:
        if found != place:
            os.close(found)
    if peers is not None:
        uid = _PEER.unpack(link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))[1]
        if uid not in peers:
            raise RpcFailure(f"user {uid} listens there, who is not given the daemon's password")
    link.sendall(request)


def _body(link: socket.socket, until: float) -> bytes:
    """The body of the answer; raises RpcFailure for any status but 200, TimeoutError when the time is over."""
    head, body = _read(link, until)
    status = head.partition("\r\n")[0].partition(" ")[2]
    if not status.startswith("200"):
        raise RpcFailure(readable(status)[:100] or "the answer is not HTTP")
    return body


def _read(link: socket.socket, until: float) -> tuple[str, bytes]:
    """(head, body) of an answer, which ends with its Content-Length or the connection."""
    data, end, size = bytearray(), -1, -1
    while end < 0 or size < 0 or len(data) < end + size:
        part = _part(link, until)
        data += part
        if len(data) > MAX_BYTES:
            raise ValueError("the answer is too large")
        if end < 0 and (at := data.find(b"\r\n\r\n")) >= 0:
            end, size = at + 4, _content_length(data[:at])
        if not part:
            break
    if end < 0 or len(data) < end + size:
        raise ValueError("the answer ended too early")
    return data[:end].decode("latin-1"), bytes(data[end:])


def _part(link: socket.socket, until: float) -> bytes:
    """What is there, or comes first."""
    if link.gettimeout() or clock.monotonic() >= until:
        hurry(link, until)
    try:
        return link.recv(PART_BYTES)
    except BlockingIOError:
        hurry(link, until)
    return link.recv(PART_BYTES)


def _content_length(head: bytearray) -> int:
    """-1 where it is not said."""
    found = _LENGTH.search(head)
    return int(found[1]) if found else -1


def _result(answer: object) -> object:
    if not isinstance(answer, dict) or "faultCode" not in answer:
        return answer
    from supervisor.xmlrpc import Faults  # it weighs 10 MiB, and most agents never see a fault

    if answer["faultCode"] == Faults.SHUTDOWN_STATE:
        raise Stopping("it is shutting down or restarting")
    raise RpcFailure(readable(f"fault {answer['faultCode']}: {answer.get('faultString', '')}")[:MOST_TOLD])
