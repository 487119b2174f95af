"""A daemon's pidfile, written by root only where the daemon itself could have written it."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from pathlib import Path

from paramedic.host.failpoint import reached
from paramedic.host.folders import folder, may_write, own_as

MOST_BYTES = 64
MODE = 0o644
_PID = re.compile(rb"\s*(\d{1,10})\s*")


def read(path: str) -> int | None:
    """The pid that stands there, None for nothing, 0 for an empty file; raises OSError for what is no pidfile."""
    try:
        with folder(str(Path(path).parent)) as there:
            return _read(there, path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _read(there: int, path: str) -> int | None:
    try:
        fd = os.open(Path(path).name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=there)
    except FileNotFoundError:
        return None
    with open(fd, "rb") as file:
        is_plain = stat.S_ISREG(os.fstat(fd).st_mode)
        content = file.read(MOST_BYTES + 1) if is_plain else b""
    found = _PID.fullmatch(content)
    if not is_plain or (content.strip() and (found is None or len(content) > MOST_BYTES)):
        raise OSError(errno.EINVAL, "it holds something that is no pid, and is not overwritten", path)
    return int(found[1]) if found else 0


def write(path: str, pid: int, uid: int, gid: int) -> None:
    """Replace it atomically, owned like the daemon; PermissionError where the daemon's user could not write it."""
    name = Path(path).name
    with folder(str(Path(path).parent)) as there:
        if not may_write(os.fstat(there), uid):
            raise PermissionError(errno.EPERM, f"the daemon's user {uid} could not write there, so root does not", path)
        with contextlib.suppress(FileNotFoundError):
            if uid not in (0, os.stat(name, dir_fd=there, follow_symlinks=False).st_uid):
                raise PermissionError(
                    errno.EPERM,
                    f"it does not belong to the daemon's user {uid}, so it is not overwritten; remove it",
                    path,
                )
        _read(there, path)
        fresh = f".{name}.{os.getpid()}"
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=there)
        try:
            with open(fd, "wb") as file:
                file.write(b"%d\n" % pid)
                file.flush()
                own_as(fd, uid, gid, MODE)
            reached("pidfile beside")
            os.rename(fresh, name, src_dir_fd=there, dst_dir_fd=there)
            reached("pidfile written")
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(fresh, dir_fd=there)
            raise
