"""A supervisord proven at the moment of a signal: this process, running supervisord, holding its listening socket."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

from paramedic.act.job import Refused
from paramedic.host import pidfd, systemd
from paramedic.host.failpoint import reached
from paramedic.host.proc import Proc
from paramedic.host.processes import is_supervisord, runs_python
from paramedic.model.readings import Identity
from paramedic.model.supervision import SupervisorReading

KILL_S = 5.0


def send(reading: SupervisorReading, proc: Proc, sign: signal.Signals) -> None:
    """One signal to the daemon of a reading; raises Refused where it is gone or not proven."""
    if reading.daemon is None:
        raise Refused("no daemon is proven")
    with proven(reading.daemon, reading.socket_inode, proc) as fd:
        signal.pidfd_send_signal(fd, sign)
        reached(f"{sign.name} sent")


@contextlib.contextmanager
def proven(daemon: Identity, socket_inode: int | None, proc: Proc) -> Iterator[int]:
    """A pidfd of this daemon; raises Refused where it is gone, or which proof is missing."""

    def doubt(one: Identity) -> str | None:
        if not is_supervisord(proc.cmdline(one.pid) or ("",)) or not runs_python(one.pid, proc):
            return f"process {one.pid} does not run supervisord"
        if socket_inode is not None and not proc.holds_socket(one.pid, socket_inode):
            return f"process {one.pid} does not hold the listening socket any more"
        return None

    try:
        fd = pidfd.open_proven(proc, daemon, doubt)
    except (pidfd.Unproven, OSError) as error:
        raise Refused(f"supervisord {daemon.pid} is not signalled: {error}") from error
    if fd is None:
        raise Refused(f"supervisord {daemon.pid} is gone")
    try:
        yield fd
    finally:
        os.close(fd)


def stop_unit(daemon: Identity, proc: Proc) -> str:
    """Tell systemd to stop the unit whose main process this is, or it starts it again; what was done, as a clause."""
    unit = systemd.owning_unit(proc.unit(daemon.pid), daemon.pid)
    if unit is None:
        return ""
    result = systemd.stop_soon(unit)
    if result.code != 0:
        raise Refused(f"systemd did not take the order to stop {unit}: {result.last_line or 'no answer in time'}")
    return f"told systemd to stop {unit}; "


def stop(fd: int, pid: int, patience_s: float) -> str:
    """TERM, wait for its programs to end, KILL; what it took, as a clause. Raises Refused where it does not end."""
    pidfd.signal_term(fd)
    if pidfd.has_ended(fd, patience_s):
        reached("daemon stopped")
        return f"stopped supervisord {pid}"
    signal.pidfd_send_signal(fd, signal.SIGKILL)
    reached("SIGKILL sent")
    if not pidfd.has_ended(fd, KILL_S):
        raise Refused(f"supervisord {pid} did not end on SIGKILL: it hangs in the kernel")
    reached("daemon stopped")
    return f"killed supervisord {pid}, which did not stop within {patience_s:.0f} s"


def longest_stop_s(reading: SupervisorReading) -> float:
    """How long an orderly stop may take: groups are stopped one after the other (supervisord.py, runforever)."""
    return sum(program.stopwaitsecs for program in reading.conf.programs) + 5.0
