"""Restart one supervised program through its supervisord, its connections counted first."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from paramedic.act.conf_trust import doubt_of_conf
from paramedic.act.dry_run import why_it_cannot_start
from paramedic.act.job import Job, Refused, refused
from paramedic.act.lock_file import free_lock
from paramedic.host import clock, inet, recipe, supervisor_rpc
from paramedic.host.failpoint import reached
from paramedic.host.proc import Proc
from paramedic.model.record import Report
from paramedic.model.supervision import ProgramReading, SupervisorReading

LONGEST_STOP_S = 600.0
KILLED_S = 15.0
START_S = 60.0
LOOK_AGAIN_S, TRY_AGAIN_S = 0.1, 1.0
UP = ("RUNNING", "STARTING", "BACKOFF")


def restart_program(job: Job) -> Report:
    """Stop it as its conf says, wait until it ended, start it again. Nothing is stopped that could not start again."""
    reading, program = job.supervisor(), job.program()
    conf, full = reading.conf, _full(program.name)
    try:
        _prove_same(program, reading)
        _prove_can_start(job, program, reading)
        had = _connections(program, job.proc)
        _call(reading, "supervisor.stopProcess", full)
        reached("supervisor.stopProcess")
    except (OSError, Refused, supervisor_rpc.RpcFailure) as error:
        return refused(error)
    said = f"stopped {program.name}{had}"
    if not _has_stopped(reading, full, _stopwaitsecs(program, reading) + KILLED_S):
        return Report(False, f"asked {program.name} to stop, which it did not, though Supervisor should have killed it")
    reached("program stopped")
    if doubt_of_conf(reading, job.settings.state_dir) is None:
        said += free_lock(conf.program(program.name), job.proc, reading.uid)
    failure = _start(reading, full)
    return Report(False, f"{said}; but it did not start again: {failure}" if failure else f"{said}; started it again")


def _start(reading: SupervisorReading, full: str) -> str:
    """Start what we stopped, over and over where Supervisor does not answer or take it; why it failed, else empty."""
    until = clock.monotonic() + START_S
    while True:
        try:
            _call(reading, "supervisor.startProcess", full)
            reached("supervisor.startProcess")
            return ""
        except supervisor_rpc.RpcFailure as failure:
            said = str(failure)
        with contextlib.suppress(supervisor_rpc.RpcFailure):
            if _info(reading, full)["statename"] in UP:
                return ""
        if clock.monotonic() > until:
            return said
        time.sleep(TRY_AGAIN_S)


def _stopwaitsecs(program: ProgramReading, reading: SupervisorReading) -> float:
    section = reading.conf.program(program.name)
    return section.stopwaitsecs if section else LONGEST_STOP_S


def _has_stopped(reading: SupervisorReading, full: str, patience_s: float) -> bool:
    """Wait until Supervisor calls it ended; after its stopwaitsecs Supervisor kills it itself."""
    until = clock.monotonic() + patience_s
    while clock.monotonic() < until:
        with contextlib.suppress(supervisor_rpc.RpcFailure):
            if _info(reading, full)["statename"] not in ("STOPPING", "RUNNING", "STARTING"):
                return True
        time.sleep(LOOK_AGAIN_S)
    return False


def _info(reading: SupervisorReading, full: str) -> dict[str, Any]:
    asked: list[tuple[str, tuple[object, ...]]] = [("supervisor.getProcessInfo", (full,))]
    return dict(_ask(reading, asked)[0])


def go_on(program: ProgramReading, reading: SupervisorReading) -> str | None:
    """Start what an earlier agent had stopped when it ended; what was done, None where nothing was left to do.
    Raises RpcFailure where it does not start.
    """
    if program.state != "STOPPED":
        return None
    _call(reading, "supervisor.startProcess", _full(program.name))
    return f"started {program.name}, which an agent had stopped before it ended"


def _full(name: str) -> str:
    return name if ":" in name else f"{name}:{name}"


def _connections(program: ProgramReading, proc: Proc) -> str:
    """Counted at this moment: what a reading says may be a minute old."""
    if not program.ports:
        return ""
    connected = inet.connected(proc)
    count = sum(connected.get(port, 0) for port in program.ports)
    return f", which had {count} open connection{'' if count == 1 else 's'}"


def _call(reading: SupervisorReading, method: str, name: str) -> None:
    _ask(reading, [(method, (name, False))])


def _ask(reading: SupervisorReading, asked: list[tuple[str, tuple[object, ...]]]) -> list[Any]:
    conf = reading.conf
    return supervisor_rpc.results(
        supervisor_rpc.ask(conf.socket or "", asked, conf.username, conf.password, served_by=reading.uid)
    )


def _prove_same(program: ProgramReading, reading: SupervisorReading) -> None:
    """It is still the process that was judged: somebody may have restarted it meanwhile."""
    row = _info(reading, _full(program.name))
    pid = program.identity.pid if program.identity else 0
    if row["statename"] != "RUNNING" or row["pid"] != pid:
        raise Refused(f"{program.name} is {row['statename']} as process {row['pid']}, and {pid} was judged")


def _prove_can_start(job: Job, program: ProgramReading, reading: SupervisorReading) -> None:
    if program.port_held is not None:
        held = program.port_held
        raise Refused(f"port {held.port} is held by {held.holder}: starting {program.name} again cannot help")
    patience_s = _stopwaitsecs(program, reading)
    if patience_s > LONGEST_STOP_S:
        raise Refused(f"it may take {patience_s:.0f} s to stop (stopwaitsecs), and would not serve all that time")
    plan = recipe.load(recipe.path_of(job.settings.state_dir, reading.conf.name))
    if plan is None:
        raise Refused("how its supervisord was launched was never seen, so its start cannot be tried before")
    cannot = why_it_cannot_start(plan, reading.conf, is_running=True)
    name = program.name.rpartition(":")[2]
    if cannot is not None and f"program {name}:" in cannot:
        raise Refused(f"it could not start again, so it is not stopped: {cannot}")
