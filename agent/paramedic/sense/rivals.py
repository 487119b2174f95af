"""Several daemons of one conf: which of them owns the programs; and who only bears the name of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from paramedic.host.lineage import child_of
from paramedic.host.proc import Proc
from paramedic.host.processes import trusted_uids, uids_of
from paramedic.host.unix_diag import Listener
from paramedic.model.readings import Identity, PathReading
from paramedic.model.stack import SupervisorConf
from paramedic.model.supervision import Rival
from paramedic.sense import path as at

SETTLED_S = 2.0


def rivals_of(inodes: Mapping[Identity, int | None], conf: SupervisorConf, proc: Proc) -> tuple[Rival, ...]:
    """Each daemon with its children, where there are several; `inodes` are the files they listen on."""
    if len(inodes) < 2:
        return ()
    return tuple(_rival(daemon, inode, conf, proc) for daemon, inode in inodes.items())


def _rival(daemon: Identity, inode: int | None, conf: SupervisorConf, proc: Proc) -> Rival:
    children = tuple(child for pid in proc.children(daemon.pid) if (child := child_of(pid, daemon, proc)))
    settled = []
    for child in children:
        section = conf.program(child.program)
        if proc.age_s(child.identity) > (section.startsecs if section else 1.0) + SETTLED_S:
            settled.append(child.program)
    return Rival(daemon, inode, children, tuple(settled))


def keeper_of(rivals: tuple[Rival, ...], recorded: Identity | None, proc: Proc) -> tuple[Identity | None, str]:
    """(who owns the programs, else why nobody does): the only one whose programs settled, else the recorded one.

    Nobody's daemon is stopped in favour of another user's: who may write the conf can start one of their own.
    """
    if not rivals:
        return None, ""
    users = sorted({str(proc.uid(rival.identity.pid)) for rival in rivals})
    if len(users) > 1:
        return None, f"they run as different users ({', '.join(users)})"
    owning = [rival.identity for rival in rivals if rival.settled]
    if len(owning) == 1:
        return owning[0], ""
    if recorded in (owning or [rival.identity for rival in rivals]):
        return recorded, ""
    return None, "several of them run programs" if owning else "the programs of none have settled"


def without_strangers(
    seen: Sequence[Listener], conf: SupervisorConf, path: PathReading, holders: at.Holders, user: str | None
) -> Sequence[Listener]:
    """Anybody can take a dead daemon's name: who only bears it, and may not run the conf, is nobody."""
    may = trusted_uids(conf.conf) | uids_of(user)
    bare = [one for one in at.named(conf.socket or "", seen) if one.file_inode != path.inode]
    held = [(one, holders.of(one.socket_inode)) for one in bare]
    strangers = [one for one, by in held if by and holders.proc.uid(by.identity.pid) not in may]
    return [one for one in seen if one not in strangers]
