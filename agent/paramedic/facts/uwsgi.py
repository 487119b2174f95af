"""One uWSGI instance and its workers as facts."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from paramedic.model.facts import Finding, Known, Subject, SubjectFacts, Unknown, Value, unknown
from paramedic.model.readings import MemoryReading, Unreadable, UwsgiBlind, UwsgiGone, UwsgiReading, WorkerReading
from paramedic.model.units import render_seconds
from paramedic.model.vocabulary import DIAGNOSES, OK

_STATUSES = {"idle": "idle", "busy": "busy", "cheap": "cheap", "pause": "pause"}
Instance = UwsgiReading | UwsgiBlind | UwsgiGone | Unreadable
_AGE = WorkerReading._fields.index("age_s")
WORKERS = frozenset(("uwsgi.worker",))
_NO_BASELINE, _SPAWNING = Unknown("no baseline since its start yet"), Unknown("it is being spawned")


def uwsgi_subjects(name: str, reading: Instance, known: Known, wall: float) -> list[SubjectFacts]:
    """The instance first, then one subject for each worker that is not cheaped."""
    subject = Subject("uwsgi", name)
    if isinstance(reading, UwsgiReading):
        return _answering(subject, reading, known, wall)
    if isinstance(reading, UwsgiGone):
        return [_gone(subject, reading)]
    why = reading.reason if isinstance(reading, Unreadable) else reading.why
    if why.startswith("not allowed"):
        return [SubjectFacts(subject, {"diagnosis": Unknown(why)}, unread=WORKERS)]
    finding = Finding("uwsgi-unreachable", subject, why, DIAGNOSES["uwsgi-unreachable"].repair)
    fields: dict[str, Value] = {"diagnosis": "uwsgi-unreachable"}
    if isinstance(reading, Unreadable):
        return [SubjectFacts(subject, fields, (finding,), unread=WORKERS)]
    memory = reading.memory
    fields["rss"] = reading.rss_bytes
    fields["pss"] = unknown(memory.reason) if isinstance(memory, Unreadable) else memory.pss_bytes
    fields["uss"] = unknown(memory.reason) if isinstance(memory, Unreadable) else memory.uss_bytes
    return [SubjectFacts(subject, fields, (finding,), reading=reading, identity=reading.master, unread=WORKERS)]


def _gone(subject: Subject, gone: UwsgiGone) -> SubjectFacts:
    """Dead, stopped on purpose, or without anybody who could say which: then nothing is done."""
    ini = gone.conf.ini
    told = f"no uWSGI runs {ini}"
    if gone.farewell is not None and gone.conf.restart != "always":
        return _found(subject, gone, "uwsgi-stopped", f"{told}, and {gone.farewell}")
    if not (gone.seen_alive or gone.is_failed) and gone.conf.restart != "always":
        return _found(subject, gone, "uwsgi-stopped", f"{told}, and there is no trace that it ever ran")
    if gone.untold and gone.conf.restart != "always":
        return SubjectFacts(subject, {"diagnosis": Unknown(f"{told}: {gone.untold}")}, reading=gone, unread=WORKERS)
    words = [gone.last_words] if gone.last_words else []
    words += [f"it is {gone.keeper}"] if gone.keeper else []
    left = ", ".join(str(one.pid) for one in gone.survivors)
    words += [f"workers that outlived it: {left}"] if left else []
    return _found(subject, gone, "uwsgi-dead", "; ".join([told, *words]))


def _found(subject: Subject, gone: UwsgiGone, diagnosis: str, evidence: str) -> SubjectFacts:
    finding = Finding(diagnosis, subject, evidence, DIAGNOSES[diagnosis].repair)
    return SubjectFacts(subject, {"diagnosis": diagnosis}, (finding,), reading=gone)


def _answering(subject: Subject, reading: UwsgiReading, known: Known, wall: float) -> list[SubjectFacts]:
    workers = [worker for worker in reading.workers if worker.status != "cheap"]
    own = [_worker(subject, worker, known) for worker in workers]
    found = _diagnose(reading, workers, known, wall)
    statuses, boot, accepting, requests, respawns, harakiris = [], 0.0, 0, 0, 0, 0
    for worker in workers:
        statuses.append(worker.status)
        boot = max(boot, worker.startup_s)
        accepting += worker.accepting
        requests += worker.requests
        respawns += worker.respawns
        harakiris += worker.harakiris
    fields: dict[str, Value] = {
        "diagnosis": found[0] if found else OK,
        "workers": len(workers),
        "accepting": accepting,
        "busy": statuses.count("busy"),
        "idle": statuses.count("idle"),
        "listen_queue": reading.listen_queue,
        "rss": _total(own, "rss"),
        "pss": _total(own, "pss"),
        "uss": _total(own, "uss"),
        "baseline_uss": _total(own, "baseline_uss"),
        "uptime": reading.uptime_s,
        "boot": boot,
        "requests": requests,
        "respawns": respawns,
        "harakiris": harakiris,
    }
    findings = (Finding(found[0], subject, found[1], DIAGNOSES[found[0]].repair),) if found else ()
    return [SubjectFacts(subject, fields, findings, reading=reading, identity=reading.master), *own]


def _diagnose(reading: UwsgiReading, workers: list[WorkerReading], known: Known, wall: float) -> tuple[str, str] | None:
    """(diagnosis, evidence), None where nothing is wrong. A start that hangs comes before an app that is broken: the
    broken app may be why.
    """
    if reading.stuck:
        return _stuck(reading, workers, wall)
    preflight = known.preflights.get(reading.conf.name)
    if preflight is None or preflight.result != "broken":
        return None
    if any(worker.apps and worker.accepting and worker.spawned_at > preflight.wall for worker in workers):
        return None
    return "app-broken", preflight.detail


def _stuck(reading: UwsgiReading, workers: list[WorkerReading], wall: float) -> tuple[str, str]:
    one = max(reading.stuck, key=lambda worker: worker.age_s or 0.0)
    pid = one.identity.pid if one.identity else 0
    told = f"worker {one.id} (process {pid}) has been loading its app for {render_seconds(one.age_s or 0.0)}"
    touched = reading.chain_asked_at
    older = [w for w in workers if touched is not None and w.is_older_than(int(touched))]
    if touched is None or not older:
        return "worker-stuck", told
    done = sum(w.accepting for w in workers if w not in older)
    since = render_seconds(max(0.0, wall - touched))
    return "chain-stalled", f"{told}; of the chain reload that began {since} ago {done} of {len(workers)} are done"


def _total(workers: list[SubjectFacts], path: str) -> Value:
    values = [worker.fields[path] for worker in workers]
    try:
        return sum(values)  # type: ignore[arg-type]
    except TypeError:
        at, why = next((at, value) for at, value in enumerate(values) if isinstance(value, Unknown))
        return unknown(f"worker {workers[at].subject.name.partition('/')[2]}: {why.reason}")


def _worker(parent: Subject, worker: WorkerReading, known: Known) -> SubjectFacts:
    identity, age = worker.identity, worker.age_s
    baseline = known.baselines.get(identity) if identity is not None else None
    fields = {**_fields(worker[:_AGE], worker[_AGE + 1 :], baseline), "age": _SPAWNING if age is None else age}
    return SubjectFacts(_subject(parent.name, worker.id), fields, parent=parent, identity=identity)


@functools.lru_cache(maxsize=128)  # of a busy one nothing comes again
def _fields(before: tuple[Any, ...], after: tuple[Any, ...], baseline: int | None) -> Mapping[str, Value]:
    """Those of a worker, which are the same from pass to pass while it does nothing, but for its age; from its reading
    before and after that.
    """
    worker = WorkerReading._make((*before, None, *after))
    memory, rss = worker.memory, worker.rss_bytes
    fields: dict[str, Value] = {
        "rss": unknown(rss.reason) if isinstance(rss, Unreadable) else rss,
        "baseline_uss": _NO_BASELINE if baseline is None else baseline,
        "requests": worker.requests,
        "status": _STATUSES.get(worker.status, "signal"),
        "accepting": "yes" if worker.accepting else "no",
        "age": _SPAWNING,
        "exceptions": worker.exceptions,
        "harakiris": worker.harakiris,
        "respawns": worker.respawns,
        "running": worker.running_s,
    }
    if isinstance(memory, MemoryReading):
        fields["pss"], fields["uss"], fields["swap"] = memory.pss_bytes, memory.uss_bytes, memory.swap_bytes
    else:
        fields["pss"] = fields["uss"] = fields["swap"] = unknown(memory.reason)
    return fields


@functools.lru_cache(maxsize=1024)
def _subject(name: str, number: int) -> Subject:
    return Subject("uwsgi.worker", f"{name}/{number}")
