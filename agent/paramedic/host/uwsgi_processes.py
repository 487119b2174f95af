"""uWSGI's processes: how a master was launched, who looks after it, and the proof of one before a signal."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import replace
from pathlib import Path

from paramedic.host import files, inet, recipe, unix_diag
from paramedic.host.proc import Proc
from paramedic.host.processes import is_supervisord, same_file
from paramedic.host.recipe import Recipe
from paramedic.host.uwsgi_stats import stats_socket_inode
from paramedic.host.writers import writable_by_others
from paramedic.model.readings import Identity
from paramedic.model.stack import UwsgiConf

_NAMES = ("uwsgi", "pyuwsgi")
# What a graceful reload leaves in the environment of the same process (core/uwsgi.c): a start is none.
_OF_A_RELOAD = ("UWSGI_RELOADS", "UWSGI_ORIGINAL_PROC_NAME")
_INI_FLAGS = ("--ini", "--init", "-i")


def is_uwsgi(argv: tuple[str, ...]) -> bool:
    """uwsgi as a program, or as the script that a Python runs."""
    return any(Path(word).name.split("-")[0] in _NAMES or Path(word).name == "uwsgi.bin" for word in argv[:2])


def keeper_of(master: Identity, proc: Proc) -> str:
    """Who starts this master again when it ends, by its parent: a supervisord, an Emperor; empty for neither."""
    stat = proc.stat(master.pid)
    argv = proc.cmdline(stat.ppid) if stat and stat.ppid > 1 else None
    if not argv:
        return ""
    if is_supervisord(argv):
        name = (proc.environ(master.pid) or {}).get("SUPERVISOR_PROCESS_NAME", "?")
        return f"program {name} of a supervisord"
    return "a vassal of an Emperor" if is_uwsgi(argv) else ""


def observe(proc: Proc, master: Identity, ini: str) -> Recipe | None:
    """The recipe of a running master; its ini as an absolute path, since it may have left the folder it began in."""
    found = recipe.observed(proc, master)
    if found is None:
        return None
    began = found.env.get("PWD", "")
    cwd = began if began.startswith("/") and Path(began).is_dir() else str(Path(ini).parent)
    argv = tuple(_with_ini(word, ini, [began, found.cwd]) for word in found.argv)
    env = {name: value for name, value in found.env.items() if name not in _OF_A_RELOAD}
    return replace(found, env=env, argv=argv, cwd=cwd, output=_output(master, proc), keeper=keeper_of(master, proc))


def _with_ini(word: str, ini: str, folders: list[str]) -> str:
    flag, equals, value = word.partition("=")
    named = value if equals and flag in _INI_FLAGS else word
    path, colon, section = named.partition(":")
    places = [os.path.join(folder, path) for folder in folders if folder]
    if word.startswith("/") or not path.endswith(".ini") or not any(same_file(place, ini) for place in places):
        return word
    return f"{flag}={ini}{colon}{section}" if named is value else f"{ini}{colon}{section}"


def _output(master: Identity, proc: Proc) -> str | None:
    """The regular file behind its standard error, None where it is none, or where root would write what a user can
    replace.
    """
    path = proc.link(master.pid, "fd/2")
    try:
        if not path or not stat.S_ISREG(os.lstat(path).st_mode):
            return None
        return None if proc.uid(master.pid) == 0 and writable_by_others(path, ()) else path
    except OSError:
        return None


def runs_uwsgi(one: Identity, proc: Proc) -> bool:
    """Whether its program is uWSGI or a Python: anybody can choose the arguments of sudo."""
    return Path(proc.link(one.pid, "exe") or "").name.startswith(("uwsgi", "pyuwsgi", "python", "pypy"))


def doubt_of_master(one: Identity, address: str, proc: Proc, through: int | None = None) -> str | None:
    """Which proof is missing that this process is the master that listens at its stats address, or that an answer came
    from it `through` the file of that number.
    """
    if not runs_uwsgi(one, proc):
        return f"process {one.pid} does not run uWSGI"
    inode = stats_socket_inode(address, proc, through)
    if inode is None or not proc.holds_socket(one.pid, inode):
        return f"process {one.pid} does not listen at {address}"
    return None


def why_no_reload(master: Identity, proc: Proc) -> str | None:
    """Why a full reload would end this instance: it execs /proc/self/exe, and for the wheel in a virtual environment
    that is the Python outside of it, which has no uWSGI (seen with pyuwsgi 2.0.30).
    """
    exe, argv = proc.link(master.pid, "exe") or "", proc.cmdline(master.pid) or ("",)
    is_venv = Path(argv[0]).parent.parent.joinpath("pyvenv.cfg").is_file()
    if Path(exe).name.startswith("python") and is_venv:
        return (
            "a full reload of the pyuwsgi wheel in a virtual environment ends it: uWSGI would exec the Python outside"
        )
    return None


def taken_of(conf: UwsgiConf, proc: Proc) -> list[str]:
    """The addresses of its ini that somebody listens on now, though no master runs."""
    listening, listeners = inet.listening(proc), unix_diag.listeners()
    names, inodes = {one.name for one in listeners}, {one.file_inode for one in listeners}
    found = []
    for address in conf.sockets:
        port = re.search(r":(\d{1,5})$", address)
        is_named = address.startswith(("/", "@")) and address in names
        if (port and int(port[1]) in listening) or is_named or _stands(address) in inodes:
            found.append(address)
    return found


def _stands(address: str) -> int:
    """The inode behind a path, whatever name its socket was bound by; -1 without one."""
    try:
        return files.number(os.stat(address)) if address.startswith("/") else -1
    except OSError:
        return -1
