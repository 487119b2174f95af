"""Daphne's lock beside a Unix socket (twisted/python/lockfile.py): `SOCKET.lock`, a link whose target is a pid.

A SIGKILLed Daphne leaves it. When that pid belongs to any living process again, the next Daphne says "Cannot acquire
lock" and leaves.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from pathlib import Path

from paramedic.host.proc import Proc

_FLAGS = ("-u", "--unix-socket")
_PID = re.compile(r"[1-9][0-9]{0,9}")


def lock_of(command: str, folder: str) -> str | None:
    """The lock file of a Daphne command that listens on a Unix socket."""
    with contextlib.suppress(ValueError):
        words = shlex.split(command)
        if not any(Path(word).name == "daphne" for word in words):
            return None
        for at, word in enumerate(words):
            flag, equals, value = word.partition("=")
            if flag in _FLAGS and (equals or at + 1 < len(words)):
                return os.path.join(folder, value if equals else words[at + 1]) + ".lock"
    return None


def stranger_in(lock: str, proc: Proc) -> int | None:
    """The living process a lock names that is no Daphne; None where the lock is absent, stale or rightly held."""
    try:
        target = os.readlink(lock)
    except (OSError, ValueError):
        return None
    pid = int(target) if _PID.fullmatch(target) else 0  # anybody may have made it: "²".isdigit() is true
    if proc.identify(pid) is None:
        return None
    argv = proc.cmdline(pid) or ()
    return None if any(Path(word).name == "daphne" for word in argv[:3]) else pid
