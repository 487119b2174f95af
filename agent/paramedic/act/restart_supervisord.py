"""Start a dead supervisord again: the right one, with the right conf, exactly once."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from paramedic.act.dry_run import why_it_cannot_start
from paramedic.act.job import Job, Refused, refused
from paramedic.act.kill_orphans import settle
from paramedic.host import clock, files, launch, recipe, supervisor_rpc, unix_diag
from paramedic.host.processes import doubt_of, running
from paramedic.host.recipe import Recipe
from paramedic.model.readings import PathKind, SupervisorReading
from paramedic.model.record import Report
from paramedic.model.stack import SupervisorConf, SupervisorEntry

ANSWER_S = 30.0
LOOK_AGAIN_S = 0.05
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def restart_supervisord(job: Job) -> Report:
    """Prove that it is gone and can start; settle what survived it; start it; wait for its answer.

    Everything that can be known to fail is tried before the first survivor is ended.
    """
    ended = ""
    try:
        reading = job.supervisor()
        conf = reading.conf
        _prove_gone(job, conf)
        path, plan = _plan(job, conf.name)
        cannot = why_it_cannot_start(plan, conf)
        if cannot:
            raise Refused(f"it cannot start, so nothing was stopped: {cannot}")
        _clear_socket(conf, job.stamp)
        ended = _settle(job, reading)
        _prove_gone(job, conf)
        result = launch.start(path, plan, conf.name, f"{job.stamp}")
        if result.code != 0:
            why = result.last_line or "the start did not end in time"
            raise Refused(f"the start failed: {why}")
        return Report(False, f"started {' '.join(plan.argv)}{ended}{_bring_up(conf, reading)}")
    except (OSError, Refused) as error:
        return refused(f"{error}{ended}")


def _prove_gone(job: Job, conf: SupervisorConf) -> None:
    """No process runs this conf, and nobody listens at its socket or, though unlinked, under its name."""
    found = running(conf.conf, job.proc)
    if found:
        raise Refused(f"supervisord {found[0].pid} runs this conf")
    if conf.socket is None:
        raise Refused("its conf has no [unix_http_server] file, so a start could not be verified")
    bound = re.compile(re.escape(conf.socket) + r"(\.\d+)?")
    if any(bound.fullmatch(listener.name) for listener in unix_diag.listeners()):
        raise Refused(f"somebody still listens on a socket that was bound as {conf.socket}")
    if files.look(conf.socket).kind is PathKind.SOCKET and files.is_listening(conf.socket):
        raise Refused(f"another server listens at {conf.socket}")


def _plan(job: Job, name: str) -> tuple[str, Recipe]:
    """The recorded recipe, else the one the configuration gives; (its file, the recipe)."""
    path = recipe.path_of(job.settings.state_dir, name)
    found = recipe.load(path)
    entry = next(e for e in job.settings.stack.supervisor if e.name == name)
    if found is not None:
        return path, replace(found, unit=entry.unit or found.unit)
    if entry.command is None:
        raise Refused(
            "how it was launched was never seen; start it once by hand while paramedic runs, "
            f"or write stack.supervisor.{name}.command"
        )
    found = _configured(entry, entry.command)
    path = path.removesuffix(".json") + ".configured.json"
    recipe.save(path, found)
    return path, found


def _configured(entry: SupervisorEntry, command: tuple[str, ...]) -> Recipe:
    owner = pwd.getpwnam(entry.user) if entry.user else None
    uid = owner.pw_uid if owner else os.stat(entry.conf).st_uid if os.geteuid() == 0 else os.geteuid()
    person = owner or _person(uid)
    home = {"HOME": person.pw_dir, "USER": person.pw_name, "LOGNAME": person.pw_name} if person else {}
    return Recipe(
        argv=(*_interpreter(command[0]), *recipe.with_conf(command, entry.conf)),
        cwd=entry.directory or str(Path(entry.conf).parent),
        uid=uid,
        gid=person.pw_gid if person else os.stat(entry.conf).st_gid,
        groups=tuple(os.getgrouplist(person.pw_name, person.pw_gid)) if person else (),
        env={"PATH": _PATH, **home, **dict(entry.environment)},
        umask=0o022,
        limits={},
        unit=entry.unit,
    )


def _person(uid: int) -> pwd.struct_passwd | None:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(uid)
    return None


def _interpreter(program: str) -> tuple[str, ...]:
    """The Python of a supervisord script, from its first line."""
    with open(program, "rb") as file:
        first = file.readline(512).decode("utf-8", "replace").strip()
    if not first.startswith("#!"):
        raise Refused(f"{program} is no Python script, so its start cannot be tried before")
    return (first[2:].split()[0],)


def _settle(job: Job, reading: SupervisorReading) -> str:
    """End what survived the old daemon, all of it proven before the first is touched."""
    for orphan in reading.orphans:
        doubt = doubt_of(orphan.child, reading.conf, job.proc) if job.proc.is_alive(orphan.child.identity) else None
        if doubt:
            raise Refused(f"{orphan.child.program} ({orphan.child.identity.pid}) is in the way, and {doubt}")
    names: list[str] = []
    for orphan in reading.orphans:
        failure = settle(orphan.child, reading.conf, job.proc)
        if failure:
            raise Refused(f"{failure}{_ended(names)}")
        names.append(f"{orphan.child.program} ({orphan.child.identity.pid})")
    return _ended(names)


def _ended(names: list[str]) -> str:
    return f"; ended before it {', '.join(names)}" if names else ""


def _clear_socket(conf: SupervisorConf, stamp: int) -> None:
    """Free the path: supervisord itself loops for ever on a folder or on another user's dead socket (facts A1)."""
    if conf.socket is None:
        return
    found = files.look(conf.socket)
    if found.kind is not PathKind.ABSENT:
        files.move_aside(conf.socket, str(stamp), found.inode)


