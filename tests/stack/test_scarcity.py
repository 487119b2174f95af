"""What /proc does under load and to the unwary: no descriptors, processes that vanish, names that lie, ten thousand."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.figures import note
from harness.waiting import wait_for
from paramedic.host import unix_diag
from paramedic.host.proc import Proc, readable
from paramedic.host.processes import is_supervisord, supervisords, walk

PR_SET_NAME = 15
NAMES = (b") R 1", b"a\nPPid:\t1\n", b"\xff\xfe)(\x01", b"supervisord", b"((((((((((((((", b"uwsgi) S 0 0")
RUBBISH = bytes(range(1, 256)) * 16 + "¿ñ‮\U0001f600".encode() * 8
STORM_S = 0.5
CROWD = 10_000


@pytest.fixture
def no_descriptors() -> Iterator[None]:
    """None can be opened any more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.dup(0)
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("no_descriptors")
def test_without_descriptors_a_living_process_is_not_called_gone() -> None:
    proc, own = Proc(), os.getpid()
    for look in (proc.identify, proc.cmdline, proc.open_files, proc.children, proc.uid, proc.is_closed):
        with pytest.raises(OSError) as raised:
            look(own)
        assert raised.value.errno == errno.EMFILE


def test_a_walk_among_processes_that_come_and_go_ends_and_names_only_what_there_was() -> None:
    code = "import os\nwhile True:\n pid = os.fork()\n if not pid: os._exit(0)\n os.waitpid(pid, 0)"
    storm = [subprocess.Popen([sys.executable, "-S", "-c", code]) for _ in range(2)]
    proc, looks, gone = Proc(), 0, 0
    try:
        until = time.monotonic() + STORM_S
        while time.monotonic() < until:
            looks += 1
            for pid in proc.pids():
                gone += proc.identify(pid) is None
                proc.cmdline(pid), proc.status(pid), proc.rss_bytes(pid), proc.unit(pid)
            supervisords(walk(proc), proc), unix_diag.listeners()
            assert os.getpid() in proc.tree(os.getppid()) or os.getppid() == 1
    finally:
        for one in storm:
            one.kill()
            one.wait(5)
    assert looks > 1


def rename_to(name: bytes) -> int:
    """A child with this name and with rubbish as its arguments."""
    child = os.fork()
    if child == 0:
        ctypes.CDLL(None).prctl(PR_SET_NAME, name, 0, 0, 0)
        signal.pause()
        os._exit(0)
    return child


@pytest.mark.parametrize("name", NAMES)
def test_a_process_is_who_it_is_whatever_it_calls_itself(name: bytes) -> None:
    proc, child = Proc(), rename_to(name)
    try:
        comm = Path(f"/proc/{child}/comm")
        wait_for("it is renamed", lambda: comm.read_bytes()[:-1] == name[:15])
        stat = proc.stat(child)
        assert stat is not None and (stat.identity.pid, stat.ppid, stat.is_alive) == (child, os.getpid(), True)
        assert stat.state in ("S", "R") and proc.is_alive(stat.identity)
        assert proc.uid(child) == os.geteuid() and proc.status(child)["PPid"] == [str(os.getpid())]
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert not proc.is_alive(stat.identity)


def test_arguments_of_four_kilobytes_of_rubbish_are_read_and_made_fit_to_print() -> None:
    proc = Proc()
    child = subprocess.Popen([RUBBISH, b"100"], executable="/bin/sleep")
    try:
        wait_for("it runs", lambda: (proc.cmdline(child.pid) or ("",))[0] == os.fsdecode(RUBBISH))
        argv = proc.cmdline(child.pid) or ()
        shown = readable(argv[0])
        assert shown.isprintable() and shown.encode() and len(shown) >= 4000
        assert not is_supervisord(argv) and not supervisords([row for row in walk(proc) if row.argv == argv], proc)
    finally:
        child.kill()
        child.wait(5)


def test_ten_thousand_processes_are_walked_in_a_moment(tmp_path: Path) -> None:
    """A folder stands in for /proc: what is measured is our work for each process, not the kernel's."""
    one = tmp_path / "one"
    one.mkdir()
    (one / "stat").write_text(f"7 (w) S 1 7 7 {'0 ' * 15}70 0 9\n")
    (one / "cmdline").write_bytes(b"/usr/bin/worker\0--number\0")
    (one / "status").write_text("Name:\tw\nUid:\t5\t5\t5\t5\nGid:\t5\t5\t5\t5\n")
    for pid in range(2, CROWD + 2):
        (tmp_path / str(pid)).symlink_to("one")
    proc, began = Proc(str(tmp_path)), time.process_time()
    rows = walk(proc)
    took = time.process_time() - began
    assert len(rows) == CROWD and took < 3.0, took
    note("limits", "crowd", {"processes": len(rows), "seconds": round(took, 2)})
