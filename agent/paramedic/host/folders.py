"""Folders held open: everything that changes something below one is done through its descriptor.

Root works in folders that users own. A path is walked one component at a time without following links (openat(2)); a
link is followed only where nobody but root or we made it or could have made it, or where it leads its maker to a folder
of theirs.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

from paramedic.host.failpoint import reached
from paramedic.host.writers import writable_by_others

MOST_LINKS = 40
_MAKING = threading.Lock()  # two sockets of one folder are restored at the same time
_WALK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_RENAME_NOREPLACE = 1
_SYS_OPENAT2, _AT_FDCWD, _NO_SYMLINKS = 437, -100, 0x04
_libc = ctypes.CDLL(None, use_errno=True)


class _How(ctypes.Structure):
    """struct open_how (include/uapi/linux/openat2.h)."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_PLAINLY = _How(_WALK, 0, _NO_SYMLINKS)


def open_without_links(path: str) -> int | None:
    """An O_PATH descriptor of what stands at an absolute path that leads over no link, not even one of /proc, in one
    step (openat2(2), Linux 5.6); None where it cannot be had so: then the path is to be walked.
    """
    if not path.startswith("/") or "\0" in path:
        return None
    fd = _libc.syscall(_SYS_OPENAT2, _AT_FDCWD, os.fsencode(path), ctypes.byref(_PLAINLY), ctypes.sizeof(_PLAINLY))
    return fd if fd >= 0 else None


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
            link = os.fstat(found)
            if stat.S_ISLNK(link.st_mode):
                os.close(found)
                links += 1
                users |= _makers(at, path, links) | ({link.st_uid} - {0, os.geteuid()})
                target = os.readlink(name, dir_fd=at)
                names = [*target.split("/"), *names]
                found = os.open("/" if target.startswith("/") else ".", _WALK | os.O_DIRECTORY, dir_fd=at)
            os.close(at)
            at = found
        if users and {os.fstat(at).st_uid} != users:
            raise PermissionError(errno.EPERM, "a user's symbolic link leads to a folder that is not theirs", path)
        return os.open(".", _WALK | os.O_DIRECTORY, dir_fd=at)
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
def private(path: str, closed: int = 0o077, must_exist: bool = False) -> Iterator[int]:
    """A descriptor of a 0700 folder of ours, made if need be or allowed; raises OSError(EPERM) if it is somebody
    else's, or open to others by one of the `closed` bits.
    """
    name = Path(path).name
    with folder(str(Path(path).parent)) as there:
        if not must_exist:
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
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & closed:
            raise _not_ours(path)
        yield fd
    finally:
        os.close(fd)


def _not_ours(path: str) -> PermissionError:
    return PermissionError(errno.EPERM, "it exists and is not a private folder of ours (chmod 700)", path)


def own(path: str, is_private: bool = True) -> None:
    """Make sure that `path` is a 0700 folder of ours, or one that others cannot write; raises OSError(EPERM) if not, or
    where others could put one of theirs in its place: what stands in it is believed.
    """
    with private(path, 0o077 if is_private else 0o022):
        other = writable_by_others(path, {os.geteuid()})
        if other is not None:
            raise PermissionError(errno.EPERM, f"others can change {other}, and so put another folder there", path)


def make(path: str, uid: int, gid: int, mode: int, maker: int) -> None:
    """Make one folder that vanished as it was, whole when it appears; raises FileExistsError, or PermissionError where
    `maker`, the user whose server lived there, could not have made it.
    """
    with _MAKING, folder(str(Path(path).parent)) as there:
        if not may_write(os.fstat(there), maker):
            raise PermissionError(errno.EPERM, f"user {maker} could not make it there; make it by hand", path)
        name = Path(path).name
        fresh = f".{name}.paramedic"
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(fresh, dir_fd=there)
        os.mkdir(fresh, 0o700, dir_fd=there)
        fd = os.open(fresh, _OPEN | os.O_NOFOLLOW, dir_fd=there)
        reached("folder beside")
        try:
            own_as(fd, uid, gid, mode)
        finally:
            os.close(fd)
        try:
            rename_noreplace(there, fresh, name)
        except FileExistsError:
            os.rmdir(fresh, dir_fd=there)
            raise
        reached("folder made")


def may_write(found: os.stat_result, uid: int) -> bool:
    """Whether this user may make files in the folder, groups left out."""
    is_owner = found.st_uid == uid and bool(found.st_mode & stat.S_IWUSR)
    return uid == 0 or is_owner or bool(found.st_mode & stat.S_IWOTH)


def own_as(fd: int, uid: int, gid: int, mode: int) -> None:
    """Owner and mode of what was just made."""
    if (uid, gid) != (os.geteuid(), os.getegid()):
        os.fchown(fd, uid, gid)
    os.fchmod(fd, mode)


def rename_noreplace(fd: int, old: str, new: str, there: int | None = None) -> None:
    """renameat2(2) with RENAME_NOREPLACE, from the folder open at `fd` to that at `there`, by default the same: the
    standard library has no call that refuses to overwrite.
    """
    target = fd if there is None else there
    result = _libc.renameat2(fd, os.fsencode(old), target, os.fsencode(new), _RENAME_NOREPLACE)
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), new if code == errno.EEXIST else old)
