"""Start a dead or hung supervisord again: the right one, with the right conf, exactly once."""

from __future__ import annotations

import re

from paramedic.act.bring_up import bring_up
from paramedic.act.conf_trust import doubt_of_conf
from paramedic.act.dry_run import why_it_cannot_start
from paramedic.act.job import Job, Refused, in_words, refused
from paramedic.act.lock_file import free_lock
from paramedic.act.plan import plan_of
from paramedic.act.restore_socket import of_daemon, prove_running
from paramedic.act.rungs import free, restore
from paramedic.act.supersede import (
    children_of,
    dependents_of,
    prove_hung,
    prove_settleable,
    replace_foreign,
    settle_all,
    start_again,
    stop_hung,
)
from paramedic.host import files, launch, recipe, unix_diag
from paramedic.host.busy import now_is_no_time
from paramedic.host.proc import Proc
from paramedic.host.processes import of_conf, same_file, trusted_uids, uids_of, walk
from paramedic.model.readings import Holder, Identity, PathKind
from paramedic.model.record import Report
from paramedic.model.stack import SupervisorConf
from paramedic.model.supervision import SupervisorReading


def restart_supervisord(job: Job) -> Report:
    """Prove that it can start; stop what is in its place; settle what survived; start it; wait for its answer.

    Everything that can be known to fail is tried before the first process is stopped.
    """
    done: list[str] = []
    try:
        reading = job.supervisor()
        conf, foreign = reading.conf, _foreign(job, reading)
        if foreign is not None and reading.daemon is not None:
            return Report(False, f"{replace_foreign(foreign, job)}; {_give_back(job, reading)}")
        is_hung = prove_hung(reading, job.proc) if reading.daemon is not None else False
        if foreign is None:
            prove_gone(job, conf, reading if is_hung else None)
        path, plan = plan_of(job, conf.name)
        wait = now_is_no_time()
        if wait:
            raise Refused(f"not now: {wait}")
        survivors = [orphan.child for orphan in reading.orphans]
        prove_settleable(survivors, conf, job.proc)
        children = children_of(reading, job.proc) if is_hung else []
        serving = {child.program.rpartition(":")[2] for child in (*survivors, *children)}
        cannot = why_it_cannot_start(plan, conf, is_running=is_hung, needed=serving)
        if cannot:
            raise Refused(f"it cannot start, so nothing was stopped: {cannot}")
        if foreign is not None:
            done.append(replace_foreign(foreign, job))
        beside = dependents_of(reading, job.proc) if is_hung else ()
        if is_hung:
            noted = recipe.path_of(job.settings.state_dir, conf.name)
            done.append(stop_hung(reading, job.proc, noted))
        done += _clear(conf, job)
        done += settle_all([*survivors, *children], conf, job.proc)
        locks = "".join(free_lock(program, job.proc, plan.uid) for program in conf.programs)
        prove_gone(job, conf)
        result = launch.start(path, plan, conf.name, f"{job.stamp}", conf.nodaemon or launch.is_foreground(plan.argv))
        if result.code != 0:
            raise Refused(f"the start failed: {result.last_line or 'the start did not end in time'}")
        before = f"; before it {', '.join(done)}" if done else ""
        after = f"{start_again(beside)}{bring_up(conf, reading, plan.uid)}"
        return Report(False, f"started {' '.join(plan.argv)}{before}{locks}{after}")
    except (OSError, Refused) as error:
        return refused("; ".join([in_words(error), *done]))


def _foreign(job: Job, reading: SupervisorReading) -> Holder | None:
    """The other conf's supervisord at our path, if the policy lets it be replaced."""
    found = reading.at_path
    if (
        found is None
        or found.conf is None
        or same_file(found.conf, reading.conf.conf)
        or job.act.step.args.get("replace") != "true"
    ):
        return None
    return found


def _give_back(job: Job, reading: SupervisorReading) -> str:
    guarded = of_daemon(reading, doubt_of_conf(reading, job.settings.state_dir))
    return restore(guarded, job.proc, job.stamp, lambda place: prove_running(place, reading.conf, guarded.owner))


def prove_gone(job: Job, conf: SupervisorConf, hung: SupervisorReading | None = None) -> None:
    """No process runs this conf, and nobody listens at its socket or, though unlinked, under its name; but for the
    `hung` daemon, which is to be stopped, and for users who may not run this conf: anybody can take a name.
    """
    user = next((entry.user for entry in job.settings.stack.supervisor if entry.name == conf.name), None)
    daemon = hung.daemon if hung else None
    found = [row.identity for row in of_conf(walk(job.proc), conf.conf, job.proc, user) if row.identity != daemon]
    if found:
        raise Refused(f"supervisord {found[0].pid} runs this conf")
    if conf.socket is None:
        raise Refused("its conf has no [unix_http_server] file, so a start could not be verified")
    may, bound = trusted_uids(conf.conf) | uids_of(user), re.compile(re.escape(conf.socket) + r"(\.\d+)?")
    for listener in unix_diag.listeners():
        if bound.fullmatch(listener.name) and not _is_nobodys(listener.socket_inode, may, daemon, job.proc):
            raise Refused(f"somebody still listens on a socket that was bound as {conf.socket}")
    at = files.look(conf.socket)
    is_its_own = hung is not None and at.inode == hung.listening_inode
    if at.kind is PathKind.SOCKET and not is_its_own and files.is_listening(conf.socket):
        raise Refused(f"another server listens at {conf.socket}")


def _is_nobodys(socket_inode: int, may: set[int], daemon: Identity | None, proc: Proc) -> bool:
    """Whether only the hung daemon, or users who may not run this conf, hold that socket."""
    holders = proc.holders(socket_inode)
    return bool(holders) and all(one == daemon or proc.uid(one.pid) not in may for one in holders)


def _clear(conf: SupervisorConf, job: Job) -> list[str]:
    """Free the path: supervisord itself loops for ever on a folder or on another user's dead socket (facts A1). Its
    pidfile it overwrites itself. What was done to the path.
    """
    said = free(conf.socket, 0, job.stamp) if conf.socket is not None else ""
    return [said.removeprefix("; ")] if said else []
