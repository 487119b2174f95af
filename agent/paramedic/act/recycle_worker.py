"""Have one uWSGI worker leave in order, and its master start another in its place. The others go on serving."""

from __future__ import annotations

import contextlib
import signal
import time
from typing import Any

from paramedic.act.job import Job, Refused, refused
from paramedic.act.preflight import prove_loads
from paramedic.act.workers import (
    Rows,
    available,
    fresh_rows,
    measure,
    prove_no_chain,
    prove_unchanged,
    prove_untouched,
    signal_worker,
)
from paramedic.host import clock
from paramedic.model.facts import Preflight
from paramedic.model.readings import MemoryReading, UwsgiReading, WorkerReading
from paramedic.model.record import Report
from paramedic.model.units import numbers_of, render_seconds

IDLE_WITHIN_S = 5.0
LOOK_AGAIN_S = 0.2
SAFE_WITH_THREADS = (2, 0, 28)


def recycle_worker(job: Job) -> Report:
    """SIGHUP to one accepting worker, or one after the other up to `most`; with `stuck: kill` an end to one that hangs.

    Each must be back and accept before the next is asked. A worker that does not accept is never sent SIGHUP: while it
    loads its app it runs the master's own handler, which ends all workers (uWSGI core/master.c).
    """
    checked: Preflight | None = None
    try:
        reading = job.uwsgi()
        if job.act.step.args.get("stuck") == "kill":
            return _kill_stuck(job, reading)
        prove_no_chain(reading, clock.wall())
        _prove_graceful(reading)
        if reading.conf.lazy_apps:
            checked = prove_loads(reading, job)
        prove_unchanged(reading, job.proc)
        return _recycle(job, reading, checked)
    except (OSError, ValueError, KeyError, TypeError, Refused) as error:
        return refused(error, checked)


def _prove_graceful(reading: UwsgiReading) -> None:
    """Before 2.0.28 a worker with threads does not leave in order (uwsgi#2661, #2681)."""
    if reading.conf.threads > 1 and numbers_of(reading.version) < SAFE_WITH_THREADS:
        raise Refused(f"uWSGI {reading.version} with threads does not let a worker leave in order: use 2.0.28 or newer")


def _recycle(job: Job, reading: UwsgiReading, checked: Preflight | None) -> Report:
    args = job.act.step.args
    most, pause_s = int(str(args.get("most", 1))), float(str(args.get("pause", 0.0)))
    done: dict[str, int] = {}
    before = available(job)
    measured: dict[str, Any] = {}
    said: list[str] = []
    last: WorkerReading | None = None
    for _ in range(most):
        try:
            if last is not None:
                _await_back(job, reading, last)
                time.sleep(pause_s)
            last = _choose(job, reading, done)
            prove_untouched(reading)
            held = measure([last], job.proc)
            signal_worker(last.identity or reading.master, reading, job.proc, signal.SIGHUP)
        except (OSError, ValueError, KeyError, TypeError, Refused) as error:
            if not done:
                raise
            said.append(f"then left it at that: {error}")
            break
        done[str(last.id)] = last.identity.pid if last.identity else 0
        measured = _sum(measured, held)
        said.append(f"asked worker {last.id} ({done[str(last.id)]}) to leave")
    return Report(False, "; ".join(said), checked, {**measured, **before, "recycled": done})


