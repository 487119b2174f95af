"""Supervised programs: memory of their process trees, ports and connections, how often they start, why they cannot."""

from __future__ import annotations

import collections
import functools
import math
import os
import re
import shlex
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from paramedic.host import clock, inet
from paramedic.host.daphne_lock import lock_of, stranger_in
from paramedic.host.proc import Proc, readable
from paramedic.host.stat_text import Stat
from paramedic.model.readings import Identity, Unreadable
from paramedic.model.stack import ProgramConf, SupervisorConf
from paramedic.model.supervision import OrphanReading, PortHeld, ProgramReading
from paramedic.sense.memory import Rollups
from paramedic.sense.path import Holders

WATCHED_S = 120.0
TABLE_FOR_S = 5.0
CPU_SHARE = 0.00005
LONGEST_S = 60.0
LISTENS_AFTER_S = 2.0
LISTENS_AGAIN_S = 30.0
MOST_NAME, MOST_TOLD, MOST_FOLLOWED = 200, 500, 2048
_PORT_FLAGS = ("-p", "--port", "-b", "--bind", "-e", "--endpoint", "--http", "--http-socket", "--socket")
# Whose -p is the port of somebody else, or of a container.
_CLIENTS = frozenset(
    ("autossh", "curl", "docker", "mosquitto_pub", "mosquitto_sub", "mysql", "nc", "podman", "psql", "redis-cli", "ssh")
)
_WANTING = ("STARTING", "RUNNING", "BACKOFF", "FATAL")
_NEVER: tuple[Identity | None, tuple[int, ...], float] = (None, (), -math.inf)
_NOT_FOUND = re.compile(r"can't find command '([^'/]+)'")


class _Well(NamedTuple):
    """A program that is well: what it `stands` on, `until` when (monotonic) that counts, and who was `listening` then,
    None where that does not matter.
    """

    stands: tuple[object, ...]
    until: float
    listening: dict[int, list[int]] | None
    reading: ProgramReading


