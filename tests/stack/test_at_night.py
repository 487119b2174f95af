"""Ordinary troubles in which a healer can make things worse: nobody is awake to notice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conftest import SWITCHES
from harness.processes import is_alive
from harness.stack import EmbeddedStack, free_port
from harness.waiting import stays, wait_for

BROKEN = """
[program:report]
command=/srv/gone/venv/bin/report
startretries=1
"""


def recorded(stack: EmbeddedStack) -> Path:
    """The recipe of the daemon, once it is there."""
    path = stack.folder / "state" / "paramedic" / "recipes" / "main.json"
    wait_for("its launch is recorded", path.exists)
    return path


@SWITCHES
def test_a_log_that_its_daemon_could_not_make_again_is_not_reopened(lone_stack: EmbeddedStack) -> None:
    """It lies in a folder that only root may write, as /var/log is, and supervisord would end over it."""
    stack = lone_stack
    folder = stack.folder / "srv" / "log"
    folder.mkdir(mode=0o755)
    log = folder / "supervisord.log"
    log.touch()
    os.chown(log, stack.uid, -1)
    stack.conf.write_text(stack.conf.read_text().replace("%(here)s/supervisord.log", str(log)))
    daemon = stack.start_supervisord()
    stack.start_agent()
    recorded(stack)
    log.unlink()
    told = stack.incident("log-deleted", "refused", 30)
    assert f"it could not open its logs again, and would end over that: {log}: Permission denied" in str(
        told["actions"]
    )
    stays("the daemon lives", lambda: is_alive(daemon), 1.0)


def test_a_program_that_was_down_anyway_keeps_no_supervisor_dead(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    stack.conf.write_text(stack.conf.read_text() + BROKEN)
    daemon = stack.start_supervisord()
    stack.start_agent()
    recorded(stack)
    stack.end(daemon)
    for pid in stack.daphnes():
        stack.end(pid)
    wait_for("another daemon runs", lambda: stack.supervisords() not in ([], [daemon]), 40)
    wait_for("Daphne serves", lambda: stack.status(stack.daphne_port) == 200, 30)


def test_a_survivor_that_reaches_its_supervisor_by_another_address_is_its_own(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    text = stack.conf.read_text().replace(
        "[program:daphne]", f"[program:daphne]\nserverurl=http://127.0.0.1:{free_port()}"
    )
    stack.conf.write_text(text)
    daemon = stack.start_supervisord()
    stack.start_agent()
    recorded(stack)
    before = stack.daphnes()
    stack.end(daemon)
    wait_for("another daemon runs", lambda: stack.supervisords() not in ([], [daemon]), 40)
    wait_for("with a Daphne of its own", lambda: len(stack.daphnes()) == 1 and stack.daphnes() != before, 30)
    wait_for("that serves", lambda: stack.status(stack.daphne_port) == 200)


@pytest.mark.parametrize("target", ["²", "1" * 40])
def test_a_lock_of_anybodys_stands_in_the_way_of_no_start(lone_stack: EmbeddedStack, target: str) -> None:
    stack = lone_stack
    socket = stack.folder / "tmp" / "admin.sock"
    program = f"\n[program:admin]\ncommand=daphne -u {socket} site:application\nautostart=false\n"
    stack.conf.write_text(stack.conf.read_text() + program)
    daemon = stack.start_supervisord()
    stack.start_agent()
    recorded(stack)
    os.symlink(target, f"{socket}.lock")
    stack.end(daemon)
    wait_for("another daemon runs", lambda: stack.supervisords() not in ([], [daemon]), 40)
    wait_for("Daphne serves", lambda: stack.status(stack.daphne_port) == 200, 30)