def _bring_up(conf: SupervisorConf, reading: SupervisorReading) -> str:
    """Wait for its answer and bring its programs into the state they were in; what happened, as a clause."""
    try:
        _await_answer(conf)
        return _start_missing(conf, reading)
    except supervisor_rpc.RpcFailure as failure:
        return f"; but {failure}"


def _await_answer(conf: SupervisorConf) -> None:
    until = clock.monotonic() + ANSWER_S
    while True:
        try:
            if _ask(conf, ("supervisor.getState", ()))["statename"] == "RUNNING":
                return
        except supervisor_rpc.RpcFailure:
            if clock.monotonic() > until:
                raise
        time.sleep(LOOK_AGAIN_S)


def _start_missing(conf: SupervisorConf, reading: SupervisorReading) -> str:
    """Leave the programs as the old daemon had them: autostart=false ones that ran, ones a person had stopped."""
    rows = _ask(conf, ("supervisor.getAllProcessInfo", ()))
    states = {f"{row['group']}:{row['name']}": row["statename"] for row in rows}
    ran, rested = {_full(c.program) for c in reading.recorded}, {_full(name) for name in reading.stopped}
    begin = sorted(name for name in ran if states.get(name) == "STOPPED")
    stop = sorted(name for name in rested if states.get(name) in ("STARTING", "RUNNING", "BACKOFF"))
    for method, names in (("supervisor.startProcess", begin), ("supervisor.stopProcess", stop)):
        for name in names:
            _ask(conf, (method, (name, False)))
    told = [f"{word} {', '.join(names)}" for word, names in (("started", begin), ("stopped again", stop)) if names]
    return "".join(f"; {words}" for words in told)


def _full(program: str) -> str:
    return program if ":" in program else f"{program}:{program}"


def _ask(conf: SupervisorConf, method: tuple[str, tuple[object, ...]]) -> Any:  # noqa: ANN401 - XML-RPC is untyped
    return supervisor_rpc.call(conf.socket or "", [method], conf.username, conf.password)[0]
