"""What is read through descriptors that stay open is what opening the names anew would have given."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.waiting import wait_for
from paramedic.host.held import MOST_HELD, HeldProc
from paramedic.host.proc import Proc
from paramedic.model.readings import Identity

PROC = Proc()
LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
WAITS = "import sys; print(flush=True); sys.stdin.read()"


def started() -> subprocess.Popen[bytes]:
    """A child that waits for its standard input to end."""
    made = subprocess.Popen([sys.executable, "-I", "-S", "-c", WAITS], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert made.stdout is not None
    made.stdout.readline()
    return made


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """One of those."""
    made = started()
    yield made
    made.kill()
    made.communicate()


def descriptors() -> int:
    """How many are open."""
    return len(os.listdir("/proc/self/fd"))


def identity(proc: Proc, pid: int) -> Identity | None:
    """Who has that pid, alive or not."""
    stat = proc.stat(pid)
    return stat.identity if stat else None


def test_it_answers_as_without_and_lets_go_of_what_a_look_did_not_ask_for(child: subprocess.Popen[bytes]) -> None:
    held, before = HeldProc(), descriptors()
    for _ in range(3):
        assert identity(held, child.pid) == identity(PROC, child.pid)
        assert held.ids(child.pid) == PROC.ids(child.pid) == (os.geteuid(), os.getegid())
        assert held.children(os.getpid()) == PROC.children(os.getpid())
        assert held.children(child.pid) == []
        held.let_go()
    assert descriptors() == before + 3, "two of the child, one of this process"
    held.identify(child.pid)
    held.let_go()
    assert descriptors() == before + 1
    held.let_go()
    assert descriptors() == before


def test_one_that_has_threads_is_asked_for_the_children_of_each(child: subprocess.Popen[bytes]) -> None:
    held, done = HeldProc(), threading.Event()
    assert child.pid in held.children(os.getpid())
    held.let_go()
    made: list[subprocess.Popen[bytes]] = []

    def parent() -> None:
        made.append(started())
        done.wait(20)

    other = threading.Thread(target=parent)
    other.start()
    try:
        wait_for("the thread has a child", lambda: bool(made))
        assert {child.pid, made[0].pid} <= set(held.children(os.getpid()))
    finally:
        held.let_go()
        done.set()
        other.join()
        for one in made:
            one.kill()
            one.communicate()


def test_one_that_ended_is_none_and_whoever_gets_its_pid_is_somebody_else() -> None:
    held, before = HeldProc(), descriptors()
    first = started()
    was = identity(held, first.pid)
    first.kill()
    wait_for("it is a zombie", lambda: held.identify(first.pid) is None)
    first.communicate()
    assert held.stat(first.pid) is None
    assert identity(held, first.pid) is None
    held.let_go()
    assert descriptors() == before
    if not os.access(LAST_PID, os.W_OK):
        pytest.skip("only root chooses pids")
    second = _with_pid(first.pid, held)
    try:
        now = identity(held, first.pid)
        assert now == identity(PROC, first.pid)
        assert now is not None
        assert now != was
        assert was is not None
        assert not held.is_alive(was)
    finally:
        held.let_go()
        second.kill()
        second.communicate()


def _with_pid(pid: int, held: HeldProc) -> subprocess.Popen[bytes]:
    """A later process of that pid, looked for meanwhile; starts are told apart by hundredths of a second."""
    begun = PROC.up()
    wait_for("a later moment", lambda: PROC.up() > begun + 0.02)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        held.stat(pid)
        LAST_PID.write_text(str(pid - 1))
        made = started()
        if made.pid == pid:
            return made
        made.kill()
        made.communicate()
    pytest.skip("the pid was always taken by somebody else")


def test_a_pid_that_is_another_process_within_a_look_is_told_as_that() -> None:
    if not os.access(LAST_PID, os.W_OK):
        pytest.skip("only root chooses pids")
    held, first = HeldProc(), started()
    was = identity(held, first.pid)
    assert was is not None
    held.ids(first.pid)
    first.kill()
    first.communicate()
    second = _with_pid(first.pid, HeldProc())
    try:
        assert not held.is_alive(was), "its descriptor was held all the time"
        assert identity(held, first.pid) == identity(PROC, first.pid)
        assert held.ids(first.pid) == PROC.ids(first.pid)
    finally:
        held.let_go()
        second.kill()
        second.communicate()


def test_whoever_ended_is_dead_at_once_a_zombie_too(child: subprocess.Popen[bytes]) -> None:
    held, first = HeldProc(), started()
    before = descriptors()
    lives, dies = PROC.identify(child.pid), PROC.identify(first.pid)
    assert lives is not None
    assert dies is not None
    for _ in range(3):
        assert held.is_alive(lives)
        assert held.is_alive(dies)
        assert not held.is_alive(Identity(child.pid, lives.start_ticks + 1)), "another process of that pid"
        held.let_go()
    assert descriptors() == before + 3, "one each, and the stat of whoever never lived"
    first.kill()
    wait_for("it is a zombie", lambda: not PROC.is_alive(dies))
    assert not held.is_alive(dies)
    assert held.is_alive(lives)
    first.communicate()
    assert not held.is_alive(dies)
    held.let_go()
    held.let_go()
    assert descriptors() == before - 2, "nothing is held, and the pipes of who ended are closed"
    assert not held.is_alive(dies)
    held.let_go()
    assert descriptors() == before - 2


@pytest.mark.parametrize("without", ["pidfds", "descriptors to spare"])
def test_who_lives_is_told_without_as_well(
    without: str, child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_pid: int) -> int:
        raise OSError(38, "Function not implemented")

    held, first = HeldProc(), started()
    if without == "pidfds":
        monkeypatch.setattr(os, "pidfd_open", refused)
    else:
        held._most = 0
    lives, dies = PROC.identify(child.pid), PROC.identify(first.pid)
    assert lives is not None
    assert dies is not None
    assert held.is_alive(lives)
    assert held.is_alive(dies)
    first.kill()
    wait_for("it is a zombie", lambda: not PROC.is_alive(dies))
    assert [held.is_alive(dies), held.is_alive(lives)] == [False, True]
    first.communicate()
    assert not held.is_alive(dies)
    held.let_go()


def test_a_look_that_has_no_memory_left_keeps_no_descriptor(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    held, lives, before = HeldProc(), PROC.identify(child.pid), descriptors()
    assert lives is not None

    def exhausted(*_: object, **__: object) -> int:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", exhausted)
        for _ in range(3):
            with pytest.raises(OSError, match="memory"):
                held.is_alive(lives)
    assert descriptors() == before
    assert held.is_alive(lives)
    held.let_go()
    held.let_go()


def test_tables_of_the_host_come_whole_however_often() -> None:
    held = HeldProc()
    for _ in range(3):
        for name in ("meminfo", "vmstat", "pressure/memory"):
            plain, kept = PROC.text(name), held.text(name)
            assert (plain is None) == (kept is None)
            names = [[line.split()[0] for line in (text or "").splitlines()] for text in (plain, kept)]
            assert names[0] == names[1]
        held.let_go()
    held.let_go()


def test_never_more_are_held_than_a_process_may_spare(tmp_path: Path) -> None:
    for pid in range(1, MOST_HELD + 50):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 77 0 1\n")
    held, before = HeldProc(str(tmp_path)), descriptors()
    for _ in range(2):
        assert all(identity(held, pid) == Identity(pid, 77) for pid in range(1, MOST_HELD + 50))
        assert descriptors() == before + MOST_HELD
        held.let_go()
    held.let_go()
    assert descriptors() == before


def test_without_descriptors_it_gives_its_own_back_and_answers() -> None:
    held, (soft, hard) = HeldProc(), resource.getrlimit(resource.RLIMIT_NOFILE)
    held.stat(os.getpid())
    held.ids(os.getpid())
    free = max(map(int, os.listdir("/proc/self/fd"))) + 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    hoard: list[int] = []
    try:
        while True:
            try:
                hoard.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                break
        assert identity(held, 1) == Identity(1, int(Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19]))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in hoard:
            os.close(fd)
        held.let_go()


def test_a_look_is_one_moment_for_all_ages(child: subprocess.Popen[bytes]) -> None:
    held, one = HeldProc(), PROC.identify(child.pid)
    assert one is not None
    first = held.age_s(one)
    wait_for("time goes on", lambda: PROC.age_s(one) > first)
    assert held.age_s(one) == first
    held.let_go()
    assert held.age_s(one) > first
    held.let_go()
