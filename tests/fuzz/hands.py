"""No action while something is only read: whatever would change the host raises (sys.addaudithook)."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

ACTS = frozenset(
    (
        *("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.kill", "os.killpg"),
        *("os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink"),
        *("os.truncate", "os.utime", "signal.pthread_kill", "socket.connect", "socket.sendto"),
        *("shutil.rmtree", "shutil.move"),
    )
)
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Acted(BaseException):
    """Reading something changed the host; not an Exception, so that nothing swallows it."""


class _Hands:
    """One hook for the life of the process: hooks cannot be taken out again."""

    def __init__(self) -> None:
        self.tied: int | None = None
        sys.addaudithook(self._look)

    def _look(self, event: str, args: tuple[object, ...]) -> None:
        if self.tied != threading.get_ident():
            return
        opens_to_write = event == "open" and isinstance(args[2], int) and bool(args[2] & _WRITES)
        if event in ACTS or opens_to_write:
            raise Acted(f"{event}{args!r}"[:300])


_hands: list[_Hands] = []


@contextlib.contextmanager
def tied() -> Iterator[None]:
    """While it lasts this thread may change, start, signal and connect to nothing."""
    if not _hands:
        _hands.append(_Hands())
    _hands[0].tied = threading.get_ident()
    try:
        yield
    finally:
        _hands[0].tied = None
