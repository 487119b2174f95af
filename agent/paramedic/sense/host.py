"""All sensors of the configured stack: one look at the host."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from paramedic.host import clock, inodes, recipe, unix_diag
from paramedic.host.children import MOST_HELD
from paramedic.host.proc import Proc, readable
from paramedic.host.processes import Row, walk
from paramedic.host.unix_diag import Listener
from paramedic.host.uwsgi_stats import DEADLINE_S
from paramedic.model.facts import Known, SupervisorKnown
from paramedic.model.readings import Identity, Unreadable, UwsgiBlind, UwsgiReading
from paramedic.model.sample import Sample
from paramedic.model.stack import Stack
from paramedic.model.supervision import SocketReading, SupervisorReading
from paramedic.sense.host_memory import HostMemory
from paramedic.sense.inquiry import JUST_ENDED, Asking
from paramedic.sense.memory import NEW_S, Rollups
from paramedic.sense.sockets import SocketSensor
from paramedic.sense.supervisor import SupervisorSensor
from paramedic.sense.uwsgi import SHORT_S, Instance, UwsgiSensor, resident

EACH_LOOK_S = 0.0005
CPU_SHARE = 0.0001
RUNS = (UwsgiReading, UwsgiBlind)
Workers = dict[str, Instance]
Daemons = dict[str, SupervisorReading | Unreadable]
Sockets = dict[str, SocketReading | Unreadable]
Reading = TypeVar("Reading")
Given = ParamSpec("Given")
_NEVER_SEEN = SupervisorKnown()
log = logging.getLogger(__name__)


class Sensors:
    """Reads everything the stack names.

    `thorough` reads every worker's USS at once, for a single look; `rollups` has a budget of its own.
    """

    def __init__(
        self,
        stack: Stack,
        proc: Proc,
        state_dir: str = "",
        thorough: bool = False,
        rollups: Rollups | None = None,
    ) -> None:
        self.proc = proc
        self.memory = HostMemory(proc)
        self._masters: dict[str, Identity] = {}
        self._rollups = rollups or Rollups(
            proc, *((math.inf, math.inf) if thorough else (EACH_LOOK_S, NEW_S, CPU_SHARE))
        )

        def launch(name: str) -> str | None:
            return recipe.path_of(state_dir, name) if state_dir else None

        most = MOST_HELD // max(1, len(stack.uwsgi))
        self.uwsgi = {one.name: UwsgiSensor(one, proc, launch(f"uwsgi-{one.name}"), most) for one in stack.uwsgi}
        self.supervisor = {
            entry.name: SupervisorSensor(entry, proc, launch(entry.name), self._rollups) for entry in stack.supervisor
        }
        self.sockets = {entry.name: SocketSensor(entry, proc) for entry in stack.sockets}
        self._thorough = thorough
        self._dumped: Sequence[Listener] = ()
        self._said: dict[str, str] = {}

    def read(self, known: Known, is_suspect: bool = False) -> Sample:
        """One sample. A sensor that cannot read says so in its place and stops no other.

        `is_suspect`: some policy has something against the host, so who holds its memory is worth a walk.
        """
        inodes.refresh()
        now, wall = clock.monotonic(), clock.wall()
        self._dumped = ()
        uwsgi, supervisor, sockets = self._read_processes(known, now)
        masters = self._living_masters(uwsgi, supervisor)
        host = self._guarded("memory", self.memory.read, masters, now, is_suspect or self._thorough)
        return Sample(now, wall, host, uwsgi, supervisor, sockets)

    def _read_processes(self, known: Known, now: float) -> tuple[Workers, Daemons, Sockets]:
        """uWSGI, Supervisor and sockets; the memory of single processes is read for the next look, or, if thorough, for
        this. Who is asked answers while others are read: a wait costs more than the answer.
        """

        def look() -> tuple[Workers, Daemons, Sockets]:
            asking = {name: self._ask_supervisor(name, known, now) for name in self.supervisor}
            began = clock.monotonic()
            uwsgi = {name: self._read_uwsgi(name, known, began) for name in self.uwsgi}
            sockets = {name: self._read_socket(name, known, now) for name in self.sockets}
            return uwsgi, {name: self._hear(name, one, known, now) for name, one in asking.items()}, sockets

        readings = look()
        programs = [sensor.programs for sensor in self.supervisor.values()]
        found = resident(readings[0], self.proc)
        for one in programs:
            found |= one.resident
        self._rollups.refresh(found, now)
        return look() if self._thorough else readings

    def _living_masters(self, uwsgi: Workers, supervisor: Daemons) -> list[Identity]:
        """The first process of each part of the stack; where it cannot be read now, the last one while it lives."""
        found = {f"uwsgi:{name}": one.master for name, one in uwsgi.items() if isinstance(one, RUNS)}
        for name, daemon in supervisor.items():
            if isinstance(daemon, SupervisorReading) and daemon.daemon is not None:
                found[f"supervisor:{name}"] = daemon.daemon
        kept = {name: one for name, one in self._masters.items() if name not in found and self.proc.is_alive(one)}
        self._masters = kept | found
        return list(self._masters.values())

    def _read_socket(self, name: str, known: Known, now: float) -> SocketReading | Unreadable:
        sensor = self.sockets[name]
        return self._guarded(name, sensor.read, known.sockets.get(name), self._known_to_listen, now)

    def _known_to_listen(self, inode: int) -> Sequence[Listener]:
        """The last dump, or a new one where it does not know the file with this number."""
        return self._dumped if inode and inode in [one.file_inode for one in self._dumped] else self._dump()

    def _dump(self) -> Sequence[Listener]:
        self._dumped = unix_diag.listeners()
        return self._dumped

    def _ask_supervisor(self, name: str, known: Known, now: float) -> Asking | SupervisorReading | Unreadable:
        kept, sensor = known.supervisors.get(name, _NEVER_SEEN), self.supervisor[name]
        return _tried(name, sensor.ask, kept, self._dump, self._walk, now)

    def _hear(
        self, name: str, asking: Asking | SupervisorReading | Unreadable, known: Known, now: float
    ) -> SupervisorReading | Unreadable:
        """What it says, or, where it ended since it was asked, what is left of it."""
        kept, sensor = known.supervisors.get(name, _NEVER_SEEN), self.supervisor[name]
        found = self._guarded(name, sensor.hear, asking, kept, now)
        if isinstance(found, SupervisorReading) and found.rpc is JUST_ENDED:
            return self._guarded(name, sensor.read, kept, self._dump, self._walk, now)
        return found

    def _walk(self) -> list[Row]:
        return walk(self.proc)

    def unreadable_confs(self) -> list[str]:
        """Every ini and conf of the stack that cannot be used, one sentence each."""
        now = clock.monotonic()
        reads: list[tuple[str, Callable[[], object]]] = [(one.entry.ini, one.conf) for one in self.uwsgi.values()]
        for daemon in self.supervisor.values():
            reads.append((daemon.entry.conf, functools.partial(daemon.conf_as_it_runs, self._walk, now)))
        found: list[str] = []
        for path, read in reads:
            try:
                read()
            except (OSError, ValueError) as error:
                found.append(f"{path}:1:1: cannot read it: {getattr(error, 'strerror', None) or error}")
        return found

    def _read_uwsgi(self, name: str, known: Known, began: float) -> Instance:
        """All of them, asked since monotonic `began`, share one patience: others wait while one says nothing."""
        sensor, patience_s = self.uwsgi[name], max(SHORT_S, DEADLINE_S - (clock.monotonic() - began))
        others = {one.master for other, one in known.uwsgis.items() if other != name}
        return self._guarded(name, sensor.read, self._rollups, known.uwsgis.get(name), others, patience_s)

    def _guarded(
        self, name: str, read: Callable[Given, Reading | Unreadable], *given: Given.args, **named: Given.kwargs
    ) -> Reading | Unreadable:
        """As `_tried`; what cannot be read is told once."""
        found = _tried(name, read, *given, **named)
        why = found.reason if isinstance(found, Unreadable) else ""
        if why and self._said.get(name) != why:
            log.warning("cannot read %s: %s", name, why)
        self._said[name] = why
        return found


def _tried(
    name: str, read: Callable[Given, Reading | Unreadable], *given: Given.args, **named: Given.kwargs
) -> Reading | Unreadable:
    """What a sensor reads of strangers must not end the agent: whatever it raises is unreadable, with its name."""
    try:
        return read(*given, **named)
    except PermissionError as error:
        return Unreadable(f"not allowed to read {error.filename or name} as this user")
    except Exception as error:
        log.debug("%s", name, exc_info=True)
        return Unreadable(f"{type(error).__name__}: {readable(str(error))}")
