"""supervisord is killed, stopped or cannot start: the right one runs again exactly once, or nothing is made worse."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from harness.processes import environ, is_alive
from harness.stack import EmbeddedStack
from harness.waiting import stays, wait_for


def is_up(stack: EmbeddedStack) -> bool:
    """One supervisord, one Daphne, in control."""
    return len(stack.supervisords()) == 1 and len(stack.daphnes()) == 1 and "RUNNING" in stack.ctl("status")


def conditions_of(pid: int) -> list[str]:
    """Under which users, groups, umask and limits a process runs."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kept = [line for line in lines if line.startswith(("Uid:", "Gid:", "Groups:", "Umask:"))]
    return [*kept, *Path(f"/proc/{pid}/limits").read_text().splitlines()]


def prove_fault_is_real(stack: EmbeddedStack, daemon: int) -> None:
    """Without an agent the daemon stays dead, and a start by hand flaps over the orphan on the port."""
    orphan = stack.daphnes()
    stack.end(daemon)
    stays(
        "nobody starts it again, the orphan serves", lambda: not stack.supervisords() and stack.daphnes() == orphan, 1.0
    )
    assert "refused connection" in stack.ctl("status")
    child = stack.spawn_supervisord()
    assert child.wait(20) == 0
    wait_for(
        "the new Daphne fails over the orphan's port",
        lambda: "in use" in (stack.conf.parent / "daphne.log").read_text(),
    )
    for pid in [*stack.supervisords(), *orphan]:
        stack.end(pid)
    for pid in stack.daphnes():
        stack.end(pid)


