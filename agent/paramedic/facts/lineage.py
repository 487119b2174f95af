"""Known, after a sample: which daemon ran, whose children ran under it, what a worker weighed when young."""

from __future__ import annotations

from dataclasses import replace

from paramedic.model.facts import Known, SupervisorKnown
from paramedic.model.readings import (
    ChildRecord,
    Identity,
    MemoryReading,
    RpcReading,
    Sample,
    SupervisorReading,
    UwsgiReading,
)

SETTLED_AFTER_S = 60.0
SETTLED_BEFORE_S = 600.0


def learn(known: Known, sample: Sample) -> Known:
    """What to remember after `sample`. Only a healthy daemon's word changes its lineage."""
    supervisors = dict(known.supervisors)
    for name, reading in sample.supervisor.items():
        if isinstance(reading, SupervisorReading):
            supervisors[name] = _lineage(supervisors.get(name, SupervisorKnown()), reading)
    baselines = _baselines(known, sample)
    return replace(known, supervisors=supervisors, baselines=baselines)


def _lineage(known: SupervisorKnown, reading: SupervisorReading) -> SupervisorKnown:
    alive = {orphan.child for orphan in reading.orphans}
    if reading.daemon is None or not isinstance(reading.rpc, RpcReading):
        return known
    if reading.rpc.state != "RUNNING":
        return replace(known, was_leaving=known.daemon == reading.daemon)
    children = tuple(
        ChildRecord(p.name, p.identity, p.identity.pid, reading.daemon)
        for p in reading.rpc.programs
        if p.identity and p.state in ("STARTING", "RUNNING", "STOPPING")
    )
    strays = tuple(child for child in (*known.strays, *known.children) if child in alive)
    stopped = tuple(p.name for p in reading.rpc.programs if p.state == "STOPPED")
    return SupervisorKnown(reading.daemon, children, tuple(dict.fromkeys(strays)), stopped)


def _baselines(known: Known, sample: Sample) -> dict[Identity, int]:
    """A worker's first USS read between one and ten minutes after its start; forgotten with the worker."""
    is_partial = any(not isinstance(reading, UwsgiReading) for reading in sample.uwsgi.values())
    found: dict[Identity, int] = dict(known.baselines) if is_partial else {}
    for reading in sample.uwsgi.values():
        if not isinstance(reading, UwsgiReading):
            continue
        for worker in reading.workers:
            if worker.identity is None:
                continue
            if worker.identity in known.baselines:
                found[worker.identity] = known.baselines[worker.identity]
            elif isinstance(worker.memory, MemoryReading) and worker.age_s is not None:
                read_age = worker.age_s - (sample.monotonic - worker.memory.read_at)
                if SETTLED_AFTER_S <= read_age <= SETTLED_BEFORE_S:
                    found[worker.identity] = worker.memory.uss_bytes
    return found
