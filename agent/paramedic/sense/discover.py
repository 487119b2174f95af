"""Without a configuration: which supervisords, uWSGI instances and Daphnes run on this host.

Anybody can choose a command line: each is proven by its program, and by finding at its file's path the very file that
we find there, which a process in a container does not.
"""

from __future__ import annotations

import contextlib
import pwd
import re
from collections.abc import Iterable
from pathlib import Path

from paramedic.host import systemd
from paramedic.host.proc import Proc
from paramedic.host.processes import Row, is_supervisord, runs_python, same_file, sees_same_file, supervisords, walk
from paramedic.host.recipe import conf_argument
from paramedic.host.uwsgi_processes import is_uwsgi, keeper_of, runs_uwsgi
from paramedic.model.found import Found, FoundDaphne, FoundSupervisor, FoundUwsgi, Runs
from paramedic.model.stack import SupervisorEntry, UwsgiConf, UwsgiEntry
from paramedic.sense.supervisor_conf import read_as_started
from paramedic.sense.uwsgi_argv import ini_at, ini_it_left, ini_of
from paramedic.sense.uwsgi_files import split_section
from paramedic.sense.uwsgi_ini import read_uwsgi_conf
from paramedic.sense.uwsgi_magic import launch_of

CONTAINED = "it runs in another file system tree, e.g. a container: an agent in there could look after it"


def discover(proc: Proc) -> Found:
    """What runs here, without the sockets, named after its files; an Emperor is no instance, its vassals are."""
    return _Walk(proc, walk(proc)).found()


def unit_of(pid: int, proc: Proc) -> str | None:
    """The unit that starts this process again, as far as systemd says so."""
    with contextlib.suppress(OSError):
        return systemd.owning_unit(proc.unit(pid), pid)
    return None


def named(paths: Iterable[str]) -> dict[str, str]:
    """A short name for each path: its stem, its folder before it where stems repeat."""
    paths = list(dict.fromkeys(paths))
    stems = [Path(path).stem for path in paths]
    found: dict[str, str] = {}
    for at, path in enumerate(paths):
        name = stems[at] if stems.count(stems[at]) == 1 else f"{Path(path).parent.name}-{stems[at]}-{at + 1}"
        plain = re.sub(r"[^A-Za-z0-9_.-]", "-", name).lstrip("_.-")[:56] or "number"
        found[path] = plain if plain not in found.values() else f"{plain}-{at + 1}"
    return found


