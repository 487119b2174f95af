"""End a process that outlived its supervisord, with its group: proven, and proven again at the moment of the signal."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from paramedic.act.conf_trust import doubt_of_conf
from paramedic.act.job import Job, refused
from paramedic.act.lock_file import free_lock
from paramedic.host.lineage import doubt_of, doubt_of_member, members
from paramedic.host.pidfd import Unproven, end_all, open_proven
from paramedic.host.proc import Proc
from paramedic.model.readings import Identity
from paramedic.model.record import Report
from paramedic.model.stack import SupervisorConf
from paramedic.model.supervision import ChildRecord, SupervisorReading


def kill_orphans(job: Job) -> Report:
    """TERM, wait as long as its program's stopwaitsecs, KILL: through pidfds. On a supervisor, every orphan of it."""
    reading = job.supervisor()
    facts = job.facts.subjects.get(job.act.target)
    if facts is not None and isinstance(facts.reading, ChildRecord):
        children = [facts.reading]
    else:
        children = [orphan.child for orphan in reading.orphans]
    if not children:
        return refused(f"nothing outlived the supervisord of {reading.conf.conf}")
    said, failures = [], []
    for child in children:
        failure = settle(child, reading.conf, job.proc, reading.daemon)
        if failure:
            failures.append(failure)
        else:
            program = reading.conf.program(child.program)
            is_doubtful = doubt_of_conf(reading, job.settings.state_dir) is not None
            lock = "" if is_doubtful else free_lock(program, job.proc, _uid(reading))
            said.append(f"ended process {child.identity.pid}{lock}")
    return refused("; ".join([*failures, *said])) if failures else Report(False, "; ".join(said))


def _uid(reading: SupervisorReading) -> int:
    """Who the daemon runs as, or, where none does, whose its conf is."""
    return reading.uid if reading.uid >= 0 else os.stat(reading.conf.conf).st_uid


def settle(child: ChildRecord, conf: SupervisorConf, proc: Proc, daemon: Identity | None) -> str | None:
    """End this survivor and its group; None when all are gone, else which proof is missing or what stood in the way."""
    pid = child.identity.pid
    with contextlib.ExitStack() as stack:
        try:
            fd = open_proven(proc, child.identity, lambda _: doubt_of(child, conf, proc, daemon))
            if fd is None:
                return None
            stack.callback(os.close, fd)
            fds = [fd, *_members(child, proc, stack)]
        except (Unproven, OSError) as error:
            return f"{child.program} ({pid}) is left alone: {error}"
        failure = end_all(fds, _patience_s(child, conf))
    return f"{child.program} ({pid}): {failure}" if failure else None


def _members(child: ChildRecord, proc: Proc, stack: contextlib.ExitStack) -> Iterator[int]:
    """Pidfds of the rest of its group; raises Unproven for one that cannot be told, before anything is signalled."""
    leader = proc.stat(child.identity.pid)
    for one in members(child, proc):
        fd = open_proven(proc, one, lambda it: doubt_of_member(it, child, leader.sid if leader else 0, proc))
        if fd is not None:
            stack.callback(os.close, fd)
            yield fd


def _patience_s(child: ChildRecord, conf: SupervisorConf) -> float:
    """As long as its section allows; where that cannot be told, as long as any."""
    program = conf.program(child.program)
    longest = max((one.stopwaitsecs for one in conf.programs), default=10.0)
    return program.stopwaitsecs if program else longest
