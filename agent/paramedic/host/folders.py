"""Folders held open: everything that changes something below one is done through its descriptor.

Root works in folders that users own. A path is walked one component at a time without following links (openat(2)); a
link is followed only where nobody but root or we could have made it, or where it leads its maker to a folder of theirs.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

MOST_LINKS = 40
_WALK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextlib.contextmanager
def folder(path: str) -> Iterator[int]:
    """A descriptor of the folder at `path`; raises OSError, PermissionError for a link that is not followed."""
    fd = _walk(path)
    try:
        yield fd
    finally:
        os.close(fd)


def _walk(path: str) -> int:
    at, names, users = os.open("/", _WALK | os.O_DIRECTORY), os.path.abspath(path).split("/"), set[int]()
    links = 0
    try:
        while names:
            name = names.pop(0)
            if name in ("", "."):
                continue
            found = os.open(name, _WALK, dir_fd=at)
            if stat.S_ISLNK(os.fstat(found).st_mode):
                os.close(found)
                links += 1
                users |= _makers(at, path, links)
                target = os.readlink(name, dir_fd=at)
                names = [*target.split("/"), *names]
                found = os.open("/" if target.startswith("/") else ".", _WALK | os.O_DIRECTORY, dir_fd=at)
            os.close(at)
            at = found
        if users and {os.fstat(at).st_uid} != users:
            raise PermissionError(errno.EPERM, "a user's symbolic link leads to a folder that is not theirs", path)
        return os.open(".", _OPEN, dir_fd=at)
    finally:
        os.close(at)


def _makers(at: int, path: str, links: int) -> set[int]:
    """The user who could have made a link in the folder at `at`, none where only root or we could."""
    here = os.fstat(at)
    if links > MOST_LINKS:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    if here.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(errno.EPERM, "a symbolic link in a folder others can write is not followed", path)
    return set() if here.st_uid in (0, os.geteuid()) else {here.st_uid}


@contextlib.contextmanager
def private(path: str) -> Iterator[int]:
    """A descriptor of a 0700 folder of ours, made if need be; raises OSError(EPERM) if it is somebody else's."""
    name = Path(path).name
    with folder(str(Path(path).parent)) as there:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=there)
        try:
            fd = os.open(name, _OPEN | os.O_NOFOLLOW, dir_fd=there)
        except (NotADirectoryError, OSError) as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP, errno.EACCES):
                raise
            raise _not_ours(path) from error
    try:
        found = os.fstat(fd)
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise _not_ours(path)
        yield fd
    finally:
        os.close(fd)


def _not_ours(path: str) -> PermissionError:
    return PermissionError(errno.EPERM, "it exists and is not a private folder of ours (chmod 700)", path)


def own(path: str) -> None:
    """Make sure that `path` is a 0700 folder of ours; raises OSError(EPERM) if it is somebody else's."""
    with private(path):
        return


def make(path: str, uid: int, gid: int, mode: int, maker: int) -> None:
    """Make one folder that vanished as it was; raises FileExistsError, or PermissionError where `maker`, the user whose
    server lived there, could not have made it.
    """
    with folder(str(Path(path).parent)) as there:
        if not may_write(os.fstat(there), maker):
            raise PermissionError(errno.EPERM, f"user {maker} could not make it there; make it by hand", path)
        name = Path(path).name
        os.mkdir(name, 0o700, dir_fd=there)
        fd = os.open(name, _OPEN | os.O_NOFOLLOW, dir_fd=there)
        try:
            own_as(fd, uid, gid, mode)
        finally:
            os.close(fd)


def may_write(found: os.stat_result, uid: int) -> bool:
    """Whether this user may make files in the folder, groups left out."""
    is_owner = found.st_uid == uid and bool(found.st_mode & stat.S_IWUSR)
    return uid == 0 or is_owner or bool(found.st_mode & stat.S_IWOTH)


def own_as(fd: int, uid: int, gid: int, mode: int) -> None:
    """Owner and mode of what was just made."""
    if (uid, gid) != (os.geteuid(), os.getegid()):
        os.fchown(fd, uid, gid)
    os.fchmod(fd, mode)
