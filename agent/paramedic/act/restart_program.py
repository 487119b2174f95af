"""Restart one supervised program through its supervisord, its connections counted first."""

from __future__ import annotations

from paramedic.act.dry_run import why_it_cannot_start
from paramedic.act.job import Job, Refused, refused
from paramedic.act.lock_file import free_lock
from paramedic.host import recipe, supervisor_rpc
from paramedic.model.record import Report
from paramedic.model.stack import SupervisorConf
from paramedic.model.supervision import ProgramReading, SupervisorReading

_MARGIN_S = 10.0


def restart_program(job: Job) -> Report:
    """Stop it as its conf says, wait until it ended, start it again. Nothing is stopped that could not start again."""
    reading, program = job.supervisor(), job.program()
    conf, full = reading.conf, _full(program.name)
    try:
        _prove_same(program, conf)
        _prove_can_start(job, program, reading)
        section = conf.program(program.name)
        patience_s = (section.stopwaitsecs if section else 10.0) + _MARGIN_S
        _call(conf, "supervisor.stopProcess", full, True, patience_s)
    except (OSError, Refused, supervisor_rpc.RpcFailure) as error:
        return refused(error)
    said = f"stopped {program.name}{_connections(program)}{free_lock(section, job.proc)}"
    try:
        _call(conf, "supervisor.startProcess", full, False, supervisor_rpc.DEADLINE_S)
    except supervisor_rpc.RpcFailure as failure:
        return Report(False, f"{said}; but it did not start again: {failure}")
    return Report(False, f"{said}; started it again")


def go_on(program: ProgramReading, reading: SupervisorReading) -> str | None:
    """Start what an earlier agent had stopped when it ended; what was done, None where nothing was left to do."""
    if program.state != "STOPPED":
        return None
    try:
        _call(reading.conf, "supervisor.startProcess", _full(program.name), False, supervisor_rpc.DEADLINE_S)
    except supervisor_rpc.RpcFailure as failure:
        return f"{program.name} was stopped to be restarted and does not start: {failure}"
    return f"started {program.name}, which an agent had stopped before it ended"


def _full(name: str) -> str:
    return name if ":" in name else f"{name}:{name}"


def _connections(program: ProgramReading) -> str:
    count = program.connections
    return f", which had {count} open connection{'' if count == 1 else 's'}" if isinstance(count, int) else ""


def _call(conf: SupervisorConf, method: str, name: str, wait: bool, deadline_s: float) -> None:
    supervisor_rpc.call(conf.socket or "", [(method, (name, wait))], conf.username, conf.password, deadline_s)


def _prove_same(program: ProgramReading, conf: SupervisorConf) -> None:
    """It is still the process that was judged: somebody may have restarted it meanwhile."""
    asked: list[tuple[str, tuple[object, ...]]] = [("supervisor.getProcessInfo", (_full(program.name),))]
    row = supervisor_rpc.call(conf.socket or "", asked, conf.username, conf.password)[0]
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
