"""Who runs the stack and the agent in the tests against real processes, and the bystanders none may touch."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from harness import load_page, reliability, table
from harness.bystanders import Bystanders
from harness.stack import EmbeddedStack, Owner
from stack.fault_table import ROWS
from stack.under_load import RUNS


def _can_switch() -> bool:
    """Whether the stack can run as another user: root, and a Python that user may run and read."""
    if os.geteuid() != 0:
        return False
    nobody = Owner.nobody()
    argv = [sys.executable, "-c", "import paramedic"]
    try:
        found = subprocess.run(argv, user=nobody.uid, group=nobody.gid, extra_groups=[], cwd="/", timeout=30)
    except OSError:
        return False
    return found.returncode == 0


CAN_SWITCH = _can_switch()
if os.environ.get("CI") and not CAN_SWITCH:
    pytest.exit(f"cannot test as an ordinary user: {sys.executable} is not theirs to run, or this is not root", 2)
SWITCHES = pytest.mark.skipif(
    not CAN_SWITCH, reason=f"needs root, and {sys.executable} readable by everybody: it switches users"
)
MODES = [
    pytest.param("as me", marks=pytest.mark.skipif(CAN_SWITCH, reason="the two modes that switch users cover it")),
    pytest.param("both as an ordinary user", marks=SWITCHES),
    pytest.param("agent as root", marks=SWITCHES),
]


def make_stack(mode: str) -> EmbeddedStack:
    """The stack of a mode: its owner, and the agent's."""
    if mode == "as me":
        return EmbeddedStack()
    nobody = Owner.nobody()
    return EmbeddedStack(nobody, nobody if mode == "both as an ordinary user" else None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: with one test handed out at a time no process is left with two of them at the end."""
    items.sort(key=lambda item: not any(name in item.nodeid for name in ("fault_table", "chaos", "stack/test_load")))


def pytest_sessionstart(session: pytest.Session) -> None:
    """The controller begins the written pages anew."""
    if not hasattr(session.config, "workerinput"):
        table.forget()
        load_page.forget()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """What was seen becomes the pages, each if all of it was run."""
    if not hasattr(session.config, "workerinput"):
        table.write(ROWS)
        load_page.write(RUNS)
        reliability.write()


@pytest.fixture(params=MODES)
def stack(request: pytest.FixtureRequest) -> Iterator[EmbeddedStack]:
    """A stack in each mode, with bystanders that must be untouched when the test is over."""
    made = make_stack(request.param)
    try:
        bystanders = Bystanders(made)
        yield made
        bystanders.prove_untouched()
    finally:
        made.close()


@pytest.fixture
def lone_stack() -> Iterator[EmbeddedStack]:
    """A stack in the strongest mode this run has: the agent as root, or everything as the one who runs the tests."""
    made = make_stack("agent as root" if CAN_SWITCH else "as me")
    try:
        yield made
    finally:
        made.close()
