"""Stopped to be started again: whatever comes in between, it is started."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.stack import EmbeddedStack
from harness.waiting import stays, wait_for

SLOW = """
[program:slow]
command={command}
stopwaitsecs={patience}
startsecs=1
"""
OBSTINATE = "import signal, time\nsignal.signal(signal.SIGTERM, {handler})\nwhile True:\n    time.sleep(0.2)\n"
RENEW = """policies:
  - name: renew
    watch: supervisor.program
    where: name is slow and state is RUNNING
    when: age > 2 s and age < 30 s
    do: [restart_program]
    cooldown: 10m
"""
HUNG = """policies:
  - name: hung
    watch: supervisor
    when: diagnosis is daemon-hung
    for: 1s
    do: [restart_supervisord]
  - name: dead
    watch: supervisor
    when: diagnosis in [daemon-dead, socket-stale]
    for: 1s
    do: [restart_supervisord]
"""


@pytest.fixture
def slow(lone_stack: EmbeddedStack) -> EmbeddedStack:
    """A stack with a program that is to be restarted, and takes its time to stop."""
    lone_stack.add_policies(RENEW)
    lone_stack.policies, lone_stack.interval = ["policies.yaml"], "500ms"
    return lone_stack


def add_slow(stack: EmbeddedStack, handler: str, patience_s: int) -> Path:
    """The program, which does on SIGTERM what `handler` says; its file."""
    program = stack.folder / "srv" / "slow.py"
    program.write_text(f"#!{sys.executable}\n" + OBSTINATE.format(handler=handler))
    program.chmod(0o755)
    text = stack.conf.read_text() + SLOW.format(command=program, patience=patience_s)
    stack.conf.write_text(text)
    return program


def state_of(stack: EmbeddedStack) -> str:
    """What Supervisor says of the program."""
    return (stack.ctl("status", "slow").split() or ["", ""])[1]


def test_a_program_that_stops_for_long_is_started_by_the_next_agent(slow: EmbeddedStack) -> None:
    stack = slow
    add_slow(stack, "signal.SIG_IGN", 18)
    stack.more_environment["PARAMEDIC_FAILPOINT"] = "restart_program:supervisor.stopProcess"
    stack.start_supervisord()
    agent = stack.start_agent()
    wait_for("the agent dies in the middle", lambda: agent.poll() is not None, 40)
    assert state_of(stack) == "STOPPING", "the fault is real"
    del stack.more_environment["PARAMEDIC_FAILPOINT"]
    stack.start_agent()
    wait_for("Supervisor has killed it, and it runs again", lambda: state_of(stack) == "RUNNING", 60)


def test_a_program_that_cannot_be_started_at_once_is_tried_again(slow: EmbeddedStack) -> None:
    stack = slow
    program = add_slow(stack, "lambda *_: (time.sleep(3), exit())", 15)
    stack.start_supervisord()
    stack.start_agent()
    wait_for("it is being stopped", lambda: state_of(stack) == "STOPPING", 40)
    program.rename(program.with_name("away"))
    wait_for("it has stopped", lambda: state_of(stack) not in ("STOPPING", "RUNNING"), 30)
    stays("it cannot be started", lambda: state_of(stack) == "STOPPED", 2.5)
    program.with_name("away").rename(program)
    wait_for("it runs", lambda: state_of(stack) == "RUNNING", 30)


def test_a_program_that_may_take_an_hour_to_stop_is_left_alone(slow: EmbeddedStack) -> None:
    stack = slow
    add_slow(stack, "signal.SIG_DFL", 3600)
    stack.start_supervisord()
    stack.start_agent()
    told = stack.incident("renew", "refused", 40)
    assert "it may take 3600 s to stop" in told["actions"][0]["detail"]
    assert state_of(stack) == "RUNNING"


def test_the_farewell_of_a_daemon_that_an_agent_stopped_is_no_persons_wish(lone_stack: EmbeddedStack) -> None:
    """A stopped daemon that goes on at the TERM, as after `systemctl stop`, says goodbye; then the agent is killed."""
    stack = lone_stack
    stack.add_policies(HUNG)
    stack.policies, stack.interval = ["policies.yaml"], "500ms"
    stack.more_environment["PARAMEDIC_FAILPOINT"] = "restart_supervisord:daemon stopped"
    daemon = stack.start_supervisord()
    agent = stack.start_agent()
    wait_for("its launch is recorded", lambda: list(stack.folder.glob("state/paramedic/recipes/main.json")))
    going_on = threading.Thread(target=go_on_at_term, args=(daemon,), daemon=True)
    going_on.start()
    os.kill(daemon, signal.SIGSTOP)
    wait_for("the agent dies in the middle", lambda: agent.poll() is not None, 60)
    going_on.join(10)
    assert "indicating exit request" in stack.conf.with_name("supervisord.log").read_text(), "the fault is real"
    assert not stack.supervisords()
    del stack.more_environment["PARAMEDIC_FAILPOINT"]
    stack.start_agent()
    wait_for("it runs again", stack.supervisords, 30)
    wait_for("and its program", lambda: "RUNNING" in stack.ctl("status", "daphne"), 30)


def go_on_at_term(pid: int) -> None:
    """SIGCONT as soon as a SIGTERM waits for it (proc(5), ShdPnd)."""
    status = Path(f"/proc/{pid}/status")
    until = time.monotonic() + 60
    while time.monotonic() < until and status.exists():
        pending = next(line for line in status.read_text().splitlines() if line.startswith("ShdPnd"))
        if int(pending.split()[1], 16) & 1 << signal.SIGTERM - 1:
            os.kill(pid, signal.SIGCONT)
            return
        time.sleep(0.01)
