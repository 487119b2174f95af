"""External commands: an argument vector, a deadline, a session of their own. Never a shell."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

KEPT_BYTES = 16 * 1024
MOST_ANSWERED = 4 << 20
_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Person:
    """Who a command runs as. Only root can be somebody else."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended; `code` is None when its deadline ended it. Output keeps its last 16 KiB, and `answer`, where
    stdout was asked for by itself, its first 4 MiB: what is beyond is read and forgotten.
    """

    code: int | None
    output: str
    argv: tuple[str, ...] = field(default=(), repr=False)
    answer: str = field(default="", repr=False)

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
    stdin: bytes = b"",
    pass_fds: Sequence[int] = (),
    answers: bool = False,
) -> Result:
    """Run `argv`, at most `deadline_s`; then its session is killed. Raises OSError if it cannot start.

    `answers`: its stdout is not its output but its answer. Its stdin is memory: a full /tmp is no reason not to run it.
    """
    with open(os.memfd_create("stdin"), "w+b") as given, contextlib.ExitStack() as pipes:
        given.write(stdin)
        given.seek(0)
        child = subprocess.Popen(
            list(argv),
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if answers else subprocess.STDOUT,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
            pass_fds=pass_fds,
        )
        said: dict[int, bytearray] = {}
        for pipe in filter(None, (child.stdout, child.stderr)):
            pipes.enter_context(pipe)
            os.set_blocking(pipe.fileno(), False)
            said[pipe.fileno()] = bytearray()
        code = _await(child, deadline_s, said)
        *answer, output = (bytes(text).decode("utf-8", "replace") for text in said.values())
        return Result(code, output, tuple(argv), "".join(answer))


def _await(child: subprocess.Popen[bytes], deadline_s: float, said: dict[int, bytearray]) -> int | None:
    """The exit code, None at the deadline. What is left of the session is killed before its leader is reaped,
    so that its process group cannot be anybody else's yet.
    """
    fd = os.pidfd_open(child.pid)
    poll = select.poll()
    try:
        for one in (fd, *said):
            poll.register(one, select.POLLIN)
        until, has_ended = time.monotonic() + deadline_s, False
        while not has_ended and (left := until - time.monotonic()) > 0:
            ready = [one for one, _ in poll.poll(left * 1000)]
            has_ended = fd in ready
            for one in said.keys() & set(ready):
                if not _take(one, said) and not has_ended:
                    poll.unregister(one)
    finally:
        os.close(fd)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    code = child.wait()
    for one in said:
        _take(one, said)
    return code if has_ended else None


def _take(pipe: int, said: dict[int, bytearray]) -> bool:
    """Read what waits in the pipe, at most what it can hold, and keep what is kept; False at its end."""
    is_answer = len(said) > 1 and pipe == next(iter(said))
    for _ in range(16):
        try:
            data = os.read(pipe, _CHUNK)
        except BlockingIOError:
            return True
        text = said[pipe]
        text += data
        if is_answer:
            del text[MOST_ANSWERED:]
        else:
            del text[:-KEPT_BYTES]
        if not data:
            return False
    return True
