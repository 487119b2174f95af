"""Who else can change what stands at a path: every folder on the way to it counts, and every link."""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import stat
from collections.abc import Collection

from paramedic.host import accounts

MOST_LINKS = 40


def writable_by_others(path: str, rightful: Collection[int]) -> str | None:
    """The first folder, link or file on the way to `path` that others than root and the `rightful` uids could change.

    None where nobody else can. A folder with the sticky bit leaves each what is theirs, a group with one member is that
    member. Raises OSError where nothing stands at the path, or links go round.
    """
    mine, at, links = {0, *rightful}, "/", 0
    names = os.path.abspath(path).split("/")
    while names:
        name = names.pop(0)
        if name in ("", "."):
            continue
        at = os.path.dirname(at) if name == ".." else os.path.join(at, name)
        found = os.lstat(at)
        if found.st_uid not in mine:
            return at
        if stat.S_ISLNK(found.st_mode):
            links += 1
            if links > MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            target = os.readlink(at)
            names = [*target.split("/"), *names]
            at = "/" if target.startswith("/") else os.path.dirname(at)
        elif _others_may(found, mine):
            return at
    return None


def readable_by(path: str, uid: int) -> bool:
    """Whether this user may read the file by its owner, group and mode; raises OSError where there is none."""
    found = os.stat(path)
    if uid in (0, found.st_uid) or found.st_mode & stat.S_IROTH:
        return True
    return bool(found.st_mode & stat.S_IRGRP) and found.st_gid in _groups_of(uid)


def _groups_of(uid: int) -> frozenset[int]:
    with contextlib.suppress(KeyError):
        return accounts.of(uid).groups
    return frozenset()


def _others_may(found: os.stat_result, mine: Collection[int]) -> bool:
    is_shared = stat.S_ISDIR(found.st_mode) and bool(found.st_mode & stat.S_ISVTX)
    if is_shared or not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return False
    return bool(found.st_mode & stat.S_IWOTH) or not _is_private(found.st_gid, mine)


def _is_private(gid: int, uids: Collection[int]) -> bool:
    """Whether nobody else is in the group: it has the name of one of these users, as useradd makes them."""
    with contextlib.suppress(KeyError):
        group, names = grp.getgrgid(gid), {}
        for uid in uids:
            with contextlib.suppress(KeyError):
                names[pwd.getpwuid(uid).pw_name] = pwd.getpwuid(uid).pw_gid
        return names.get(group.gr_name) == gid and set(group.gr_mem) <= set(names)
    return False
