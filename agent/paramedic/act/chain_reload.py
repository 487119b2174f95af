"""Have uWSGI replace its workers one by one. Fire-and-forget there, so everything is proven before it is asked."""

from __future__ import annotations

import errno
import os
import stat

from paramedic.act.job import Job, Refused, refused
from paramedic.act.preflight import prove_loads
from paramedic.act.workers import available, measure, prove_no_chain, prove_no_outage, prove_unchanged
from paramedic.host import clock, files, recipe
from paramedic.host.failpoint import reached
from paramedic.host.writers import writable_by_others
from paramedic.model.facts import Preflight
from paramedic.model.readings import UwsgiReading
from paramedic.model.record import Report


def chain_reload(job: Job) -> Report:
    """Import the app first, then give the touch file a strictly newer whole second, or write to the master's FIFO."""
    checked: Preflight | None = None
    try:
        reading = job.uwsgi()
        _prove_askable(reading)
        prove_no_chain(reading, clock.wall())
        prove_no_outage(reading, str(job.act.step.args.get("outage", "")))
        checked = prove_loads(reading, job)
        measured = measure((w for w in reading.workers if w.status != "cheap"), job.proc) | available(job)
        prove_unchanged(reading, job.proc)
        said = _ask(reading, job)
    except (OSError, ValueError, KeyError, TypeError, Refused) as error:
        return refused(error, checked)
    return Report(False, said, checked, measured)


def _prove_askable(reading: UwsgiReading) -> None:
    conf = reading.conf
    if conf.chain_reload is None and conf.master_fifo is None:
        lines = "touch-chain-reload = /path/to/a/file or master-fifo = /path/to/a/fifo"
        raise Refused(f"{conf.ini} has no way to ask for a chain reload; write {lines} there")
    if conf.chain_reload is not None and reading.touched_at is None and conf.master_fifo is None:
        raise Refused(f"{conf.chain_reload} does not exist; making it would be a reload of its own")


def _who_named_it(reading: UwsgiReading, job: Job) -> set[int] | None:
    """Who could have named the touch file, so that root touches no file for a user that is not theirs; None where that
    is root alone, in the ini or in stack.uwsgi. Who starts uWSGI chooses its environment and folder.
    """
    conf = reading.conf
    entries = [one for one in job.settings.stack.uwsgi if one.name == conf.name]
    if os.geteuid() != 0 or any(one.chain_reload for one in entries):
        return None
    is_by_its_user = conf.is_touch_by_launch and reading.uid != 0
    if not is_by_its_user and not any(writable_by_others(path, ()) for path in conf.files):
        return None
    return ({os.stat(path).st_uid for path in conf.files} | {reading.uid}) - {0}


def _ask(reading: UwsgiReading, job: Job) -> str:
    conf = reading.conf
    if conf.chain_reload is not None and reading.touched_at is not None:
        when = files.touch_newer(conf.chain_reload, clock.wall(), _who_named_it(reading, job))
        return f"touched {conf.chain_reload} (mtime {when})"
    kept = recipe.path_of(job.settings.state_dir, f"uwsgi-{conf.name}")
    os.makedirs(os.path.dirname(kept), mode=0o700, exist_ok=True)
    files.write_private(recipe.asked_of(kept), b"")
    write_fifo(conf.master_fifo or "", b"c", reading.uid)
    return f"wrote c to {conf.master_fifo}"


def write_fifo(path: str, command: bytes, uid: int) -> None:
    """One command to uWSGI's master FIFO (core/fifo.c); raises OSError where nobody reads, or it is not its master's.

    Opening does not wait: without a reader it fails at once (fifo(7)).
    """
    there = files.open_path(path)
    try:
        found = os.fstat(there)
        if not stat.S_ISFIFO(found.st_mode) or found.st_uid != uid:
            raise OSError(errno.EPERM, "it is not a FIFO of the master's user", path)
        fd = os.open(f"/proc/self/fd/{there}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(fd, command)
            reached("asked by FIFO")
        finally:
            os.close(fd)
    finally:
        os.close(there)
