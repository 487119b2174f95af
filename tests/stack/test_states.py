"""States between the rows of the fault table: confs edited and not loaded, two faults at once, what comes after."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

from bench.sockets import answers
from harness.processes import end_marked, start_ticks
from harness.stack import EmbeddedStack
from harness.waiting import stays, wait_for


def identity(stack: EmbeddedStack) -> dict[int, int]:
    """The Daphnes that run."""
    return {pid: start_ticks(pid) for pid in stack.daphnes()}


def test_the_socket_a_daemon_listens_on_counts_not_that_of_a_conf_not_loaded_yet(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    daemon = stack.start_supervisord()
    stack.start_agent()
    before, inode = identity(stack), stack.socket.stat().st_ino
    moved = stack.folder / "srv" / "supervisor.sock"
    stack.conf.write_text(stack.conf.read_text().replace(str(stack.socket), str(moved)))
    stack.socket.unlink()
    wait_for("the old one is back", lambda: stack.socket.exists() and stack.socket.stat().st_ino == inode)
    assert (stack.supervisords(), identity(stack)) == ([daemon], before)
    assert answers(stack.socket)
    stack.end(daemon)
    stack.incident("daemon-dead", "healed", 30)
    assert answers(moved), "the next one listens where the conf says"
    assert len(stack.daphnes()) == 1
    assert not set(before.items()) & set(identity(stack).items())


def test_a_second_daemon_is_a_duplicate_at_the_next_look_and_not_a_foreign_one(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    keeper = stack.start_supervisord()
    stack.mode = "observe"
    stack.start_agent()
    stack.socket.unlink()
    assert stack.spawn_supervisord().wait(20) == 0
    told = stack.incident("daemon-duplicate", deadline_s=20)
    assert f"{keeper} is kept" in told["evidence"]
    assert not [i for i in stack.history() if i["diagnosis"] == "daemon-foreign"]


def test_the_keeper_of_two_is_started_again_when_it_is_killed_later(lone_stack: EmbeddedStack) -> None:
    """The other one's farewell stands in the log they share; it says nothing about the keeper."""
    stack = lone_stack
    keeper = stack.start_supervisord()
    stack.socket.unlink()
    assert stack.spawn_supervisord().wait(20) == 0
    wait_for("two run", lambda: len(stack.supervisords()) == 2)
    stack.start_agent()
    stack.incident("daemon-duplicate", "healed", 40)
    assert stack.supervisords() == [keeper]
    wait_for("it is well", lambda: "diagnosis ok" in stack.paramedic("status").stdout)
    stack.end(keeper)
    stack.incident("daemon-dead", "healed", 30)
    wait_for("one runs again", lambda: len(stack.supervisords()) == 1 and "RUNNING" in stack.ctl("status"))


