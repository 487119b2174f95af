"""uWSGI's stats server: the JSON it writes, and the socket it listens on."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from paramedic.host import clock, files
from paramedic.host.hurry import hurry
from paramedic.host.proc import Proc
from paramedic.host.unix_diag import Listener, listeners

Told = TypeVar("Told")

DEADLINE_S = 2.0
MAX_BYTES = 4 << 20
_TCP = re.compile(r"([^/@]*):(\d{1,5})")
# /proc/net/tcp: number, address:port, peer, state 0A, four more, timeout, inode (proc(5)).
_LISTENING = re.compile(r"\s*\d+: ([0-9A-F]+):([0-9A-F]{4}) \S+ 0A \S+ \S+ \S+ +\d+ +\d+ (\d+)")


class Stats(Generic[Told]):
    """The stats of one instance as `told` takes them from the JSON; while it is idle the same bytes come again."""

    def __init__(self, told: Callable[[dict[str, Any]], Told]) -> None:
        self._told = told
        self._last: tuple[bytearray, Told] | None = None

    def fetch(self, address: str, deadline_s: float = DEADLINE_S) -> tuple[Told, int | None]:
        """(the answer (core/master_utils.c), the number of the socket's file it came through, None without one), within
        a total deadline; raises OSError, ValueError, or as `told` does. Whose socket that was is to be proven.
        """
        last = self._last[0] if self._last else b""
        data, through = _ask(address, deadline_s, last)
        if self._last is None or last != data:
            self._last = (data, self._told(_document(data)))
        return self._last[1], through


def fetch_stats(address: str) -> tuple[dict[str, Any], int | None]:
    """(the document, as `Stats.fetch` the socket's file), once."""
    data, through = _ask(address, DEADLINE_S)
    return _document(data), through


def _ask(address: str, deadline_s: float, last: bytes | bytearray = b"") -> tuple[bytearray, int | None]:
    """The master serves it synchronously: ask at once, read to the end, never keep the connection. What is the `last`
    answer again is a whole one.
    """
    until = clock.monotonic() + deadline_s
    data = bytearray()
    client, through = _connect(address, until)
    try:
        while part := _part(client, until):
            data += part
            if data == last:
                break
            if len(data) > MAX_BYTES:
                raise ValueError("the answer is too large")
    finally:
        client.close()
    return data, through


def _part(client: socket.socket, until: float) -> bytes:
    hurry(client, until)
    return client.recv(65536)


def _document(data: bytearray) -> dict[str, Any]:
    text = data.decode("utf-8", "replace")
    try:
        document = json.loads(text[text.index("{") :] if "{" in text else text)
    except RecursionError as error:
        raise ValueError("the answer is nested too deeply") from error
    if not isinstance(document, dict):
        raise ValueError("the answer is not a stats document")
    return document


def stats_socket_inode(address: str, proc: Proc, through: int | None = None) -> int | None:
    """The inode of the socket that answers at a stats address, from the kernel; None where nobody does.

    `through` is the file that an answer came through: what stands at the path may be another one by now.
    """
    if through is not None:
        return next((one.socket_inode for one in listeners() if one.file_inode == through), None)
    tcp = _TCP.fullmatch(address)
    if tcp is not None:
        return _answering(_numeric(tcp[1]), int(tcp[2]), proc)
    name = f"\0{address[1:]}" if address.startswith("@") else address
    seen, stands = listeners(), _file_inode(address)
    named = sorted((x.file_inode != stands, x.socket_inode) for x in seen if x.name in (name, address))
    return named[0][1] if named else _relative(address, stands, seen)


def _answering(host: str, port: int, proc: Proc) -> int | None:
    """Of the sockets that listen on a port the one the kernel gives a connection to: bound to that very address, else
    to any. Another user may listen on the same port of another address.
    """
    exact = f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}"
    mapped = f"{0:016X}{int.from_bytes(bytes(2) + bytes((255, 255)), sys.byteorder):08X}{exact}"
    found: dict[str, int] = {}
    for table in ("tcp", "tcp6"):
        for line in (proc.text(f"self/net/{table}") or "").splitlines()[1:]:
            listed = _LISTENING.match(line)
            if listed and int(listed[2], 16) == port:
                found.setdefault(listed[1], int(listed[3]))
    return next((found[one] for one in (exact, mapped, "0" * 8, "0" * 32) if one in found), None)


def _file_inode(path: str) -> int | None:
    """What stands there; others can bind the same name in a file system tree of their own."""
    with contextlib.suppress(OSError):
        return files.number(os.stat(path))
    return None


def _relative(address: str, stands: int | None, seen: Sequence[Listener]) -> int | None:
    """The socket at this path that was bound by a relative name, such as `stats = run.stats` after a chdir."""
    ours = (x for x in seen if x.file_inode == stands and not x.name.startswith("/"))
    return next((x.socket_inode for x in ours if address.endswith(f"/{os.path.basename(x.name)}")), None)


def _numeric(host: str) -> str:
    """A name would be looked up, for as long as a name server likes; raises ValueError for one."""
    if host in ("", "localhost", "0.0.0.0"):  # noqa: S104 - asked, not bound
        return "127.0.0.1"
    socket.inet_aton(host)
    return host


def _connect(address: str, until: float) -> tuple[socket.socket, int | None]:
    tcp = _TCP.fullmatch(address)
    if tcp and int(tcp[2]) > 65535:
        raise ValueError(f"{address} is no address")
    family = socket.AF_INET if tcp else socket.AF_UNIX
    client, through = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC), None
    try:
        hurry(client, until)
        if tcp:
            client.connect((_numeric(tcp[1]), int(tcp[2])))
        elif address.startswith("@"):
            client.connect(f"\0{address[1:]}")
        else:
            through = _connect_at(client, address)
    except (OSError, ValueError):
        client.close()
        raise
    return client, through


def _connect_at(client: socket.socket, path: str) -> int:
    """To the socket at the path itself, and its number: a link that somebody put there would lead root to a server of
    their choice.
    """
    found = files.open_path(path)
    try:
        client.connect(f"/proc/self/fd/{found}")
        return files.number(os.fstat(found))
    finally:
        os.close(found)
