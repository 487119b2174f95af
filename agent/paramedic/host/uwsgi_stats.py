"""uWSGI's stats server: the JSON it writes, and the socket it listens on."""

from __future__ import annotations

import json
import re
import socket
from typing import Any

from paramedic.host import clock
from paramedic.host.proc import Proc
from paramedic.host.unix_diag import listeners

DEADLINE_S = 2.0
MAX_BYTES = 32 << 20
TCP_LISTEN = "0A"


def fetch_stats(address: str) -> dict[str, Any]:
    """The stats JSON (core/master_utils.c), within a total deadline; raises OSError or ValueError.

    The master serves it synchronously: ask at once, read to the end, never keep the connection.
    """
    until = clock.monotonic() + DEADLINE_S
    data = bytearray()
    with _connect(address) as client:
        while True:
            left = until - clock.monotonic()
            if left <= 0:
                raise TimeoutError(110, "no complete answer within the deadline")
            client.settimeout(left)
            part = client.recv(65536)
            if not part:
                break
            data += part
            if len(data) > MAX_BYTES:
                raise ValueError("the answer is too large")
    text = data.decode("utf-8", "replace")
    document = json.loads(text[text.index("{") :] if "{" in text else text)
    if not isinstance(document, dict):
        raise ValueError("the answer is not a stats document")
    return document


def stats_socket_inode(address: str, proc: Proc) -> int | None:
    """The inode of the socket that listens at a stats address, from the kernel; None where nobody does."""
    tcp = re.fullmatch(r"[^/@]*:(\d+)", address)
    if tcp is None:
        name = f"\0{address[1:]}" if address.startswith("@") else address
        return next((x.socket_inode for x in listeners() if x.name in (name, address)), None)
    for table in ("tcp", "tcp6"):
        for line in (proc.text(f"self/net/{table}") or "").splitlines()[1:]:
            words = line.split()
            if words[3] == TCP_LISTEN and int(words[1].rpartition(":")[2], 16) == int(tcp[1]):
                return int(words[9])
    return None


def _connect(address: str) -> socket.socket:
    tcp = re.fullmatch(r"([^/@]*):(\d+)", address)
    family = socket.AF_INET if tcp else socket.AF_UNIX
    client = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        client.settimeout(DEADLINE_S)
        target = (tcp[1] or "127.0.0.1", int(tcp[2])) if tcp else address
        client.connect(f"\0{address[1:]}" if address.startswith("@") else target)
    except OSError:
        client.close()
        raise
    return client
