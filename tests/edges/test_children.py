"""Children are proven once and then read through a descriptor; whatever stops being one is not one any more."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.waiting import wait_for
from paramedic.host import inet
from paramedic.host.children import Children
from paramedic.host.proc import Proc
from paramedic.model.readings import Identity

PROC, NOBODY = Proc(), 65534


def me() -> Identity:
    """This process."""
    found = PROC.identify(os.getpid())
    assert found is not None
    return found


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A child that waits for its standard input to end."""
    code = "import sys; print(flush=True); sys.stdin.read()"
    made = subprocess.Popen([sys.executable, "-I", "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert made.stdout is not None
    made.stdout.readline()
    yield made
    made.kill()
    made.communicate()


def descriptors() -> int:
    """How many are open."""
    return len(os.listdir("/proc/self/fd"))


def test_a_child_is_read_again_and_again_as_the_proof_would_read_it(child: subprocess.Popen[bytes]) -> None:
    before = descriptors()
    children = Children(PROC)
    children.of(me(), os.geteuid())
    for _ in range(3):
        identity, rss = children.read(child.pid) or (None, 0)
        assert identity == PROC.identify(child.pid)
        assert rss > 1 << 20
    assert descriptors() == before + 1
    children.keep([])
    assert descriptors() == before


def test_of_more_than_may_be_held_the_rest_is_proven_each_time() -> None:
    """A stats answer may tell of a thousand workers: an agent needs its descriptors for repairs, too."""
    sleepers = [subprocess.Popen(["/bin/sleep", "60"]) for _ in range(4)]
    before, children = descriptors(), Children(PROC, most=2)
    try:
        children.of(me(), os.geteuid())
        for _ in range(3):
            assert [read[0].pid for one in sleepers if (read := children.read(one.pid))] == [o.pid for o in sleepers]
            assert descriptors() == before + 2
        sleepers[0].kill()
        sleepers[0].wait()
        assert children.read(sleepers[0].pid) is None
        assert children.read(sleepers[3].pid)
        assert descriptors() == before + 2, "what one gave back is the next one's"
    finally:
        children.keep(())
        for one in sleepers:
            one.kill()
            one.wait()


def test_one_that_ended_is_none_even_before_it_is_reaped(child: subprocess.Popen[bytes]) -> None:
    children = Children(PROC)
    children.of(me(), os.geteuid())
    assert children.read(child.pid)
    child.kill()
    wait_for("it is a zombie", lambda: (stat := PROC.stat(child.pid)) is not None and not stat.is_alive)
    assert children.read(child.pid) is None
    child.wait()
    assert children.read(child.pid) is None


def test_strangers_and_other_users_are_none(child: subprocess.Popen[bytes]) -> None:
    children = Children(PROC)
    assert children.read(child.pid) is None, "no parent was named yet"
    children.of(me(), os.geteuid() + 1)
    assert os.geteuid() + 1 == 0 or children.read(child.pid) is None, "it runs as another user than its parent"
    children.of(me(), None)
    assert children.read(child.pid) is None, "its parent is nobody's for sure"
    children.of(me(), os.geteuid())
    assert children.read(os.getpid()) is None, "it is its own child"
    assert children.read(0) is None
    found = PROC.identify(child.pid)
    assert found is not None
    children.of(found, os.geteuid())
    assert children.read(child.pid) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a program that changes its user")
def test_one_that_changes_its_user_is_none_within_as_many_looks_as_there_are_children() -> None:
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    sleeper = folder / "sleeper"
    shutil.copy("/bin/sleep", sleeper)
    sleeper.chmod(0o4755)
    argv = ["/bin/sh", "-c", f"read go; exec {sleeper} 60"]
    made = [subprocess.Popen(argv, stdin=subprocess.PIPE, user=NOBODY, group=NOBODY, cwd="/") for _ in range(3)]
    children = Children(PROC)
    try:
        pids = [one.pid for one in made]
        wait_for("they run as nobody", lambda: all(PROC.uid(pid) == NOBODY for pid in pids))
        children.of(me(), NOBODY)
        assert all(children.read(pid) for pid in pids)
        assert made[1].stdin is not None
        made[1].stdin.write(b"go\n")
        made[1].stdin.flush()
        wait_for("it is root's now", lambda: os.stat(f"/proc/{pids[1]}").st_uid == 0)
        for _ in range(len(pids) + 1):
            children.of(me(), NOBODY)
            found = [children.read(pid) is not None for pid in pids]
        assert found == [True, False, True]
    finally:
        shutil.rmtree(folder)
        children.keep(())
        for one in made:
            one.kill()
            one.communicate()


def test_the_kernel_tells_of_tcp_what_its_tables_tell() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
    ):
        port, port_six = server.getsockname()[1], six.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0]:
            for state in (1, 10):
                wanted = [one for one in inet._listed(state, PROC) if one[0] in (port, port_six)]
                found = [one for one in inet._dumped(state) if one[0] in (port, port_six)]
                assert sorted(found) == sorted(wanted) != []
            assert inet.connected(PROC)[port] == 1
            assert inet.listening(PROC)[port] == [os.fstat(server.fileno()).st_ino]
            assert inet.listening(PROC)[port_six] == [os.fstat(six.fileno()).st_ino]
