"""Who owns a file that root reads must not be able to hold root up: by a pipe, a swap, or a lease on it."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.waiting import wait_for
from paramedic.act.job import Refused
from paramedic.act.plan import _interpreter
from paramedic.host import texts
from paramedic.host.processes import trusted_uids
from paramedic.sense.uwsgi_files import read_small

AT_ONCE_S = 5.0
READERS: dict[str, Callable[[str], object]] = {
    "texts.read_text": lambda path: texts.read_text(path, 1 << 20),
    "texts.read_tail": lambda path: texts.read_tail(path, 1 << 20),
    "trusted_uids": trusted_uids,
    "read_small": read_small,
    "the program of a daemon": _interpreter,
}


def ends(read: Callable[[], object]) -> bool:
    """Whether it comes back at once, with whatever it found."""

    def attempt() -> None:
        try:
            read()
        except (OSError, ValueError, Refused):
            return

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(AT_ONCE_S)
    return not thread.is_alive()


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert ends(lambda: READERS[name](str(tmp_path / "pipe")))
    assert ends(lambda: READERS[name]("/dev/zero"))


@pytest.mark.parametrize("name", READERS)
def test_a_file_that_becomes_a_pipe_again_and_again_is_not_waited_for(name: str, tmp_path: Path) -> None:
    """The moment between looking at it and opening it."""
    path, over = tmp_path / "file", threading.Event()
    path.write_text("#!/usr/bin/python3\n")

    def flip() -> None:
        number = 0
        while not over.is_set():
            number += 1
            beside = tmp_path / f"beside{number % 2}"
            beside.unlink(missing_ok=True)
            if number % 2:
                os.mkfifo(beside)
            else:
                beside.write_text("#!/usr/bin/python3\n")
            os.rename(beside, path)

    flipping = threading.Thread(target=flip, daemon=True)
    flipping.start()
    try:
        began = time.monotonic()
        while time.monotonic() - began < 0.2:
            assert ends(lambda: READERS[name](str(path)))
    finally:
        over.set()
        flipping.join(AT_ONCE_S)


@pytest.mark.parametrize("name", READERS)
def test_a_lease_on_a_file_is_not_waited_out(name: str, tmp_path: Path) -> None:
    """fcntl(2): an open that would break a lease waits for its holder, lease-break-time (45 s) at most."""
    path = tmp_path / "file"
    path.write_text("[supervisord]\nuser=nobody\n")
    holder = os.fork()
    if holder == 0:
        try:
            fd = os.open(path, os.O_RDWR)
            signal.signal(signal.SIGIO, signal.SIG_IGN)
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            (tmp_path / "held").touch()
            signal.pause()
        finally:
            os._exit(1)
    try:
        wait_for("the lease is held", (tmp_path / "held").exists)
        assert ends(lambda: READERS[name](str(path)))
    finally:
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)