def test_a_stopped_daemon_without_a_path_is_resumed_and_then_gets_its_path(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    daemon = stack.start_supervisord()
    stack.start_agent()
    before = identity(stack)
    os.kill(daemon, signal.SIGSTOP)
    stack.socket.unlink()
    told = stack.incident("daemon-hung", "healed", 40)
    assert [action["action"] for action in told["actions"]] == ["resume_daemon"]
    wait_for("supervisorctl works", lambda: "RUNNING" in stack.ctl("status"))
    assert (stack.supervisords(), identity(stack)) == ([daemon], before)


def test_a_stopped_daemon_is_resumed_although_somebody_started_another(lone_stack: EmbeddedStack) -> None:
    """The other one waits for an answer, and leaves when it gets it."""
    stack = lone_stack
    daemon = stack.start_supervisord()
    before = identity(stack)
    os.kill(daemon, signal.SIGSTOP)
    impatient = stack.spawn_supervisord()
    wait_for("two run", lambda: len(stack.supervisords()) == 2)
    stack.start_agent()
    told = stack.incident("daemon-hung", "healed", 40)
    assert [action["action"] for action in told["actions"]] == ["resume_daemon"]
    impatient.wait(20)
    wait_for("one is left", lambda: stack.supervisords() == [daemon])
    assert identity(stack) == before


def test_who_waits_for_a_hung_daemon_to_read_its_output_is_named(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    talks = f"{sys.executable} {stack.folder}/talks.py"
    (stack.folder / "talks.py").write_text(
        "import time\nwhile True:\n    print('x' * 999, flush=True)\n    time.sleep(0.01)\n"
    )
    stack.conf.write_text(f"{stack.conf.read_text()}\n[program:talker]\ncommand={talks}\n")
    daemon = stack.start_supervisord()
    stack.mode = "observe"
    stack.start_agent()
    wait_for("it runs", lambda: "RUNNING" in stack.ctl("status", "talker"))
    wait_for("it is known", lambda: "talker" in str(stack.published()["facts"]))
    os.kill(daemon, signal.SIGSTOP)
    try:
        named = "blocked in a write to it: talker"
        wait_for("it is named", lambda: named in str(stack.published()["findings"]))
    finally:
        os.kill(daemon, signal.SIGCONT)


def test_a_program_that_cannot_have_its_port_is_told_with_the_orphan_that_holds_it(
    lone_stack: EmbeddedStack,
) -> None:
    stack = lone_stack
    daemon = stack.start_supervisord()
    (orphan,) = stack.daphnes()
    stack.mode = "observe"
    stack.start_agent()
    wait_for("it is well", lambda: "diagnosis ok" in stack.paramedic("status").stdout)
    stack.end(daemon)
    assert stack.spawn_supervisord().wait(20) == 0

    def told() -> str:
        mine = [one for one in stack.published()["findings"] if one["subject"] == "supervisor.program:main/daphne"]
        return next((one["evidence"] for one in mine if one["diagnosis"] in ("port-held", "program-flapping")), "")

    wait_for("the orphan is named", lambda: {str(orphan), "left"} <= set(told().split()), 40)
    assert "what is left of daphne" in told()
    assert orphan in stack.daphnes()


def test_a_deleted_log_is_seen_although_somebody_touched_a_new_one(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    stack.start_supervisord()
    stack.start_agent()
    log = stack.conf.parent / "supervisord.log"
    log.unlink()
    stack.as_owner(log.touch)
    stack.incident("log-deleted", "healed", 20)
    stack.ctl("restart", "daphne")
    wait_for("it writes to the new one", lambda: "daphne" in log.read_text())


def test_a_lost_relay_record_is_no_reason_to_call_the_relay_a_stranger(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    if os.geteuid() != 0:
        return
    stack.start_supervisord()
    stack.socket.unlink()
    assert stack.paramedic("restore-socket", str(stack.socket)).returncode == 0
    for record in stack.socket.parent.glob(".paramedic-*/*.relay"):
        record.unlink()
    stack.start_agent()
    stays("all is well", lambda: "RUNNING" in stack.ctl("status"), 1.0)
    assert "diagnosis ok" in stack.paramedic("status").stdout
    assert not [i for i in stack.history() if i["policy"] == "socket-lost"]
    stack.socket.unlink()
    told = stack.incident("socket-lost", "healed")
    assert "relay" in told["actions"][-1]["detail"]


def test_it_works_on_tmpfs_and_where_the_agent_came_too_late(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    folder = Path("/dev/shm") / stack.mark
    text = stack.conf.read_text()
    folder.mkdir()
    try:
        os.chown(folder, stack.uid, -1)
        stack.conf.write_text(text.replace(str(stack.socket), str(folder / "supervisor.sock")))
        stack.socket = folder / "supervisor.sock"
        daemon = stack.start_supervisord()
        before, inode = identity(stack), stack.socket.stat().st_ino
        if os.geteuid() == 0:
            stack.socket.unlink()
            agent = stack.start_agent()
            assert "relay" in stack.incident("socket-lost", "healed")["actions"][-1]["detail"]
            assert answers(stack.socket)
            stack.stop(agent)
            os.kill(daemon, signal.SIGHUP)
            wait_for("it stopped its program", lambda: not set(before) & set(stack.daphnes()))
            wait_for("it runs again", lambda: "RUNNING" in stack.ctl("status"))
            before, inode = identity(stack), stack.socket.stat().st_ino
        stack.start_agent()
        wait_for("a link is kept", lambda: list(folder.glob(".paramedic-*/supervisor.sock")))
        stack.socket.unlink()
        wait_for("the same inode is back", lambda: stack.socket.exists() and stack.socket.stat().st_ino == inode)
        assert (stack.supervisords(), identity(stack)) == ([daemon], before)
    finally:
        end_marked(stack.mark)  # an agent would make the folder again
        shutil.rmtree(folder)


def test_a_socket_that_not_even_its_owner_may_use_is_opened_again_before_it_gets_its_path(stack: EmbeddedStack) -> None:
    """Chaos found it: the relay runs as the owner, and reset everybody; an ordinary user's agent could not tell."""
    daemon = stack.start_supervisord()
    stack.start_agent()
    before = identity(stack)
    stack.as_owner(lambda: stack.socket.chmod(0))
    if stack.agent_owner is None and os.geteuid() == 0:
        for kept in stack.socket.parent.glob(".paramedic-*"):
            shutil.rmtree(kept)
    stack.socket.unlink()
    stack.incident("socket-lost", "healed", 20)
    wait_for("supervisorctl works", lambda: "RUNNING" in stack.ctl("status"))
    assert (stack.supervisords(), identity(stack)) == ([daemon], before)
