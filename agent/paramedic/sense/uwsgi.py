"""A uWSGI instance by its ini, its stats socket and /proc. Never by its pidfile: a failed start overwrites it."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Mapping
from typing import Any

from paramedic.host import clock
from paramedic.host.proc import Proc
from paramedic.host.unix_diag import listeners
from paramedic.model.readings import Identity, Unreadable, UwsgiReading, WorkerReading
from paramedic.model.stack import UwsgiConf, UwsgiEntry
from paramedic.sense.memory import Rollups
from paramedic.sense.uwsgi_ini import read_uwsgi_conf

DEADLINE_S = 2.0
MAX_BYTES = 32 << 20
TCP_LISTEN = "0A"


class UwsgiSensor:
    """Reads one configured instance; keeps the parsed ini until the file changes."""

    def __init__(self, entry: UwsgiEntry, proc: Proc) -> None:
        self.entry = entry
        self._proc = proc
        self._conf: tuple[int, UwsgiConf] | None = None
        self._proven: tuple[Identity, str] | None = None

    def read(self, rollups: Rollups) -> UwsgiReading | Unreadable:
        """What the instance says of itself, each pid proven against /proc."""
        try:
            conf = self.conf()
        except (OSError, ValueError) as error:
            return Unreadable(f"cannot read {self.entry.ini}: {error}")
        if not conf.stats:
            return Unreadable(f"{conf.ini} has no stats socket; write e.g. stats = /run/{conf.name}.stats")
        try:
            stats = fetch_stats(conf.stats)
            return self._reading(conf, stats, rollups)
        except PermissionError:
            raise
        except TimeoutError:
            return Unreadable(f"the stats socket {conf.stats} of {conf.ini} gave no answer within {DEADLINE_S:.0f} s")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            what = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            return Unreadable(f"the stats socket {conf.stats} of {conf.ini} does not answer: {what}")

    def conf(self) -> UwsgiConf:
        """The parsed ini; raises OSError or ValueError."""
        changed = os.stat(self.entry.ini).st_mtime_ns
        if self._conf is None or self._conf[0] != changed:
            self._conf = (changed, read_uwsgi_conf(self.entry))
        return self._conf[1]

    def _reading(self, conf: UwsgiConf, stats: Mapping[str, Any], rollups: Rollups) -> UwsgiReading | Unreadable:
        master = self._proc.identify(int(stats["pid"]))
        if master is None:
            return Unreadable(f"{conf.stats} names process {stats['pid']} as its master, which does not exist")
        if not self._is_proven(master, conf.stats or ""):
            return Unreadable(f"process {master.pid} is not proven to be the one that listens at {conf.stats}")
        workers = [self._worker(row, master, rollups) for row in stats["workers"]]
        return UwsgiReading(
            conf=conf,
            master=master,
            uid=self._proc.uid(master.pid) or 0,
            uptime_s=self._proc.age_s(master),
            version=str(stats.get("version", "")),
            listen_queue=int(stats.get("listen_queue", 0)),
            workers=tuple(workers),
            touched_at=_mtime(conf.chain_reload),
        )

    def _is_proven(self, master: Identity, address: str) -> bool:
        """Whether this process holds the listening stats socket: anybody could answer there with any pid."""
        if self._proven != (master, address):
            inode = stats_socket_inode(address)
            if inode is None or not self._proc.holds_socket(master.pid, inode):
                return False
            self._proven = (master, address)
        return True

    def _worker(self, row: Mapping[str, Any], master: Identity, rollups: Rollups) -> WorkerReading:
        stat = self._proc.stat(int(row["pid"])) if int(row["pid"]) > 0 else None
        is_ours = stat is not None and stat.is_alive and stat.ppid == master.pid
        is_ours = is_ours and self._proc.uid(master.pid) in (0, self._proc.uid(int(row["pid"])))
        identity = stat.identity if stat and is_ours else None
        return WorkerReading(
            id=int(row["id"]),
            identity=identity,
            accepting=bool(row["accepting"]) and identity is not None,
            status=str(row["status"]),
            requests=int(row["requests"]),
            exceptions=int(row["exceptions"]),
            harakiris=int(row["harakiri_count"]),
            respawns=int(row["respawn_count"]),
            spawned_at=float(row["last_spawn"]),
            apps=len(row["apps"]),
            age_s=self._proc.age_s(identity) if identity else None,
            rss_bytes=stat.rss_bytes if stat and is_ours else Unreadable("no such process under the master"),
            memory=rollups.of(identity) if identity else Unreadable("no such process under the master"),
        )


def resident(readings: Mapping[str, UwsgiReading | Unreadable]) -> dict[Identity, int]:
    """RSS by identity of every worker of every readable instance."""
    found = [reading for reading in readings.values() if isinstance(reading, UwsgiReading)]
    workers = [worker for reading in found for worker in reading.workers]
    return {w.identity: w.rss_bytes for w in workers if w.identity and isinstance(w.rss_bytes, int)}


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


def stats_socket_inode(address: str) -> int | None:
    """The inode of the socket that listens at a stats address, from the kernel; None where nobody does."""
    tcp = re.fullmatch(r"[^/@]*:(\d+)", address)
    if tcp is None:
        name = f"\0{address[1:]}" if address.startswith("@") else address
        return next((x.socket_inode for x in listeners() if x.name in (name, address)), None)
    for table in ("tcp", "tcp6"):
        for line in (Proc().text(f"self/net/{table}") or "").splitlines()[1:]:
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


def _mtime(path: str | None) -> float | None:
    try:
        return os.lstat(path).st_mtime if path else None
    except OSError:
        return None
