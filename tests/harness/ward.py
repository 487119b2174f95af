"""A stack whose agent is killed in the middle of a repair, and the objective counts of what was done to it."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.processes import cmdline, is_alive, marked, start_ticks
from harness.stack import BIN, EmbeddedStack
from harness.waiting import wait_for
from paramedic.host.status_socket import NoAnswer

FAILPOINT = "PARAMEDIC_FAILPOINT"
TRACE = ":"
LINGERING = ("program-troubled",)
"""A flapping program is told as one for two minutes after it has come to rest."""
_STARTS = {
    "daemons": ("supervisord.log", r"supervisord started with pid"),
    "programs": ("supervisord.log", r"spawned: 'daphne'"),
    "masters": ("uwsgi.log", r"spawned uWSGI master process"),
    "reloads": ("uwsgi.log", r"binary reloading uWSGI"),
    "workers": ("uwsgi.log", r"awned uWSGI worker \d+"),
}


@dataclass
class Ward:
    """`seen` are the incidents of earlier faults."""

    stack: EmbeddedStack
    agent: subprocess.Popen[bytes] | None = None
    seen: set[str] = field(default_factory=set)
    server_pid: int = 0
    before: dict[str, int] = field(default_factory=dict)
    processes: dict[str, dict[int, int]] = field(default_factory=dict)

    def begin(self, failpoint: str) -> None:
        """Start the agent, to be killed at `failpoint`; it may be before its first pass has ended."""
        stack = self.stack
        stack.write_config()
        stack.more_environment[FAILPOINT] = failpoint
        argv = [BIN / "paramedic", "run", "--config", stack.config]
        self.agent = stack.spawn(argv, stack.agent_owner, "agent.log", stack.folder)
        del stack.more_environment[FAILPOINT]

    def rest(self) -> None:
        """End the agent in order."""
        if self.agent is not None:
            self.stack.stop(self.agent)
            self.agent = None

    def status(self) -> dict[str, Any]:
        """What the agent says of its last pass."""
        with contextlib.suppress(NoAnswer):
            return self.stack.published()
        return {}

    def await_killed(self, failpoint: str) -> None:
        """The agent is gone by its own SIGKILL, at this step and no other."""
        agent = self.agent
        assert agent is not None
        try:
            wait_for(f"the agent dies at {failpoint}", lambda: agent.poll() is not None, 60)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.stack.agent_log()[-4000:]}") from late
        assert agent.returncode == -signal.SIGKILL, self.stack.agent_log()[-4000:]
        last = [line for line in self.stack.agent_log().splitlines() if " reached " in line][-1]
        assert last.endswith(f" reached {failpoint}"), last

    def await_healthy(self, parts: Iterable[str]) -> None:
        """Everything that ran runs and serves, and nothing is open in the agent."""
        try:
            wait_for("everything is healthy", lambda: self._is_healthy(parts), 90)
        except AssertionError as late:
            running = [(pid, " ".join(cmdline(pid))[:90]) for pid in marked(self.stack.mark)]
            raise AssertionError(
                f"{late}\n{running}\n{self.status().get('sentence')}\n{self.stack.agent_log()[-5000:]}"
            ) from late

    def _is_healthy(self, parts: Iterable[str]) -> bool:
        stack, found = self.stack, self.status()
        if not found or found["agent"]["pid"] != (self.agent.pid if self.agent else 0):
            return False
        if any(incident["policy"] not in LINGERING for incident in found["incidents"]):
            return False
        daemon = found["facts"]["subjects"].get("supervisor:main", {})
        if "supervisor" in parts:
            one_each = (len(stack.supervisords()), len(stack.daphnes())) == (1, 1)
            if not (one_each and daemon.get("diagnosis") == "ok" and stack.status(stack.daphne_port) == 200):
                return False
        workers = stack.workers() if "uwsgi" in parts else []
        accept = len(workers) == 4 and all(worker["accepting"] for worker in workers)
        return "uwsgi" not in parts or (accept and stack.status(stack.uwsgi_port) == 200)

    def controls(self) -> None:
        """supervisorctl works, asked from outside."""
        wait_for("supervisorctl works", lambda: "RUNNING" in self.stack.ctl("status", "daphne"), 15)

    def remember(self) -> None:
        """Count what was started until now, and who runs."""
        self.before = {name: self._count(name) for name in _STARTS}
        self.processes = self._identities()

    def begun(self, name: str) -> int:
        """How many were started since, by the logs of supervisord and uWSGI."""
        return self._count(name) - self.before[name]

    def is_same(self, name: str) -> bool:
        """Whether the very same processes run."""
        return self._identities()[name] == self.processes[name]

    def _count(self, name: str) -> int:
        log, pattern = _STARTS[name]
        path = self.stack.folder / log if log == "uwsgi.log" else self.stack.conf.parent / log
        return len(re.findall(pattern, path.read_text(errors="replace"))) if path.exists() else 0

    def _identities(self) -> dict[str, dict[int, int]]:
        stack = self.stack
        found = {"daemons": stack.supervisords(), "programs": stack.daphnes()}
        found |= {"masters": [pid] if (pid := int(stack.stats().get("pid", 0))) else []}
        found |= {"workers": [pid for pid in stack.worker_pids().values() if pid]}
        return {name: {pid: start_ticks(pid) for pid in pids if is_alive(pid)} for name, pids in found.items()}

    def relays(self) -> list[int]:
        """Relay processes of the product for a path in this stack's folder."""
        found = []
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                words = cmdline(int(folder.name)) if folder.name.isdigit() else [""]
                if any(word.endswith("/host/relay.py") for word in words) and words[-1].startswith(
                    f"{self.stack.folder}/"
                ):
                    found.append(int(folder.name))
        return found
