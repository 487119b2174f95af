"""The agent is killed with -9 after each step of a repair, and started again; `make crash` does it after every step.

A test fails for a step or an action that the table does not have.
"""

from __future__ import annotations

import ast
import fnmatch
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import paramedic
from conftest import CAN_SWITCH, make_stack
from harness.figures import note
from harness.stack import EmbeddedStack
from harness.waiting import stays, wait_for
from harness.ward import TRACE
from paramedic.act import REPAIRS
from stack.crash_play import LIFE, Crash, play, start
from stack.crash_table import CRASHES

ALL = bool(os.environ.get("CRASH"))
SAMPLE = (
    "restore_socket:linked",
    "restart_supervisord:launched",
    "restart_program:program stopped",
    "chain_reload:touched",
)
KNOWN = {point for crash in CRASHES for point in crash.points}


def _chosen(crash: Crash) -> list[str]:
    """Every point, or in a quick run a few where most is at stake, each by the first fault that leads there."""
    if ALL:
        return crash.points
    return [p for p in SAMPLE if crash is next(one for one in CRASHES if p in one.points)]


@pytest.fixture
def crash_stack() -> Iterator[EmbeddedStack]:
    """A stack without bystanders, the agent as root where that can be."""
    made = make_stack("agent as root" if CAN_SWITCH else "as me")
    try:
        yield made
    finally:
        made.close()


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("crash", [pytest.param(c, id=f"{c.action}, {c.name}") for c in CRASHES if _chosen(c)])
def test_an_agent_killed_after_a_step_is_continued_by_the_next(crash: Crash, crash_stack: EmbeddedStack) -> None:
    ward = start(crash, crash_stack)
    took: dict[str, float] = {}
    for point in _chosen(crash):
        began = time.monotonic()
        try:
            play(crash, ward, point)
        except AssertionError as failed:
            raise AssertionError(f"{point}: {failed}\n{crash_stack.agent_log()[-4000:]}") from failed
        took[point] = round(time.monotonic() - began, 1)
        print(f"{took[point]:6.1f} s  {point}  {crash.name}")
    reached = {_step(point) for point in re.findall(r" reached (\w+:.+)", crash_stack.agent_log())}
    unknown = reached - KNOWN - {point.partition(":")[2] for point in KNOWN}
    assert not unknown, f"steps that the table does not have: {sorted(unknown)}"
    if ALL:
        note("crash", f"{crash.action}, {crash.name}, {', '.join(crash.steps[:1])}", {"points": took})


def test_what_a_person_stops_after_an_interrupted_restart_stays_stopped(crash_stack: EmbeddedStack) -> None:
    """The next agent starts what the killed one had stopped, once; then it is a person's again."""
    crash = next(one for one in CRASHES if one.action == "restart_program")
    ward, point = start(crash, crash_stack), "restart_program:program stopped"
    ward.begin(point)
    ward.await_healthy(crash.parts)
    crash.fault(ward)
    ward.await_killed(point)
    ward.begin(TRACE)
    wait_for("the next agent starts it", lambda: "RUNNING" in crash_stack.ctl("status", "daphne"), 30)
    crash_stack.ctl("stop", "daphne")
    stays("nobody starts it", lambda: "STOPPED" in crash_stack.ctl("status", "daphne"), 4.0)
    ward.rest()


def _step(point: str) -> str:
    """What the decision thread does is a step of whatever repair it goes on with."""
    return point.removeprefix("MainThread:")


def test_the_table_has_every_step_of_every_action() -> None:
    assert {crash.action for crash in CRASHES} == set(REPAIRS)
    assert {f"{action}:{step}" for action in REPAIRS for step in LIFE} <= KNOWN
    in_table = {point.partition(":")[2] for point in KNOWN}
    in_source = set(_steps())
    assert len(in_source) > 20
    missing = [step for step in in_source if not fnmatch.filter(in_table, step)]
    assert not missing, f"no crash is tried after {missing}"
    unreal = [step for step in in_table if not any(fnmatch.fnmatch(step, pattern) for pattern in in_source)]
    assert not unreal, f"the table names steps that are not in the source: {unreal}"


def _steps() -> Iterator[str]:
    """The first argument of each `reached(...)`, what is computed in it as *."""
    for path in Path(paramedic.__file__).parent.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "reached":
                step = call.args[0]
                if isinstance(step, ast.Constant):
                    yield str(step.value)
                elif isinstance(step, ast.JoinedStr):
                    yield "".join(str(v.value) if isinstance(v, ast.Constant) else "*" for v in step.values)
                else:
                    yield "supervisor.*"
