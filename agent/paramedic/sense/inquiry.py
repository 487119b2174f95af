"""Ask a daemon, through whatever reaches its socket; a silence is followed from look to look."""

from __future__ import annotations

import socket
from typing import Any, NamedTuple

from paramedic.host import clock, supervisor_rpc, unlinked
from paramedic.host.proc import Proc, readable
from paramedic.host.unix_diag import Listener
from paramedic.model.facts import SupervisorKnown
from paramedic.model.readings import Unreadable
from paramedic.model.supervision import RpcReading, Silence, SupervisorReading
from paramedic.sense.condition import Listening
from paramedic.sense.programs import Programs

SHORT_DEADLINE_S = 1.0
MOST_PROGRAMS = 1024
MOST_NAME = 200
_ASKED: supervisor_rpc.Methods = tuple(
    (f"supervisor.{name}", ()) for name in ("getState", "getPID", "getIdentification", "getAllProcessInfo")
)
JUST_ENDED = Unreadable("it just ended")
_SAYS_NOTHING = (OSError, supervisor_rpc.RpcFailure, LookupError, TypeError, ValueError, AttributeError)
Answer = tuple[RpcReading | Unreadable, Silence | None, tuple[str, ...]]


class Asking(NamedTuple):
    """What is read of a daemon while its answer is on its way, and where it listens.

    `at` is when (epoch seconds) it was about to be asked; `link` is what the answer comes by, or why it was not asked
    (None: it just ended); `via` is the path.
    """

    reading: SupervisorReading
    listening: Listener
    at: float
    link: socket.socket | Exception | None
    via: str = ""


class Inquiry:
    """Asks one daemon; knows its missed answers."""

    def __init__(self, proc: Proc, programs: Programs) -> None:
        self._proc, self._programs = proc, programs
        self._listening = Listening(proc)
        self._kept = supervisor_rpc.Kept()
        self._logs: tuple[object, tuple[str, ...]] = (None, ())

    @property
    def _deadline_s(self) -> float:
        return SHORT_DEADLINE_S if self._listening.is_silent else supervisor_rpc.DEADLINE_S

    def ask(self, reading: SupervisorReading, listening: Listener) -> Asking:
        """Send the question. A stopped process is not asked: it cannot answer."""
        daemon, now = reading.daemon, clock.wall()
        stat = self._proc.stat(daemon.pid) if daemon else None
        if stat is None:
            return Asking(reading, listening, now, None)
        if stat.state in ("T", "t"):
            return Asking(reading, listening, now, supervisor_rpc.Silent("its process is stopped"))
        try:
            path = unlinked.path_of(reading)
            if path is not None:
                return Asking(reading, listening, now, self._link(path, reading), path)
            with unlinked.reached(reading, self._proc) as (place, via):
                return Asking(reading, listening, now, self._link(place, reading), via)
        except (OSError, supervisor_rpc.RpcFailure) as error:
            return Asking(reading, listening, now, error)

    @staticmethod
    def _link(place: str | int, reading: SupervisorReading) -> socket.socket:
        conf = reading.conf
        return supervisor_rpc.ask(place, _ASKED, conf.username, conf.password, reading.uid)

    def hear(self, asking: Asking, known: SupervisorKnown, now: float) -> Answer:
        """(its answer, its silence, the logs of its programs)."""
        reading, link = asking.reading, asking.link
        daemon = reading.daemon
        if daemon is None or link is None:
            return JUST_ENDED, None, ()
        try:
            if isinstance(link, Exception):
                raise link
            answer = supervisor_rpc.results(link, self._deadline_s, self._kept)
            told = self._told(answer, asking.via, reading, known, now)
            self._listening.answered()
            return told
        except supervisor_rpc.Stopping:
            self._listening.answered()
            return RpcReading("", "shutting down or restarting", 0, "", ()), None, ()
        except supervisor_rpc.Silent as silent:
            silence = self._listening.missed(daemon, now, asking.listening.waiting, known.children)
            return Unreadable(str(silent)), silence, ()
        except _SAYS_NOTHING as error:
            self._listening.answered()
            return Unreadable(getattr(error, "strerror", None) or str(error)), None, ()

    def _told(
        self, answer: list[Any], via: str, reading: SupervisorReading, known: SupervisorKnown, now: float
    ) -> Answer:
        """Raises what `_SAYS_NOTHING` names where it is no answer of a supervisord."""
        state, pid, identifier, rows = answer
        if reading.daemon is None or len(rows) > MOST_PROGRAMS:
            raise ValueError(f"it tells of {len(rows)} programs: that is no supervisord")
        ports, daemon = dict(known.ports), reading.daemon
        programs = tuple([self._programs.read(row, reading.conf, ports, daemon, now) for row in rows])
        if rows is not self._logs[0]:
            streams = ("stdout_logfile", "stderr_logfile")
            self._logs = (rows, tuple(str(row.get(stream) or "") for row in rows for stream in streams))
            self._programs.keep(programs)
        told, name = readable(str(state["statename"]))[:32], readable(str(identifier))[:MOST_NAME]
        return RpcReading(via, told, int(pid), name, programs), None, self._logs[1]