def _choose(job: Job, reading: UwsgiReading, done: dict[str, int]) -> WorkerReading:
    """The worker that the policy names, or the fattest idle one; raises Refused unless another is seen to answer.

    uWSGI calls a worker accepting that is busy for minutes, or was told to leave and has not: what counts is that one
    is idle, or ends requests.
    """
    target = job.act.target
    wanted = {
        worker.id: worker
        for worker in reading.workers
        if worker.identity and str(worker.id) not in done and target.name in (reading.conf.name, _name(reading, worker))
    }
    answering: set[int] = set()
    ended: dict[int, int] = {}
    until = clock.monotonic() + IDLE_WITHIN_S
    while True:
        rows = fresh_rows(reading, job.proc)
        mine = _still_there(rows, wanted)
        ended = ended or {row["id"]: row["requests"] for row in rows}
        answering |= {row["id"] for row in rows if row["status"] == "idle" or row["requests"] > ended[row["id"]]}
        idle = [worker for row, worker in mine if row["status"] == "idle"]
        is_over = clock.monotonic() > until
        if idle or is_over:
            worker = max(idle or [worker for _, worker in mine], key=_size)
            if answering - {worker.id}:
                return worker
        if is_over:
            raise Refused(f"no other worker was free within {IDLE_WITHIN_S:.0f} s: without it nobody would answer")
        time.sleep(LOOK_AGAIN_S)


def _still_there(rows: Rows, wanted: dict[int, WorkerReading]) -> list[tuple[dict[str, Any], WorkerReading]]:
    """Those of the wanted that are the same processes; raises Refused while one boots, or where there is but one."""
    booting = [row["id"] for row in rows if not row["accepting"]]
    if booting:
        raise Refused(f"worker {', '.join(map(str, booting))} does not accept: one at a time")
    if len(rows) < 2:
        raise Refused("it is the only worker that accepts: without it nobody would answer")
    mine = [
        (row, wanted[row["id"]])
        for row in rows
        if row["id"] in wanted and (one := wanted[row["id"]].identity) and row["pid"] == one.pid
    ]
    if not mine:
        raise Refused("it is not the worker that was judged any more: it was started again meanwhile")
    return mine


def _name(reading: UwsgiReading, worker: WorkerReading) -> str:
    return f"{reading.conf.name}/{worker.id}"


def _size(worker: WorkerReading) -> int:
    if isinstance(worker.memory, MemoryReading):
        return worker.memory.uss_bytes
    return worker.rss_bytes if isinstance(worker.rss_bytes, int) else 0


def _sum(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    if not one:
        return dict(other)
    return {
        key: one[key] + other[key] if isinstance(one.get(key), int) and isinstance(other.get(key), int) else None
        for key in {*one, *other}
    }


def _await_back(job: Job, reading: UwsgiReading, worker: WorkerReading) -> None:
    """Wait until another process accepts in its place with an app; raises Refused when its mercy and boot are over."""
    old = worker.identity.pid if worker.identity else 0
    until = clock.monotonic() + reading.conf.mercy_s + reading.conf.boot_s
    while clock.monotonic() < until:
        with contextlib.suppress(TimeoutError):  # a master that spawns answers late (facts C5)
            row = next((row for row in fresh_rows(reading, job.proc) if row["id"] == worker.id), None)
            if row is not None and row["accepting"] and row["apps"] and row["pid"] != old:
                return
        time.sleep(LOOK_AGAIN_S)
    raise Refused("it is not back yet")


def _kill_stuck(job: Job, reading: UwsgiReading) -> Report:
    """SIGKILL the worker that hangs in boot, so that its chain goes on; only once the app loads again elsewhere."""
    stuck = [w for w in reading.stuck if job.act.target.name in (reading.conf.name, _name(reading, w))]
    if not stuck:
        raise Refused("no worker hangs in its start")
    checked = prove_loads(reading, job, anew=True)  # what hangs may be nothing that a file would show
    worker = max(stuck, key=lambda one: one.age_s or 0.0)
    identity = worker.identity
    row = next((row for row in fresh_rows(reading, job.proc) if row["id"] == worker.id), None)
    if identity is None or row is None or row["pid"] != identity.pid or row["accepting"] or row["apps"]:
        raise Refused(f"worker {worker.id} does not hang in its start any more")
    signal_worker(identity, reading, job.proc, signal.SIGKILL)
    said = (
        f"killed worker {worker.id} ({identity.pid}), which hung in its start for {render_seconds(worker.age_s or 0)}"
    )
    return Report(False, said, checked, {"recycled": {str(worker.id): identity.pid}, "uss": None, "rss": None})
