"""A crash: its fault, where the agent is killed, and what must come of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.stack import EmbeddedStack
from harness.ward import TRACE, Ward
from paramedic.rulebook import shipped_policies
from stack.crash_faults import lay_out

LIFE = ("intended", "done", "reported", "judged")
RELAY = ("relay bound", "relay started", "relay in place", "relay recorded")
PIDFILE = ("pidfile beside", "pidfile written")
_QUICK = {f"for: {slow}s": "for: 1s" for slow in (2, 5, 10, 15, 20, 30)} | {
    "cooldown: 10s": "cooldown: 1s",
    "cooldown: 1m": "cooldown: 1s",
    "limit: 5 per 1h": "limit: none",
    "do: [stop_duplicate]": "do: [stop_duplicate]\n    limit: none",
    "do: [kill_orphans]": "do: [kill_orphans]\n    limit: none",
}
_RULE = """policies:
  - name: {name}
    watch: {watch}
    when: {when}
    for: 1s
    do: [{do}]
    cooldown: 1s
    limit: none
"""


@dataclass(frozen=True)
class Crash:
    """A fault and the action it leads to. `once` are the starts that are right, at most so many; all else stays the
    very same process. `policies` replace the shipped ones. `first` is done under an earlier agent, `prepare` under
    the one that is to die, `after` under the next; `at_rest`: the fault is made between them.
    """

    name: str
    action: str
    steps: tuple[str, ...]
    fault: Callable[[Ward], object]
    parts: tuple[str, ...] = ("supervisor",)
    once: Mapping[str, int] = field(default_factory=dict)
    policies: str = ""
    prepare: Callable[[Ward], object] | None = None
    lay_out: Callable[[EmbeddedStack], object] | None = None
    check: Callable[[Ward], object] | None = None
    after: Callable[[Ward], object] | None = None
    mend: Callable[[Ward], object] | None = None
    at_rest: bool = False
    first: Callable[[Ward], object] | None = None

    @property
    def points(self) -> list[str]:
        """Where the agent is killed, one after the other."""
        own = ("intended", *self.steps, "done", "reported", "judged")
        return [step if ":" in step else f"{self.action}:{step}" for step in dict.fromkeys(own)]


def shipped() -> str:
    """The shipped policies of Supervisor, sooner."""
    text = Path(shipped_policies(), "supervisor.yaml").read_text()
    for slow, quick in _QUICK.items():
        text = text.replace(slow, quick)
    return text


def rule(do: str, watch: str, when: str) -> str:
    """One policy."""
    return _RULE.format(name="crashed", do=do, watch=watch, when=when)


def start(crash: Crash, stack: EmbeddedStack) -> Ward:
    """The stack of a crash, healthy, without an agent."""
    (crash.lay_out or lay_out)(stack)
    (stack.folder / "etc" / "crash.yaml").write_text(
        (crash.policies or shipped()).replace("PROGRAM", f"{stack.folder}/etc/reopen")
    )
    stack.policies, stack.interval = ["crash.yaml"], "500ms"
    if "supervisor" in crash.parts:
        stack.start_supervisord()
    if "uwsgi" in crash.parts:
        stack.start_uwsgi()
        os.chown(stack.folder / "uwsgi.log", stack.uid, -1)
    return Ward(stack)


def play(crash: Crash, ward: Ward, point: str) -> None:
    """The fault; the agent dies at the point; the next one ends it well, with nothing done twice."""
    if crash.first:
        ward.begin(TRACE)
        ward.await_healthy(crash.parts)
        crash.first(ward)
        ward.rest()
    if crash.at_rest:
        ward.remember()
        crash.fault(ward)
        ward.begin(point)
    else:
        ward.begin(point)
        ward.await_healthy(crash.parts)
        if crash.prepare:
            crash.prepare(ward)
        ward.remember()
        crash.fault(ward)
    ward.await_killed(point)
    ward.begin(TRACE)
    if crash.after:
        crash.after(ward)
    ward.await_healthy(crash.parts)
    _prove(crash, ward)
    if crash.mend:
        crash.mend(ward)
    ward.rest()


def _prove(crash: Crash, ward: Ward) -> None:
    if "supervisor" in crash.parts:
        ward.controls()
    if crash.check:
        crash.check(ward)
    for name in ("daemons", "programs", "masters", "workers"):
        allowed = crash.once.get(name, 0)
        if allowed:
            assert ward.begun(name) <= allowed, f"{name} were started {ward.begun(name)} times, not {allowed}"
        elif not (name == "workers" and "masters" in crash.once):
            assert ward.is_same(name), f"{name} are other processes now"
    assert ward.begun("reloads") <= crash.once.get("reloads", 0)
