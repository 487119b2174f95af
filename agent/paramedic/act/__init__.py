"""The repairs, one module each. Each re-proves its precondition at the moment it acts, and refuses on doubt."""

from __future__ import annotations

import logging
from collections.abc import Callable

from paramedic.act.chain_reload import chain_reload
from paramedic.act.job import Job, Refused, refused
from paramedic.act.kill_orphans import kill_orphans
from paramedic.act.notify import notify
from paramedic.act.recycle_worker import recycle_worker
from paramedic.act.reload_uwsgi import reload_uwsgi
from paramedic.act.reopen_logs import reopen_logs
from paramedic.act.repair_mode import repair_mode
from paramedic.act.restart_program import restart_program
from paramedic.act.restart_supervisord import restart_supervisord
from paramedic.act.restore_socket import restore_socket
from paramedic.act.resume_daemon import resume_daemon
from paramedic.act.rewrite_pidfile import rewrite_pidfile
from paramedic.act.run import run
from paramedic.act.start_uwsgi import start_uwsgi
from paramedic.act.stop_duplicate import stop_duplicate
from paramedic.host.failpoint import reached
from paramedic.model.record import Attempt, Report

log = logging.getLogger(__name__)
REPAIRS: dict[str, Callable[[Job], Report]] = {
    "notify": notify,
    "run": run,
    "restore_socket": restore_socket,
    "repair_mode": repair_mode,
    "rewrite_pidfile": rewrite_pidfile,
    "reopen_logs": reopen_logs,
    "resume_daemon": resume_daemon,
    "stop_duplicate": stop_duplicate,
    "restart_program": restart_program,
    "restart_supervisord": restart_supervisord,
    "kill_orphans": kill_orphans,
    "recycle_worker": recycle_worker,
    "chain_reload": chain_reload,
    "reload_uwsgi": reload_uwsgi,
    "start_uwsgi": start_uwsgi,
}


def report_of(attempt: Attempt, job: Job) -> Report:
    """What became of a repair; one that must not be done, or that breaks, is refused with the reason."""
    try:
        reached("intended")
        report = REPAIRS[attempt.action](job)
        reached("done")
        return report
    except Refused as why:
        return refused(why)
    except OSError as error:  # what the host does not let us do is a refusal with its reason, no defect
        return refused(error)
    except Exception as error:  # a repair that breaks must not take the agent along; it is told as what it is
        log.exception("%s %s broke", attempt.incident, attempt.action)
        return refused(f"{attempt.action} broke: {type(error).__name__}: {error}")
