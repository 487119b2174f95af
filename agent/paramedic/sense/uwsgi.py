"""A uWSGI instance by its ini, its stats socket and /proc. Never by its pidfile: a failed start overwrites it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from paramedic.host.proc import Proc
from paramedic.host.uwsgi_stats import DEADLINE_S, fetch_stats, stats_socket_inode
from paramedic.model.readings import Identity, Unreadable, UwsgiReading, WorkerReading
from paramedic.model.stack import UwsgiConf, UwsgiEntry
from paramedic.sense.memory import Rollups
from paramedic.sense.uwsgi_ini import read_uwsgi_conf


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
            inode = stats_socket_inode(address, self._proc)
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


def _mtime(path: str | None) -> float | None:
    try:
        return os.lstat(path).st_mtime if path else None
    except OSError:
        return None
