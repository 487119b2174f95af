"""Have uWSGI replace its workers one by one. Fire-and-forget there, so everything is proven before the touch."""

from __future__ import annotations

import os

from paramedic.act.job import Job, Refused
from paramedic.act.preflight import LOADS, preflight
from paramedic.host import clock, files
from paramedic.host.uwsgi_stats import fetch_stats
from paramedic.model.facts import Preflight
from paramedic.model.readings import UwsgiReading, WorkerReading
from paramedic.model.record import Report

BOOT_S = 60.0
JUST_AHEAD_S = 2.0


def chain_reload(job: Job) -> Report:
    """Import the app first, then give the touch file a strictly newer whole second."""
    checked: Preflight | None = None
    try:
        reading = job.uwsgi()
        path = _touch_file(reading)
        prove_no_chain(reading, clock.wall())
        _prove_no_outage(reading, str(job.act.step.args.get("outage", "")))
        checked = preflight(reading, job.proc, clock.wall())
        if checked.result != LOADS:
            raise Refused(checked.detail)
        _prove_unchanged(reading, job)
        when = files.touch_newer(path, clock.wall())
    except (OSError, ValueError, KeyError, TypeError, Refused) as error:
        return Report(True, str(error), checked)
    return Report(False, f"touched {path} (mtime {when})", checked)


def _prove_unchanged(reading: UwsgiReading, job: Job) -> None:
    """The import may have taken a minute: the same workers accept, and nobody touched the file meanwhile."""
    if not job.proc.is_alive(reading.master):
        raise Refused(f"the master {reading.master.pid} is gone")
    stats = fetch_stats(reading.conf.stats or "")
    now = {row["id"]: row["pid"] for row in stats["workers"] if row["accepting"]}
    before = {w.id: w.identity.pid for w in reading.workers if w.identity and w.accepting}
    touched = int(os.lstat(reading.conf.chain_reload or "").st_mtime)
    if now != before or touched != int(reading.touched_at or 0):
        raise Refused("its workers changed while the app's import was tried: a chain may be running")


def _touch_file(reading: UwsgiReading) -> str:
    conf = reading.conf
    if conf.chain_reload is None:
        raise Refused(f"{conf.ini} has no touch-chain-reload; write touch-chain-reload = /path/to/a/file there")
    if reading.touched_at is None:
        raise Refused(f"{conf.chain_reload} does not exist; making it would be a reload of its own")
    return conf.chain_reload


def prove_no_chain(reading: UwsgiReading, wall: float) -> None:
    """Raises Refused while a chain may be running at `wall` (epoch seconds): a touch then is swallowed.

    A chain runs while a worker is older than the last touch. uWSGI tells spawns in whole seconds: of those in the
    second of the touch only a worker that was never respawned is older.
    """
    booting = [w.id for w in reading.workers if w.status != "cheap" and not w.accepting]
    if booting:
        raise Refused(f"worker {', '.join(map(str, booting))} is being started: a chain may be running")
    if reading.touched_at is None:
        return
    age = wall - reading.touched_at
    longest = len(reading.workers) * (reading.conf.mercy_s + BOOT_S)
    older = [w.id for w in reading.workers if w.status != "cheap" and _is_older(w, int(reading.touched_at))]
    if older and -JUST_AHEAD_S <= age < longest and reading.uptime_s > age:
        raise Refused(f"a chain reload began {max(age, 0.0):.0f} s ago and worker {older[0]} is not replaced yet")


def _is_older(worker: WorkerReading, touched: int) -> bool:
    return worker.spawned_at < touched or (worker.spawned_at == touched and worker.respawns <= 1)


def _prove_no_outage(reading: UwsgiReading, outage: str) -> None:
    accepting = sum(worker.accepting for worker in reading.workers)
    if accepting < 2 and outage != "ok":
        raise Refused(f"only {accepting} worker accepts: a reload would be an outage (allow it with outage: ok)")
