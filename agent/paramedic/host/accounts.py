"""Users and their groups: asked of the system's name service once a minute, or when its files change."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass

from paramedic.host import clock

FILES = ("/etc/passwd", "/etc/group")
ASKED_FOR_S = 60.0


@dataclass(frozen=True, slots=True)
class Account:
    """A user, and every group it is in."""

    uid: int
    gid: int
    name: str
    groups: frozenset[int]


_asked: dict[str | int, tuple[object, float, Account]] = {}


def of(user: str | int) -> Account:
    """The account by name or uid; raises KeyError where there is none. Two files are parsed for each question."""
    stamps, now = [_stamp(path) for path in FILES], clock.monotonic()
    kept = _asked.get(user)
    if kept is None or kept[0] != stamps or now - kept[1] > ASKED_FOR_S:
        found = pwd.getpwnam(user) if isinstance(user, str) else pwd.getpwuid(user)
        groups = frozenset((found.pw_gid, *os.getgrouplist(found.pw_name, found.pw_gid)))
        kept = _asked[user] = (stamps, now, Account(found.pw_uid, found.pw_gid, found.pw_name, groups))
    return kept[2]


def _stamp(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_ino, found.st_mtime_ns
