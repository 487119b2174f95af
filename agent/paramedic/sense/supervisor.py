"""A Supervisor daemon from sources that must agree: its conf, the path's inode, unix_diag, /proc, its answer.

SO_PEERCRED lies for a daemonized supervisord and connect() succeeds on a stopped one; neither is used.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from paramedic.host import files, recipe
from paramedic.host.proc import Proc, readable
from paramedic.host.processes import Row, of_conf, same_file
from paramedic.host.unix_diag import Listener
from paramedic.model.facts import SupervisorKnown
from paramedic.model.readings import Identity, PathKind, PathReading, Unreadable
from paramedic.model.stack import SupervisorConf, SupervisorEntry
from paramedic.model.supervision import RpcReading, SupervisorReading
from paramedic.sense import path as at
from paramedic.sense.condition import Access, Logs, Pidfiles, owner_of
from paramedic.sense.inquiry import JUST_ENDED, Answer, Asking, Inquiry
from paramedic.sense.memory import Rollups
from paramedic.sense.orphans import Orphans
from paramedic.sense.programs import Programs, with_orphans
from paramedic.sense.rivals import keeper_of, rivals_of, without_strangers
from paramedic.sense.supervisor_conf import ConfUnreadable, read_as_started, stamps_of
from paramedic.sense.trace import trace_of

WALK_AGAIN_S = 600.0
LOOK_AGAIN_S = 10.0
LOGGED_S = 0.001  # times in its log are cut to milliseconds
Reading = SupervisorReading | Unreadable
Walk = Callable[[], list[Row]]
Listeners = Callable[[], Sequence[Listener]]


class SupervisorSensor:
    """Reads one configured daemon; keeps its conf until a file changes and its identity until it dies.

    `recipe_path` is where its launch was recorded: a dead daemon's conf is read with the environment it had.
    """

    def __init__(
        self, entry: SupervisorEntry, proc: Proc, recipe_path: str | None = None, rollups: Rollups | None = None
    ) -> None:
        self.entry = entry
        self._proc = proc
        self._recipe_path = recipe_path
        self._conf: tuple[object, SupervisorConf] | None = None
        self._daemons: list[Identity] = []
        self._walked_at = float("-inf")
        self._must_look = False
        self._well: tuple[tuple[object, ...], SupervisorReading, Listener] | None = None
        self._well_at = 0.0
        self._held: set[tuple[Identity, int]] = set()
        self._orphans = Orphans(proc)
        self._holders = at.Holders(proc)
        self._logs, self._pidfile, self._access = Logs(proc), Pidfiles(self._holders), Access()
        self.programs = Programs(proc, self._holders, rollups or Rollups(proc, 0))
        self._inquiry = Inquiry(proc, self.programs)

    def conf(self) -> SupervisorConf:
        """The conf as it is on disk now, read with the daemon's own environment; raises OSError or ConfUnreadable."""
        key = (stamps_of(self.entry.conf), tuple(self._daemons))
        if self._conf is None or self._conf[0] != key:
            self._conf = (key, read_as_started(self.entry, *self._world()))
        return self._conf[1]

    def conf_as_it_runs(self, walk: Walk, now: float) -> SupervisorConf:
        """Like `conf`, after a look for the daemon: a conf with %(ENV_x)s can be read only with its environment."""
        self._find(walk, now)
        return self.conf()

    def _world(self) -> tuple[dict[str, str], tuple[str, ...], str | None, str | None]:
        """(environment, arguments, folder by that, folder it is in) of the daemon, its last launch, or the config."""
        if self._daemons:
            pid = self._daemons[0].pid
            env = self._proc.environ(pid)
            if env is not None:
                return env, self._proc.cmdline(pid) or (), env.get("PWD"), self._proc.link(pid, "cwd")
        recorded = recipe.load(self._recipe_path) if self._recipe_path else None
        if recorded is not None:
            return recorded.env, recorded.argv, recorded.env.get("PWD"), recorded.cwd
        return {**os.environ, **dict(self.entry.environment)}, (), self.entry.directory, self.entry.directory

    def read(
        self, known: SupervisorKnown, listeners: Listeners, walk: Walk, now: float
    ) -> SupervisorReading | Unreadable:
        """Everything about the daemon at monotonic time `now`; `walk` is called only where it must be."""
        return self.hear(self.ask(known, listeners, walk, now), known, now)

    def ask(self, known: SupervisorKnown, listeners: Listeners, walk: Walk, now: float) -> Asking | Reading:
        """As `read`, up to the question to the daemon, which is on its way then."""
        rows = self._find(walk, now)
        try:
            conf = self.conf()
            path = files.look(conf.socket) if conf.socket else PathReading(PathKind.ABSENT)
        except (OSError, ConfUnreadable) as error:
            return Unreadable(readable(f"cannot read {self.entry.conf}: {error}"))
        seen = listeners()
        path = at.looked_again(conf.socket, path, seen)
        if not self._daemons and conf.socket and at.named(conf.socket, seen):
            rows = self._find(walk, now) or rows
            seen = without_strangers(seen, conf, path, self._holders, self.entry.user)
        stands: tuple[object, ...] = ()
        if len(self._daemons) == 1:
            stands = self._stands(conf, path, seen, known)
            if rows is None and self._well is not None and self._well[0] == stands:
                reading, listening = self._well[1:]
                return self._inquiry.ask(reading._replace(uptime_s=self._proc.age_s(self._daemons[0])), listening)
            conf, path = self._as_it_listens(self._daemons[0], conf, path, seen)
            if self._is_a_second_one(path, self._daemons[0], seen):
                rows = self._find(walk, now, must=True) or rows
        if rows is not None:
            self._orphans.look_for(rows, conf, known)
        daemon = self._daemons[0] if len(self._daemons) == 1 else self._stopped_one(conf, seen)
        if daemon is None:
            return self._without_daemon(conf, path, seen, known)
        reading, heard_at = self._of_daemon(daemon, conf, path, seen, known)
        if heard_at is None or conf.socket is None:
            return reading._replace(orphans=self._orphans.of(known, conf, daemon, set()))
        is_well = stands[:3] == (daemon, conf, path) and path.inode == heard_at.file_inode
        self._well = (stands, reading, heard_at) if is_well else None
        return self._inquiry.ask(reading, heard_at)

    def _stands(
        self, conf: SupervisorConf, path: PathReading, seen: Sequence[Listener], known: SupervisorKnown
    ) -> tuple[object, ...]:
        """All that a well daemon is read from, but for its answer: while none of it changes the reading stays.

        Looked at before the reading: what changes meanwhile makes the next one a new one.
        """
        daemon, (uid, gid) = self._daemons[0], self._proc.ids(self._daemons[0].pid)
        owner, folder = owner_of(conf, (uid or 0, gid or 0)), at.folder_of(conf.socket)
        return daemon, conf, path, seen, known, uid, gid, owner, at.kept_inode(conf.socket), folder

    def hear(self, asking: Asking | Reading, known: SupervisorKnown, now: float) -> Reading:
        """As `read`, from there on. A daemon that ended since it was asked says nothing of what is true now."""
        if not isinstance(asking, Asking):
            return asking
        answer, reading = self._inquiry.hear(asking, known, now), asking.reading
        state = answer[0].state if isinstance(answer[0], RpcReading) else ""
        if state == "RUNNING":
            self._well_at = asking.at - LOGGED_S
        if state in ("RUNNING", "") and (reading.daemon is None or not self._proc.is_alive(reading.daemon)):
            return reading._replace(rpc=JUST_ENDED)
        return self._with_answer(reading, answer, known, now)

    def _stopped_one(self, conf: SupervisorConf, seen: Sequence[Listener]) -> Identity | None:
        """Of several, the one that listens while it is stopped (state T): it must go on before anybody is judged.

        Another that was started meanwhile waits for its answer (supervisor/http.py, checkused), and leaves with it.
        """
        listening = [one for one in self._daemons if self._listening(one, conf, seen) is not None]
        stat = self._proc.stat(listening[0].pid) if len(listening) == 1 else None
        return listening[0] if stat is not None and stat.state == "T" else None

    def _as_it_listens(
        self, daemon: Identity, conf: SupervisorConf, path: PathReading, seen: Sequence[Listener]
    ) -> tuple[SupervisorConf, PathReading]:
        """While a daemon lives its own socket counts, not that of a conf that was edited and not loaded."""
        if conf.socket is None or self._listening(daemon, conf, seen) is not None:
            return conf, path
        with contextlib.suppress(PermissionError):
            held = {target for _, target in self._proc.open_files(daemon.pid)}
            mine = [one for one in seen if f"socket:[{one.socket_inode}]" in held and one.name.startswith("/")]
            if len(mine) == 1:
                bound = re.sub(r"\.\d+$", "", mine[0].name)
                return replace(conf, socket=bound), files.look(bound)
        return conf, path

    def _is_a_second_one(self, path: PathReading, daemon: Identity, seen: Sequence[Listener]) -> bool:
        """Whether another daemon of our very conf stands at the path."""
        holder = at.holder_at(path, seen, self._holders)
        if holder is None or holder.conf is None or holder.identity == daemon:
            return False
        return same_file(holder.conf, self.entry.conf)

    def _find(self, walk: Walk, now: float, must: bool = False) -> list[Row] | None:
        """Keep the daemons that live; look for others when there is none, when told to, and rarely otherwise."""
        self._daemons = [daemon for daemon in self._daemons if self._proc.is_alive(daemon)]
        patience = LOOK_AGAIN_S if self._must_look else WALK_AGAIN_S
        if self._daemons and now - self._walked_at <= patience and not must:
            return None
        rows = walk()
        self._daemons = [row.identity for row in of_conf(rows, self.entry.conf, self._proc, self.entry.user)]
        self._walked_at = now
        return rows

    def _without_daemon(
        self, conf: SupervisorConf, path: PathReading, seen: Sequence[Listener], known: SupervisorKnown
    ) -> SupervisorReading:
        """No daemon of this conf, or several: who is there, how the last one left, and what outlived it."""
        listening = {daemon: self._listening(daemon, conf, seen) for daemon in self._daemons}
        inodes = {daemon: found.file_inode if found else None for daemon, found in listening.items()}
        rivals = rivals_of(inodes, conf, self._proc)
        keeper, undecided = keeper_of(rivals, known.daemon, self._proc)
        live = inodes.get(keeper) if keeper else None
        uid = (self._proc.uid(keeper.pid) or 0) if keeper else -1
        gid = (self._proc.gid(keeper.pid) or 0) if keeper else -1
        return SupervisorReading(
            conf=conf,
            path=path,
            daemon=None,
            rivals=rivals,
            uptime_s=0.0,
            listening_inode=live,
            listener_at_path=not rivals and at.is_taken(conf.socket, path, None, seen),
            kept_inode=at.kept_inode(conf.socket),
            rpc=Unreadable("several daemons run" if rivals else "no daemon runs"),
            seen_alive=known.daemon is not None,
            trace=None if rivals else trace_of(conf, path, known, self._proc, self._well_at, self._recipe_path),
            recorded=known.children,
            stopped=known.stopped,
            orphans=self._orphans.of(known, conf, None, set()) if not rivals else (),
            socket_inode=found.socket_inode if keeper and (found := listening[keeper]) else None,
            uid=uid,
            gid=gid,
            owner=owner_of(conf, (uid, gid)),
            at_path=at.holder_at(path, seen, self._holders) if not rivals else None,
            keeper=keeper,
            undecided=undecided,
            folder=known.folder,
        )

    def _of_daemon(
        self,
        daemon: Identity,
        conf: SupervisorConf,
        path: PathReading,
        seen: Sequence[Listener],
        known: SupervisorKnown,
    ) -> tuple[SupervisorReading, Listener | None]:
        """The one daemon of this conf: what stands at its path, and where it listens."""
        listening = self._listening(daemon, conf, seen)
        live = listening.file_inode if listening else None
        uid, gid = self._proc.ids(daemon.pid)
        is_relayed = conf.socket is not None and at.is_relayed(conf.socket, path, listening, seen, self._holders)
        reading = SupervisorReading(
            conf=conf,
            path=path,
            daemon=daemon,
            rivals=(),
            uptime_s=self._proc.age_s(daemon),
            listening_inode=live,
            listener_at_path=not is_relayed and at.is_taken(conf.socket, path, live, seen),
            kept_inode=at.kept_inode(conf.socket),
            rpc=Unreadable("no listening socket of it is known"),
            seen_alive=known.daemon is not None,
            trace=None,
            recorded=known.children,
            stopped=known.stopped,
            socket_inode=listening.socket_inode if listening else None,
            uid=uid or 0,
            gid=gid or 0,
            relayed=is_relayed,
            at_path=at.holder_at(path, seen, self._holders) if path.inode != live and not is_relayed else None,
            folder=(at.folder_of(conf.socket) if path.inode == live else None) or known.folder,
            owner=owner_of(conf, (uid or 0, gid or 0)),
        )
        return reading, listening

    def _with_answer(
        self, reading: SupervisorReading, answer: Answer, known: SupervisorKnown, now: float
    ) -> SupervisorReading:
        conf, daemon = reading.conf, reading.daemon
        rpc, silence, logs = answer
        programs = rpc.programs if isinstance(rpc, RpcReading) else ()
        orphans = self._orphans.of(known, conf, daemon, {program.identity for program in programs})
        barred = self._access.denied(reading, now)
        if daemon is None or conf.socket is None or not isinstance(rpc, RpcReading):
            return reading._replace(rpc=rpc, silence=silence, orphans=orphans, denied=barred)
        named = tuple([with_orphans(program, orphans) for program in programs]) if orphans else programs
        self._must_look = any(p.port_held or p.starts or p.state in ("BACKOFF", "FATAL") for p in named)
        return reading._replace(
            rpc=rpc if named == programs else rpc._replace(programs=named),
            silence=silence,
            orphans=orphans,
            denied=barred,
            pidfile=self._pidfile.wrong(conf.pidfile, daemon, reading.uptime_s),
            deleted_logs=self._logs.deleted(daemon, (conf.logfile or "", *logs)),
        )

    def _listening(self, daemon: Identity, conf: SupervisorConf, seen: Sequence[Listener]) -> Listener | None:
        """The socket the daemon listens on: bound as `<path>.<pid>`, then linked to the path (supervisor/http.py)."""
        for listener in at.named(conf.socket or "/", seen):
            if self._holds(daemon, listener.socket_inode):
                return listener
        return None

    def _holds(self, daemon: Identity, socket_inode: int) -> bool:
        if (daemon, socket_inode) not in self._held:
            if not self._proc.holds_socket(daemon.pid, socket_inode):
                return False
            self._held = {(d, s) for d, s in self._held if d in self._daemons} | {(daemon, socket_inode)}
        return True
