"""Have supervisord open its logs anew: SIGUSR2 (supervisord.py, handle_signal), which touches nothing else.

A log that cannot be opened then is an exception in its main loop, which ends it (supervisor/loggers.py,
FileHandler.reopen): so each is opened before, as its user.
"""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

from paramedic.act.conf_trust import doubt_of_conf
from paramedic.act.daemon import send
from paramedic.act.job import Job, Refused
from paramedic.host import launch, recipe, supervisor_rpc
from paramedic.model.record import Report
from paramedic.model.supervision import SupervisorReading

DEADLINE_S = 10.0
_SCRIPT = """
import sys
for path in sys.argv[1:]:
    try:
        open(path, 'a').close()
    except (IOError, OSError) as error:
        sys.exit('%s: %s' % (path, error.strerror))
"""


def reopen_logs(job: Job) -> Report:
    """Only while something it writes to is deleted, where their folders are there, and it could open every log."""
    reading = job.supervisor()
    absent = reading.deleted_logs
    if reading.daemon is None or not absent:
        raise Refused("no log of it is deleted any more")
    gone = [str(Path(path).parent) for path in absent if not Path(path).parent.is_dir()]
    if gone:
        raise Refused(f"the folder {gone[0]} is gone: make it again, or the daemon cannot write there")
    _prove_openable(job, reading)
    send(reading, job.proc, signal.SIGUSR2)
    return Report(False, f"had supervisord {reading.daemon.pid} reopen {', '.join(absent)}")


def _prove_openable(job: Job, reading: SupervisorReading) -> None:
    plan = recipe.load(recipe.path_of(job.settings.state_dir, reading.conf.name))
    if plan is None or plan.uid != reading.uid:
        raise Refused("how it was launched was not recorded, so whether it can open its logs cannot be tried before")
    doubt = doubt_of_conf(reading, job.settings.state_dir)
    if doubt is not None:
        raise Refused(f"the conf that names its logs is not followed: {doubt}")
    logs = dict.fromkeys((*reading.deleted_logs, *_logs(reading)))
    result = launch.attempt(replace(plan, argv=(plan.interpreter, "-c", _SCRIPT, *logs)), DEADLINE_S)
    if result.code != 0:
        told = result.last_line or "it was not told in time"
        raise Refused(
            f"it could not open its logs again, and would end over that: {told}; make that file, as its user's"
        )


def _logs(reading: SupervisorReading) -> list[str]:
    """All that it opens: its own and those of its programs, as it tells them itself."""
    conf = reading.conf
    asked: list[tuple[str, tuple[object, ...]]] = [("supervisor.getAllProcessInfo", ())]
    try:
        (rows,) = supervisor_rpc.results(
            supervisor_rpc.ask(conf.socket or "", asked, conf.username, conf.password, served_by=reading.uid)
        )
        named = [str(row.get(f"{stream}_logfile") or "") for row in rows for stream in ("stdout", "stderr")]
    except (supervisor_rpc.RpcFailure, LookupError, TypeError, ValueError, AttributeError) as failure:
        raise Refused(f"it does not say which logs it has: {failure}") from failure
    return [path for path in (conf.logfile or "", *named) if path.startswith("/")]
