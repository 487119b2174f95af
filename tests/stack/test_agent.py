"""The agent's own life: what systemd hears of it, its calendar, and the demo that shows it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from harness.processes import end_marked, marked
from harness.stack import EmbeddedStack
from harness.waiting import wait_for

TESTS = Path(__file__).parents[1]
EVERY_MINUTE = """
policies:
  - name: every-minute
    watch: uwsgi
    at: "* * * * *"
    when: rss > 1 MiB
    do: [chain_reload]
"""


def test_systemd_hears_ready_after_a_finished_pass_and_a_sign_of_life_after_each(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    stack.start_supervisord()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(stack.folder / "notify"))
        systemd.settimeout(10)
        stack.more_environment = {"NOTIFY_SOCKET": str(stack.folder / "notify")}
        agent = stack.start_agent()
        heard = [systemd.recv(4096).decode() for _ in range(4)]
        stack.stop(agent)
        while "STOPPING=1" not in heard[-1]:
            heard.append(systemd.recv(4096).decode())
    assert heard[0].startswith("WATCHDOG=1\nSTATUS=")
    assert heard[1].startswith("READY=1\nSTATUS=")
    assert "uwsgi-stopped on uwsgi:web" in heard[1], "the sentence says what is wrong: uWSGI was not started"
    assert all(message.startswith("WATCHDOG=1") for message in heard[2:4])


def test_a_calendar_policy_runs_at_its_time_and_is_judged(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    stack.start_uwsgi()
    pids = stack.worker_pids()
    stack.add_policies(EVERY_MINUTE)
    stack.start_agent()
    told = stack.incident("every-minute", "healed", 100)
    assert told["actions"][0]["outcome"] == "met"
    assert not set(stack.worker_pids().values()) & set(pids.values())
    second = time.localtime(told["opened"]).tm_sec
    assert second <= 3, "it ran at the full minute"


def play_demo() -> subprocess.Popen[str]:
    """The demo as `make demo` starts it, in a session of its own."""
    env = {**os.environ, "PYTHONPATH": str(TESTS)}
    return subprocess.Popen(
        [sys.executable, "-m", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=env,
        start_new_session=True,
    )


def folders() -> set[str]:
    """The folders that stacks of this user make."""
    return {path.name for path in Path("/tmp").glob("pmd-*")}


def left_of(output: str) -> list[str]:
    """What is left of the stack that a demo's output names."""
    names = {word.split("/")[2] for word in output.split() if word.startswith("/tmp/pmd-")}
    assert names
    return [name for name in names if marked(name) or name in folders()]


def test_the_demo_verifies_everything_and_leaves_nothing() -> None:
    demo = play_demo()
    try:
        output, _ = demo.communicate(timeout=110)
    finally:
        demo.kill()
    assert demo.returncode == 0, output
    assert "everything was verified healed" in output
    assert left_of(output) == []


def test_the_demo_leaves_nothing_on_ctrl_c() -> None:
    demo = play_demo()
    assert demo.stdout
    seen = ""
    while "1. memory climbs" not in seen:
        line = demo.stdout.readline()
        assert line, seen
        seen += line
    name = seen.split("below /tmp/")[1].split()[0]
    assert marked(name)
    os.killpg(demo.pid, signal.SIGINT)
    rest, _ = demo.communicate(timeout=30)
    assert "interrupted: cleaning up" in rest
    assert demo.returncode == 130
    try:
        wait_for("nothing is left", lambda: not marked(name) and name not in folders(), 5)
    finally:
        end_marked(name)
