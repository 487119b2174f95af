"""Have supervisord open its logs anew: SIGUSR2 (supervisord.py, handle_signal), which touches nothing else."""

from __future__ import annotations

import signal
from pathlib import Path

from paramedic.act.daemon import send
from paramedic.act.job import Job, Refused
from paramedic.model.record import Report


def reopen_logs(job: Job) -> Report:
    """Only while something it writes to is deleted, and where their folders are there."""
    reading = job.supervisor()
    absent = reading.deleted_logs
    if reading.daemon is None or not absent:
        raise Refused("no log of it is deleted any more")
    gone = [str(Path(path).parent) for path in absent if not Path(path).parent.is_dir()]
    if gone:
        raise Refused(f"the folder {gone[0]} is gone: make it again, or the daemon cannot write there")
    send(reading, job.proc, signal.SIGUSR2)
    return Report(False, f"had supervisord {reading.daemon.pid} reopen {', '.join(absent)}")
