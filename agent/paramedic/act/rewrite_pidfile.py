"""Write the living daemon's pid into its pidfile, unless that is another living supervisord's."""

from __future__ import annotations

import os

from paramedic.act.daemon import proven
from paramedic.act.job import Job, Refused
from paramedic.act.restore_socket import prove_running
from paramedic.host import files
from paramedic.host.proc import Proc
from paramedic.host.processes import is_supervisord
from paramedic.model.readings import PathKind
from paramedic.model.record import Report
from paramedic.model.supervision import SupervisorReading

MOST_DIGITS = 12


def rewrite_pidfile(job: Job) -> Report:
    """Atomically, owned like the daemon, over a plain file or nothing."""
    reading = job.supervisor()
    return Report(False, rewrite(reading, job.proc))


def rewrite(reading: SupervisorReading, proc: Proc) -> str:
    """What was done; raises Refused or OSError."""
    path, daemon, conf = reading.conf.pidfile, reading.daemon or reading.keeper, reading.conf
    if path is None or daemon is None or conf.socket is None:
        raise Refused("the daemon or its pidfile is not known")
    found = files.look(path)
    if found.kind not in (PathKind.ABSENT, PathKind.FILE):
        raise Refused(f"{path} is a {found.kind}, which is not overwritten")
    if found.kind is PathKind.FILE:
        other = _pid_in(path)
        if other != daemon.pid and is_supervisord(proc.cmdline(other) or ("",)):
            raise Refused(f"{path} is the pidfile of another living supervisord, {other}: two confs share it")
    prove_running(conf.socket, conf, daemon)
    with proven(daemon, reading.socket_inode, proc):
        files.write_as(path, f"{daemon.pid}\n".encode(), reading.uid, reading.gid, 0o644)
    return f"wrote {daemon.pid} into {os.path.basename(path)}"


def _pid_in(path: str) -> int:
    """The pid a pidfile holds; 0 for what is none."""
    try:
        content = files.read_text(path, 4096).strip()
    except ValueError:
        return 0
    return int(content) if content.isdecimal() and len(content) < MOST_DIGITS else 0
