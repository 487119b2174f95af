"""Give a live socket its path again, so that no program notices: by link, by relay, and only if allowed by SIGHUP."""

from __future__ import annotations

import os
import signal

from paramedic.act.conf_trust import doubt_of_conf
from paramedic.act.daemon import proven, send
from paramedic.act.dry_run import why_it_cannot_start
from paramedic.act.job import Job, Refused, refused
from paramedic.act.rungs import Guarded, NoRung, free, of_socket, prove_listening, restore
from paramedic.host import recipe, supervisor_rpc
from paramedic.host.proc import Proc
from paramedic.model.readings import Identity, PathKind
from paramedic.model.record import Report
from paramedic.model.stack import SupervisorConf
from paramedic.model.supervision import SupervisorReading


def restore_socket(job: Job) -> Report:
    """Restore the socket of a Supervisor daemon or of a guarded entry."""
    socket = job.facts.socket(job.act.target)
    try:
        if socket is not None:
            guarded = of_socket(socket)
            return Report(False, restore(guarded, job.proc, job.stamp, prove_listening(guarded, job.proc)))
        return Report(False, _of_daemon(job))
    except (OSError, Refused) as error:
        return refused(error)


def _of_daemon(job: Job) -> str:
    reading = job.supervisor()
    if reading.listening_inode is None and reading.path.kind is PathKind.DIRECTORY:
        return _make_room(job, reading)
    guarded = of_daemon(reading, doubt_of_conf(reading, job.settings.state_dir))
    conf, daemon = reading.conf, guarded.owner
    try:
        return restore(guarded, job.proc, job.stamp, lambda place: prove_running(place, conf, daemon))
    except NoRung as why:
        if job.act.step.args.get("restart") != "ok":
            hint = "a graceful restart (SIGHUP) would make a new socket and restart every program"
            raise Refused(f"{why}; {hint}: allow it with restore_socket: {{ restart: ok }}") from why
        return _restart(job, reading, str(why))


def _make_room(job: Job, reading: SupervisorReading) -> str:
    """A starting supervisord tries over and over to unlink the folder at its path (supervisor/http.py): move it aside,
    and it makes its socket itself.
    """
    if reading.daemon is None:
        raise Refused("no daemon is proven")
    with proven(reading.daemon, None, job.proc):
        moved = free(reading.conf.socket or "", 0, job.stamp)
    return f"made room for supervisord {reading.daemon.pid}{moved}"


def of_daemon(reading: SupervisorReading, doubt: str | None) -> Guarded:
    """The daemon's live socket, with owner and mode as its conf says, or with a `doubt` of that for its own user only;
    raises Refused where it is not proven.
    """
    daemon, conf = reading.daemon or reading.keeper, reading.conf
    if daemon is None or reading.listening_inode is None or reading.socket_inode is None or conf.socket is None:
        raise Refused("the daemon or its live socket is not proven")
    uid, gid = reading.owner if doubt is None else (reading.uid, reading.gid)
    return Guarded(
        path=conf.socket,
        owner=daemon,
        socket_inode=reading.socket_inode,
        inode=reading.listening_inode,
        uid=uid,
        gid=gid,
        mode=conf.socket_mode & (0o777 if doubt is None else 0o700),
        runs_as=(reading.uid, reading.gid),
        may_relay=True,
        folder=reading.folder,
    )


def prove_running(place: str | int, conf: SupervisorConf, daemon: Identity) -> None:
    """Raises Refused unless this very daemon answers RUNNING behind the socket at `place`."""
    asked: list[tuple[str, tuple[object, ...]]] = [("supervisor.getState", ()), ("supervisor.getPID", ())]
    where = place if isinstance(place, str) else "its socket without a name"
    try:
        state, pid = supervisor_rpc.results(
            supervisor_rpc.ask(place, asked, conf.username, conf.password, served_by=Proc().uid(daemon.pid))
        )
    except supervisor_rpc.RpcFailure as failure:
        raise Refused(f"the daemon does not answer through {where}: {failure}") from failure
    if state.get("statename") != "RUNNING" or pid != daemon.pid:
        raise Refused(f"behind {where} answers process {pid}, {state.get('statename')}")


def _restart(job: Job, reading: SupervisorReading, why: str) -> str:
    """SIGHUP: it stops every program, reads its conf again (one that does not load ends it), makes a new socket."""
    daemon, conf = reading.daemon, reading.conf
    plan = recipe.load(recipe.path_of(job.settings.state_dir, conf.name))
    if daemon is None or plan is None:
        raise Refused(f"{why}; how it was launched was never seen, so its conf cannot be tried before a restart")
    _prove_finds_conf(daemon, conf, job.proc)
    cannot = why_it_cannot_start(plan, conf, is_running=True)
    if cannot:
        raise Refused(f"{why}; and it could not start again, so it is not restarted: {cannot}")
    free(conf.socket or "", 0, job.stamp)
    send(reading, job.proc, signal.SIGHUP)
    return f"{why}; sent SIGHUP to supervisord {daemon.pid}: it restarts its programs and makes a new socket"


def _prove_finds_conf(daemon: Identity, conf: SupervisorConf, proc: Proc) -> None:
    """At SIGHUP a relative -c is resolved against the folder it is in now (supervisor/options.py, read_config)."""
    named = recipe.conf_argument(proc.cmdline(daemon.pid) or ())
    folder = proc.link(daemon.pid, "cwd") or "/"
    if named is None or not os.path.samefile(os.path.join(folder, named), conf.conf):
        raise Refused(f"it is not restarted: from {folder} supervisord {daemon.pid} would not find {conf.conf} again")
