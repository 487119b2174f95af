"""Start a uWSGI instance whose master is gone, as it ran before, its old workers gone and its addresses free."""

from __future__ import annotations

import os

from paramedic.act.job import Job, Refused, refused
from paramedic.act.preflight import LOADS, would_load
from paramedic.host import clock, launch, pidfd, recipe
from paramedic.host.busy import now_is_no_time
from paramedic.host.lineage import is_init
from paramedic.host.proc import Proc
from paramedic.host.recipe import Recipe
from paramedic.host.uwsgi_processes import taken_of
from paramedic.model.facts import Preflight
from paramedic.model.readings import Identity, UwsgiGone
from paramedic.model.record import Report

LEAVE_S = 10.0


def start_uwsgi(job: Job) -> Report:
    """Prove that its app loads; settle workers that outlived their master; start it once."""
    checked: Preflight | None = None
    try:
        gone = job.uwsgi_gone()
        path, plan = _plan(job, gone)
        checked = would_load(gone.conf, plan, clock.wall())
        if checked.result != LOADS:
            raise Refused(checked.detail)
        said = _settle(gone.survivors, plan, job.proc)
        taken = taken_of(gone.conf, job.proc)
        if taken:
            raise Refused(f"{said}{', '.join(taken)} is taken by somebody else: a second uWSGI there could not serve")
        result = launch.start(path, plan, f"uwsgi-{gone.conf.name}", f"{job.stamp}", not gone.conf.daemonize)
    except (OSError, Refused) as error:
        return refused(error, checked)
    if result.code != 0:
        return refused(f"the start failed: {result.last_line or 'it did not end in time'}", checked)
    return Report(False, f"{said}started {' '.join(plan.argv)}", checked)


def _plan(job: Job, gone: UwsgiGone) -> tuple[str, Recipe]:
    path = recipe.path_of(job.settings.state_dir, f"uwsgi-{gone.conf.name}")
    plan = recipe.load(path)
    if plan is None:
        raise Refused("how it was launched was never seen: start it once by hand while paramedic runs")
    if gone.keeper:
        raise Refused(f"it is {gone.keeper}, who starts it: see why it does not")
    wait = now_is_no_time()
    if wait:
        raise Refused(f"not now: {wait}")
    untrusted = recipe.why_untrusted(plan, gone.conf.files)
    if untrusted:
        raise Refused(untrusted)
    return path, plan


def _settle(workers: tuple[Identity, ...], plan: Recipe, proc: Proc) -> str:
    """Workers leave by themselves when their master is gone, a busy one after its request; then TERM, then KILL."""
    fds = []
    try:
        for one in workers:
            fd = pidfd.open_proven(proc, one, lambda it: _doubt(it, plan, proc))
            if fd is not None:
                fds.append(fd)
        if not fds or pidfd.all_ended(fds, LEAVE_S):
            return ""
        failure = pidfd.end_all(fds, LEAVE_S)
        if failure:
            raise Refused(f"a worker of the dead master is left: {failure}")
        return f"ended {len(fds)} workers of the dead master; "
    except pidfd.Unproven as error:
        raise Refused(f"a worker of the dead master is left alone: {error}") from error
    finally:
        for fd in fds:
            os.close(fd)


def _doubt(one: Identity, plan: Recipe, proc: Proc) -> str | None:
    """A worker recorded under a master that is dead: what it still is must not contradict that."""
    stat = proc.stat(one.pid)
    if stat is None or not is_init(stat.ppid, proc):
        return f"process {one.pid} has a living parent"
    if plan.uid not in (0, proc.uid(one.pid)):
        return f"process {one.pid} runs as another user than its master did"
    return None