class Programs:
    """Follows the programs of one daemon from look to look."""

    def __init__(self, proc: Proc, holders: Holders, rollups: Rollups) -> None:
        self._proc, self._holders, self._rollups = proc, holders, rollups
        self._starts: dict[str, collections.deque[tuple[float, int]]] = {}
        self._since: dict[str, float] = {}
        self._ports: dict[str, tuple[Identity | None, tuple[int, ...], float]] = {}
        self._listened: tuple[float, dict[int, list[int]]] = (-math.inf, {})
        self._connected: tuple[float, dict[int, int]] = (-math.inf, {})
        self._daemon: Identity | None = None
        self._well: dict[str, _Well] = {}
        self._trees: dict[str, Mapping[Identity, Stat]] = {}

    @property
    def resident(self) -> dict[Identity, int]:
        """Every process of every program with its RSS in bytes, as of the last look."""
        return {one: stat.rss_bytes for tree in self._trees.values() for one, stat in tree.items()}

    def read(
        self,
        row: Mapping[str, Any],
        conf: SupervisorConf,
        known: Mapping[str, tuple[int, ...]],
        daemon: Identity,
        now: float,
    ) -> ProgramReading:
        """One row of getAllProcessInfo; `known` are the ports each program was seen to listen on."""
        if daemon != self._daemon:
            self._daemon = daemon
            self._starts.clear()
            self._since.clear()
            self._well.clear()
        group, name = readable(str(row["group"]))[:MOST_NAME], readable(str(row["name"]))[:MOST_NAME]
        full = name if group == name else f"{group}:{name}"
        if len(self._since) >= MOST_FOLLOWED and full not in self._since:
            self.keep(())
        child = self._child(int(row["pid"]), daemon)
        living = self._trees[full] = self._tree(child)
        stands, well = (row, conf, known, list(living)), self._well.get(full)
        if well is not None and well.stands == stands and self._is_still(well, now):
            return self._gone_on(well.reading, living, now)
        reading, is_wanting = self._look(full, row, conf, known, child, living, now)
        identity, ports, looked_at = self._ports.get(full, _NEVER)
        is_known = child is not None and identity == child.identity
        if is_known and reading.state == "RUNNING" and not (reading.starts or reading.port_held or reading.spawnerr):
            until = (now if ports else looked_at) + LISTENS_AGAIN_S
            self._well[full] = _Well(stands, until, self._listening(now) if is_wanting else None, reading)
        return reading

    def _is_still(self, well: _Well, now: float) -> bool:
        return now < well.until and (well.listening is None or well.listening == self._listening(now))

    def keep(self, programs: Collection[ProgramReading]) -> None:
        """Forget all others: a conf that was read anew may have fewer."""
        names = {program.name for program in programs}
        for followed in (self._starts, self._since, self._ports, self._trees, self._well):
            for gone in followed.keys() - names:
                del followed[gone]

    def _gone_on(self, reading: ProgramReading, living: Mapping[Identity, Stat], now: float) -> ProgramReading:
        """What changes of a program that is well while Supervisor, its processes and who listens are as they were."""
        return reading._replace(
            age_s=self._proc.age_s(reading.identity) if reading.identity else reading.age_s,
            rss_bytes=_rss_of(living),
            memory=self._rollups.sum_of(list(living)),
            connections=self._connections(reading.ports, now),
            watched_s=min(WATCHED_S, now - self._since[reading.name]),
        )

    def _look(
        self,
        full: str,
        row: Mapping[str, Any],
        conf: SupervisorConf,
        known: Mapping[str, tuple[int, ...]],
        child: Stat | None,
        living: Mapping[Identity, Stat],
        now: float,
    ) -> tuple[ProgramReading, bool]:
        """(all of it, whether it matters who else listens)."""
        state = readable(str(row["statename"]))[:32]
        identity = child.identity if child else None
        age_s = self._proc.age_s(identity) if identity else max(0.0, clock.wall() - float(row["start"]))
        tree = list(living)
        section = conf.program(full)
        startsecs = section.startsecs if section else 1.0
        starts = self._count(full, int(row["start"]), now)
        ports = self._listens(full, identity, tree, age_s > startsecs + LISTENS_AFTER_S, now) or known.get(full, ())
        wanted = ports or (ports_of(section.command) if section and "%(process_num" not in section.command else ())
        spawnerr = readable(str(row.get("spawnerr") or ""))[:MOST_TOLD]
        reading = ProgramReading(
            name=full,
            state=state,
            identity=identity,
            spawnerr=spawnerr,
            age_s=age_s,
            processes=len(tree),
            rss_bytes=_rss_of(living) if tree else Unreadable("it does not run"),
            memory=self._rollups.sum_of(tree),
            connections=self._connections(ports, now) if identity else Unreadable("it does not run"),
            ports=ports,
            starts=starts,
            watched_s=min(WATCHED_S, now - self._since[full]),
            port_held=self._held(wanted, tree, now) if state in _WANTING else None,
            hint=self._hint(spawnerr, section) if spawnerr and section else "",
        )
        return reading, bool(wanted)

    def _child(self, pid: int, daemon: Identity) -> Stat | None:
        """The process, if it is the daemon's own child: a daemon may be a user's, and could name any pid."""
        stat = self._proc.stat(pid) if pid > 0 else None
        return stat if stat and stat.is_alive and stat.ppid == daemon.pid else None

    def _tree(self, child: Stat | None) -> dict[Identity, Stat]:
        """The process and everything it started."""
        if child is None:
            return {}
        found = {child.identity: child}
        for pid in self._proc.tree(child.identity.pid)[1:]:
            stat = self._proc.stat(pid)
            if stat is not None and stat.is_alive:
                found[stat.identity] = stat
        return found

    def _count(self, name: str, start: int, now: float) -> int:
        """How many starts were seen lately, beyond the one that was found at the first look."""
        seen = self._starts.setdefault(name, collections.deque(maxlen=100))
        self._since.setdefault(name, now)
        if not seen or seen[-1][1] != start:
            seen.append((now, start))
        return sum(at > now - WATCHED_S and at > self._since[name] for at, _ in seen)

    def _listens(
        self, name: str, identity: Identity | None, tree: list[Identity], is_up: bool, now: float
    ) -> tuple[int, ...]:
        """The TCP ports its tree listens on, looked for once it had the time to begin."""
        kept = self._ports.get(name)
        mine = kept if kept is not None and kept[0] == identity else None
        if identity is None or not is_up or (mine is not None and (mine[1] or now - mine[2] < LISTENS_AGAIN_S)):
            return mine[1] if mine is not None else ()
        inodes = self._sockets(tree)
        found = tuple(sorted(p for p, listed in self._listening(now).items() if inodes.intersection(listed)))
        self._ports[name] = (identity, found, now)
        return found

    def _sockets(self, tree: list[Identity]) -> set[int]:
        found = set()
        for one in tree:
            try:
                targets = [target for _, target in self._proc.open_files(one.pid)]
            except PermissionError:
                continue
            found |= {int(target[8:-1]) for target in targets if target.startswith("socket:[")}
        return found

    def _listening(self, now: float) -> dict[int, list[int]]:
        if now - self._listened[0] > TABLE_FOR_S:
            self._listened = (now, inet.listening(self._proc))
        return self._listened[1]

    def _established(self, now: float) -> dict[int, int]:
        """Asked again after five seconds; where that is costly, when it takes 0.005 % of the time, within a minute."""
        if now > self._connected[0]:
            began, found = clock.cpu(), inet.connected(self._proc)
            self._connected = (now + min(max(TABLE_FOR_S, (clock.cpu() - began) / CPU_SHARE), LONGEST_S), found)
        return self._connected[1]

    def _connections(self, ports: tuple[int, ...], now: float) -> int | Unreadable:
        if not ports:
            return Unreadable("it listens on no TCP port that is known")
        established = self._established(now)
        return sum([established.get(port, 0) for port in ports])

    def _held(self, ports: tuple[int, ...], tree: list[Identity], now: float) -> PortHeld | None:
        """The first of its ports that only others listen on."""
        for port in ports:
            holders = [self._holders.of(inode) for inode in self._listening(now).get(port, ())]
            strangers = [one for one in holders if one is not None and one.identity not in tree]
            if strangers and len(strangers) == len(holders) and not self._shares(port, tree, now):
                ours = (name for name, found in self._trees.items() if strangers[0].identity in found)
                return PortHeld(port, strangers[0], program=next(ours, None))
        return None

    def _shares(self, port: int, tree: list[Identity], now: float) -> bool:
        """Whether the program holds the listening socket too, e.g. one inherited from its parent."""
        return bool(self._sockets(tree).intersection(self._listening(now).get(port, ())))

    def _hint(self, spawnerr: str, program: ProgramConf) -> str:
        """Where a command that is not found was looked for, and where it is."""
        match = _NOT_FOUND.search(spawnerr)
        if match is None:
            return self._lock_hint(program)
        pid = self._daemon.pid if self._daemon else 0
        env = self._proc.environ(pid) or {}
        path = program.path or env.get("PATH", "")
        whose = "environment= of the program" if program.path else "the shell or unit that started supervisord"
        argv = self._proc.cmdline(pid) or ()
        near = [str(Path(word).parent) for word in argv[:2] if word.startswith("/")]
        near += [f"{program.directory}/{name}/bin" for name in ("venv", ".venv", "env") if program.directory]
        places = [f"{folder}/{match[1]}" for folder in (*near, "/usr/local/bin", "/usr/bin", "/bin")]
        found = next((place for place in places if os.access(place, os.X_OK)), None)
        where = f"; it is at {found}: write command={found} ..." if found else ""
        return f"it was looked for in PATH {path or '(empty)'}, that of {whose}, not of your shell{where}"

    def _lock_hint(self, program: ProgramConf) -> str:
        lock = lock_of(program.command, program.directory or "/")
        stranger = stranger_in(lock, self._proc) if lock else None
        return f"its lock {lock} names process {stranger}, which is no Daphne: remove it" if stranger else ""


