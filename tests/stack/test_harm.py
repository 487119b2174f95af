"""Ways in which a healer could make things worse, each made real once: it must not."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from pathlib import Path

import pytest

from harness.processes import is_alive
from harness.stack import BIN, EmbeddedStack, Owner
from harness.waiting import stays, wait_for
from stack.daemon_faults import blocked_daemon


def is_up(stack: EmbeddedStack) -> bool:
    """One supervisord and one Daphne, in control."""
    return len(stack.supervisords()) == 1 and len(stack.daphnes()) == 1 and "RUNNING" in stack.ctl("status")


@pytest.mark.parametrize("words", [["-s", "{supervisord}", "-c", "{conf}"], ["{supervisord}", "-nc", "{conf}"]])
def test_a_daemon_started_in_another_way_is_recognised_and_never_doubled(
    lone_stack: EmbeddedStack, words: list[str]
) -> None:
    stack = lone_stack
    argv = [sys.executable, *(w.format(supervisord=BIN / "supervisord", conf=stack.conf) for w in words)]
    stack.spawn(argv, stack.owner, "supervisord.out")
    wait_for("Daphne runs", lambda: "RUNNING" in stack.ctl("status"))
    stack.extra = stack.configured_command()
    stack.start_agent()
    inode = stack.socket.stat().st_ino
    stack.socket.unlink()
    wait_for("the same socket is back", lambda: stack.socket.exists() and stack.socket.stat().st_ino == inode)
    stays("there is one daemon only", lambda: len(stack.supervisords()) == 1, 3.0)


@pytest.mark.parametrize("obstacle", ["log", "socket folder", "pidfile folder"])
def test_what_would_make_the_start_fail_is_found_before_the_orphan_is_ended(
    lone_stack: EmbeddedStack, obstacle: str
) -> None:
    stack = lone_stack
    daemon = stack.start_supervisord()
    stack.start_agent()
    orphan = stack.daphnes()
    log = stack.conf.parent / "supervisord.log"
    if obstacle == "log":
        log.unlink()
        log.mkdir()
        said = "its logfile"
    elif obstacle == "socket folder":
        stack.conf.write_text(stack.conf.read_text().replace(str(stack.socket), f"{stack.folder}/nowhere/s.sock"))
        said = "nowhere"
    else:
        stack.conf.write_text(stack.conf.read_text().replace("supervisord.pid", "nowhere/supervisord.pid"))
        said = "nowhere"
    stack.end(daemon)
    told = stack.incident("daemon-dead", "refused")
    assert said in told["actions"][0]["detail"]
    stays("the orphan goes on serving", lambda: stack.daphnes() == orphan, 1.0)
    assert stack.status(stack.daphne_port) == 200


def test_a_socket_below_a_linked_folder_is_healed_too(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    (stack.folder / "var").mkdir()
    (stack.folder / "var" / "run").symlink_to(stack.folder / "tmp")
    linked = f"{stack.folder}/var/run/supervisor.sock"
    stack.conf.write_text(stack.conf.read_text().replace(str(stack.socket), linked))
    daemon = stack.start_supervisord()
    stack.start_agent()
    inode = stack.socket.stat().st_ino
    stack.socket.unlink()
    wait_for("the same socket is back", lambda: stack.socket.exists() and stack.socket.stat().st_ino == inode)
    stack.end(daemon)
    stack.incident("daemon-dead", "healed", 20)
    assert is_up(stack)


def test_an_agent_that_observed_first_acts_when_it_may(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    stack.start_supervisord()
    first = stack.start_agent()
    stack.stop(first)
    observer = stack.start_agent("--observe")
    stack.socket.unlink()
    wait_for("it says what it would do", lambda: "would restore_socket" in str(stack.history()))
    stack.stop(observer)
    stack.start_agent()
    stack.incident("socket-lost", "healed")
    assert "RUNNING" in stack.ctl("status")


def test_an_agent_killed_in_the_middle_of_a_restart_is_continued_by_the_next(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    daemon = stack.start_supervisord()
    agent = stack.start_agent()
    stack.end(daemon)
    wait_for("the restart is intended", lambda: any(i["actions"] for i in stack.history()))
    stack.stop(agent, signal.SIGKILL)
    stack.start_agent()
    stack.incident("daemon-dead", "healed", 40)
    assert is_up(stack)
    stays("there is one of each", lambda: is_up(stack), 1.0)


def test_while_somebody_locks_the_journal_it_heals_on_and_says_so(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    stack.start_supervisord()
    agent = stack.start_agent()
    with sqlite3.connect(stack.folder / "state" / "paramedic" / "journal.db") as other:
        other.execute("begin immediate")
        stack.socket.unlink()
        wait_for("it is healed all the same", lambda: "RUNNING" in stack.ctl("status"), 30)
        wait_for("and says why nothing is recorded", lambda: "locked" in str(stack.published()["troubles"]), 30)
        other.rollback()
    assert is_alive(agent.pid)


def test_a_program_that_a_person_stopped_stays_stopped_after_a_restart(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    stack.conf.write_text(stack.conf.read_text() + "[program:batch]\ncommand=/bin/sleep 9999\n")
    daemon = stack.start_supervisord()
    stack.ctl("stop", "batch")
    stack.start_agent()
    stack.end(daemon)
    told = stack.incident("daemon-dead", "healed", 20)
    assert "stopped again batch:batch" in told["actions"][0]["detail"]
    wait_for("it is stopped", lambda: "batch                            STOPPED" in stack.ctl("status"))


def test_no_secret_of_the_conf_reaches_the_record(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    daemon = stack.start_supervisord()
    stack.start_agent()
    broken = stack.conf.read_text().replace('SHOP_COLOR="green"', 'SHOP_COLOR="green",DB_PASSWORD="hunter2",OOPS')
    stack.conf.write_text(broken)
    stack.end(daemon)
    told = stack.incident("daemon-dead", "refused")
    assert "its configuration does not load" in told["actions"][0]["detail"]
    assert "hunter2" not in stack.everything_recorded()


def test_a_strangers_process_with_our_command_line_changes_nothing(stack: EmbeddedStack) -> None:
    if stack.owner is None or os.geteuid() != 0:
        pytest.skip("needs root: the stranger is another user")
    daemon = stack.start_supervisord()
    stack.start_agent()
    script = stack.folder / "supervisord"
    script.write_text("import signal; signal.pause()\n")
    stranger = stack.spawn([sys.executable, script, "-c", stack.conf], Owner(61000, 61000), "stranger.log")
    wait_for("the stranger runs", lambda: is_alive(stranger.pid))
    inode = stack.socket.stat().st_ino
    stack.as_owner(stack.socket.unlink)
    wait_for("the same socket is back", lambda: stack.socket.exists() and stack.socket.stat().st_ino == inode)
    assert daemon in stack.supervisords()
    assert is_alive(stranger.pid)


NAMED = "import os, signal, socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])\ns.listen()\n"


def take_the_name(stack: EmbeddedStack, uid: int) -> int:
    """A process of this user listens under the name that supervisord binds, without its path."""
    bound = Path(f"{stack.socket}.7")
    code = f"{NAMED}os.setgroups([])\nos.setgid({uid})\nos.setuid({uid})\nsignal.pause()\n"
    pid = stack.spawn([sys.executable, "-c", code, bound], None, "named.log").pid
    wait_for("it listens there", bound.exists)
    wait_for("it is that user", lambda: os.stat(f"/proc/{pid}").st_uid == uid)
    bound.unlink()
    return pid


def test_a_stranger_who_took_name_and_command_line_does_not_keep_a_dead_daemon_from_its_start(
    stack: EmbeddedStack,
) -> None:
    if stack.owner is None or stack.agent_owner is not None or os.geteuid() != 0:
        pytest.skip("needs an agent as root: nobody else sees who listens")
    daemon = stack.start_supervisord()
    stack.start_agent()
    script = stack.folder / "supervisord"
    script.write_text("import signal; signal.pause()\n")
    stranger = stack.spawn([sys.executable, script, "-c", stack.conf], Owner(61000, 61000), "stranger.log")
    named = take_the_name(stack, 61000)
    stack.end(daemon)
    stack.incident("daemon-dead", "healed", 40)
    assert is_alive(stranger.pid)
    assert is_alive(named)


def test_a_hung_daemon_is_not_stopped_where_the_start_could_not_work(lone_stack: EmbeddedStack) -> None:
    """Somebody who may run this conf still listens under its name."""
    stack = lone_stack
    if os.geteuid() != 0:
        pytest.skip("needs root: it listens as root")
    with blocked_daemon(stack) as daemon:
        take_the_name(stack, 0)
        daphnes = stack.daphnes()
        stack.start_agent()
        told = stack.incident("daemon-hung", "refused", 90)
        assert "somebody still listens" in told["actions"][-1]["detail"]
        assert is_alive(daemon)
        assert stack.daphnes() == daphnes
