"""Random sequences of faults, two of which may overlap: they end healthy, or in a refusal that says why.

`python -m stack.chaos COUNT [FIRST_SEED]` runs that many and prints what it saw.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.bystanders import Bystanders
from harness.processes import cmdline, is_alive, marked
from harness.stack import EmbeddedStack
from harness.waiting import wait_for
from paramedic.host.status_socket import NoAnswer
from paramedic.rulebook import shipped_policies
from stack.chaos_page import HEAD, PAGE, report

HEALED_S = 90.0
LOOK_S = 0.1
WHOLE = 200
# No uWSGI is started here; and that a program was started often stays true for two minutes after it is healthy.
STAYS = ("uwsgi-unreachable", "program-troubled")
LANES = 2


class Chaos:
    """A stack under a running agent, and everything that can be done to it.

    With the shipped policies but for the breaker: here each kill is a new event, not the same that does not last.
    """

    def __init__(self, stack: EmbeddedStack) -> None:
        self.stack = stack
        self.bystanders = Bystanders(stack)
        self.conf = stack.conf.read_text()
        shipped = Path(shipped_policies(), "supervisor.yaml").read_text()
        (stack.folder / "etc" / "patient.yaml").write_text(shipped.replace("limit: 5 per 1h", "limit: none"))
        stack.policies, stack.interval = ["patient.yaml"], "500ms"
        stack.start_supervisord()
        self.agent = stack.start_agent()
        self.duplicates: list[list[int]] = []
        self.looks = 0
        self.broken_at = time.time()
        self.names: list[str] = []
        self.stated = 0
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        self.await_health()

    def close(self) -> None:
        """End the watcher."""
        self._over.set()
        self._watcher.join(10)

    def _watch(self) -> None:
        """Never two daemons of our conf: a second that is there at two looks in a row is one."""
        before: set[int] = set()
        while not self._over.wait(LOOK_S):
            with contextlib.suppress(OSError, IndexError):
                now = set(self.stack.supervisords())
                if len(now) > 1 and len(before) > 1 and now == before:
                    self.duplicates.append(sorted(now))
                before = now
            self.looks += 1

    def faults(self) -> dict[str, Callable[[], None]]:
        """Everything that can happen, by name."""
        return {
            "unlink the socket": self.unlink,
            "unlink socket and kept link": self.unlink_all,
            "touch a file there": self.touch,
            "put a folder there": self.folder,
            "put a link there": self.link,
            "chmod 0": lambda: self.quietly(lambda: self.stack.socket.chmod(0)),
            "kill -9 supervisord": lambda: self.kill("supervisord"),
            "kill -9 daphne": lambda: self.kill("daphne"),
            "stop supervisord by a signal": self.suspend,
            "hang supervisord up": self.hang_up,
            "delete the pidfile": lambda: self.quietly(lambda: self.pidfile.unlink(missing_ok=True)),
            "garble the pidfile": lambda: self.quietly(self.garble),
            "delete the log": lambda: self.quietly((self.stack.conf.parent / "supervisord.log").unlink),
            "kill -9 paramedic": self.kill_agent,
            "break the conf for a while": self.break_conf,
        }

    @property
    def pidfile(self) -> Path:
        """The daemon's."""
        return self.stack.folder / "tmp" / "supervisord.pid"

    def garble(self) -> None:
        """Another pid in the daemon's own file; a file that is gone is not made, it would be root's."""
        with open(self.pidfile, "r+") as file:
            file.write("999999\n")
            file.truncate()

    def quietly(self, *steps: Callable[[], object]) -> None:
        """A fault that finds nothing to break does not matter."""
        with contextlib.suppress(OSError):
            for step in steps:
                step()

    def unlink(self) -> None:
        """The hero's fault."""
        self.quietly(self.stack.socket.unlink)

    def unlink_all(self) -> None:
        """Without any preparation left."""
        for kept in self.stack.socket.parent.glob(".paramedic-*"):
            shutil.rmtree(kept, ignore_errors=True)
        self.unlink()

    def touch(self) -> None:
        """What somebody does who does not know better."""
        beside = self.stack.folder / "tmp" / "touched"
        self.quietly(lambda: beside.write_text("notes"), lambda: os.rename(beside, self.stack.socket))

    def folder(self) -> None:
        """Supervisor would loop for ever over it."""
        beside = self.stack.folder / "tmp" / "folder"
        self.quietly(beside.mkdir, self.stack.socket.unlink, lambda: os.rename(beside, self.stack.socket))
        shutil.rmtree(beside, ignore_errors=True)

    def link(self) -> None:
        """It leads to something precious."""
        beside = self.stack.folder / "tmp" / "link"
        self.quietly(lambda: os.symlink(self.stack.conf, beside), lambda: os.rename(beside, self.stack.socket))

    def kill(self, program: str) -> None:
        """The daemon or its program."""
        for pid in self.stack.supervisords() if program == "supervisord" else self.stack.daphnes():
            with contextlib.suppress(AssertionError):
                self.stack.end(pid)

    def suspend(self) -> None:
        """SIGSTOP."""
        for pid in self.stack.supervisords():
            self.quietly(lambda pid=pid: os.kill(pid, signal.SIGSTOP))  # type: ignore[misc]

    def hang_up(self) -> None:
        """A restart that is none of ours."""
        for pid in self.stack.supervisords():
            self.quietly(lambda pid=pid: os.kill(pid, signal.SIGHUP))  # type: ignore[misc]

    def kill_agent(self) -> None:
        """In the middle of whatever it does."""
        if is_alive(self.agent.pid):
            self.stack.stop(self.agent, signal.SIGKILL)
        self.agent = self.stack.start_agent()

    def break_conf(self) -> None:
        """It would not load; meanwhile a dead daemon must stay dead, and a person be told."""
        self.stack.conf.write_text(self.conf.replace("startsecs=1", "startsecs=soon"))
        time.sleep(1.0)
        self.stack.conf.write_text(self.conf)

    def is_healthy(self) -> bool:
        """One daemon that answers at its path, one Daphne that serves, nothing open in the agent."""
        with contextlib.suppress(NoAnswer, KeyError):
            found = self.stack.published()
            is_fresh = found["agent"]["at"] > self.broken_at + 0.6
            is_open = any(one["policy"] not in STAYS for one in found["incidents"])
            is_ok = found["facts"]["subjects"]["supervisor:main"]["diagnosis"] == "ok" and not is_open
            one_each = (len(self.stack.supervisords()), len(self.stack.daphnes())) == (1, 1)
            return is_fresh and is_ok and one_each and self.stack.status(self.stack.daphne_port) == 200
        return False

    def is_told_stopped(self) -> bool:
        """The daemon was killed while it restarted, and is told as one that was stopped while it was shutting down."""
        if not {"hang supervisord up", "kill -9 supervisord"} <= set(self.names) or self.stack.supervisords():
            return False
        told = [i for i in self.stack.history() if i["policy"] == "daemon-told" and i["closed"] is None]
        return any("restarting when it was last asked" in i["evidence"] and i["actions"] for i in told)

    def await_health(self) -> None:
        """Raises with all that is known when it does not come."""

        def is_settled() -> bool:
            return self.is_healthy() or self.is_told_stopped()

        try:
            wait_for("everything is healthy, or told", is_settled, HEALED_S)
            if not self.is_healthy():
                self.stated += 1
                for pid in self.stack.daphnes():
                    self.stack.end(pid)
                self.stack.start_supervisord()
                wait_for("everything is healthy", self.is_healthy, HEALED_S)
        except AssertionError as late:
            processes = [(pid, " ".join(cmdline(pid))[:90]) for pid in marked(self.stack.mark)]
            raise AssertionError(f"{late}\n{processes}\n{self.stack.agent_log()[-6000:]}") from late
        says_so = "supervisorctl says so"
        wait_for(says_so, lambda: "RUNNING" in self.stack.ctl("status", "daphne"))

    def run(self, seed: int) -> list[str]:
        """One sequence: two to four faults, some at once, some while the last is being healed; the names."""
        dice = random.Random(seed)
        faults = self.faults()
        looks = self.looks
        names = [dice.choice(sorted(faults)) for _ in range(dice.randint(2, 4))]
        self.names = names
        for name in names:
            faults[name]()
            if dice.random() < 0.5:
                time.sleep(dice.choice((0.02, 0.3, 1.5)))
        self.broken_at = time.time()
        try:
            self.await_health()
            self.bystanders.prove_untouched()
            assert not self.duplicates, f"two daemons at once: {self.duplicates}"
            assert self.looks > looks, "nobody watched whether there were two daemons"
            assert self.stack.conf.read_text() == self.conf, "a link at the socket's path led to it"
        except AssertionError as failed:
            raise AssertionError(f"seed {seed}: {names}: {failed}") from failed
        return names


