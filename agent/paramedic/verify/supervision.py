"""Judgements of what was done to a Supervisor daemon, its socket, its programs and what outlived it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from paramedic.model.diagnoses import works
from paramedic.model.facts import Facts, Subject
from paramedic.model.readings import Unreadable
from paramedic.model.record import Attempt
from paramedic.model.supervision import ProgramReading, RpcReading, SupervisorReading
from paramedic.model.vocabulary import OK
from paramedic.verify.judgement import Judgement

STAYS_S = 2.0
_ENDED = ("daemon-dead", "daemon-stopped", "socket-stale")
_LOST = ("socket-missing", "socket-replaced")
_UNDONE = "it was undone again: "
_NOT_REACHED = "the path does not reach the live socket"


def expect(target: Subject, facts: Facts) -> dict[str, Any]:
    """What a judgement about a daemon or a program compares with; empty for another kind of target."""
    found = facts.subjects.get(target)
    reading = found.reading if found else None
    if isinstance(reading, SupervisorReading):
        daemon = reading.daemon or reading.keeper
        return {
            "daemon": [daemon.pid, daemon.start_ticks] if daemon else None,
            "pids": {p.name: p.identity.pid for p in _programs(reading) if p.identity},
            "running": [child.program for child in reading.recorded],
            "stopped": list(reading.stopped),
            "orphans": [str(one.subject) for one in facts.children(target, "orphan")],
        }
    if isinstance(reading, ProgramReading):
        rss = reading.rss_bytes if isinstance(reading.rss_bytes, int) else None
        return {"pid": reading.identity.pid if reading.identity else 0, "rss": rss}
    return {}


def _programs(reading: SupervisorReading) -> tuple[ProgramReading, ...]:
    return reading.rpc.programs if isinstance(reading.rpc, RpcReading) else ()


def _socket_restored(attempt: Attempt, facts: Facts) -> Judgement:
    found, socket = facts.subjects.get(attempt.target), facts.socket(attempt.target)
    is_lost = found is not None and found.fields.get("diagnosis") in _LOST and not (attempt.interrupted or attempt.args)
    if socket is not None:
        who = socket.owner or "nobody"
        told = f"{socket.entry.path} reaches {who}" if socket.is_reached else _NOT_REACHED
        return (None, f"{_UNDONE}{told}", {}) if is_lost and not socket.is_reached else (socket.is_reached, told, {})
    reading = facts.supervisor(attempt.target)
    if reading is None or reading.daemon is None or isinstance(reading.rpc, Unreadable):
        return False, "the daemon does not answer", {}
    if reading.rpc.via != reading.conf.socket or not reading.is_reached:
        return (None, f"{_UNDONE}{_NOT_REACHED}", {}) if is_lost else (False, _NOT_REACHED, {})
    if [reading.daemon.pid, reading.daemon.start_ticks] != attempt.before.get("daemon"):
        return True, "another daemon made its own socket meanwhile", {}
    before = attempt.before.get("pids", {})
    now = {p.name: p.identity.pid for p in _programs(reading) if p.identity}
    untouched = sum(now.get(name) == pid for name, pid in before.items())
    return True, f"supervisord {reading.daemon.pid} answers at {reading.conf.socket}", {"programs_untouched": untouched}


def _is_no_more(diagnosis: str) -> Callable[[Attempt, Facts], Judgement]:
    """Met when the daemon is read and its state is another one; missed when it has ended over that."""

    def look(attempt: Attempt, facts: Facts) -> Judgement:
        found = facts.subjects.get(attempt.target)
        now = found.fields.get("diagnosis") if found else None
        if not isinstance(now, str):
            return False, "its state is not known", {}
        is_met = None if now in _ENDED else now != diagnosis
        return is_met, "it is right now" if now == OK else f"it is {now}", {}

    return look


def _one_left(attempt: Attempt, facts: Facts) -> Judgement:
    reading = facts.supervisor(attempt.target)
    if reading is None or reading.daemon is None:
        return False, "there is not exactly one daemon", {}
    if [reading.daemon.pid, reading.daemon.start_ticks] != attempt.before.get("daemon"):
        return False, f"supervisord {reading.daemon.pid} is left, which is another one", {}
    is_ok = works(facts.subjects[attempt.target].fields.get("diagnosis"))
    running = sum(p.state == "RUNNING" for p in _programs(reading))
    told = f"supervisord {reading.daemon.pid} is left" if is_ok else "it is not well yet"
    return is_ok, told, {"programs_running": running}


def _program_renewed(attempt: Attempt, facts: Facts) -> Judgement:
    found = facts.subjects.get(attempt.target)
    program = found.reading if found else None
    owner = facts.supervisor(found.parent) if found and found.parent else None
    if not isinstance(program, ProgramReading) or owner is None:
        return False, "Supervisor does not say", {}
    if program.state != "RUNNING" or program.identity is None or program.identity.pid == attempt.before.get("pid"):
        return False, f"it is {program.state}", {}
    if program.age_s < _startsecs(program, owner) + STAYS_S:
        return False, "it must stay up for a moment", {}
    before, now = attempt.before.get("rss"), program.rss_bytes
    gained = {"bytes": before - now} if isinstance(before, int) and isinstance(now, int) else {}
    return True, f"process {program.identity.pid} runs", gained


def _daemon_restarted(attempt: Attempt, facts: Facts) -> Judgement:
    reading = facts.supervisor(attempt.target)
    if reading is None or reading.daemon is None or isinstance(reading.rpc, Unreadable):
        now = facts.subjects[attempt.target].fields.get("diagnosis") if attempt.target in facts.subjects else None
        is_dead = now in ("daemon-dead", "socket-stale") and not attempt.interrupted
        return None if is_dead else False, "no daemon of this conf answers", {}
    if not works(facts.subjects[attempt.target].fields.get("diagnosis")):
        return False, f"it is {facts.subjects[attempt.target].fields.get('diagnosis')}", {}
    states = {p.name: p.state for p in _programs(reading)}
    wanted = [name for name in attempt.before.get("running", ()) if reading.conf.program(name) or name in states]
    absent = [name for name in wanted if states.get(name) != "RUNNING"]
    fresh = [p.name for p in _programs(reading) if p.state == "RUNNING" and p.age_s < _startsecs(p, reading) + STAYS_S]
    awaited = wanted or states  # of a daemon that was never seen alive everything is
    booting = [name for name in awaited if states.get(name) in ("STARTING", "BACKOFF")]
    if absent or booting:
        waiting = ", ".join(f"{n} is {states.get(n, 'not known to it')}" for n in dict.fromkeys([*absent, *booting]))
        return False, waiting, {}
    if fresh:
        return False, f"{', '.join(fresh)} must stay up for a moment: a port conflict reads RUNNING too", {}
    running = sum(state == "RUNNING" for state in states.values())
    programs = f"{running} program{'' if running == 1 else 's'}"
    return True, f"supervisord {reading.daemon.pid} runs {programs}", {"programs_running": running}


def _startsecs(program: ProgramReading, reading: SupervisorReading) -> float:
    section = reading.conf.program(program.name)
    return section.startsecs if section else 1.0


def _orphan_gone(attempt: Attempt, facts: Facts) -> Judgement:
    owner = facts.supervisor(Subject("supervisor", attempt.target.name.partition("/")[0]))
    if owner is None or owner.rivals:
        return False, "what outlived its Supervisor cannot be told", {}
    wanted = set(attempt.before.get("orphans", ())) or {str(attempt.target)}
    alive = sorted(str(subject) for subject in facts.subjects if str(subject) in wanted and subject.kind == "orphan")
    return not alive, f"still running: {', '.join(alive)}" if alive else "it is gone", {}


JUDGES: dict[str, Callable[[Attempt, Facts], Judgement]] = {
    "restore_socket": _socket_restored,
    "repair_mode": _is_no_more("socket-denied"),
    "rewrite_pidfile": _is_no_more("pidfile-wrong"),
    "reopen_logs": _is_no_more("log-deleted"),
    "resume_daemon": _is_no_more("daemon-hung"),
    "stop_duplicate": _one_left,
    "restart_program": _program_renewed,
    "restart_supervisord": _daemon_restarted,
    "kill_orphans": _orphan_gone,
}
