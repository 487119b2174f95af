"""One uWSGI instance and its workers as facts."""

from __future__ import annotations

from collections.abc import Callable

from paramedic.model.facts import Finding, Known, Subject, SubjectFacts, Unknown, Value
from paramedic.model.readings import MemoryReading, Unreadable, UwsgiReading, WorkerReading
from paramedic.model.vocabulary import DIAGNOSES, OK

_STATUSES = {"idle": "idle", "busy": "busy", "cheap": "cheap", "pause": "pause"}
WORKERS = frozenset(("uwsgi.worker",))


def uwsgi_subjects(name: str, reading: UwsgiReading | Unreadable, known: Known) -> list[SubjectFacts]:
    """The instance first, then one subject for each worker that is not cheaped."""
    subject = Subject("uwsgi", name)
    if isinstance(reading, Unreadable) and reading.reason.startswith("not allowed"):
        return [SubjectFacts(subject, {"diagnosis": Unknown(reading.reason)}, unread=WORKERS)]
    if isinstance(reading, Unreadable):
        finding = Finding("uwsgi-unreachable", subject, reading.reason, DIAGNOSES["uwsgi-unreachable"].repair)
        return [SubjectFacts(subject, {"diagnosis": "uwsgi-unreachable"}, (finding,), unread=WORKERS)]
    workers = [worker for worker in reading.workers if worker.status != "cheap"]
    fields: dict[str, Value] = {
        "diagnosis": OK,
        "workers": len(workers),
        "accepting": sum(w.accepting for w in workers),
        "busy": sum(w.status == "busy" for w in workers),
        "idle": sum(w.status == "idle" for w in workers),
        "listen_queue": reading.listen_queue,
        "rss": _total(workers, lambda w: w.rss_bytes),
        "pss": _total(workers, lambda w: w.memory if isinstance(w.memory, Unreadable) else w.memory.pss_bytes),
        "uss": _total(workers, lambda w: w.memory if isinstance(w.memory, Unreadable) else w.memory.uss_bytes),
        "baseline_uss": _total(workers, lambda w: _baseline(w, known)),
        "uptime": reading.uptime_s,
        "requests": sum(w.requests for w in workers),
        "respawns": sum(w.respawns for w in workers),
        "harakiris": sum(w.harakiris for w in workers),
    }
    findings = _findings(subject, fields, workers, known)
    instance = SubjectFacts(subject, fields, findings, reading=reading, identity=reading.master)
    return [instance, *(_worker(name, subject, worker, known) for worker in workers)]


def _findings(
    subject: Subject, fields: dict[str, Value], workers: list[WorkerReading], known: Known
) -> tuple[Finding, ...]:
    """app-broken, until a later import says otherwise or a worker started since then has its app."""
    preflight = known.preflights.get(subject.name)
    if preflight is None or preflight.result != "broken":
        return ()
    if any(worker.apps and worker.accepting and worker.spawned_at > preflight.wall for worker in workers):
        return ()
    fields["diagnosis"] = "app-broken"
    return (Finding("app-broken", subject, preflight.detail, DIAGNOSES["app-broken"].repair),)


def _total(workers: list[WorkerReading], part: Callable[[WorkerReading], int | Unreadable]) -> Value:
    total = 0
    for worker in workers:
        value = part(worker)
        if isinstance(value, Unreadable):
            return Unknown(f"worker {worker.id}: {value.reason}")
        total += value
    return total


def _baseline(worker: WorkerReading, known: Known) -> int | Unreadable:
    found = known.baselines.get(worker.identity) if worker.identity else None
    return Unreadable("no baseline since its start yet") if found is None else found


def _worker(name: str, parent: Subject, worker: WorkerReading, known: Known) -> SubjectFacts:
    fields: dict[str, Value] = {
        "rss": _known(worker.rss_bytes),
        "baseline_uss": _known(_baseline(worker, known)),
        "requests": worker.requests,
        "status": _STATUSES.get(worker.status, "signal"),
        "accepting": "yes" if worker.accepting else "no",
        "age": Unknown("it is being spawned") if worker.age_s is None else worker.age_s,
        "exceptions": worker.exceptions,
        "harakiris": worker.harakiris,
    }
    if isinstance(worker.memory, MemoryReading):
        memory = worker.memory
        fields |= {"pss": memory.pss_bytes, "uss": memory.uss_bytes, "swap": memory.swap_bytes}
    else:
        fields |= dict.fromkeys(("pss", "uss", "swap"), Unknown(worker.memory.reason))
    subject = Subject("uwsgi.worker", f"{name}/{worker.id}")
    return SubjectFacts(subject, fields, parent=parent, identity=worker.identity)


def _known(value: int | Unreadable) -> Value:
    return Unknown(value.reason) if isinstance(value, Unreadable) else value
