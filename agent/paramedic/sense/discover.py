"""Without a configuration: which supervisords and uWSGI instances run on this host."""

from __future__ import annotations

import os
import re
from pathlib import Path

from paramedic.host.proc import Proc
from paramedic.host.processes import Row, supervisords, walk
from paramedic.model.stack import Stack, SupervisorEntry, UwsgiEntry


def discover(proc: Proc) -> Stack:
    """The running stack, named after its files; what runs without a conf or ini on its command line is not found."""
    rows = walk(proc)
    confs = dict.fromkeys(conf for _, conf in supervisords(rows, proc))
    inis = dict.fromkeys(ini for row in rows if (ini := _ini(row, proc)))
    return Stack(
        uwsgi=tuple(UwsgiEntry(name, ini) for name, ini in _named(inis)),
        supervisor=tuple(SupervisorEntry(name, conf) for name, conf in _named(confs)),
    )


def _named(paths: dict[str, None]) -> list[tuple[str, str]]:
    """A short name for each path: its stem, its folder before it where stems repeat."""
    stems = [Path(path).stem for path in paths]
    found = []
    for at, path in enumerate(paths):
        name = stems[at] if stems.count(stems[at]) == 1 else f"{Path(path).parent.name}-{stems[at]}-{at + 1}"
        found.append((re.sub(r"[^A-Za-z0-9_.-]", "-", name), path))
    return found


def _ini(row: Row, proc: Proc) -> str | None:
    """The ini of a uWSGI master's command line, resolved against the folder it was started in."""
    if not any(Path(word).name in ("uwsgi", "pyuwsgi") for word in row.argv[:2]):
        return None
    named = next((word for word in row.argv[1:] if word.endswith(".ini")), None)
    if named is None:
        return None
    named = named.partition("=")[2] if named.startswith("--ini=") else named
    env = proc.environ(row.identity.pid) or {}
    folders = [folder for folder in (env.get("PWD"), proc.link(row.identity.pid, "cwd")) if folder]
    paths = [named] if os.path.isabs(named) else [os.path.normpath(f"{folder}/{named}") for folder in folders]
    return next((path for path in paths if Path(path).is_file()), None)
