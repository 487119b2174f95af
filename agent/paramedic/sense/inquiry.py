"""Ask a daemon, through whatever reaches its socket; a silence is followed from look to look."""

from __future__ import annotations

from paramedic.host import supervisor_rpc, unlinked
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
_ASKED = ("supervisor.getState", "supervisor.getPID", "supervisor.getIdentification", "supervisor.getAllProcessInfo")
Answer = tuple[RpcReading | Unreadable, Silence | None, tuple[str, ...]]


class Inquiry:
    """Asks one daemon; knows its missed answers."""

    def __init__(self, proc: Proc, programs: Programs) -> None:
        self._proc, self._programs = proc, programs
        self._listening = Listening(proc)

    def ask(self, reading: SupervisorReading, listening: Listener, known: SupervisorKnown, now: float) -> Answer:
        """(its answer, its silence, the logs of its programs). A stopped process is not asked: it cannot answer."""
        conf, daemon = reading.conf, reading.daemon
        stat = self._proc.stat(daemon.pid) if daemon else None
        if daemon is None or stat is None:
            return Unreadable("it just ended"), None, ()
        try:
            if stat.state in ("T", "t"):
                raise supervisor_rpc.Silent("its process is stopped")
            with unlinked.reached(reading, self._proc) as (place, via):
                deadline = SHORT_DEADLINE_S if self._listening.is_silent else supervisor_rpc.DEADLINE_S
                asked: list[tuple[str, tuple[object, ...]]] = [(name, ()) for name in _ASKED]
                answer = supervisor_rpc.call(place, asked, conf.username, conf.password, deadline, reading.uid)
            state, pid, identifier, rows = answer
            if len(rows) > MOST_PROGRAMS:
                raise ValueError(f"it tells of {len(rows)} programs: that is no supervisord")
            ports, logs = (
                dict(known.ports),
                [str(row.get(f"{s}_logfile") or "") for row in rows for s in ("stdout", "stderr")],
            )
            programs = tuple(self._programs.read(row, conf, ports, daemon, now) for row in rows)
            self._listening.answered()
            told, name = readable(str(state["statename"]))[:32], readable(str(identifier))[:MOST_NAME]
            return RpcReading(via, told, int(pid), name, programs), None, tuple(logs)
        except supervisor_rpc.Stopping:
            self._listening.answered()
            return RpcReading("", "shutting down or restarting", 0, "", ()), None, ()
        except supervisor_rpc.Silent as silent:
            silence = self._listening.missed(daemon, now, listening.waiting, known.children)
            return Unreadable(str(silent)), silence, ()
        except (OSError, supervisor_rpc.RpcFailure, LookupError, TypeError, ValueError, AttributeError) as error:
            self._listening.answered()
            return Unreadable(getattr(error, "strerror", None) or str(error)), None, ()
