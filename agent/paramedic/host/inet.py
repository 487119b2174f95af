"""TCP sockets of this network namespace from /proc/net/tcp and tcp6 (proc(5)): who listens, who is connected."""

from __future__ import annotations

from dataclasses import dataclass

from paramedic.host.proc import Proc

_ESTABLISHED, _LISTEN = "01", "0A"


@dataclass(frozen=True, slots=True)
class Table:
    """`listening` maps a port to the socket inodes that listen on it, `connected` to its established connections."""

    listening: dict[int, list[int]]
    connected: dict[int, int]


def read(proc: Proc) -> Table:
    """The table now: about 1 ms per thousand sockets."""
    listening: dict[int, list[int]] = {}
    connected: dict[int, int] = {}
    for name in ("net/tcp", "net/tcp6"):
        for line in (proc.text(name) or "").splitlines()[1:]:
            words = line.split()
            port = int(words[1].rpartition(":")[2], 16)
            if words[3] == _LISTEN:
                listening.setdefault(port, []).append(int(words[9]))
            elif words[3] == _ESTABLISHED:
                connected[port] = connected.get(port, 0) + 1
    return Table(listening, connected)
