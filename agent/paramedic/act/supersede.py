"""Stop what stands in a new daemon's place: a hung one of ours, another conf's, and the programs that survived."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

from paramedic.act.daemon import longest_stop_s, proven, stop, stop_unit
from paramedic.act.job import Job, Refused
from paramedic.act.kill_orphans import settle
from paramedic.host import pidfd, recipe, supervisor_rpc, systemd, unlinked
from paramedic.host.failpoint import reached
from paramedic.host.lineage import child_of, doubt_of
from paramedic.host.proc import Proc
from paramedic.host.unix_diag import listeners
from paramedic.model.readings import Holder, Identity
from paramedic.model.stack import SupervisorConf
from paramedic.model.supervision import ChildRecord, SupervisorReading

HUNG_TERM_S = 3.0
FOREIGN_S = 60.0
UNIT_S = 120.0
WATCHED_S = 1.0
GONE = Identity(0, 0)


def prove_hung(reading: SupervisorReading, proc: Proc) -> bool:
    """True while the daemon is stopped, or neither answers nor uses CPU time; raises Refused for one that lives."""
    daemon, conf = reading.daemon, reading.conf
    stat = proc.stat(daemon.pid) if daemon else None
    if daemon is None or stat is None or stat.identity != daemon:
        raise Refused("the daemon is gone")
    tracer = (proc.status(daemon.pid).get("TracerPid") or ["0"])[0]
    if reading.silence is None or tracer != "0":
        raise Refused(f"supervisord {daemon.pid} runs" + (f", traced by {tracer}" if tracer != "0" else " and answers"))
    if stat.state == "T":
        return True
    try:
        with unlinked.reached(reading, proc) as (place, _):
            asked = [("supervisor.getState", ())]
            supervisor_rpc.results(supervisor_rpc.ask(place, asked, conf.username, conf.password, reading.uid))
    except supervisor_rpc.Silent:
        time.sleep(WATCHED_S)
        again = proc.stat(daemon.pid)
        if again is not None and again.cpu_ticks == stat.cpu_ticks and again.state not in ("R", "D"):
            return True
    except supervisor_rpc.RpcFailure as failure:
        raise Refused(f"supervisord {daemon.pid} answers again: {failure}") from failure
    raise Refused(f"supervisord {daemon.pid} works again")


def children_of(reading: SupervisorReading, proc: Proc) -> list[ChildRecord]:
    """The programs of a daemon that survive its end: those recorded, and those that say so; proven before it ends."""
    daemon = reading.daemon
    if daemon is None:
        return []
    living = {pid for pid in proc.children(daemon.pid) if proc.identify(pid)}
    found = {child.identity.pid: child for child in reading.recorded if proc.is_alive(child.identity)}
    found |= {pid: child for pid in living if pid not in found and (child := child_of(pid, daemon, proc))}
    strangers = sorted(living - set(found))
    if strangers:
        raise Refused(f"process {strangers[0]} is a child of supervisord {daemon.pid}, and of no program that is known")
    mine = [child for pid, child in found.items() if pid in living]
    for child in mine:
        doubt = doubt_of(child._replace(master=GONE), reading.conf, proc)
        if doubt:
            raise Refused(f"{child.program} ({child.identity.pid}) would survive it, and {doubt}")
    return mine


def stop_hung(reading: SupervisorReading, proc: Proc, recipe_path: str) -> str:
    """TERM, a short wait, KILL; what was done. Raises Refused.

    Noted before: one that obeys says farewell like one that a person stopped, and that would be left stopped by the
    next agent if this one ended now.
    """
    daemon = reading.daemon
    if daemon is None:
        raise Refused("the daemon is gone")
    unit = systemd.owning_unit(proc.unit(daemon.pid), daemon.pid)
    with proven(daemon, reading.socket_inode, proc) as fd:
        with contextlib.suppress(OSError):  # a full disk keeps no hung daemon hung
            recipe.note_stop(recipe_path, daemon, proc)
        said = stop_unit(daemon, proc) + stop(fd, daemon.pid, HUNG_TERM_S)
    if unit is not None and systemd.settle(unit, UNIT_S).code != 0:
        raise Refused(f"{said}; but systemd did not finish stopping {unit}")
    return said


def dependents_of(reading: SupervisorReading, proc: Proc) -> tuple[str, ...]:
    """The running units that the stop of the daemon's unit takes along."""
    daemon = reading.daemon
    unit = systemd.owning_unit(proc.unit(daemon.pid), daemon.pid) if daemon else None
    return systemd.dependents(unit) if unit else ()


def start_again(units: Sequence[str]) -> str:
    """Start those of the units that do not run; what was done, as a clause."""
    stopped = [unit for unit in units if not systemd.is_up(unit)]
    failed = [unit for unit in stopped if systemd.start(unit, UNIT_S).code != 0]
    started = ", ".join(unit for unit in stopped if unit not in failed)
    said = f"; started {started} again, which stopped with it" if started else ""
    return said + (f"; {', '.join(failed)} stopped with it and does not start" if failed else "")


def replace_foreign(foreign: Holder, job: Job) -> str:
    """Stop another conf's supervisord by its manager, else in order through a pidfd; it is never killed."""
    reading = job.supervisor()
    held = [x.socket_inode for x in listeners() if x.file_inode == reading.path.inode]
    if not held:
        raise Refused(f"{foreign} does not listen there any more")
    pid, patience = foreign.identity.pid, max(FOREIGN_S, longest_stop_s(reading))
    with proven(foreign.identity, held[0], job.proc) as fd:
        said = stop_unit(foreign.identity, job.proc)
        if not said:
            pidfd.signal_term(fd)
        if not pidfd.has_ended(fd, patience):
            raise Refused(f"{foreign} did not stop within {patience:.0f} s, and is not killed")
    reached("daemon stopped")
    return f"{said}stopped supervisord {pid} with {foreign.conf}"


def prove_settleable(survivors: Sequence[ChildRecord], conf: SupervisorConf, proc: Proc) -> None:
    """Every survivor is proven before the first is touched; raises Refused with the proof that is missing."""
    for child in survivors:
        doubt = doubt_of(child, conf, proc) if proc.is_alive(child.identity) else None
        if doubt:
            raise Refused(f"{child.program} ({child.identity.pid}) is in the way, and {doubt}")


def settle_all(survivors: Sequence[ChildRecord], conf: SupervisorConf, proc: Proc) -> list[str]:
    """End them one after the other; what was done. Raises Refused for the first that does not end."""
    said: list[str] = []
    for child in survivors:
        failure = settle(child, conf, proc, None)
        if failure:
            raise Refused("; ".join([failure, *said]))
        said.append(f"ended {child.program} ({child.identity.pid})")
    return said
