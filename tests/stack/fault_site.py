"""What a row of the fault table is, and the stack it runs on.

A row runs on a stack whose agent watches, and leaves both healthy. It returns what happened to the programs.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.processes import start_ticks
from harness.stack import EmbeddedStack, free_port
from harness.waiting import wait_for
from paramedic.host.status_socket import NoAnswer
from paramedic.rulebook import shipped_policies

SAME, NEW, NONE = "the same", "new, once", "none runs"
QUICK = {
    **{f"for: {slow}s": "for: 1s" for slow in (5, 10, 15, 20, 30)},
    "cooldown: 10s": "cooldown: 1s",
    "cooldown: 1m": "cooldown: 1s",
    "[resume_daemon, restart": "[resume_daemon: { within: 1s }, restart",
}
MORE = """username=operator
password=first
"""
# As root's daemons are set up whose site's user may use supervisorctl; nobody is kept from a socket of root's own.
GIVEN = "chown=nobody:nogroup\n"
PROGRAMS = """
[program:flappy]
command=/bin/sleep 0.3
autostart=false
autorestart=true
startsecs=0
[program:mute]
command={python} -c "import signal; signal.pause()" --port {port}
autostart=false
startsecs=0
"""


@dataclass(frozen=True)
class Row:
    """One line of the table; `as_user` is what is done where the agent is an ordinary user, if that is less."""

    diagnosis: str
    fault: str
    done: str
    run: Callable[[Site], str]
    as_user: str = ""


MADE: list[Row] = []
Fault = Callable[["Site"], str]


def row(diagnosis: str, fault: str, done: str, as_user: str = "") -> Callable[[Fault], Fault]:
    """Register a fault."""

    def register(run: Fault) -> Fault:
        MADE.append(Row(diagnosis, fault, done, run, as_user))
        return run

    return register


@dataclass
class Site:
    """A stack with its agent and what a row needs of it."""

    stack: EmbeddedStack
    is_root: bool
    agent: subprocess.Popen[bytes] | None = None
    mute_port: int = field(default_factory=free_port)
    seen: set[str] = field(default_factory=set)
    server: Path = Path()
    server_pid: int = 0

    def lay_out(self) -> None:
        """The conf of the table: a password, and programs that can be made to fail."""
        stack = self.stack
        text = stack.conf.read_text().replace("[supervisord]\n", MORE + "[supervisord]\n", 1)
        if stack.owner is None and os.geteuid() == 0:
            text = text.replace("[supervisord]\n", GIVEN + "[supervisord]\n", 1)
        text = text.replace("[program:daphne]", MORE + "[program:daphne]", 1)
        stack.conf.write_text(text + PROGRAMS.format(python=sys.executable, port=self.mute_port))
        policies = Path(shipped_policies(), "supervisor.yaml").read_text()
        for slow, quick in QUICK.items():
            policies = policies.replace(slow, quick)
        (stack.folder / "etc" / "quick.yaml").write_text(policies)
        stack.policies, stack.interval = ["quick.yaml"], "500ms"
        self.server = stack.folder / "tmp" / "cache.sock"
        self.server_pid = stack.serve_at(self.server)
        stack.sockets = {"cache": f"{{ path: {self.server}, relay: true }}"}

    def begin(self) -> None:
        """Start the agent and wait until it calls the daemon well."""
        self.agent = self.stack.start_agent()
        self.await_ok()

    def rest(self) -> None:
        """End the agent."""
        if self.agent is not None:
            self.stack.stop(self.agent)
            self.agent = None

    def await_ok(self) -> None:
        """Until the agent sees a daemon in order and has nothing open."""

        def is_ok() -> bool:
            with contextlib.suppress(NoAnswer, KeyError):
                found = self.stack.published()
                daemon = found["facts"]["subjects"]["supervisor:main"]
                return bool(daemon["diagnosis"] == "ok" and not found["incidents"])
            return False

        wait_for("the agent calls everything well", is_ok, 40)
        self.seen = {incident["id"] for incident in self.stack.history()}

    def told(self, policy: str, diagnosis: str, result: str, deadline_s: float = 30.0) -> dict[str, Any]:
        """The incident that this fault opened, once it stands as expected; `told` stands for a notice given."""

        def look() -> dict[str, Any] | None:
            mine = [i for i in self.stack.history() if i["policy"] == policy and i["id"] not in self.seen]
            for incident in mine:
                actions = [action["outcome"] for action in incident["actions"]]
                is_there = "met" in actions if result == "told" else incident["result"] == result
                if is_there and incident["diagnosis"] == diagnosis:
                    return incident
            return None

        try:
            return wait_for(f"{policy}: {diagnosis} {result}", look, deadline_s) or {}
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.stack.history()[-3:]}\n{self.stack.agent_log()[-3000:]}") from late

    def programs(self) -> dict[int, int]:
        """The Daphnes that run, as identities."""
        return {pid: start_ticks(pid) for pid in self.stack.daphnes()}

    @contextlib.contextmanager
    def untouched(self) -> Iterator[None]:
        """Whatever happens inside, daemon and program stay the very same processes."""
        daemon, before = self.stack.supervisords(), self.programs()
        yield
        assert (self.stack.supervisords(), self.programs()) == (daemon, before)

    def controls(self) -> None:
        """supervisorctl works, asked from outside."""
        wait_for("supervisorctl works", lambda: "RUNNING" in self.stack.ctl("status", "daphne"), 15)

    def renewed(self, before: dict[int, int]) -> str:
        """One daemon, one new Daphne that answers."""
        stack = self.stack
        one_each = "one daemon and one Daphne"
        wait_for(one_each, lambda: (len(stack.supervisords()), len(stack.daphnes())) == (1, 1), 30)
        wait_for("Daphne answers", lambda: stack.status(stack.daphne_port) == 200)
        assert not set(before.items()) & set(self.programs().items())
        self.controls()
        return NEW


def hang_up(site: Site) -> None:
    """A graceful restart by hand: the daemon makes its own socket again."""
    stack = site.stack
    before = site.programs()
    os.kill(stack.supervisords()[0], signal.SIGHUP)
    wait_for("the daemon made its own socket", lambda: not set(before) & set(site.programs()) and stack.daphnes(), 30)
    site.controls()


def write(path: Path, text: str) -> None:
    """A file of that text."""
    path.write_text(text)
