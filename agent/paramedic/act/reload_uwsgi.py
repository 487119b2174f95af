"""A graceful reload of the whole instance: the master execs itself again (uWSGI core/master_utils.c). Rarely needed."""

from __future__ import annotations

import os
import signal

from paramedic.act.job import Job, Refused, refused
from paramedic.act.preflight import prove_loads
from paramedic.act.workers import available, measure, prove_no_chain, prove_unchanged
from paramedic.host import clock, pidfd
from paramedic.host.failpoint import reached
from paramedic.host.uwsgi_processes import doubt_of_master, why_no_reload
from paramedic.model.facts import Preflight
from paramedic.model.readings import UwsgiReading
from paramedic.model.record import Report


def reload_uwsgi(job: Job) -> Report:
    """SIGHUP to the proven master. Requests wait in the listen queue until the first worker accepts again."""
    checked: Preflight | None = None
    try:
        reading = job.uwsgi()
        deadly = why_no_reload(reading.master, job.proc)
        if deadly:
            raise Refused(deadly)
        prove_no_chain(reading, clock.wall())
        checked = prove_loads(reading, job)
        measured = measure((w for w in reading.workers if w.status != "cheap"), job.proc) | available(job)
        prove_unchanged(reading, job.proc)
        _hang_up(reading, job)
    except (OSError, ValueError, KeyError, TypeError, Refused) as error:
        return refused(error, checked)
    return Report(False, f"asked master {reading.master.pid} to reload", checked, measured)


def _hang_up(reading: UwsgiReading, job: Job) -> None:
    try:
        fd = pidfd.open_proven(
            job.proc, reading.master, lambda one: doubt_of_master(one, reading.conf.stats or "", job.proc)
        )
    except pidfd.Unproven as error:
        raise Refused(f"master {reading.master.pid} is not signalled: {error}") from error
    if fd is None:
        raise Refused(f"master {reading.master.pid} is gone")
    try:
        signal.pidfd_send_signal(fd, signal.SIGHUP)
        reached("SIGHUP sent")
    finally:
        os.close(fd)
