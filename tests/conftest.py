"""Who runs the stack and the agent in the tests against real processes, and the bystanders none may touch."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from harness.bystanders import Bystanders
from harness.stack import EmbeddedStack, Owner

IS_ROOT = os.geteuid() == 0
NEEDS_ROOT = pytest.mark.skipif(not IS_ROOT, reason="needs root: it switches users")
MODES = [
    pytest.param("as me", marks=pytest.mark.skipif(IS_ROOT, reason="run as root: the two modes below cover it")),
    pytest.param("both as an ordinary user", marks=NEEDS_ROOT),
    pytest.param("agent as root", marks=NEEDS_ROOT),
]


def make_stack(mode: str) -> EmbeddedStack:
    """The stack of a mode: its owner, and the agent's."""
    if mode == "as me":
        return EmbeddedStack()
    nobody = Owner.nobody()
    return EmbeddedStack(nobody, nobody if mode == "both as an ordinary user" else None)


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
    made = make_stack("agent as root" if IS_ROOT else "as me")
    try:
        yield made
    finally:
        made.close()
