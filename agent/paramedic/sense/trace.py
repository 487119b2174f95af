"""How a daemon left, as far as it left a trace: its files, and its own last word in its log."""

from __future__ import annotations

import contextlib
import os
import re
from datetime import datetime

from paramedic.host import clock, files, recipe, texts
from paramedic.host.proc import Proc
from paramedic.model.facts import SupervisorKnown
from paramedic.model.readings import PathKind, PathReading
from paramedic.model.stack import SupervisorConf
from paramedic.model.supervision import ExitTrace

LOG_TAIL_BYTES = 64 * 1024
CLOCK_SLACK_S = 2.0
_LAST_WORDS = re.compile(r"supervisord started with pid|received SIG\w+ indicating (?:exit|restart) request")


def trace_of(
    conf: SupervisorConf,
    path: PathReading,
    known: SupervisorKnown,
    proc: Proc,
    well_at: float,
    recipe_path: str | None = None,
) -> ExitTrace:
    """What the last daemon of this conf left behind.

    `well_at` is when (epoch seconds) it was asked what it last answered with RUNNING: what its log says from before was
    another one's farewell, or a restart that it survived. Its own comes later: it says that it leaves before it answers
    so (supervisor/supervisord.py, handle_signal).
    """
    daemon = known.daemon
    is_ours = daemon is not None and recipe_path is not None and recipe.is_stopped_by_us(recipe_path, daemon, proc)
    pidfile_left = bool(conf.pidfile and os.path.lexists(conf.pidfile))
    born = clock.wall() - proc.age_s(known.daemon) if known.daemon else 0.0
    said = last_word(conf.logfile, max(born - CLOCK_SLACK_S, _began(conf.socket), well_at))
    return ExitTrace(path.kind is PathKind.SOCKET, pidfile_left, said, known.was_leaving, is_ours)


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
        lines = texts.read_tail(logfile or "", LOG_TAIL_BYTES).splitlines()
    except (OSError, ValueError):
        return None
    for line in reversed(lines):
        if _LAST_WORDS.search(line):
            return None if "started with pid" in line or _moment(line) < since else line[:200]
    return None


def _moment(line: str) -> float:
    """When a line was logged (supervisor/loggers.py: local time); 0.0 where it does not say."""
    for length, form in ((23, "%Y-%m-%d %H:%M:%S,%f"), (19, "%Y-%m-%d %H:%M:%S")):
        with contextlib.suppress(ValueError):
            return datetime.strptime(line[:length], form).timestamp()
    return 0.0
