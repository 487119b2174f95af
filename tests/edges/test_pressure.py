"""host/pressure.py and the part of host/wake.py that listens to it."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from paramedic.host import wake as waking
from paramedic.host.pressure import WAKES, Trigger, trigger_of
from paramedic.host.proc import Proc
from paramedic.host.wake import Wake

MACHINE = "/proc/pressure/memory"


def test_the_kernel_takes_the_trigger_or_says_why_not() -> None:
    try:
        trigger = Trigger(MACHINE)
    except OSError as error:
        pytest.skip(f"this kernel takes no trigger: {error}")
    poll = select.poll()
    poll.register(trigger.fd, WAKES)
    assert not [event for _, event in poll.poll(0) if event & select.POLLERR], "a string without its NUL is refused"
    trigger.close()


def test_where_no_trigger_can_be_had_nothing_is_wrong(tmp_path: Path) -> None:
    assert trigger_of(()) is None
    assert trigger_of((str(tmp_path / "none"), str(tmp_path))) is None
    before = os.listdir("/proc/self/fd")
    assert trigger_of(("/proc/self/statm", "/proc/loadavg")) is None
    assert os.listdir("/proc/self/fd") == before, "a refused trigger leaves its descriptor open"


def test_the_first_file_that_takes_one_is_used(tmp_path: Path) -> None:
    (tmp_path / "takes").write_text("")
    trigger = trigger_of((str(tmp_path / "none"), str(tmp_path / "takes")))
    assert trigger
    trigger.close()
    assert (trigger.path, (tmp_path / "takes").read_bytes()) == (str(tmp_path / "takes"), b"some 200000 2000000\0")


class Stalling(Trigger):
    """Urgent data nobody takes, on a connection of its own: POLLPRI for ever, as on a host that stalls all the time."""

    def __init__(self) -> None:
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen()
            self.feed = socket.create_connection(server.getsockname())
            self.kept, _ = server.accept()
        self.path, self.fd = "stand-in", self.kept.detach()

    def close(self) -> None:
        """Both ends."""
        self.feed.close()
        super().close()


@pytest.fixture
def stalling(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Wake, Stalling]]:
    """A wake-up with a trigger that was set, and stays quiet for a fifth of a second after it fired."""
    trigger = Stalling()
    monkeypatch.setattr(waking, "trigger_of", lambda paths: trigger if paths else None)
    monkeypatch.setattr(waking, "QUIET_S", 0.2)
    wake = Wake(Proc())
    wake.watch_pressure((MACHINE,))
    yield wake, trigger
    wake.close()
    with pytest.raises(OSError):
        os.fstat(trigger.fd)


def test_a_stall_wakes_early_and_stalls_without_end_do_not_spin(stalling: tuple[Wake, Stalling]) -> None:
    wake, trigger = stalling
    assert not wake.wait(0)
    trigger.feed.send(b"!", socket.MSG_OOB)
    began = time.monotonic()
    assert wake.wait(30)
    assert time.monotonic() - began < 10
    assert not wake.wait(0.05), "it fires on, and is not listened to"
    times: list[float] = []
    while len(times) < 3:
        assert wake.wait(30)
        times.append(time.monotonic())
    assert all(later - before >= 0.19 for before, later in zip([began, *times], times, strict=False))
    assert times[-1] - began < 20


def test_in_the_quiet_after_a_stall_everything_else_still_wakes(stalling: tuple[Wake, Stalling]) -> None:
    wake, trigger = stalling
    trigger.feed.send(b"!", socket.MSG_OOB)
    assert wake.wait(30)
    began = time.monotonic()
    threading.Timer(0.02, wake.poke).start()
    assert wake.wait(30)
    assert time.monotonic() - began < 10


def test_the_timeout_is_the_guarantee(stalling: tuple[Wake, Stalling]) -> None:
    wake, trigger = stalling
    trigger.feed.send(b"!", socket.MSG_OOB)
    assert wake.wait(30)
    began = time.monotonic()
    assert not wake.wait(0.1)
    assert 0.09 < time.monotonic() - began < 10


def test_a_trigger_whose_cgroup_is_removed_is_let_go() -> None:
    """It reports POLLERR for ever from then on."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if " cgroup2 " in line]
    if not mounts:
        pytest.skip("no cgroup2 is mounted here")
    folder = Path(mounts[0]) / f"paramedic-pressure-{os.getpid()}"
    with contextlib.suppress(OSError):
        folder.mkdir()
    if not (folder / "memory.pressure").exists():
        pytest.skip("nobody may make a cgroup here, or it has no memory.pressure")
    wake, before = Wake(Proc()), len(os.listdir("/proc/self/fd"))
    try:
        wake.watch_pressure((str(folder / "memory.pressure"),))
        assert len(os.listdir("/proc/self/fd")) == before + 1
        assert not wake.wait(0)
    finally:
        folder.rmdir()
    assert wake.wait(30)
    assert len(os.listdir("/proc/self/fd")) == before
    assert not wake.wait(0)
    wake.close()