@pytest.mark.parametrize("agents_end", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_daemon_runs_again_once_as_it_ran_before(stack: EmbeddedStack, agents_end: signal.Signals) -> None:
    prove_fault_is_real(stack, stack.start_supervisord())
    daemon = stack.start_supervisord()
    first = stack.daphne_environment()
    folder = os.readlink(f"/proc/{daemon}/cwd"), os.readlink(f"/proc/{stack.daphnes()[0]}/cwd")
    conditions = conditions_of(daemon)
    stack.interval = "120s"  # so that only the end of the watched process can be in time
    agent = stack.start_agent()
    stack.end(daemon)
    wait_for("supervisord and Daphne run again", lambda: stack.supervisords() != [daemon] and is_up(stack), 20)
    wait_for("it answers", lambda: stack.status(stack.daphne_port) == 200)
    assert stack.daphne_environment() == first
    new = stack.supervisords()[0]
    assert (os.readlink(f"/proc/{new}/cwd"), os.readlink(f"/proc/{stack.daphnes()[0]}/cwd")) == folder
    assert conditions_of(new) == conditions
    assert os.stat(f"/proc/{new}").st_uid == stack.uid
    told = stack.incident("daemon-dead", "healed")
    assert [action["action"] for action in told["actions"]] == ["restart_supervisord"]
    assert told["actions"][0]["gained"] == {"programs_running": 1}
    events = ["opened", "healed"]
    wait_for("both are told", lambda: [n["event"] for n in stack.notified_of("daemon-dead")] == events)
    assert "not for the journal" not in stack.everything_recorded()
    daphne = stack.daphnes()
    stack.stop(agent, agents_end)
    stays("its end takes neither down", lambda: (stack.supervisords(), stack.daphnes()) == ([new], daphne), 1.0)
    assert is_up(stack)


@pytest.mark.parametrize("how", ["supervisorctl shutdown", "SIGTERM"])
def test_a_daemon_stopped_on_purpose_is_told_and_left_stopped(stack: EmbeddedStack, how: str) -> None:
    daemon = stack.start_supervisord()
    stack.start_agent()
    if how == "SIGTERM":
        stack.end(daemon, signal.SIGTERM)
    else:
        assert "Shut down" in stack.ctl("shutdown")
    told = stack.incident("daemon-told")
    assert told["diagnosis"] == "daemon-stopped"
    wait_for(
        "somebody is told", lambda: sorted(n["event"] for n in stack.notified_of("daemon-told")) == ["opened", "told"]
    )
    stays("it is left stopped", lambda: not stack.supervisords() and not stack.daphnes(), 4.0)
    assert not [i for i in stack.history() if i["policy"] == "daemon-dead"]
    stack.start_supervisord()
    stack.incident("daemon-told", "cleared")


def test_a_start_that_cannot_work_is_refused_and_the_orphan_goes_on_serving(stack: EmbeddedStack) -> None:
    daemon = stack.start_supervisord()
    stack.start_agent()
    orphan = stack.daphnes()
    stack.conf.write_text(stack.conf.read_text().replace("command=daphne", "command=daphne-that-is-nowhere"))
    stack.end(daemon)
    told = stack.incident("daemon-dead", "refused")
    why = told["actions"][0]["detail"]
    assert "can't find command 'daphne-that-is-nowhere' in PATH" in why
    assert "nothing was stopped" in why
    stays("the orphan goes on serving", lambda: stack.daphnes() == orphan and not stack.supervisords(), 6.0)
    assert stack.status(stack.daphne_port) == 200
    status = stack.paramedic("status")
    assert status.returncode == 1
    assert "can't find command" in status.stdout
    assert "cause present" in status.stdout
    stack.conf.write_text(stack.conf.read_text().replace("daphne-that-is-nowhere", "daphne"))
    stack.incident("daemon-dead", "healed", 40)
    assert is_up(stack)


def test_a_conf_that_does_not_load_is_refused_with_its_error(stack: EmbeddedStack) -> None:
    daemon = stack.start_supervisord()
    stack.start_agent()
    stack.conf.write_text(stack.conf.read_text().replace("startsecs=1", "startsecs=soon"))
    stack.end(daemon)
    told = stack.incident("daemon-dead", "refused")
    assert "its configuration does not load" in told["actions"][0]["detail"]
    assert "soon" in told["actions"][0]["detail"]
    assert stack.status(stack.daphne_port) == 200


def test_an_orphan_in_the_way_of_a_daemon_started_by_hand_is_ended(stack: EmbeddedStack) -> None:
    daemon = stack.start_supervisord()
    stack.start_agent()
    orphan = stack.daphnes()[0]
    stack.end(daemon)
    assert stack.spawn_supervisord().wait(20) == 0
    log = stack.conf.parent / "daphne.log"
    wait_for("Supervisor's Daphne fails over the orphan's port", lambda: "in use" in log.read_text())
    told = stack.incident("orphaned", "healed", 30)
    assert f"process {orphan}" in told["evidence"]
    assert not is_alive(orphan)
    wait_for("the new Daphne runs", lambda: is_up(stack), 20)
    assert stack.daphnes() != [orphan]


def test_programs_that_do_not_start_by_themselves_are_started_if_they_ran(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    stack.conf.write_text(
        stack.conf.read_text() + "autostart=false\n[program:idle]\ncommand=/bin/sleep 9999\nautostart=false\n"
    )
    assert stack.spawn_supervisord().wait(20) == 0
    wait_for("the daemon answers", lambda: "STOPPED" in stack.ctl("status"))
    stack.ctl("start", "daphne")
    agent = stack.start_agent()
    daemon = stack.supervisords()[0]
    wait_for("the agent knows Daphne", lambda: "running 1" in stack.paramedic("status").stdout)
    stack.end(daemon)
    told = stack.incident("daemon-dead", "healed", 20)
    assert "started daphne:daphne" in told["actions"][0]["detail"]
    status = stack.ctl("status")
    assert status.count("RUNNING") == 1
    assert "idle                             STOPPED" in status
    stack.stop(agent)


def test_a_second_agent_names_the_first_and_leaves(lone_stack: EmbeddedStack) -> None:
    lone_stack.start_supervisord()
    first = lone_stack.start_agent()
    second = lone_stack.paramedic("run")
    assert second.returncode == 1
    assert f"process {first.pid}" in second.stderr


def test_run_once_heals_verifies_and_says_what_is_not_healed(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    stack.start_uwsgi()
    daemon = stack.start_supervisord()
    stack.write_config()
    assert stack.paramedic("run", "--once").returncode == 0
    stack.socket.unlink()
    assert stack.paramedic("run", "--once").returncode == 0
    assert "RUNNING" in stack.ctl("status")
    assert stack.supervisords() == [daemon]
    stack.conf.write_text(stack.conf.read_text().replace("command=daphne", "command=daphne-that-is-nowhere"))
    stack.end(daemon)
    assert stack.paramedic("run", "--once").returncode == 1
    assert environ(stack.daphnes()[0])["SHOP_COLOR"] == "green"
