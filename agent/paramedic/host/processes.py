"""The full walk over all processes: at start, after a death, and rarely. A healthy pass never does it."""

from __future__ import annotations

import configparser
import contextlib
import os
import pwd
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from paramedic.host import texts
from paramedic.host.proc import Proc
from paramedic.host.recipe import MODULE, MOST_BYTES, conf_argument
from paramedic.model.readings import Identity

MIXED = -1
_SEARCH = ("etc/supervisord.conf", "supervisord.conf")


@dataclass(frozen=True, slots=True)
class Row:
    """One living process of the walk; `uid` is MIXED for a set-uid program, whose arguments its caller chose."""

    identity: Identity
    ppid: int
    uid: int
    argv: tuple[str, ...]


def walk(proc: Proc) -> list[Row]:
    """All living processes, each pinned to its identity. Nothing of them is kept: there may be ten thousand."""
    found = []
    for pid in sorted(proc.pids()):
        stat, argv = proc.stat(pid), proc.cmdline(pid)
        if stat and stat.is_alive and argv:
            uid = proc.uid(pid)
            found.append(Row(stat.identity, stat.ppid, MIXED if uid is None else uid, argv))
    return found


def supervisords(rows: list[Row], proc: Proc) -> list[tuple[Row, str]]:
    """Each running supervisord with the conf it was started with; a fork that has not yet exec'd is left out."""
    found = [row for row in rows if is_supervisord(row.argv) and runs_python(row.identity.pid, proc)]
    argvs = {row.identity.pid: row.argv for row in found}
    pairs = ((row, conf_of(row, proc)) for row in found if argvs.get(row.ppid) != row.argv)
    return [(row, conf) for row, conf in pairs if conf is not None]


def runs_python(pid: int, proc: Proc) -> bool:
    """Whether its program is a Python, or a packed supervisord: anybody can choose the arguments of set-uid programs.

    True where we may not look; then we may not do anything to it either.
    """
    exe = proc.link(pid, "exe")
    return exe is None or Path(exe).name.startswith(("python", "pypy", "supervisord"))


def is_supervisord(argv: tuple[str, ...]) -> bool:
    """supervisord as a program, or as the script or module of a Python, whatever options that Python has."""
    if Path(argv[0]).name == "supervisord":
        return True
    if not Path(argv[0]).name.startswith(("python", "pypy")):
        return False
    rest = list(argv[1:])
    while rest and rest[0].startswith("-") and rest[0] not in ("-m", "-c"):
        rest = rest[2:] if rest[0] in ("-W", "-X") else rest[1:]
    return bool(rest) and (Path(rest[0]).name == "supervisord" or rest[:2] == ["-m", MODULE])


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


def uids_of(user: str | None) -> set[int]:
    """The uid of a user by name or number; empty where there is none."""
    with contextlib.suppress(KeyError):
        return {int(user) if user.isdecimal() else pwd.getpwnam(user).pw_uid} if user else set()
    return set()


def of_conf(rows: list[Row], conf: str, proc: Proc, user: str | None = None) -> list[Row]:
    """The supervisords of this conf that can be ours: they see the same file there, and run as root, us, its owner, its
    `user=`, or the configured `user`.

    Anybody can start a process with that command line, and a container can have a file of that name.
    """
    trusted = trusted_uids(conf) | uids_of(user)
    found = [row for row, used in supervisords(rows, proc) if same_file(used, conf)]
    return [row for row in found if row.uid in trusted and sees_same_file(row.identity.pid, conf, proc)]


def sees_same_file(pid: int, conf: str, proc: Proc) -> bool:
    """Whether the process finds our very file at that path; true where we may not look through its root."""
    try:
        return os.path.samestat(os.stat(f"{proc.root}/{pid}/root{os.path.realpath(conf)}"), os.stat(conf))
    except PermissionError:
        return True
    except OSError:
        return False


def trusted_uids(conf: str) -> set[int]:
    """The uids a supervisord of this conf can have: root, ours, the conf's owner, its `user=`."""
    found = {0, os.geteuid()}
    parser = configparser.RawConfigParser(strict=False, inline_comment_prefixes=(";", "#"))
    with contextlib.suppress(OSError, configparser.Error, ValueError, KeyError):
        found.add(os.stat(conf).st_uid)
        parser.read_string(texts.read_text(conf, MOST_BYTES))
        user = parser.get("supervisord", "user", fallback="")
        found |= uids_of(user)
    return found
