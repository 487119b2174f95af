"""Known, after a sample: which daemon ran, whose children ran under it, what a worker weighed when young."""

from __future__ import annotations

from dataclasses import replace

from paramedic.model.facts import Known, SocketKnown, SupervisorKnown, UwsgiKnown
from paramedic.model.readings import Identity, MemoryReading, UwsgiReading
from paramedic.model.sample import Sample
from paramedic.model.supervision import ChildRecord, RpcReading, SocketReading, SupervisorReading

SETTLED_AFTER_S = 60.0
SETTLED_BEFORE_S = 600.0


def learn(known: Known, sample: Sample) -> Known:
    """What to remember after `sample`. Only a healthy daemon's word changes its lineage."""
    supervisors = dict(known.supervisors)
    for name, reading in sample.supervisor.items():
        if isinstance(reading, SupervisorReading):
            supervisors[name] = _lineage(supervisors.get(name, SupervisorKnown()), reading)
    sockets = dict(known.sockets)
    for name, socket in sample.sockets.items():
        if isinstance(socket, SocketReading) and (found := _healthy(socket)) is not None:
            sockets[name] = found
    uwsgis = dict(known.uwsgis)
    for name, uwsgi in sample.uwsgi.items():
        if isinstance(uwsgi, UwsgiReading):
            uwsgis[name] = UwsgiKnown(uwsgi.master, tuple(w.identity for w in uwsgi.workers if w.identity))
    after = Known(known.boot_id, supervisors, _baselines(known, sample), known.preflights, sockets, uwsgis)
    return known if after == known else after


def _healthy(reading: SocketReading) -> SocketKnown | None:
    """What to keep of a socket whose path is its very own."""
    if reading.owner is None or reading.socket_inode is None or reading.path.inode != reading.listening_inode:
        return None
    path = reading.path
    owner, folder = reading.owner.identity, reading.folder
    return SocketKnown(owner, reading.socket_inode, path.inode, path.uid, path.gid, path.mode, folder)


def _lineage(known: SupervisorKnown, reading: SupervisorReading) -> SupervisorKnown:
    alive = {orphan.child for orphan in reading.orphans}
    if reading.daemon is None or not isinstance(reading.rpc, RpcReading):
        return known
    if reading.rpc.state != "RUNNING":
        return replace(known, was_leaving=known.daemon == reading.daemon)
    children = tuple(
        ChildRecord(p.name, p.identity, p.identity.pid, reading.daemon, reading.conf.socket)
        for p in reading.rpc.programs
        if p.identity and p.state in ("STARTING", "RUNNING", "STOPPING")
    )
    strays = tuple(child for child in (*known.strays, *known.children) if child in alive)
    stopped = tuple(p.name for p in reading.rpc.programs if p.state == "STOPPED")
    ports = dict(known.ports) | {p.name: p.ports for p in reading.rpc.programs if p.ports}
    kept = tuple(sorted((name, found) for name, found in ports.items() if reading.conf.program(name)))
    return SupervisorKnown(
        reading.daemon, children, tuple(dict.fromkeys(strays)), stopped, ports=kept, folder=reading.folder
    )


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
