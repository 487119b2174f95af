"""Regular files as text, bounded, whoever wrote them."""

from __future__ import annotations

import errno
import os
import stat

PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EAGAIN)  # says nothing about the file


def opened(path: str) -> int:
    """A regular file, opened for reading; its kind is looked at before: a device that is opened may do something.

    Without O_NONBLOCK its owner could hold an open up for 45 seconds by a lease (fcntl(2), F_SETLEASE). Raises OSError,
    ValueError for another kind.
    """
    found = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        mode = os.fstat(found).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if not stat.S_ISREG(mode):
            raise ValueError("not a regular file")
        return os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    finally:
        os.close(found)


def read_tail(path: str, most: int) -> str:
    """The last `most` bytes of a regular file as text; raises OSError, ValueError for another kind: it never waits."""
    with open(opened(path), "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - most))
        return file.read(most).decode("utf-8", "replace")


def read_text(path: str, most: int) -> str:
    """A regular file as UTF-8 text; raises OSError, or ValueError for another kind or more than `most` bytes."""
    with open(opened(path), "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"larger than {most // 1024} KiB")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text") from None
