"""Several daemons of one conf: which of them owns the programs."""

from __future__ import annotations

from collections.abc import Mapping

from paramedic.host.lineage import child_of
from paramedic.host.proc import Proc
from paramedic.model.readings import Identity
from paramedic.model.stack import SupervisorConf
from paramedic.model.supervision import Rival

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


def keeper_of(rivals: tuple[Rival, ...], recorded: Identity | None) -> tuple[Identity | None, str]:
    """(who owns the programs, else why nobody does): the only one whose programs settled, else the recorded one."""
    if not rivals:
        return None, ""
    owning = [rival.identity for rival in rivals if rival.settled]
    if len(owning) == 1:
        return owning[0], ""
    if recorded in (owning or [rival.identity for rival in rivals]):
        return recorded, ""
    return None, "several of them run programs" if owning else "the programs of none have settled"
