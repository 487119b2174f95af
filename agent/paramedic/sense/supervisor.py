"""A Supervisor daemon from sources that must agree: its conf, the path's inode, unix_diag, /proc, its answer.

SO_PEERCRED lies for a daemonized supervisord and connect() succeeds on a stopped one; neither is used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from paramedic.host import clock, files, recipe, supervisor_rpc
from paramedic.host.proc import Proc, readable
from paramedic.host.processes import Row, doubt_of, of_conf
from paramedic.host.unix_diag import Listener
from paramedic.model.facts import SupervisorKnown
from paramedic.model.readings import (
    ChildRecord,
    ExitTrace,
    Identity,
    OrphanReading,
    PathKind,
    PathReading,
    ProgramReading,
    RpcReading,
    SupervisorReading,
    Unreadable,
)
from paramedic.model.stack import SupervisorConf, SupervisorEntry
from paramedic.sense.supervisor_conf import ConfUnreadable, read_supervisor_conf, stamps_of

LOG_TAIL_BYTES = 64 * 1024
WALK_AGAIN_S = 600.0
_LAST_WORDS = re.compile(r"supervisord started with pid|received SIG\w+ indicating (?:exit|restart) request")
_ASKED = ("supervisor.getState", "supervisor.getPID", "supervisor.getIdentification", "supervisor.getAllProcessInfo")
CLOCK_SLACK_S = 2.0
Walk = Callable[[], list[Row]]
Listeners = Callable[[], list[Listener]]


class SupervisorSensor:
    """Reads one configured daemon; keeps its conf until a file changes and its identity until it dies.

    `recipe_path` is where its launch was recorded: a dead daemon's conf is read with the environment it had.
    """

    def __init__(self, entry: SupervisorEntry, proc: Proc, recipe_path: str | None = None) -> None:
        self.entry = entry
        self._proc = proc
        self._recipe_path = recipe_path
        self._conf: tuple[object, SupervisorConf] | None = None
        self._daemons: list[Identity] = []
        self._walked_at = float("-inf")
        self._held: set[tuple[Identity, int]] = set()

    def conf(self) -> SupervisorConf:
        """The conf as it is on disk now, read with the daemon's own environment; raises OSError or ConfUnreadable."""
        key = (stamps_of(self.entry.conf), tuple(self._daemons))
        if self._conf is None or self._conf[0] != key:
            self._conf = (key, read_supervisor_conf(self.entry, *self._world()))
        return self._conf[1]

    def _world(self) -> tuple[dict[str, str], str | None]:
        """(environment, starting folder) of the living daemon, else of its recorded launch, else as configured."""
        if self._daemons:
            pid = self._daemons[0].pid
            env = self._proc.environ(pid)
            if env is not None:
                return env, env.get("PWD") or self._proc.link(pid, "cwd")
        recorded = recipe.load(self._recipe_path) if self._recipe_path else None
        if recorded is not None:
            return recorded.env, recorded.env.get("PWD") or recorded.cwd
        return {**os.environ, **dict(self.entry.environment)}, self.entry.directory

    def read(
        self, known: SupervisorKnown, listeners: Listeners, walk: Walk, now: float
    ) -> SupervisorReading | Unreadable:
        """Everything about the daemon at monotonic time `now`; `walk` is called only where it must be."""
        self._find(walk, now)
        try:
            conf = self.conf()
            path = files.look(conf.socket) if conf.socket else PathReading(PathKind.ABSENT)
        except (OSError, ConfUnreadable) as error:
            return Unreadable(f"cannot read {self.entry.conf}: {error}")
        seen = listeners()
        if not self._daemons and conf.socket and _named(conf.socket, seen):
            self._find(walk, now)
        daemon = self._daemons[0] if len(self._daemons) == 1 else None
        listening = self._listening(daemon, conf, seen) if daemon else None
        kept = _kept_inode(conf)
        rpc = self._ask(conf, path, listening, kept)
        return SupervisorReading(
            conf=conf,
            path=path,
            daemon=daemon,
            rivals=tuple(d.pid for d in self._daemons) if len(self._daemons) > 1 else (),
            uptime_s=self._proc.age_s(daemon) if daemon else 0.0,
            listening_inode=listening,
            listener_at_path=_is_taken(conf, path, listening, seen, daemon),
            kept_inode=kept,
            rpc=rpc,
            seen_alive=known.daemon is not None,
            trace=None if daemon else self._trace(conf, path, known),
            recorded=known.children,
            stopped=known.stopped,
            orphans=self._orphans(known, conf, daemon, rpc),
        )

    def _find(self, walk: Walk, now: float) -> None:
        """Keep the daemons that live; look for others when there is none, and rarely otherwise."""
        self._daemons = [daemon for daemon in self._daemons if self._proc.is_alive(daemon)]
        if not self._daemons or now - self._walked_at > WALK_AGAIN_S:
            self._daemons = [row.identity for row in of_conf(walk(), self.entry.conf, self._proc)]
            self._walked_at = now

    def _listening(self, daemon: Identity, conf: SupervisorConf, seen: Sequence[Listener]) -> int | None:
        """The inode of the file the daemon listens on: bound as `<path>.<pid>`, then linked (supervisor/http.py)."""
        for listener in _named(conf.socket or "/", seen):
            if self._holds(daemon, listener.socket_inode):
                return listener.file_inode
        return None

    def _trace(self, conf: SupervisorConf, path: PathReading, known: SupervisorKnown) -> ExitTrace:
        pidfile_left = bool(conf.pidfile and os.path.lexists(conf.pidfile))
        born = clock.wall() - self._proc.age_s(known.daemon) if known.daemon else 0.0
        said = _last_word(conf.logfile, born - CLOCK_SLACK_S)
        return ExitTrace(path.kind is PathKind.SOCKET, pidfile_left, said, known.was_leaving)

    def _holds(self, daemon: Identity, socket_inode: int) -> bool:
        if (daemon, socket_inode) not in self._held:
            if not self._proc.holds_socket(daemon.pid, socket_inode):
                return False
            self._held = {(d, s) for d, s in self._held if d == daemon} | {(daemon, socket_inode)}
        return True

    def _ask(
        self, conf: SupervisorConf, path: PathReading, listening: int | None, kept: int | None
    ) -> RpcReading | Unreadable:
        if conf.socket is None or listening is None:
            return Unreadable("no listening socket of it is known")
        if path.inode != listening and kept != listening:
            return Unreadable("no path reaches its socket")
        via = conf.socket if path.inode == listening else files.keep_link(conf.socket)
        try:
            state, pid, identifier, rows = supervisor_rpc.call(
                via, [(name, ()) for name in _ASKED], conf.username, conf.password
            )
            programs = tuple(self._program(row) for row in rows)
            return RpcReading(via, str(state["statename"]), int(pid), str(identifier), programs)
        except supervisor_rpc.Stopping:
            return RpcReading(via, "shutting down or restarting", 0, "", ())
        except (supervisor_rpc.RpcFailure, KeyError, TypeError, ValueError) as error:
            return Unreadable(str(error))

    def _program(self, row: dict[str, Any]) -> ProgramReading:
        group, name = str(row["group"]), str(row["name"])
        identity = self._proc.identify(int(row["pid"]))
        said_s = max(0.0, float(row["now"]) - float(row["start"]))
        return ProgramReading(
            name=name if group == name else f"{group}:{name}",
            state=str(row["statename"]),
            identity=identity,
            spawnerr=str(row.get("spawnerr") or ""),
            age_s=self._proc.age_s(identity) if identity else said_s,
        )

    def _orphans(
        self, known: SupervisorKnown, conf: SupervisorConf, daemon: Identity | None, rpc: RpcReading | Unreadable
    ) -> tuple[OrphanReading, ...]:
        """Recorded children whose master is proven dead and that no living daemon calls its own."""
        owned = {p.identity for p in rpc.programs} if isinstance(rpc, RpcReading) else set()
        found = []
        for child in dict.fromkeys((*known.children, *known.strays)):
            if child.master == daemon or child.identity in owned or self._proc.is_alive(child.master):
                continue
            if self._proc.is_alive(child.identity):
                found.append(self._orphan(child, conf))
        return tuple(found)

    def _orphan(self, child: ChildRecord, conf: SupervisorConf) -> OrphanReading:
        pid = child.identity.pid
        command = readable(" ".join(self._proc.cmdline(pid) or ("?",)))[:120]
        doubt = doubt_of(child, conf, self._proc)
        return OrphanReading(child, command, self._proc.rss_bytes(pid) or 0, self._proc.age_s(child.identity), doubt)


def _named(path: str, seen: Sequence[Listener]) -> list[Listener]:
    """The listeners bound as this path or, as supervisord binds, as `<path>.<pid>`; alive although unlinked."""
    bound = re.compile(re.escape(path) + r"(\.\d+)?")
    return [listener for listener in seen if bound.fullmatch(listener.name)]


def _is_taken(
    conf: SupervisorConf, path: PathReading, listening: int | None, seen: Sequence[Listener], daemon: Identity | None
) -> bool:
    """Whether somebody else listens at the path, or, with no daemon found, still under its name."""
    if conf.socket is None:
        return False
    if daemon is None and _named(conf.socket, seen):
        return True
    return path.kind is PathKind.SOCKET and path.inode != listening and _is_listening(conf.socket)


def _is_listening(path: str) -> bool:
    try:
        return files.is_listening(path)
    except FileNotFoundError:
        return False


def _kept_inode(conf: SupervisorConf) -> int | None:
    if conf.socket is None:
        return None
    try:
        reading = files.look(files.keep_link(conf.socket))
    except OSError:
        return None
    return reading.inode if reading.kind is PathKind.SOCKET else None


def _last_word(logfile: str | None, since: float) -> str | None:
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
