"""The full walk over all processes: at start, after a death, and rarely. A healthy pass never does it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from paramedic.host.proc import Proc
from paramedic.host.recipe import conf_argument
from paramedic.model.readings import ChildRecord, Identity
from paramedic.model.stack import SupervisorConf

_SEARCH = ("etc/supervisord.conf", "supervisord.conf")


@dataclass(frozen=True, slots=True)
class Row:
    """One living process of the walk."""

    identity: Identity
    ppid: int
    uid: int
    argv: tuple[str, ...]


def walk(proc: Proc) -> list[Row]:
    """All living processes, through psutil, each pinned to its identity."""
    psutil.PROCFS_PATH = proc.root
    found = []
    for process in psutil.process_iter(["cmdline", "uids"]):
        stat = proc.stat(process.pid)
        argv, uids = process.info["cmdline"], process.info["uids"]
        if stat and stat.is_alive and argv and uids:
            found.append(Row(stat.identity, stat.ppid, uids.effective, tuple(argv)))
    return found


def supervisords(rows: list[Row], proc: Proc) -> list[tuple[Row, str]]:
    """Each running supervisord with the conf it was started with; a fork that has not yet exec'd is left out."""
    found = [row for row in rows if is_supervisord(row.argv)]
    pids = {row.identity.pid for row in found}
    pairs = ((row, conf_of(row, proc)) for row in found if row.ppid not in pids)
    return [(row, conf) for row, conf in pairs if conf is not None]


def is_supervisord(argv: tuple[str, ...]) -> bool:
    """supervisord as a program, or as the script or module of a Python."""
    names = [Path(word).name for word in argv[:3]]
    if names[:1] == ["supervisord"]:
        return True
    is_python = bool(names) and names[0].startswith("python")
    return is_python and ("supervisord" in names[1:2] or (argv[1:2] == ("-m",) and "supervisor.supervisord" in argv))


def conf_of(row: Row, proc: Proc) -> str | None:
    """The absolute conf of a supervisord, found the way it finds it itself (supervisor/options.py)."""
    env = proc.environ(row.identity.pid) or {}
    folders = list(dict.fromkeys(filter(None, (env.get("PWD"), proc.link(row.identity.pid, "cwd")))))
    named = conf_argument(row.argv)
    if named is not None:
        if os.path.isabs(named):
            return os.path.normpath(named)
        return next((p for p in _joined(folders, (named,)) if Path(p).exists()), None)
    script = next((word for word in row.argv[:2] if Path(word).name == "supervisord"), "/")
    prefix = str(Path(script).parent.parent)
    places = [*_joined([prefix], _SEARCH), *_joined(folders, reversed(_SEARCH))]
    places += ["/etc/supervisord.conf", "/etc/supervisor/supervisord.conf"]
    return next((place for place in places if Path(place).is_file()), None)


def _joined(folders: list[str], names: Iterable[str]) -> list[str]:
    return [os.path.normpath(f"{folder}/{name}") for name in names for folder in folders]


def same_file(one: str, other: str) -> bool:
    """Whether two paths name one file, links resolved."""
    return os.path.realpath(one) == os.path.realpath(other)


def running(conf: str, proc: Proc) -> list[Identity]:
    """Every living supervisord of this conf: the full walk."""
    return [row.identity for row, used in supervisords(walk(proc), proc) if same_file(used, conf)]


def doubt_of(child: ChildRecord, conf: SupervisorConf, proc: Proc) -> str | None:
    """Which proof is missing that the process is the recorded child of a dead daemon; None when none is."""
    env = proc.environ(child.identity.pid)
    if env is None:
        return "its environment cannot be read"
    if env.get("SUPERVISOR_PROCESS_NAME") != child.program.rpartition(":")[2]:
        return "its environment does not name the recorded program"
    if conf.socket and env.get("SUPERVISOR_SERVER_URL") != f"unix://{conf.socket}":
        return "its environment names another Supervisor"
    stat = proc.stat(child.identity.pid)
    if stat is None or stat.pgid != child.pgid:
        return "it left the process group that Supervisor made for it"
    return "its supervisord still runs" if proc.is_alive(child.master) else None
