"""(open attempts, Facts) -> met, waiting or missed. An action is judged by later samples, never by itself.

`expect` writes down at the time of the intent what the judgement will compare with, so that a new agent
can judge the attempt of one that was killed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from paramedic.model.diagnoses import works
from paramedic.model.facts import Facts, Subject
from paramedic.model.policy import Rung
from paramedic.model.readings import Unreadable, UwsgiReading, WorkerReading
from paramedic.model.record import Attempt, Status
from paramedic.model.supervision import ProgramReading, RpcReading, SupervisorReading
from paramedic.model.units import render_seconds
from paramedic.model.vocabulary import ACTIONS, OK

INTERRUPTED_S = 15.0
STAYS_S = 2.0
Judgement = tuple[bool, str, Mapping[str, Any]]


def expect(target: Subject, facts: Facts) -> dict[str, Any]:
    """What stands now and the judgement of an action on `target` needs later, as JSON."""
    found = facts.subjects.get(target)
    reading = found.reading if found else None
    if isinstance(reading, SupervisorReading):
        daemon = reading.daemon or reading.keeper
        return {
            "daemon": [daemon.pid, daemon.start_ticks] if daemon else None,
            "pids": {p.name: p.identity.pid for p in _programs(reading) if p.identity},
            "running": [child.program for child in reading.recorded],
            "orphans": [str(one.subject) for one in facts.children(target, "orphan")],
        }
    if isinstance(reading, ProgramReading):
        rss = reading.rss_bytes if isinstance(reading.rss_bytes, int) else None
        return {"pid": reading.identity.pid if reading.identity else 0, "rss": rss}
    if isinstance(reading, UwsgiReading):
        workers = [w for w in reading.workers if w.status != "cheap"]
        return {
            "pids": {str(w.id): w.identity.pid if w.identity else 0 for w in workers},
            "rss": sum(w.rss_bytes for w in workers if isinstance(w.rss_bytes, int)),
            "available": _available(facts),
        }
    return {}


def deadline(step: Rung, target: Subject, facts: Facts) -> float:
    """Seconds until the attempt counts as missed. A chain takes 2 s + boot + mercy for each worker (facts C2), a
    graceful restart as long as the slowest program takes to stop (facts A2).
    """
    uwsgi, supervisor = facts.uwsgi(target), facts.supervisor(target)
    if step.action == "chain_reload" and uwsgi is not None:
        return 30.0 + len(uwsgi.workers) * (uwsgi.conf.mercy_s + 30.0)
    if step.action == "restore_socket" and step.is_disruptive and supervisor is not None:
        return 60.0 + max((program.stopwaitsecs for program in supervisor.conf.programs), default=0.0)
    return ACTIONS[step.action].deadline_s


def judge(attempt: Attempt, facts: Facts) -> Attempt:
    """The attempt after looking at `facts`: unchanged while it runs or waits, else judged, with what it gained.

    One that an earlier agent left without an outcome is met by what stands now, or soon free to be tried again.
    """
    since = attempt.started if attempt.finished is None else attempt.finished
    if attempt.status is not Status.DONE or facts.monotonic <= since:
        return attempt
    is_met, why, gained = _JUDGES[attempt.action](attempt, facts)
    seconds = facts.monotonic - attempt.started
    if is_met:
        told = "; ".join(filter(None, (attempt.detail, why)))
        gains = {**attempt.gained, **gained}
        return replace(attempt, status=Status.MET, detail=told, gained=gains, seconds=seconds, finished=facts.monotonic)
    if attempt.interrupted and not _is_under_way(attempt, facts, since):
        return replace(attempt, status=Status.INTERRUPTED, detail=f"the agent ended during it: {why}", seconds=seconds)
    if facts.monotonic - since > attempt.deadline_s:
        late = f"not met within {render_seconds(attempt.deadline_s)}: {why}"
        return replace(attempt, status=Status.MISSED, detail=late, seconds=seconds, finished=facts.monotonic)
    return attempt


def _is_under_way(attempt: Attempt, facts: Facts, since: float) -> bool:
    """Whether what an earlier agent began may still come true by itself."""
    reading = facts.uwsgi(attempt.target)
    if attempt.action == "chain_reload" and reading is not None:
        return (reading.touched_at or 0) >= int(attempt.started_wall)
    return facts.monotonic - since <= INTERRUPTED_S


def _programs(reading: SupervisorReading) -> tuple[ProgramReading, ...]:
    return reading.rpc.programs if isinstance(reading.rpc, RpcReading) else ()


def _available(facts: Facts) -> int | None:
    host = facts.subjects.get(Subject("host", "host"))
    value = host.fields.get("memory.available") if host else None
    return value if isinstance(value, int) else None


def _told(attempt: Attempt, facts: Facts) -> Judgement:
    return True, "", {}


def _socket_restored(attempt: Attempt, facts: Facts) -> Judgement:
    socket = facts.socket(attempt.target)
    if socket is not None:
        who = socket.owner or "nobody"
        told = f"{socket.entry.path} reaches {who}" if socket.is_reached else "the path does not reach the live socket"
        return socket.is_reached, told, {}
    reading = facts.supervisor(attempt.target)
    if reading is None or reading.daemon is None or isinstance(reading.rpc, Unreadable):
        return False, "the daemon does not answer", {}
    if reading.rpc.via != reading.conf.socket or not reading.is_reached:
        return False, "the path does not reach the live socket", {}
    if [reading.daemon.pid, reading.daemon.start_ticks] != attempt.before.get("daemon"):
        return True, "another daemon made its own socket meanwhile", {}
    before = attempt.before.get("pids", {})
    now = {p.name: p.identity.pid for p in _programs(reading) if p.identity}
    untouched = sum(now.get(name) == pid for name, pid in before.items())
    return True, f"supervisord {reading.daemon.pid} answers at {reading.conf.socket}", {"programs_untouched": untouched}


def _is_no_more(diagnosis: str) -> Callable[[Attempt, Facts], Judgement]:
    """Met when the daemon is read and its state is another one."""

    def look(attempt: Attempt, facts: Facts) -> Judgement:
        found = facts.subjects.get(attempt.target)
        now = found.fields.get("diagnosis") if found else None
        if not isinstance(now, str):
            return False, "its state is not known", {}
        return now != diagnosis, "it is right now" if now == OK else f"it is {now}", {}

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
        return False, "no daemon of this conf answers", {}
    if not works(facts.subjects[attempt.target].fields.get("diagnosis")):
        return False, f"it is {facts.subjects[attempt.target].fields.get('diagnosis')}", {}
    states = {p.name: p.state for p in _programs(reading)}
    wanted = [name for name in attempt.before.get("running", ()) if reading.conf.program(name) or name in states]
    absent = [name for name in wanted if states.get(name) != "RUNNING"]
    fresh = [p.name for p in _programs(reading) if p.state == "RUNNING" and p.age_s < _startsecs(p, reading) + STAYS_S]
    booting = [name for name, state in states.items() if state in ("STARTING", "BACKOFF")]
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


def _workers_new(attempt: Attempt, facts: Facts) -> Judgement:
    reading = facts.uwsgi(attempt.target)
    if reading is None:
        return False, "uWSGI does not answer", {}
    workers = [worker for worker in reading.workers if worker.status != "cheap"]
    if not workers or len(reading.workers) < len(attempt.before.get("pids", {})):
        return False, "not every worker is back", {}
    waiting = [worker.id for worker in workers if not _is_new(worker, attempt)]
    if waiting:
        return False, f"waiting for worker {', '.join(map(str, waiting))}", {}
    return True, f"{len(reading.workers)} workers are new and accept", _reclaimed(attempt, reading, facts)


def _is_new(worker: WorkerReading, attempt: Attempt) -> bool:
    old = attempt.before.get("pids", {}).get(str(worker.id))
    return bool(worker.identity and worker.accepting and worker.apps and worker.identity.pid != old)


def _reclaimed(attempt: Attempt, reading: UwsgiReading, facts: Facts) -> dict[str, Any]:
    rss = sum(w.rss_bytes for w in reading.workers if isinstance(w.rss_bytes, int))
    gained = {"bytes": attempt.before.get("rss", 0) - rss}
    available, before = _available(facts), attempt.before.get("available")
    if available is not None and before is not None:
        gained["host_bytes"] = available - before
    return gained


_JUDGES: dict[str, Callable[[Attempt, Facts], Judgement]] = {
    "notify": _told,
    "restore_socket": _socket_restored,
    "repair_mode": _is_no_more("socket-denied"),
    "rewrite_pidfile": _is_no_more("pidfile-wrong"),
    "reopen_logs": _is_no_more("log-deleted"),
    "resume_daemon": _is_no_more("daemon-hung"),
    "stop_duplicate": _one_left,
    "restart_program": _program_renewed,
    "restart_supervisord": _daemon_restarted,
    "kill_orphans": _orphan_gone,
    "chain_reload": _workers_new,
}
