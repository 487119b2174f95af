"""Restart one supervised program through its supervisord, its connections counted first."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from paramedic.act.dry_run import why_it_cannot_start
from paramedic.act.job import Job, Refused, refused
from paramedic.act.lock_file import free_lock
from paramedic.host import clock, recipe, supervisor_rpc
from paramedic.model.record import Report
from paramedic.model.stack import SupervisorConf
from paramedic.model.supervision import ProgramReading, SupervisorReading

LONGEST_STOP_S = 600.0
LOOK_AGAIN_S = 0.1


def restart_program(job: Job) -> Report:
    """Stop it as its conf says, wait until it ended, start it again. Nothing is stopped that could not start again."""
    reading, program = job.supervisor(), job.program()
    conf, full = reading.conf, _full(program.name)
    try:
        _prove_same(program, conf)
        _prove_can_start(job, program, reading)
        _call(conf, "supervisor.stopProcess", full)
    except (OSError, Refused, supervisor_rpc.RpcFailure) as error:
        return refused(error)
    said = f"stopped {program.name}{_connections(program)}"
    if not _has_stopped(conf, full):
        return Report(False, f"asked {program.name} to stop, which it did not within {LONGEST_STOP_S:.0f} s")
    said += free_lock(conf.program(program.name), job.proc)
    try:
        _call(conf, "supervisor.startProcess", full)
    except supervisor_rpc.RpcFailure as failure:
        return Report(False, f"{said}; but it did not start again: {failure}")
    return Report(False, f"{said}; started it again")


def _has_stopped(conf: SupervisorConf, full: str) -> bool:
    """Wait until Supervisor calls it ended; after its stopwaitsecs Supervisor kills it itself."""
    until = clock.monotonic() + LONGEST_STOP_S
    while clock.monotonic() < until:
        with contextlib.suppress(supervisor_rpc.RpcFailure):
            if _info(conf, full)["statename"] not in ("STOPPING", "RUNNING", "STARTING"):
                return True
        time.sleep(LOOK_AGAIN_S)
    return False


def _info(conf: SupervisorConf, full: str) -> dict[str, Any]:
    asked: list[tuple[str, tuple[object, ...]]] = [("supervisor.getProcessInfo", (full,))]
    return dict(supervisor_rpc.call(conf.socket or "", asked, conf.username, conf.password)[0])


def go_on(program: ProgramReading, reading: SupervisorReading) -> str | None:
    """Start what an earlier agent had stopped when it ended; what was done, None where nothing was left to do."""
    if program.state != "STOPPED":
        return None
    try:
        _call(reading.conf, "supervisor.startProcess", _full(program.name))
    except supervisor_rpc.RpcFailure as failure:
        return f"{program.name} was stopped to be restarted and does not start: {failure}"
    return f"started {program.name}, which an agent had stopped before it ended"


def _full(name: str) -> str:
    return name if ":" in name else f"{name}:{name}"


def _connections(program: ProgramReading) -> str:
    count = program.connections
    return f", which had {count} open connection{'' if count == 1 else 's'}" if isinstance(count, int) else ""


def _call(conf: SupervisorConf, method: str, name: str) -> None:
    supervisor_rpc.call(conf.socket or "", [(method, (name, False))], conf.username, conf.password)


def _prove_same(program: ProgramReading, conf: SupervisorConf) -> None:
    """It is still the process that was judged: somebody may have restarted it meanwhile."""
    row = _info(conf, _full(program.name))
    pid = program.identity.pid if program.identity else 0
    if row["statename"] != "RUNNING" or row["pid"] != pid:
        raise Refused(f"{program.name} is {row['statename']} as process {row['pid']}, and {pid} was judged")


def _prove_can_start(job: Job, program: ProgramReading, reading: SupervisorReading) -> None:
    if program.port_held is not None:
        held = program.port_held
        raise Refused(f"port {held.port} is held by {held.holder}: starting {program.name} again cannot help")
    plan = recipe.load(recipe.path_of(job.settings.state_dir, reading.conf.name))
    if plan is None:
        raise Refused("how its supervisord was launched was never seen, so its start cannot be tried before")
    cannot = why_it_cannot_start(plan, reading.conf, is_running=True)
    name = program.name.rpartition(":")[2]
    if cannot is not None and f"program {name}:" in cannot:
        raise Refused(f"it could not start again, so it is not stopped: {cannot}")
