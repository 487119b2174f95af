"""A daemon and a socket that are well are read anew only when something changed: whatever does is told at once."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from harness.stack import EmbeddedStack
from harness.waiting import wait_for
from paramedic.host import files, unix_diag
from paramedic.host.held import HeldProc
from paramedic.host.processes import walk
from paramedic.model.facts import Known, SupervisorKnown
from paramedic.model.readings import PathKind, Unreadable
from paramedic.model.sample import Sample
from paramedic.model.stack import SocketEntry, Stack, SupervisorEntry
from paramedic.model.supervision import RpcReading, SocketReading, SupervisorReading
from paramedic.sense import path as at
from paramedic.sense.host import Sensors
from paramedic.sense.inquiry import JUST_ENDED, Asking


class Looks:
    """Looks of one agent at the Supervisor of a stack, whose socket is guarded as any server's, too."""

    def __init__(self, stack: EmbeddedStack) -> None:
        self.proc, self.stack = HeldProc(), stack
        entries = (SupervisorEntry("main", str(stack.conf)),), (SocketEntry("same", str(stack.socket)),)
        self.sensors = Sensors(Stack(supervisor=entries[0], sockets=entries[1]), self.proc)

    def sample(self) -> Sample:
        """One of them."""
        try:
            return self.sensors.read(Known())
        finally:
            self.proc.let_go()

    def daemon(self) -> SupervisorReading:
        """Of the daemon."""
        found = self.sample().supervisor["main"]
        assert isinstance(found, SupervisorReading), found
        return found

    def socket(self) -> SocketReading:
        """Of the socket."""
        found = self.sample().sockets["same"]
        assert isinstance(found, SocketReading), found
        return found


@pytest.fixture
def looks(stack: EmbeddedStack) -> Iterator[Looks]:
    """Two looks were had, of which the second found nothing new."""
    stack.start_supervisord()
    files.refresh_link(str(stack.socket), files.keep_link(str(stack.socket)), files.look(str(stack.socket)).inode)
    made = Looks(stack)
    wait_for("it runs", lambda: isinstance(rpc := made.daemon().rpc, RpcReading) and rpc.state == "RUNNING")
    yield made
    made.proc.let_go()


def told(looks: Looks, *names: str) -> list[Any]:
    """What both tell of these fields."""
    sample = looks.sample()
    return [getattr(one, name) for one in (sample.supervisor["main"], sample.sockets["same"]) for name in names]


def test_while_nothing_changes_the_socket_is_the_same_reading_and_the_daemon_grows_older(looks: Looks) -> None:
    before = looks.sample()
    socket, daemon = before.sockets["same"], before.supervisor["main"]
    assert isinstance(daemon, SupervisorReading)
    wait_for("a later moment", lambda: looks.daemon().uptime_s > daemon.uptime_s)
    assert looks.sample().sockets["same"] == socket
    wait_for("no other socket of this host changes", lambda: looks.socket() is looks.socket())
    assert looks.daemon().listening_inode == daemon.listening_inode


def test_what_happens_to_the_socket_is_told_in_the_next_look(looks: Looks) -> None:
    path, kept = looks.stack.socket, files.keep_link(str(looks.stack.socket))
    mode = path.stat().st_mode & 0o7777
    path.chmod(0o600)
    assert [one.mode for one in told(looks, "path")] == [0o600] * 2
    path.chmod(mode)
    os.unlink(kept)
    assert told(looks, "kept_inode") == [None] * 2
    files.refresh_link(str(path), kept, files.look(str(path)).inode)
    assert None not in told(looks, "kept_inode")
    path.unlink()
    assert [one.kind for one in told(looks, "path")] == [PathKind.ABSENT] * 2
    path.touch()
    assert [one.kind for one in told(looks, "path")] == [PathKind.FILE] * 2
    path.unlink()
    os.link(kept, path)
    assert told(looks, "is_reached") == [True] * 2
    folder = path.parent.stat().st_mode & 0o7777
    path.parent.chmod(0o711)
    assert [one.mode for one in told(looks, "folder")] == [0o711] * 2
    path.parent.chmod(folder)


def test_what_happens_to_the_daemon_is_told_in_the_next_look(looks: Looks) -> None:
    (pid,) = looks.stack.supervisords()
    os.kill(pid, signal.SIGSTOP)
    wait_for("it is stopped", lambda: (stat := looks.proc.stat(pid)) is not None and stat.state == "T")
    found = looks.daemon()
    assert isinstance(found.rpc, Unreadable)
    assert found.silence is not None
    assert found.silence.is_stopped
    os.kill(pid, signal.SIGCONT)
    wait_for("it goes on", lambda: (stat := looks.proc.stat(pid)) is not None and stat.state != "T")
    assert isinstance(looks.daemon().rpc, RpcReading)
    (daphne,) = looks.stack.daphnes()
    looks.stack.end(daphne, signal.SIGKILL)
    wait_for("its supervisord saw that", lambda: daphne not in looks.stack.daphnes())
    rpc = looks.daemon().rpc
    assert isinstance(rpc, RpcReading)
    assert [program.identity.pid for program in rpc.programs if program.identity] != [daphne]
    looks.stack.end(pid, signal.SIGKILL)
    wait_for("it is dead", lambda: looks.proc.identify(pid) is None)
    gone = looks.daemon()
    assert gone.daemon is None
    assert isinstance(gone.rpc, Unreadable)