@dataclass
class Lane:
    """One stack with its agent, and what the sequences on it came to."""

    took: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    results: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    stated: int = 0

    def run(self, seeds: Sequence[int]) -> None:
        """Every sequence, until one fails."""
        from conftest import make_stack

        stack = make_stack("agent as root" if os.geteuid() == 0 else "as me")
        try:
            chaos = Chaos(stack)
            for seed in seeds:
                began = time.monotonic()
                self.seen.update(chaos.run(seed))
                self.took.append(time.monotonic() - began)
                self.stated = chaos.stated
            chaos.close()
        except AssertionError as error:
            self.failures.append(str(error))
        finally:
            history = stack.history()
            self.results.update(incident["result"] for incident in history)
            actions = [action for incident in history for action in incident["actions"]]
            self.refused.update(action["action"] for action in actions if action["outcome"] == "refused")
            stack.close()


def main(words: list[str]) -> int:
    """The number of sequences that failed."""
    count, first = int(words[0]), int(words[1]) if len(words) > 1 else 0
    lanes = [Lane() for _ in range(LANES)]
    threads = [
        threading.Thread(target=lane.run, args=(range(first + number, first + count, LANES),))
        for number, lane in enumerate(lanes)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    failures = [failure for lane in lanes for failure in lane.failures]
    results, refused, seen = Counter[str](), Counter[str](), Counter[str]()
    for lane in lanes:
        results += lane.results
        refused += lane.refused
        seen += lane.seen
    took = [seconds for lane in lanes for seconds in lane.took]
    page = report(count, first, took, len(failures), results, refused, seen, sum(lane.stated for lane in lanes))
    print("\n".join([*failures, page]))
    if count >= WHOLE:
        PAGE.write_text(HEAD + page + "\n")
    return len(failures)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["20"]))
