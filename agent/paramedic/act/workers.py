"""What every repair of uWSGI's workers proves first: no chain runs, the same workers accept, each pid is its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from typing import Any

from paramedic.act.job import Job, Refused
from paramedic.host import pidfd
from paramedic.host.counters import counter
from paramedic.host.failpoint import reached
from paramedic.host.proc import Proc
from paramedic.host.uwsgi_processes import doubt_of_master
from paramedic.host.uwsgi_stats import fetch_stats
from paramedic.model.facts import Subject
from paramedic.model.readings import Identity, UwsgiReading, WorkerReading

JUST_AHEAD_S = 2.0
Rows = list[dict[str, Any]]


def prove_no_chain(reading: UwsgiReading, wall: float) -> None:
    """Raises Refused while a chain may be running at `wall` (epoch seconds): a touch then is swallowed.

    A chain runs while a worker is older than the last touch.
    """
    booting = [w.id for w in reading.workers if w.status != "cheap" and not w.accepting]
    if booting:
        raise Refused(f"worker {', '.join(map(str, booting))} is being started: a chain may be running")
    asked_at = reading.chain_asked_at
    if asked_at is None:
        return
    age = wall - asked_at
    longest = len(reading.workers) * (reading.conf.mercy_s + reading.conf.boot_s)
    older = [w.id for w in reading.workers if w.status != "cheap" and w.is_older_than(int(asked_at))]
    if older and -JUST_AHEAD_S <= age < longest and reading.uptime_s > age:
        raise Refused(f"a chain reload began {max(age, 0.0):.0f} s ago and worker {older[0]} is not replaced yet")


def prove_no_outage(reading: UwsgiReading, outage: str) -> None:
    """Raises Refused where one worker less would leave nobody who accepts."""
    accepting = sum(worker.accepting for worker in reading.workers)
    if accepting < 2 and outage != "ok":
        raise Refused(f"only {accepting} worker accepts: a reload would be an outage (allow it with outage: ok)")


def prove_unchanged(reading: UwsgiReading, proc: Proc) -> None:
    """The import may have taken a minute: the same workers accept, and nobody touched the file meanwhile."""
    now = {row["id"]: row["pid"] for row in fresh_rows(reading, proc) if row["accepting"]}
    before = {w.id: w.identity.pid for w in reading.workers if w.identity and w.accepting}
    if now != before:
        raise Refused("its workers changed while the app's import was tried: a chain may be running")
    prove_untouched(reading)


def prove_untouched(reading: UwsgiReading) -> None:
    """Raises Refused, or OSError, where somebody touched the file of the chain reload since it was read."""
    touch = reading.conf.chain_reload
    touched = int(os.lstat(touch).st_mtime) if touch and reading.touched_at is not None else 0
    if touched != int(reading.touched_at or 0):
        raise Refused("somebody touched the file of the chain reload meanwhile: a chain may be running")


def fresh_rows(reading: UwsgiReading, proc: Proc) -> Rows:
    """The workers as the very master of the reading tells them now; raises Refused, OSError or ValueError."""
    if not proc.is_alive(reading.master):
        raise Refused(f"the master {reading.master.pid} is gone")
    address = reading.conf.stats or ""
    stats, through = fetch_stats(address)
    doubt = doubt_of_master(reading.master, address, proc, through)
    if stats.get("pid") != reading.master.pid or doubt is not None:
        raise Refused(f"at {address} answers another master" + (f": {doubt}" if doubt else ""))
    return [row for row in stats["workers"] if row["status"] != "cheap"]


def measure(workers: Iterable[WorkerReading], proc: Proc) -> dict[str, Any]:
    """What these workers hold at this moment: `uss` and `rss` in bytes, `uss` None where one cannot be read."""
    found = [proc.rollup(worker.identity.pid) for worker in workers if worker.identity]
    read = [one for one in found if one is not None]
    if not read or len(read) != len(found):
        return {"uss": None, "rss": None}
    return {"uss": sum(one.uss_bytes for one in read), "rss": sum(one.rss_bytes for one in read)}


def available(job: Job) -> dict[str, int]:
    """`available`: the machine's MemAvailable at this moment, which the import tried before has left again; nothing
    where the host's memory is that of a cgroup: then it stays as of the decision.
    """
    host = job.facts.subjects.get(Subject("host", "host"))
    kib = counter(job.proc.text("meminfo") or "", "MemAvailable")
    return {} if host is None or host.scope or kib is None else {"available": kib * 1024}


def signal_worker(worker: Identity, reading: UwsgiReading, proc: Proc, sign: signal.Signals) -> None:
    """One signal to a worker of this master, through a pidfd; raises Refused where it is gone or not proven."""

    def doubt(one: Identity) -> str | None:
        stat = proc.stat(one.pid)
        if stat is None or stat.ppid != reading.master.pid or not proc.is_alive(reading.master):
            return f"process {one.pid} is no child of the master {reading.master.pid}"
        uid = proc.uid(one.pid)
        if uid is None or reading.uid not in (0, uid) or proc.uid(reading.master.pid) != reading.uid:
            return f"process {one.pid} runs as another user than its master"
        return None

    try:
        fd = pidfd.open_proven(proc, worker, doubt)
    except (pidfd.Unproven, OSError) as error:
        raise Refused(f"worker process {worker.pid} is not signalled: {error}") from error
    if fd is None:
        raise Refused(f"worker process {worker.pid} is gone")
    try:
        signal.pidfd_send_signal(fd, sign)
        reached(f"{sign.name} sent")
    except OSError as error:
        raise Refused(f"worker process {worker.pid} cannot be signalled: {error.strerror}") from error
    finally:
        os.close(fd)
