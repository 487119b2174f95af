"""How a daemon left, as far as it left a trace: its files, and its own last word in its log."""

from __future__ import annotations

import os
import re
from datetime import datetime

from paramedic.host import clock, files
from paramedic.host.proc import Proc
from paramedic.model.facts import SupervisorKnown
from paramedic.model.readings import PathKind, PathReading
from paramedic.model.stack import SupervisorConf
from paramedic.model.supervision import ExitTrace

LOG_TAIL_BYTES = 64 * 1024
CLOCK_SLACK_S = 2.0
_LAST_WORDS = re.compile(r"supervisord started with pid|received SIG\w+ indicating (?:exit|restart) request")


def trace_of(conf: SupervisorConf, path: PathReading, known: SupervisorKnown, proc: Proc) -> ExitTrace:
    """What the last daemon of this conf left behind."""
    pidfile_left = bool(conf.pidfile and os.path.lexists(conf.pidfile))
    born = clock.wall() - proc.age_s(known.daemon) if known.daemon else 0.0
    said = last_word(conf.logfile, max(born - CLOCK_SLACK_S, _began(conf.socket)))
    return ExitTrace(path.kind is PathKind.SOCKET, pidfile_left, said, known.was_leaving)


def _began(socket: str | None) -> float:
    """When its last socket was made: a restart request from before was carried out and says nothing any more."""
    try:
        return os.lstat(files.keep_link(socket)).st_mtime if socket else 0.0
    except OSError:
        return 0.0


def last_word(logfile: str | None, since: float) -> str | None:
    """What the daemon last said about its own life after `since` (epoch seconds); None when that was its start.

    Lines of an earlier life do not count: at loglevel=warn a start is not logged, but a stop is.
    """
    try:
        with open(logfile or "", "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        if _LAST_WORDS.search(line):
            return None if "started with pid" in line or _moment(line) < since else line[:200]
    return None


def _moment(line: str) -> float:
    """When a line was logged (supervisor/loggers.py: local time); 0.0 where it does not say."""
    try:
        return datetime.strptime(line[:19], "%Y-%m-%d %H:%M:%S").timestamp()
    except ValueError:
        return 0.0
