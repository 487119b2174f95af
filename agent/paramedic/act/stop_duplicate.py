"""Two daemons of one conf: keep the one that owns the programs, and its socket and pidfile beyond the other's exit.

A leaving supervisord unlinks socket and pidfile by name, whosever they are (supervisor/options.py, cleanup).
"""

from __future__ import annotations

import os

from paramedic.act.conf_trust import doubt_of_conf
from paramedic.act.daemon import longest_stop_s, proven, stop, stop_unit
from paramedic.act.job import Job, Refused, refused
from paramedic.act.kill_orphans import settle
from paramedic.act.restore_socket import of_daemon, prove_running
from paramedic.act.rewrite_pidfile import rewrite
from paramedic.act.rungs import Guarded, restore
from paramedic.host import files, unlinked
from paramedic.host.proc import Proc
from paramedic.model.readings import Identity
from paramedic.model.record import Report
from paramedic.model.supervision import Rival, SupervisorReading


def stop_duplicate(job: Job) -> Report:
    """Make sure that the keeper can be reached afterwards, stop the others, give the keeper its path and pidfile."""
    reading = job.supervisor()
    said: list[str] = []
    try:
        if reading.keeper is None:
            raise Refused(f"nobody can be said to own the programs: {reading.undecided or 'there is one daemon'}")
        doubt = doubt_of_conf(reading, job.settings.state_dir)
        guarded = of_daemon(reading, doubt)
        _prove_reachable(guarded, reading, reading.keeper, job.proc)
        for rival in reading.rivals:
            if rival.identity != reading.keeper:
                said += _stop(rival, reading, job.proc)
        if files.look(guarded.path).inode != guarded.inode:
            said.append(
                restore(guarded, job.proc, job.stamp, lambda place: prove_running(place, reading.conf, guarded.owner))
            )
        said.append(rewrite(reading, job.proc, None) if doubt is None else f"its pidfile is left: {doubt}")
        return Report(False, "; ".join(said))
    except (OSError, Refused) as error:
        return refused("; ".join([str(error), *said]))


def _prove_reachable(guarded: Guarded, reading: SupervisorReading, keeper: Identity, proc: Proc) -> None:
    """The keeper answers through something that the other's exit cannot delete: a link of ours, or its descriptor."""
    path, kept = guarded.path, files.keep_link(guarded.path)
    if reading.path.inode == guarded.inode:
        files.refresh_link(path, kept, guarded.inode)
    if files.look(kept).inode == guarded.inode:
        prove_running(kept, reading.conf, keeper)
        return
    try:
        live = unlinked.reach(proc, keeper, guarded.socket_inode)
    except OSError as error:
        why = "the keeper's socket has no name and no hard link, so nothing would reach it afterwards"
        raise Refused(f"{why}: {error.strerror}") from error
    try:
        prove_running(live, reading.conf, keeper)
    finally:
        os.close(live)


def _stop(rival: Rival, reading: SupervisorReading, proc: Proc) -> list[str]:
    """Stop one daemon in order, with its own programs; those it leaves behind are settled."""
    pid, keeper = rival.identity.pid, reading.keeper.pid if reading.keeper else 0
    unit = proc.unit(pid)
    if unit is not None and unit == proc.unit(keeper):
        raise Refused(f"both run in {unit}: its stop would end the keeper, too")
    with proven(rival.identity, None, proc) as fd:
        said = [stop_unit(rival.identity, proc) + stop(fd, pid, longest_stop_s(reading))]
    for child in rival.children:
        failure = settle(child, reading.conf, proc, None)
        if failure:
            said.append(failure)
    return said