class _Walk:
    """One walk over all processes, the oldest first."""

    def __init__(self, proc: Proc, rows: list[Row]) -> None:
        self._proc = proc
        self._rows = sorted(rows, key=lambda row: (row.identity.start_ticks, row.identity.pid))
        self._notes: list[str] = []
        self._untold: list[tuple[str, str]] = []

    def found(self) -> Found:
        daemons = self._daemons()
        inis = self._inis()
        confs, files = named(conf for _, conf in daemons), named(ini for _, ini in inis)
        return Found(
            uwsgi=tuple(self._uwsgi(row, UwsgiEntry(files[ini], ini)) for row, ini in inis),
            supervisor=tuple(self._supervisor(row, confs[conf], conf) for row, conf in daemons),
            daphne=tuple(self._daphne(row) for row in self._rows if self._is_daphne(row)),
            notes=tuple(self._notes),
            untold=tuple(self._untold),
        )

    def _runs(self, row: Row, keeper: str = "") -> Runs:
        unit = unit_of(row.identity.pid, self._proc)
        return Runs(row.identity, _name(row.uid), keeper or (f"unit {unit}" if unit else ""))

    def _daemons(self) -> list[tuple[Row, str]]:
        found: list[tuple[Row, str]] = []
        resolved = supervisords(self._rows, self._proc)
        for row, conf in resolved:
            first = next((one for one, other in found if same_file(other, conf)), None)
            if not sees_same_file(row.identity.pid, conf, self._proc):
                self._notes.append(f"supervisord {row.identity.pid} of {_name(row.uid)}: {CONTAINED}")
            elif first is not None:
                self._notes.append(f"supervisord {row.identity.pid} runs beside {first.identity.pid} with {conf}")
            else:
                found.append((row, conf))
        told = {row.identity.pid for row, _ in resolved}
        found_argvs = {row.identity.pid: row.argv for row in self._rows}
        for row in self._rows:
            pid = row.identity.pid
            is_fork = found_argvs.get(row.ppid) == row.argv
            if is_supervisord(row.argv) and pid not in told and not is_fork and runs_python(pid, self._proc):
                self._untold.append((f"supervisord {pid} of {_name(row.uid)}", "its conf is not found where it looks"))
        return found

    def _inis(self) -> list[tuple[Row, str]]:
        """The masters: those whose parent does not run the same ini."""
        rows = [row for row in self._rows if is_uwsgi(row.argv) and runs_uwsgi(row.identity, self._proc)]
        inis = {row.identity.pid: ini_of(row, self._proc) or ini_it_left(row, self._proc) for row in rows}
        found: dict[str, Row] = {}
        for row in rows:
            pid, ini = row.identity.pid, inis[row.identity.pid]
            if row.ppid in inis and inis[row.ppid] == ini:
                continue
            if ini is None:
                self._without_ini(row)
            elif not sees_same_file(pid, split_section(ini)[0], self._proc):
                self._notes.append(f"uWSGI {pid} of {_name(row.uid)}: {CONTAINED}")
            elif ini in found:
                self._notes.append(f"uWSGI {pid} runs beside {found[ini].identity.pid} with {ini}")
            else:
                found[ini] = row
        return [(row, ini) for ini, row in found.items()]

    def _without_ini(self, row: Row) -> None:
        pid = row.identity.pid
        if ini_at(row, self._proc) or any(word.partition("=")[0] == "--emperor" for word in row.argv):
            self._notes.append(f"uWSGI {pid} of {_name(row.uid)} is an Emperor: its vassals are what serves")
        else:
            self._untold.append((f"uWSGI {pid} of {_name(row.uid)}", "its command line names no ini that is found"))

    def _uwsgi(self, row: Row, entry: UwsgiEntry) -> FoundUwsgi:
        runs = self._runs(row, keeper_of(row.identity, self._proc))
        try:
            conf = read_uwsgi_conf(entry, launch_of(row.identity.pid, self._proc))
        except (OSError, ValueError) as error:
            return FoundUwsgi(entry, runs, problem=_reason(error))
        return FoundUwsgi(entry, runs, _lacking(conf))

    def _supervisor(self, row: Row, name: str, path: str) -> FoundSupervisor:
        entry, runs = SupervisorEntry(name, path, unit=unit_of(row.identity.pid, self._proc)), self._runs(row)
        how = "its -c" if conf_argument(row.argv) else "no -c: found where supervisord looks"
        env = self._proc.environ(row.identity.pid) or {}
        try:
            conf = read_as_started(entry, env, row.argv, env.get("PWD"), self._proc.link(row.identity.pid, "cwd"))
        except (OSError, ValueError) as error:
            return FoundSupervisor(entry, runs, how, problem=_reason(error))
        users = f"mode {conf.socket_mode:04o}, owner {conf.socket_owner or _name(row.uid)}"
        return FoundSupervisor(entry, runs, how, conf.socket, users)

    def _is_daphne(self, row: Row) -> bool:
        words = row.argv[:3]
        is_one = any(Path(word).name == "daphne" for word in words[:2]) or words[1:] == ("-m", "daphne")
        return is_one and runs_python(row.identity.pid, self._proc)

    def _daphne(self, row: Row) -> FoundDaphne:
        """Whose it is by its parents, not by its environment, which outlives them."""
        rows = {one.identity.pid: one for one in self._rows}
        env = self._proc.environ(row.identity.pid) or {}
        name = env.get("SUPERVISOR_PROCESS_NAME", "")
        for parent in ancestors(row.identity.pid, self._proc):
            if parent in rows and is_supervisord(rows[parent].argv) and runs_python(parent, self._proc):
                return FoundDaphne(self._runs(row), f"program {name or '?'} of supervisord {parent}", True)
        unit = unit_of(row.identity.pid, self._proc)
        if unit:
            return FoundDaphne(self._runs(row), f"kept by systemd, {unit}", True)
        left = f" (it was program {name} of one that is gone)" if name else ""
        return FoundDaphne(self._runs(row), f"not supervised{left}: nobody starts it again when it ends", False)


def ancestors(pid: int, proc: Proc) -> list[int]:
    """Its parents, the nearest first, without init."""
    found: list[int] = []
    stat = proc.stat(pid)
    while stat is not None and stat.ppid > 1 and stat.ppid not in found:
        found.append(stat.ppid)
        stat = proc.stat(stat.ppid)
    return found


def _lacking(conf: UwsgiConf) -> tuple[str, ...]:
    """What the ini must say before much can be seen or done."""
    found = []
    if not conf.stats and not conf.is_open("stats"):
        found.append(f"stats = /run/{conf.name}.stats (nothing is seen of its workers without it)")
    can_chain = conf.chain_reload or conf.master_fifo or conf.is_open("touch-chain-reload", "master-fifo")
    if not can_chain:
        found.append("touch-chain-reload = FILE (its workers cannot be replaced one by one without it)")
    return tuple(found)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return str(uid)


def _reason(error: Exception) -> str:
    return f"{getattr(error, 'strerror', None) or error}"
