"""Judgements of what was done to a uWSGI instance and its workers, and what it gave back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from paramedic.model.facts import Facts, Subject
from paramedic.model.policy import Rung
from paramedic.model.readings import MemoryReading, WorkerReading
from paramedic.model.record import Attempt
from paramedic.verify.judgement import Judgement

STAYS_S = 2.0
MEMORY_READ_S = 15.0


def expect(target: Subject, facts: Facts) -> dict[str, Any]:
    """Who works now and what that holds; the action measures again just before it acts. Empty for another target."""
    found, reading = facts.subjects.get(target), facts.uwsgi(target)
    if found is None or reading is None:
        return {"available": _available(facts)} if target.kind == "uwsgi" else {}
    workers = [w for w in reading.workers if w.status != "cheap"]
    if target.kind == "uwsgi.worker":
        workers = [w for w in workers if w.identity == found.identity]
    return {
        "pids": {str(w.id): w.identity.pid if w.identity else 0 for w in workers},
        "rss": sum(w.rss_bytes for w in workers if isinstance(w.rss_bytes, int)),
        "uss": _uss(workers),
        "available": _available(facts),
    }


def deadline_s(step: Rung, target: Subject, facts: Facts) -> float | None:
    """A chain takes 2 s, the boot and the mercy of each worker (facts C2), one worker its own; None for the rest."""
    reading = facts.uwsgi(target)
    if reading is None:
        return None
    if step.action == "chain_reload":
        return 30.0 + len(reading.workers) * (reading.conf.mercy_s + reading.conf.boot_s / 2)
    return reading.conf.mercy_s + reading.conf.boot_s if step.action in ("recycle_worker", "reload_uwsgi") else None


def is_under_way(attempt: Attempt, facts: Facts, since: float) -> bool:
    """Whether what an earlier agent began may still come true: a chain goes on without us, a dying worker dies."""
    reading = facts.uwsgi(attempt.target)
    if reading is None:
        return False
    if attempt.action == "chain_reload":
        return (reading.chain_asked_at or 0) >= int(attempt.started_wall)
    return facts.monotonic - since <= reading.conf.mercy_s


def _all_new(attempt: Attempt, facts: Facts) -> Judgement:
    reading = facts.uwsgi(attempt.target)
    if reading is None:
        return False, "uWSGI does not answer", {}
    workers = [worker for worker in reading.workers if worker.status != "cheap"]
    old = attempt.before.get("pids", {})
    if not workers or len(reading.workers) < len(old):
        return False, "not every worker is back", {}
    waiting = [worker for worker in workers if not _is_new(worker, old)]
    if waiting:
        done = len(workers) - len(waiting)
        return False, f"{done} of {len(workers)} workers are new, {_state(waiting[0], old)}", {}
    return _with_gain(attempt, workers, facts, f"{len(workers)} workers are new and accept")


def _recycled(attempt: Attempt, facts: Facts) -> Judgement:
    """Those that were told to leave came back as other processes, and accept."""
    reading = facts.uwsgi(attempt.target)
    if reading is None:
        return False, "uWSGI does not answer", {}
    old = attempt.before.get("recycled") or attempt.before.get("pids", {})
    by_id = {str(worker.id): worker for worker in reading.workers}
    workers = [by_id[number] for number in old if number in by_id]
    waiting = [worker for worker in workers if not _is_new(worker, old) and worker.status != "cheap"]
    if waiting or not workers:
        return False, _state(waiting[0], old) if waiting else "its worker is not back", {}
    who = ", ".join(f"worker {w.id} is process {w.identity.pid}" for w in workers if w.identity)
    return _with_gain(attempt, workers, facts, f"{who or 'it was cheaped'} now")


def _started(attempt: Attempt, facts: Facts) -> Judgement:
    reading = facts.uwsgi(attempt.target)
    if reading is None:
        return False, "uWSGI does not answer", {}
    workers = [worker for worker in reading.workers if worker.status != "cheap"]
    waiting = [worker.id for worker in workers if not (worker.accepting and worker.apps)]
    if waiting or not workers:
        return False, f"waiting for worker {', '.join(map(str, waiting))}", {}
    if reading.uptime_s < STAYS_S:
        return False, "it must stay up for a moment", {}
    return True, f"master {reading.master.pid} has {len(workers)} workers that accept", {}


def _is_new(worker: WorkerReading, old: Mapping[str, int]) -> bool:
    has_changed = worker.identity is not None and worker.identity.pid != old.get(str(worker.id))
    return bool(has_changed and worker.accepting and worker.apps)


def _state(worker: WorkerReading, old: Mapping[str, int]) -> str:
    if worker.identity is None or worker.identity.pid != old.get(str(worker.id)):
        return f"worker {worker.id} is being started"
    return f"waiting for worker {worker.id}, which is {worker.status}"


def _with_gain(attempt: Attempt, workers: list[WorkerReading], facts: Facts, told: str) -> Judgement:
    """Met; but what it gave back is told by the new workers' own USS, which is read within the next looks."""
    now, waited = _uss(workers), facts.monotonic - (attempt.finished or attempt.started)
    if now is None and attempt.before.get("uss") is not None and waited < attempt.deadline_s - MEMORY_READ_S:
        return False, f"{told}; their memory is not read yet", {}
    return True, told, _gain(attempt, workers, now, facts)


def _gain(attempt: Attempt, workers: list[WorkerReading], uss: int | None, facts: Facts) -> dict[str, Any]:
    """`bytes`: the fall of the sum of USS, of RSS where that could not be read; `host_bytes`: MemAvailable's rise."""
    before, gained = attempt.before, {}
    if uss is not None and isinstance(before.get("uss"), int):
        gained["bytes"] = before["uss"] - uss
    elif isinstance(before.get("rss"), int):
        gained["bytes"] = before["rss"] - sum(w.rss_bytes for w in workers if isinstance(w.rss_bytes, int))
    available = _available(facts)
    if available is not None and isinstance(before.get("available"), int):
        gained["host_bytes"] = available - before["available"]
    return gained


def _uss(workers: Iterable[WorkerReading]) -> int | None:
    """Their USS in all, None where one is not read."""
    sizes = [w.memory.uss_bytes if isinstance(w.memory, MemoryReading) else None for w in workers]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def _available(facts: Facts) -> int | None:
    host = facts.subjects.get(Subject("host", "host"))
    value = host.fields.get("memory.available") if host else None
    return value if isinstance(value, int) else None


JUDGES: dict[str, Callable[[Attempt, Facts], Judgement]] = {
    "chain_reload": _all_new,
    "reload_uwsgi": _all_new,
    "recycle_worker": _recycled,
    "start_uwsgi": _started,
}
