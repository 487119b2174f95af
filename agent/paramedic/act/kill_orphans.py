"""End a process that outlived its supervisord: proven, and proven again at the moment of the signal."""

from __future__ import annotations

import os

from paramedic.act.job import Job, refused
from paramedic.host.pidfd import Unproven, end, open_proven
from paramedic.host.proc import Proc
from paramedic.host.processes import doubt_of
from paramedic.model.readings import ChildRecord
from paramedic.model.record import Report
from paramedic.model.stack import SupervisorConf


def kill_orphans(job: Job) -> Report:
    """TERM, wait as long as its program's stopwaitsecs, KILL: through one pidfd."""
    facts = job.facts.subjects.get(job.act.target)
    if facts is None or not isinstance(facts.reading, ChildRecord):
        return refused(f"{job.act.target} is not a recorded child")
    failure = settle(facts.reading, job.supervisor().conf, job.proc)
    return refused(failure) if failure else Report(False, f"ended process {facts.reading.identity.pid}")


def settle(child: ChildRecord, conf: SupervisorConf, proc: Proc) -> str | None:
    """End this survivor; None when it is gone, else which proof is missing or what stood in the way."""
    pid = child.identity.pid
    try:
        fd = open_proven(proc, child.identity, lambda _: doubt_of(child, conf, proc))
    except (Unproven, OSError) as error:
        return f"{child.program} ({pid}) is left alone: {error}"
    if fd is None:
        return None
    try:
        failure = end(fd, _patience_s(child, conf))
    finally:
        os.close(fd)
    return f"{child.program} ({pid}): {failure}" if failure else None


def _patience_s(child: ChildRecord, conf: SupervisorConf) -> float:
    programs = {program.name: program.stopwaitsecs for program in conf.programs}
    return programs.get(child.program.rpartition(":")[2], 10.0)
