"""External commands: an argument vector, a deadline, a session of their own. Never a shell."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

KEPT_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Person:
    """Who a command runs as. Only root can be somebody else."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended; `code` is None when its deadline ended it. Output keeps its last 16 KiB."""

    code: int | None
    output: str
    argv: tuple[str, ...] = field(default=(), repr=False)

    @property
    def last_line(self) -> str:
        """The last line that says something: where Python puts the exception."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        return lines[-1] if lines else ""


def run(
    argv: Sequence[str],
    deadline_s: float,
    env: Mapping[str, str],
    cwd: str | None = None,
    person: Person | None = None,
    stdin: bytes = b"",
    pass_fds: Sequence[int] = (),
) -> Result:
    """Run `argv`, at most `deadline_s`; then its session is killed. Raises OSError if it cannot start."""
    is_switching = person is not None and os.geteuid() == 0
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as given:
        given.write(stdin)
        given.seek(0)
        child = subprocess.Popen(
            list(argv),
            stdin=given,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
            pass_fds=pass_fds,
            user=person.uid if person and is_switching else None,
            group=person.gid if person and is_switching else None,
            extra_groups=person.groups if person and is_switching else None,
        )
        code = _await(child, deadline_s)
        size = output.seek(0, os.SEEK_END)
        output.seek(max(0, size - KEPT_BYTES))
        return Result(code, output.read().decode("utf-8", "replace"), tuple(argv))


def _await(child: subprocess.Popen[bytes], deadline_s: float) -> int | None:
    """The exit code, None at the deadline. What is left of the session is killed before its leader is reaped,
    so that its process group cannot be anybody else's yet.
    """
    fd = os.pidfd_open(child.pid)
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        has_ended = bool(poll.poll(deadline_s * 1000))
    finally:
        os.close(fd)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    code = child.wait()
    return code if has_ended else None
