"""Give the socket the owner and mode that its conf says. Never wider than that."""

from __future__ import annotations

from paramedic.act.conf_trust import doubt_of_conf
from paramedic.act.job import Job, Refused
from paramedic.act.restore_socket import of_daemon
from paramedic.host import files
from paramedic.model.record import Report


def repair_mode(job: Job) -> Report:
    """On the inode that was judged, the daemon's or our relay's. Where the conf itself denies access it must change."""
    reading = job.supervisor()
    denied, doubt = reading.denied, doubt_of_conf(reading, job.settings.state_dir)
    if denied is None:
        raise Refused("nobody is denied any more")
    if doubt is not None:
        raise Refused(f"the conf is not followed: {doubt}")
    guarded = of_daemon(reading, doubt)
    if denied.by_conf:
        raise Refused(f"{denied.user} is denied by the conf itself ({denied.why}); write {denied.by_conf}")
    files.set_owner_and_mode(guarded.path, reading.path.inode, guarded.uid, guarded.gid, guarded.mode)
    return Report(False, f"gave {guarded.path} mode {guarded.mode:04o} and the owner its conf says")