def _rss_of(living: Mapping[Identity, Stat]) -> int:
    return sum([stat.rss_bytes for stat in living.values()])


def with_orphans(program: ProgramReading, orphans: tuple[OrphanReading, ...]) -> ProgramReading:
    """Who holds its port, named as the orphan it is."""
    held = program.port_held
    names = {orphan.child.identity: orphan.child.program for orphan in orphans}
    if held is None or held.holder.identity not in names:
        return program
    return program._replace(port_held=replace(held, orphan=names[held.holder.identity]))


@functools.lru_cache(maxsize=256)
def ports_of(command: str) -> tuple[int, ...]:
    """The TCP ports a command line names behind the usual options: `-p 8001`, `--bind 0.0.0.0:80`, `tcp:port=80`."""
    try:
        words = shlex.split(command)
    except ValueError:
        return ()
    if any(os.path.basename(word) in _CLIENTS for word in words[:2]):
        return ()
    found = []
    for at, word in enumerate(words):
        flag, equals, value = word.partition("=")
        if flag in _PORT_FLAGS:
            value = value if equals else (words[at + 1] if at + 1 < len(words) else "")
            match = re.search(r"(?:^|:|port=)(\d{2,5})(?::|$)", value) if "/" not in value else None
            found += [int(match[1])] if match and int(match[1]) < 65536 else []
    return tuple(dict.fromkeys(found))
