"""Write the living daemon's pid into its pidfile, unless that is another living supervisord's."""

from __future__ import annotations

from paramedic.act.conf_trust import doubt_of_conf
from paramedic.act.daemon import proven
from paramedic.act.job import Job, Refused
from paramedic.act.restore_socket import prove_running
from paramedic.host import pidfile
from paramedic.host.proc import Proc
from paramedic.host.processes import is_supervisord
from paramedic.model.record import Report
from paramedic.model.supervision import SupervisorReading


def rewrite_pidfile(job: Job) -> Report:
    """Atomically, owned like the daemon, over nothing or another pid, only where the daemon could write it itself."""
    reading = job.supervisor()
    return Report(False, rewrite(reading, job.proc, doubt_of_conf(reading, job.settings.state_dir)))


def rewrite(reading: SupervisorReading, proc: Proc, doubt: str | None) -> str:
    """What was done; with a `doubt` of the conf nothing. Raises Refused or OSError."""
    path, daemon, conf = reading.conf.pidfile, reading.daemon or reading.keeper, reading.conf
    if path is None or daemon is None or conf.socket is None:
        raise Refused("the daemon or its pidfile is not known")
    if doubt is not None:
        raise Refused(f"the conf that names {path} is not followed: {doubt}")
    other = pidfile.read(path) or 0
    if other != daemon.pid and is_supervisord(proc.cmdline(other) or ("",)):
        raise Refused(f"{path} is the pidfile of another living supervisord, {other}: two confs share it")
    prove_running(conf.socket, conf, daemon)
    with proven(daemon, reading.socket_inode, proc):
        pidfile.write(path, daemon.pid, reading.uid, reading.gid)
    return f"wrote {daemon.pid} into {path}"
