"""All sensors of the configured stack: one look at the host."""

from __future__ import annotations

from paramedic.host import clock, unix_diag
from paramedic.host.proc import Proc
from paramedic.host.processes import Row, walk
from paramedic.model.facts import Known, SupervisorKnown
from paramedic.model.readings import Sample, SupervisorReading, Unreadable, UwsgiReading
from paramedic.model.stack import Stack
from paramedic.sense.memory import Rollups, read_host
from paramedic.sense.supervisor import SupervisorSensor
from paramedic.sense.uwsgi import UwsgiSensor, resident

ALL = 1_000_000


class Sensors:
    """Reads everything the stack names. `thorough` reads every worker's USS at once, for a single look."""

    def __init__(self, stack: Stack, proc: Proc, thorough: bool = False) -> None:
        self.proc = proc
        self.uwsgi = {entry.name: UwsgiSensor(entry, proc) for entry in stack.uwsgi}
        self.supervisor = {entry.name: SupervisorSensor(entry, proc) for entry in stack.supervisor}
        self._rollups = Rollups(proc, ALL if thorough else 1)
        self._thorough = thorough

    def read(self, known: Known) -> Sample:
        """One sample. A sensor that cannot read says so in its place and stops no other."""
        now, wall = clock.monotonic(), clock.wall()
        uwsgi = self._read_uwsgi(now)
        supervisor: dict[str, SupervisorReading | Unreadable] = {}
        rows: list[Row] = []

        def walk_once() -> list[Row]:
            rows.extend(walk(self.proc) if not rows else ())
            return rows

        try:
            listeners = unix_diag.listeners() if self.supervisor else []
        except OSError as error:
            unreadable = Unreadable(f"this kernel does not tell who listens (unix_diag): {error.strerror}")
            return Sample(now, wall, read_host(self.proc), uwsgi, dict.fromkeys(self.supervisor, unreadable))
        for name, sensor in self.supervisor.items():
            kept = known.supervisors.get(name, SupervisorKnown())
            supervisor[name] = sensor.read(kept, listeners, walk_once, now)
        return Sample(now, wall, read_host(self.proc), uwsgi, supervisor)

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
        readings = {name: sensor.read(self._rollups) for name, sensor in self.uwsgi.items()}
        self._rollups.refresh(resident(readings), now)
        if self._thorough:
            readings = {name: sensor.read(self._rollups) for name, sensor in self.uwsgi.items()}
        return readings
