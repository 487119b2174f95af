"""All sensors of the configured stack: one look at the host."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from paramedic.host import clock, recipe, unix_diag
from paramedic.host.proc import Proc, readable
from paramedic.host.processes import walk
from paramedic.model.facts import Known, SupervisorKnown
from paramedic.model.readings import Unreadable, UwsgiReading
from paramedic.model.sample import Sample
from paramedic.model.stack import Stack
from paramedic.model.supervision import SocketReading, SupervisorReading
from paramedic.sense.memory import Rollups, read_host
from paramedic.sense.sockets import SocketSensor
from paramedic.sense.supervisor import SupervisorSensor
from paramedic.sense.uwsgi import UwsgiSensor, resident

ALL = 1_000_000
Workers = dict[str, UwsgiReading | Unreadable]
Daemons = dict[str, SupervisorReading | Unreadable]
Reading = TypeVar("Reading")
log = logging.getLogger(__name__)


class Sensors:
    """Reads everything the stack names. `thorough` reads every worker's USS at once, for a single look."""

    def __init__(self, stack: Stack, proc: Proc, state_dir: str = "", thorough: bool = False) -> None:
        self.proc = proc
        self._rollups = Rollups(proc, ALL if thorough else 1)
        self.uwsgi = {entry.name: UwsgiSensor(entry, proc) for entry in stack.uwsgi}
        self.supervisor = {
            entry.name: SupervisorSensor(
                entry, proc, recipe.path_of(state_dir, entry.name) if state_dir else None, self._rollups
            )
            for entry in stack.supervisor
        }
        self.sockets = {entry.name: SocketSensor(entry, proc) for entry in stack.sockets}
        self._thorough = thorough
        self._said: dict[str, str] = {}

    def read(self, known: Known) -> Sample:
        """One sample. A sensor that cannot read says so in its place and stops no other."""
        now, wall = clock.monotonic(), clock.wall()
        host = self._guarded("memory", lambda: read_host(self.proc))
        uwsgi, supervisor = self._read_processes(known, now)
        sockets = {name: self._read_socket(name, known) for name in self.sockets}
        return Sample(now, wall, host, uwsgi, supervisor, sockets)

    def _read_processes(self, known: Known, now: float) -> tuple[Workers, Daemons]:
        """uWSGI and Supervisor; the memory of single processes is read for the next look, or, if thorough, for this."""

        def look() -> tuple[Workers, Daemons]:
            uwsgi = {name: self._read_uwsgi(name) for name in self.uwsgi}
            return uwsgi, {name: self._read_supervisor(name, known, now) for name in self.supervisor}

        readings = look()
        trees = [sensor.programs.resident for sensor in self.supervisor.values()]
        self._rollups.refresh({one: rss for tree in (resident(readings[0]), *trees) for one, rss in tree.items()}, now)
        return look() if self._thorough else readings

    def _read_socket(self, name: str, known: Known) -> SocketReading | Unreadable:
        sensor = self.sockets[name]
        return self._guarded(name, lambda: sensor.read(known.sockets.get(name), unix_diag.listeners()))

    def _read_supervisor(self, name: str, known: Known, now: float) -> SupervisorReading | Unreadable:
        kept = known.supervisors.get(name, SupervisorKnown())
        sensor = self.supervisor[name]
        return self._guarded(name, lambda: sensor.read(kept, unix_diag.listeners, lambda: walk(self.proc), now))

    def unreadable_confs(self) -> list[str]:
        """Every ini and conf of the stack that cannot be used, one sentence each."""
        inis = [(sensor.entry.ini, sensor.conf) for sensor in self.uwsgi.values()]
        confs = [(sensor.entry.conf, sensor.conf) for sensor in self.supervisor.values()]
        found: list[str] = []
        for path, read in [*inis, *confs]:
            try:
                read()
            except (OSError, ValueError) as error:
                found.append(f"{path}:1:1: cannot read it: {getattr(error, 'strerror', None) or error}")
        return found

    def _read_uwsgi(self, name: str) -> UwsgiReading | Unreadable:
        return self._guarded(name, lambda: self.uwsgi[name].read(self._rollups))

    def _guarded(self, name: str, read: Callable[[], Reading | Unreadable]) -> Reading | Unreadable:
        """What a sensor reads of strangers must not end the agent: whatever it raises is unreadable, with its name."""
        try:
            found = read()
        except PermissionError as error:
            found = Unreadable(f"not allowed to read {error.filename or name} as this user")
        except Exception as error:
            log.debug("%s", name, exc_info=True)
            found = Unreadable(f"{type(error).__name__}: {readable(str(error))}")
        why = found.reason if isinstance(found, Unreadable) else ""
        if why and self._said.get(name) != why:
            log.warning("cannot read %s: %s", name, why)
        self._said[name] = why
        return found
