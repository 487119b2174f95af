"""The condition of a living daemon: does it answer, what does its process do, are pidfile, logs and access right?"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import stat
from collections.abc import Iterable, Set

from paramedic.host import accounts, files, pidfile
from paramedic.host.proc import Proc
from paramedic.model.readings import Identity, PathReading
from paramedic.model.stack import SupervisorConf
from paramedic.model.supervision import ChildRecord, Denied, Pidfile, Silence, SupervisorReading
from paramedic.sense.path import Holders

PIDFILE_AFTER_S = 5.0
LOOKED_FOR_S = 10.0
_ACL = "system.posix_acl_access"


class Listening:
    """Counts a daemon's missed answers and watches its CPU time meanwhile."""

    def __init__(self, proc: Proc) -> None:
        self._proc = proc
        self._since: tuple[Identity, float] | None = None
        self._still: tuple[float, int] = (0.0, 0)
        self._misses = 0

    @property
    def is_silent(self) -> bool:
        """Whether the last answer was missed."""
        return self._misses > 0

    def answered(self) -> None:
        """It answered, or was not asked for a reason of its own."""
        self._since, self._misses = None, 0

    def missed(self, daemon: Identity, now: float, waiting: int, children: Iterable[ChildRecord]) -> Silence:
        """It did not answer once more, at monotonic `now`, with `waiting` connections in its queue."""
        found = self._proc.stat(daemon.pid)
        ticks = found.cpu_ticks if found else 0
        if self._since is None or self._since[0] != daemon:
            self._since, self._still, self._misses = (daemon, now), (now, ticks), 0
        if self._still[1] != ticks:
            self._still = (now, ticks)
        self._misses += 1
        return Silence(
            misses=self._misses,
            for_s=now - self._since[1],
            state=found.state if found else "?",
            tracer=int((self._proc.status(daemon.pid).get("TracerPid") or ["0"])[0]),
            still_s=now - self._still[0],
            waiting=waiting,
            blocked=tuple(f"{c.program} ({c.identity.pid})" for c in children if self._hangs_in_write(c.identity)),
        )

    def _hangs_in_write(self, child: Identity) -> bool:
        """Whether a program waits for somebody to empty its output pipe (/proc/PID/wchan)."""
        return self._proc.is_alive(child) and "pipe_write" in (self._proc.text(f"{child.pid}/wchan") or "")


class Pidfiles:
    """What is wrong with a daemon's pidfile; one that was right is read again only when it is another or changed."""

    def __init__(self, holders: Holders) -> None:
        self._holders = holders
        self._right: object = None

    def wrong(self, path: str | None, daemon: Identity, age_s: float) -> Pidfile | None:
        """None when it is right, cannot be read, or the daemon is too young to have it."""
        if path is None or age_s < PIDFILE_AFTER_S:
            return None
        stands = (daemon, path, files.stamp_of(path))
        if stands == self._right:
            return None
        self._right = None
        try:
            pid = pidfile.read(path)
        except PermissionError:
            return None
        except OSError as error:
            return Pidfile(path, "what is no pid") if error.errno in (errno.EINVAL, errno.ELOOP) else None
        if pid == daemon.pid:
            self._right = stands
            return None
        other = self._holders.proc.identify(pid) if pid else None
        shown = "" if pid is None else str(pid) if pid else "nothing"
        return Pidfile(path, shown, self._holders.describe(other) if other else None)


class Logs:
    """Logs that a daemon still writes to although their paths are gone: nobody can read what it says.

    All its descriptors are looked at only when a path leads to another file than before.
    """

    def __init__(self, proc: Proc) -> None:
        self._proc = proc
        self._well: object = None

    def deleted(self, daemon: Identity, paths: Iterable[str]) -> tuple[str, ...]:
        """Those of `paths` that were deleted under it."""
        named = [path for path in dict.fromkeys(paths) if path.startswith("/")]
        found_at = (daemon, [(path, files.inode_of(path)) for path in named])
        if found_at == self._well:
            return ()
        try:
            targets = {target for _, target in self._proc.open_files(daemon.pid)}
        except PermissionError:
            return ()
        deleted = tuple(path for path in named if f"{os.path.realpath(path)} (deleted)" in targets)
        self._well = None if deleted else found_at
        return deleted