def test_what_changes_while_it_is_read_is_told_in_the_look_after(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that makes it well is looked at before the reading, so nothing is missed in between."""
    kept, looked, really = files.keep_link(str(looks.stack.socket)), [0], at.kept_inode

    def vanishes(path: str | None) -> int | None:
        found = really(path)
        looked[0] += 1
        if looked[0] == 2:
            os.unlink(kept)
        return found

    looks.stack.conf.touch()
    looks.sensors.supervisor["main"]._well = None
    monkeypatch.setattr(at, "kept_inode", vanishes)
    looks.daemon()
    monkeypatch.setattr(at, "kept_inode", really)
    assert not os.path.lexists(kept), "it vanished right after it was looked at"
    assert looks.daemon().kept_inode is None


def left(looks: Looks, known: SupervisorKnown) -> str | None:
    """What the daemon, which is dead, is taken to have said last."""
    found = looks.sensors.supervisor["main"].read(
        known, unix_diag.listeners, lambda: walk(looks.proc), time.monotonic()
    )
    looks.proc.let_go()
    assert isinstance(found, SupervisorReading)
    assert found.daemon is None
    assert found.trace is not None
    return found.trace.said


def test_a_farewell_counts_that_came_after_the_question_though_before_the_answer_was_heard(looks: Looks) -> None:
    (pid,), sensor = looks.stack.supervisords(), looks.sensors.supervisor["main"]
    known = SupervisorKnown(daemon=looks.proc.identify(pid))
    asking = sensor.ask(known, unix_diag.listeners, lambda: walk(looks.proc), time.monotonic())
    assert isinstance(asking, Asking)
    assert isinstance(asking.link, socket.socket)
    assert select.select([asking.link], [], [], 20)[0], "it answered"
    looks.stack.end(pid, signal.SIGTERM)
    gone = time.monotonic()
    wait_for("others were read meanwhile", lambda: time.monotonic() > gone + 0.3)
    heard = sensor.hear(asking, known, time.monotonic())
    assert isinstance(heard, SupervisorReading)
    assert heard.rpc is JUST_ENDED, "what it answered is of before"
    assert "received SIGTERM indicating exit request" in str(left(looks, known))


def test_the_farewell_of_another_does_not_count_that_came_a_moment_before_the_question(looks: Looks) -> None:
    (pid,) = looks.stack.supervisords()
    known = SupervisorKnown(daemon=looks.proc.identify(pid))
    with (looks.stack.conf.parent / "supervisord.log").open("a") as log:
        now = datetime.now()
        moment = f"{now:%Y-%m-%d %H:%M:%S},{now.microsecond // 1000:03d}"
        log.write(f"{moment} WARN received SIGTERM indicating exit request\n")
    wait_for("a moment", lambda: datetime.now().timestamp() > now.timestamp() + 0.01)
    assert isinstance(looks.daemon().rpc, RpcReading)
    looks.stack.end(pid, signal.SIGKILL)
    wait_for("it is dead", lambda: looks.proc.identify(pid) is None)
    assert left(looks, known) is None


@pytest.fixture
def waiting(lone_stack: EmbeddedStack) -> Iterator[EmbeddedStack]:
    """A stack whose agent has asked supervisord, and waits for a uWSGI that is stopped before it hears the answer.

    The socket of supervisord is in a folder of its own.
    """
    stack, run = lone_stack, lone_stack.folder / "tmp" / "run"
    run.mkdir()
    os.chown(run, stack.uid, -1)
    text = stack.conf.read_text().replace(str(stack.socket), f"{run}/supervisor.sock")
    stack.socket = run / "supervisor.sock"
    stack.conf.write_text(text)
    master = stack.start_uwsgi()
    stack.start_supervisord()
    stack.start_agent()
    wait_for("the agent knows it", lambda: "running 1" in stack.paramedic("status").stdout)
    wait_for("its socket is kept", lambda: Path(files.keep_link(str(stack.socket))).exists())
    os.kill(master, signal.SIGSTOP)
    stats = f"{stack.folder}/tmp/stats.sock"
    try:
        wait_for("it is asked", lambda: any(one.name == stats and one.waiting for one in unix_diag.listeners()))
        yield stack
    finally:
        os.kill(master, signal.SIGCONT)


def test_a_folder_that_vanishes_between_the_question_and_the_answer_is_made_again_as_it_was(
    waiting: EmbeddedStack,
) -> None:
    folder = waiting.socket.parent
    before = folder.stat()
    shutil.rmtree(folder)
    waiting.incident("socket-lost", "healed", 20)
    assert (folder.stat().st_mode, folder.stat().st_uid) == (before.st_mode, before.st_uid)
    assert "RUNNING" in waiting.ctl("status")


@pytest.mark.parametrize(
    ("sign", "policy", "result"), [(signal.SIGKILL, "daemon-dead", "healed"), (signal.SIGTERM, "daemon-told", "")]
)
def test_a_daemon_that_ends_between_the_question_and_the_answer_is_only_gone(
    waiting: EmbeddedStack, sign: int, policy: str, result: str
) -> None:
    """Its answer of before says nothing of its programs, its pidfile or its socket now."""
    (daemon,) = waiting.supervisords()
    waiting.end(daemon, sign)
    waiting.incident(policy, result, 30)
    untold = {"uwsgi-unreachable", "supervisor-unreadable"}  # while it stops its programs it cannot be asked
    assert {one["policy"] for one in waiting.history()} - untold == {policy}
