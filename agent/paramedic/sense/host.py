"""All sensors of the configured stack: one look at the host."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from paramedic.host import clock, recipe, unix_diag
from paramedic.host.proc import Proc, readable
from paramedic.host.processes import walk
from paramedic.model.facts import Known, SupervisorKnown
from paramedic.model.readings import Sample, SupervisorReading, Unreadable, UwsgiReading
from paramedic.model.stack import Stack
from paramedic.sense.memory import Rollups, read_host
from paramedic.sense.supervisor import SupervisorSensor
from paramedic.sense.uwsgi import UwsgiSensor, resident

ALL = 1_000_000
Reading = TypeVar("Reading")
log = logging.getLogger(__name__)


class Sensors:
    """Reads everything the stack names. `thorough` reads every worker's USS at once, for a single look."""

    def __init__(self, stack: Stack, proc: Proc, state_dir: str = "", thorough: bool = False) -> None:
        self.proc = proc
        self.uwsgi = {entry.name: UwsgiSensor(entry, proc) for entry in stack.uwsgi}
        self.supervisor = {
            entry.name: SupervisorSensor(entry, proc, recipe.path_of(state_dir, entry.name) if state_dir else None)
            for entry in stack.supervisor
        }
        self._rollups = Rollups(proc, ALL if thorough else 1)
        self._thorough = thorough
        self._said: dict[str, str] = {}

    def read(self, known: Known) -> Sample:
        """One sample. A sensor that cannot read says so in its place and stops no other."""
        now, wall = clock.monotonic(), clock.wall()
        host = self._guarded("memory", lambda: read_host(self.proc))
        uwsgi = self._read_uwsgi(now)
        supervisor = {name: self._read_supervisor(name, known, now) for name in self.supervisor}
        return Sample(now, wall, host, uwsgi, supervisor)

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

    def _read_uwsgi(self, now: float) -> dict[str, UwsgiReading | Unreadable]:
        def read_one(name: str) -> UwsgiReading | Unreadable:
            return self._guarded(name, lambda: self.uwsgi[name].read(self._rollups))

        def read_all() -> dict[str, UwsgiReading | Unreadable]:
            return {name: read_one(name) for name in self.uwsgi}

        readings = read_all()
        self._rollups.refresh(resident(readings), now)
        return read_all() if self._thorough else readings

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
