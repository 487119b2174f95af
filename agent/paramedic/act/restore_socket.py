"""Give the daemon's live socket its path again: the same inode, so that no program notices."""

from __future__ import annotations

from paramedic.act.job import Job, Refused, refused
from paramedic.host import files, supervisor_rpc, unix_diag
from paramedic.model.readings import Identity, PathKind
from paramedic.model.record import Report
from paramedic.model.stack import SupervisorConf


def restore_socket(job: Job) -> Report:
    """Link the kept hard link back, only after the daemon answered RUNNING through it."""
    reading = job.supervisor()
    conf, daemon, inode = reading.conf, reading.daemon, reading.listening_inode
    if daemon is None or inode is None or conf.socket is None:
        return refused("the daemon or its live socket is not proven")
    if reading.kept_inode != inode:
        return refused(
            "no hard link of the live socket was kept: paramedic makes one when it sees the socket healthy in "
            "mode: act; now only `kill -HUP` of supervisord makes a new socket, and restarts its programs"
        )
    kept = files.keep_link(conf.socket)
    try:
        prove_running(kept, conf, daemon)
        moved = _free(conf.socket, inode, job.stamp)
        _link(kept, conf.socket, inode)
        prove_running(conf.socket, conf, daemon)
    except (OSError, Refused) as error:
        return refused(error)
    return Report(False, f"linked the live socket back to {conf.socket}{moved}")


def prove_running(path: str, conf: SupervisorConf, daemon: Identity) -> None:
    """Raises Refused unless this very daemon answers RUNNING behind the socket at `path`."""
    asked: list[tuple[str, tuple[object, ...]]] = [("supervisor.getState", ()), ("supervisor.getPID", ())]
    try:
        state, pid = supervisor_rpc.call(path, asked, conf.username, conf.password)
    except supervisor_rpc.RpcFailure as failure:
        raise Refused(f"the daemon does not answer through {path}: {failure}") from failure
    if state.get("statename") != "RUNNING" or pid != daemon.pid:
        raise Refused(f"behind {path} answers process {pid}, {state.get('statename')}")


def _free(path: str, inode: int, stamp: int) -> str:
    """Make room at the path without losing anything; what was done, as a clause."""
    found = files.look(path)
    if found.kind is PathKind.ABSENT or found.inode == inode:
        return ""
    if found.kind is PathKind.SOCKET and any(x.file_inode == found.inode for x in unix_diag.listeners()):
        raise Refused(f"another live server listens at {path}; it is never touched")
    aside = files.move_aside(path, str(stamp), found.inode)
    return f"; moved the {found.kind} that stood there to {aside}" if aside else f"; removed an empty {found.kind}"


def _link(kept: str, path: str, inode: int) -> None:
    try:
        files.link_back(kept, path, inode)
    except FileExistsError:
        if files.look(path).inode != inode:
            raise
