"""Let a daemon go on that somebody stopped with a signal: SIGCONT, and nothing of it is lost."""

from __future__ import annotations

import signal

from paramedic.act.daemon import send
from paramedic.act.job import Job
from paramedic.model.record import Report


def resume_daemon(job: Job) -> Report:
    """SIGCONT, where its process is stopped and nobody traces it; elsewhere nothing, and the ladder goes on."""
    reading = job.supervisor()
    pid = reading.daemon.pid if reading.daemon else 0
    stat = job.proc.stat(pid)
    if stat is None or stat.state != "T":
        return Report(False, f"supervisord {pid} is not stopped, so there is nothing to resume")
    send(reading, job.proc, signal.SIGCONT)
    return Report(False, f"sent SIGCONT to supervisord {pid}")
