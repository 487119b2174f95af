"""Daphne's lock file, when its pid is a stranger's: removed before the next start, which it would end."""

from __future__ import annotations

import contextlib

from paramedic.host import files
from paramedic.host.daphne_lock import lock_of, stranger_in
from paramedic.host.failpoint import reached
from paramedic.host.proc import Proc
from paramedic.model.stack import ProgramConf


def free_lock(program: ProgramConf | None, proc: Proc, uid: int) -> str:
    """Remove the lock of a program that does not run, if its pid is no Daphne's; what was done, as a clause.

    `uid` is who its supervisord runs as: a user's conf may name any path.
    """
    lock = lock_of(program.command, program.directory or "/") if program else None
    stranger = stranger_in(lock, proc) if lock else None
    if lock is None or stranger is None:
        return ""
    with contextlib.suppress(OSError, ValueError):
        files.unlink_link(lock, str(stranger), uid)
        reached("lock removed")
        return f"; removed {lock}, whose pid {stranger} is another program now"
    return f"; {lock} names process {stranger}, which is no Daphne, and could not be removed"
