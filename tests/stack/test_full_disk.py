"""The state folder's disk is full: the agent heals all the same, says what it cannot do, and forgets nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.stack import EmbeddedStack
from harness.waiting import stays, wait_for
from stack.test_journal_safety import stuff

ELSEWHERE = "the record is kept elsewhere"
QUICK = """policies:
  - name: dead
    watch: supervisor
    when: diagnosis in [daemon-dead, socket-stale]
    for: 1s
    do: [restart_supervisord]
    cooldown: 1s
  - name: lost
    watch: supervisor
    when: diagnosis is socket-missing
    do: [restore_socket]
"""


NOWHERE = "nothing is recorded, so nothing disruptive is begun"
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it mounts a small file system")


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Two MiB there."""
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "none", folder], check=True, timeout=10)
    try:
        yield
    finally:
        subprocess.run(["/bin/umount", "-l", folder], check=True, timeout=10)


@pytest.fixture
def small_state(lone_stack: EmbeddedStack) -> Iterator[Path]:
    """The state folder on a disk of two MiB."""
    folder = lone_stack.folder / "state" / "paramedic"
    folder.mkdir(mode=0o700)
    with small_disk(folder):
        yield folder


@NEEDS_ROOT
def test_with_a_full_disk_it_heals_and_says_that_it_records_elsewhere(
    lone_stack: EmbeddedStack, small_state: Path
) -> None:
    stack = lone_stack
    stack.start_supervisord()
    (stack.folder / "etc" / "quick.yaml").write_text(QUICK)
    stack.policies, stack.interval = ["quick.yaml"], "500ms"
    agent = stack.start_agent()

    def troubles() -> dict[str, str]:
        return dict(stack.published()["troubles"])

    wait_for("its launch is recorded", lambda: list(small_state.glob("recipes/main.json")))
    ballast = stuff(small_state)
    inode = stack.socket.stat().st_ino
    stack.socket.unlink()
    wait_for("the socket is back", lambda: stack.socket.exists() and stack.socket.stat().st_ino == inode)
    wait_for("it says so", lambda: "full" in troubles().get(ELSEWHERE, ""))
    assert ELSEWHERE in stack.paramedic("status").stdout
    daemon = stack.supervisords()[0]
    stack.end(daemon)
    wait_for("another daemon runs", lambda: stack.supervisords() and stack.supervisords() != [daemon], 30)
    wait_for("it is controlled", lambda: "RUNNING" in stack.ctl("status"), 20)
    stack.stop(agent, signal.SIGKILL)
    agent = stack.start_agent()
    assert ELSEWHERE in troubles(), "the next agent begins on the full disk, too"
    wait_for("the daemon is called well", lambda: not stack.published()["incidents"], 30)
    ballast.unlink()
    stack.stop(agent)
    stack.start_agent()
    assert ELSEWHERE not in troubles()
    assert not (stack.folder / "state" / "run" / "journal.db").exists()
    found = {incident["policy"]: incident["result"] for incident in stack.history()}
    assert found == {"lost": "healed", "dead": "healed"}, "what was kept elsewhere came back"


@NEEDS_ROOT
def test_where_no_disk_takes_the_record_only_what_costs_nothing_is_begun(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    with small_disk(stack.folder / "state"):
        stack.start_supervisord()
        (stack.folder / "etc" / "quick.yaml").write_text(QUICK)
        stack.policies, stack.interval = ["quick.yaml"], "500ms"
        agent = stack.start_agent()
        wait_for("its launch is recorded", lambda: list(stack.folder.glob("state/paramedic/recipes/main.json")))
        ballast = stuff(stack.folder / "state")
        inode = stack.socket.stat().st_ino
        stack.socket.unlink()
        wait_for("the socket is back", lambda: stack.socket.exists() and stack.socket.stat().st_ino == inode)
        wait_for("it says so", lambda: NOWHERE in stack.published()["troubles"])
        stack.end(stack.supervisords()[0])
        wait_for("it is seen", lambda: stack.published()["incidents"])
        stays("an intent that would not outlive the agent is not begun", lambda: not stack.supervisords(), 3.0)
        ballast.unlink()
        stack.stop(agent)
        agent = stack.start_agent()
        wait_for("with a record it is started", stack.supervisords, 30)
        wait_for("it is controlled", lambda: "RUNNING" in stack.ctl("status"), 20)
        stack.stop(agent)
