"""What a uWSGI says of itself, checked and taken apart once for each different answer of its stats server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from paramedic.host.proc import readable

MOST_WORKERS, MOST_COUNTED = 1024, 1 << 63


class ToldWorker(NamedTuple):
    """One row of `workers` (core/master_utils.c): times in seconds, `spawned_at` of the epoch.

    WorkerReading begins with the same fields in the same order, and has an identity in place of the pid.
    """

    id: int
    accepting: bool
    status: str
    requests: int
    exceptions: int
    harakiris: int
    respawns: int
    running_s: float
    spawned_at: float
    apps: int
    startup_s: float
    pid: int


class Told(NamedTuple):
    """A whole answer: who says to be the master, and its workers."""

    pid: int
    version: str
    listen_queue: int
    workers: tuple[ToldWorker, ...]


def told(document: Mapping[str, Any]) -> Told:
    """The answer in `document`; raises ValueError, LookupError, TypeError or AttributeError where no uWSGI wrote it."""
    rows = document["workers"]
    if len(rows) > MOST_WORKERS:
        raise ValueError(f"it tells of {len(rows)} workers: that is no uWSGI")
    return Told(
        pid=_whole(document["pid"]),
        version=readable(str(document.get("version", "")))[:32],
        listen_queue=_whole(document.get("listen_queue", 0)),
        workers=tuple(_worker(row) for row in rows),
    )


def _worker(row: Mapping[str, Any]) -> ToldWorker:
    apps = row["apps"]
    return ToldWorker(
        id=_whole(row["id"]),
        pid=_whole(row["pid"]),
        accepting=bool(row["accepting"]),
        status=readable(str(row["status"]))[:16],
        requests=_whole(row["requests"]),
        exceptions=_whole(row["exceptions"]),
        harakiris=_whole(row["harakiri_count"]),
        respawns=_whole(row["respawn_count"]),
        running_s=_whole(row.get("running_time", 0)) / 1e6,
        spawned_at=float(_whole(row["last_spawn"])),
        apps=len(apps),
        startup_s=max((float(_whole(app["startup_time"])) for app in apps), default=0.0),
    )


def _whole(value: object) -> int:
    """A count or a time as uWSGI writes them; raises ValueError for what no counter of 64 bits can be."""
    if not isinstance(value, int) or not 0 <= value < MOST_COUNTED:
        raise ValueError("a number in the stats is impossible")
    return value
