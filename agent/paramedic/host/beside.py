"""A file put in the place of another, which stays beside it under a new name."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from paramedic.host.files import MOST_ASIDE
from paramedic.host.folders import folder

_FRESH = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write_beside(path: str, data: bytes, suffix: str) -> str | None:
    """Put a 0644 file at `path`, at every moment the old or the new one; its folder is made if it is missing.

    What stood there keeps the name that is returned, None where nothing did. Raises OSError.
    """
    parent, name = str(Path(path).parent), Path(path).name
    with contextlib.suppress(FileExistsError):
        os.mkdir(parent, 0o755)
    fresh, aside = f".{name}.new-{os.getpid()}", None
    with folder(parent) as there:
        try:
            with open(os.open(fresh, _FRESH, 0o600, dir_fd=there), "wb") as file:
                file.write(data)
                os.fchmod(file.fileno(), 0o644)
                file.flush()
                os.fsync(file.fileno())
            aside = _link_free(there, name, f"{name}.aside-{suffix}")
            os.rename(fresh, name, src_dir_fd=there, dst_dir_fd=there)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(fresh, dir_fd=there)
            raise
    return None if aside is None else f"{parent}/{aside}"


def _link_free(there: int, name: str, wanted: str) -> str | None:
    """Another, free name for the same file; None where there is no file."""
    for number in range(1, MOST_ASIDE):
        new = wanted if number == 1 else f"{wanted}-{number}"
        with contextlib.suppress(FileExistsError):
            try:
                os.link(name, new, src_dir_fd=there, dst_dir_fd=there, follow_symlinks=False)
            except FileNotFoundError:
                return None
            return new
    raise OSError(errno.EEXIST, "too much was moved aside there already", wanted)