class Access:
    """Whether a daemon's socket can be used. Who could is asked again when the socket is another or has other rights,
    and every ten seconds for what may have changed on the way to it.
    """

    def __init__(self) -> None:
        self._well: tuple[object, float] = (None, 0.0)

    def denied(self, reading: SupervisorReading, now: float) -> Denied | None:
        """Who is kept from it and why, None where nobody is."""
        conf, stands = reading.conf, (reading.path, reading.conf, reading.owner)
        if not reading.is_reached or conf.socket is None or (stands == self._well[0] and now < self._well[1]):
            return None
        found = denied(conf.socket, reading.path, conf, reading.owner)
        self._well = (None, 0.0) if found else (stands, now + LOOKED_FOR_S)
        return found


def denied(path: str, at: PathReading, conf: SupervisorConf, wanted: tuple[int, int]) -> Denied | None:
    """Whether who must be able to use the socket is kept from it; `wanted` is (uid, gid) it has by its conf."""
    try:
        user = accounts.of(conf.control_user or wanted[0])
    except KeyError:
        unknown = Denied(conf.control_user or "", "there is no such user", "the name of a user of this host")
        return unknown if conf.control_user else None
    if user.uid == 0:
        return None
    groups = user.groups
    for parent in _folders_of(path):
        with contextlib.suppress(OSError):
            found = os.stat(parent)
            if not _allows(found.st_mode, (found.st_uid, found.st_gid), user.uid, groups, 1) and not _has_acl(parent):
                line = f"chmod a+x {parent}, or a socket in a folder that {user.name} may enter"
                return Denied(user.name, f"{parent} may not be entered", line)
    if _allows(at.mode, (at.uid, at.gid), user.uid, groups, 2) or _has_acl(path):
        return None
    why = f"{path} has mode {at.mode & 0o777:04o} and belongs to {_name(at.uid)}"
    if _allows(conf.socket_mode, wanted, user.uid, groups, 2):
        return Denied(user.name, why)
    return Denied(user.name, why, _lines(user.name, wanted[0]))


def _lines(user: str, daemon_uid: int) -> str:
    """What the conf needs; only root may give its socket to another user, and others' supervisord would not start."""
    where = "below [unix_http_server]"
    if daemon_uid == 0:
        return f"chown={user} and chmod=0700 {where}"
    return f"chown={_name(daemon_uid)}:GROUP and chmod=0770 {where}, with a GROUP that both {user} and it are in"


def owner_of(conf: SupervisorConf, owner: tuple[int, int]) -> tuple[int, int]:
    """(uid, gid) the socket has by its conf (chown=, supervisor/options.py), else by the process that made it.

    Only root can give it to another user, and others only to groups that they are in.
    """
    if not conf.socket_owner:
        return owner
    user, _, group = conf.socket_owner.partition(":")
    uid, gid = owner
    with contextlib.suppress(KeyError, OverflowError):
        if user and owner[0] == 0:
            found = accounts.of(int(user) if user.isdecimal() else user)
            uid, gid = found.uid, found.gid
        if group:
            import grp

            wanted = int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
            gid = wanted if owner[0] == 0 or wanted in accounts.of(owner[0]).groups else gid
    return uid, gid


def _allows(mode: int, owner: tuple[int, int], uid: int, groups: Set[int], bit: int) -> bool:
    """The kernel's check of owner, group and others, in that order (path_resolution(7))."""
    shift = 6 if uid == owner[0] else 3 if owner[1] in groups else 0
    return bool(stat.S_IMODE(mode) >> shift & bit)


def _folders_of(path: str) -> list[str]:
    """`/`, `/run`, `/run/app` of `/run/app/s.sock`."""
    found = [path := os.path.dirname(path)]
    while path not in ("/", ""):
        found.append(path := os.path.dirname(path))
    return found[::-1]


def _has_acl(path: str) -> bool:
    """Whether more than the mode decides; then the mode proves nothing."""
    try:
        return _ACL in os.listxattr(path, follow_symlinks=False)
    except OSError:
        return False


def _name(uid: int) -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return f"uid {uid}"
