"""Play the incident on a real stack in a temporary folder; leave with 0 only when everything was verified healed.

Every line that says "verified" was checked from outside the agent: supervisorctl, HTTP, pids, files.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from harness.stack import POLICIES, EmbeddedStack
from harness.waiting import wait_for

LIMIT_MIB = 150


class Interrupted(Exception):
    """Ctrl-C or SIGTERM: clean up and leave."""


class Demo:
    """The four acts, in the order of a bad night."""

    def __init__(self, stack: EmbeddedStack) -> None:
        self.stack = stack
        self.began = time.monotonic()

    def say(self, line: str) -> None:
        """One line of the timeline."""
        print(f"{time.monotonic() - self.began:7.2f} s  {line}", flush=True)

    def verify(self, what: str, is_true: object) -> None:
        """A check from outside the agent."""
        if not is_true:
            raise AssertionError(f"not so: {what}")
        self.say(f"   verified: {what}")

    def play(self) -> None:
        """Start, then the incident, then what the agent recorded of it."""
        self.start()
        self.memory_climbs()
        self.socket_is_deleted()
        self.plain_file_in_its_place()
        self.supervisord_is_killed()
        print("\n$ paramedic history")
        print(self.stack.paramedic("history").stdout)

    def start(self) -> None:
        """uWSGI, supervisord with Daphne, and the agent on them."""
        stack = self.stack
        master = stack.start_uwsgi()
        self.say(f"everything runs below {stack.folder}")
        self.say(f"uWSGI {master} serves a leaking Django app with 4 workers (lazy-apps)")
        self.daemon = stack.start_supervisord()
        self.daphne = stack.daphnes()[0]
        self.say(f"supervisord {self.daemon} keeps Daphne {self.daphne} up")
        stack.add_policies(POLICIES.format(limit=f"{LIMIT_MIB} MiB"))
        agent = stack.start_agent()
        self.say(f"paramedic {agent.pid} watches both: `paramedic run`\n")

    def memory_climbs(self) -> None:
        """Leak until a worker is over the limit; every worker is replaced while the site answers."""
        stack = self.stack
        old = stack.worker_pids()
        self.say(f"1. memory climbs: every request leaks (limit of the demo's policy: {LIMIT_MIB} MiB for a worker)")
        fattest, shown = 0, 0
        while fattest < LIMIT_MIB:
            stack.status(stack.uwsgi_port, "/leak/20")
            fattest = max(_rss_mib(pid) for pid in old.values())
            if fattest >= shown + 40:
                self.say(f"   the fattest worker holds {fattest} MiB")
                shown = fattest
        answers: list[int] = []
        wait_for("the reload begins", lambda: stack.worker_pids() != old, 15)
        self.say("   paramedic tried the app's import, touched the chain-reload file, and uWSGI replaces its workers")
        while set(stack.worker_pids().values()) & set(old.values()):
            answers.append(stack.status(stack.uwsgi_port))
        told = stack.incident("worker-over-limit", "healed", 60)
        gained = told["actions"][-1]["gained"]["bytes"] >> 20
        self.verify(f"all 4 workers are new, {len(answers)} requests meanwhile, all 200", set(answers) == {200})
        self.verify(f"memory given back: {gained} MiB", gained > 50)

    def socket_is_deleted(self) -> None:
        """What a /tmp cleanup does."""
        self.say("2. a /tmp cleanup deletes the socket")
        inode = self.stack.socket.stat().st_ino
        self.stack.socket.unlink()
        self.await_socket(inode)

    def plain_file_in_its_place(self) -> None:
        """What somebody does who means well."""
        self.say("3. somebody deletes it again and touches a plain file there, with a note in it")
        inode = self.stack.socket.stat().st_ino
        note = self.stack.folder / "tmp" / "note"
        note.write_text("supervisor was here\n")
        os.rename(note, self.stack.socket)
        self.await_socket(inode)
        aside = [p for p in (self.stack.folder / "tmp").glob("*.aside-*") if p.read_text().startswith("supervisor was")]
        self.verify("the note was moved aside, not lost", len(aside) == 1)

    def await_socket(self, inode: int) -> None:
        """Until the same socket is back, and supervisorctl controls the same Daphne."""
        began = time.monotonic()
        while not (self.stack.socket.is_socket() and self.stack.socket.stat().st_ino == inode):
            if time.monotonic() - began > 10:
                raise AssertionError("the socket did not come back")
            time.sleep(0.0005)
        self.say(f"   the same socket is back after {(time.monotonic() - began) * 1000:.1f} ms")
        answer = self.stack.ctl("status").strip()
        self.verify(f"supervisorctl: {' '.join(answer.split())}", "RUNNING" in answer)
        same = (self.stack.supervisords(), self.stack.daphnes()) == ([self.daemon], [self.daphne])
        self.verify(f"supervisord is still {self.daemon}, Daphne still {self.daphne}: nothing restarted", same)

    def supervisord_is_killed(self) -> None:
        """kill -9, and the orphan that stays on the port."""
        stack = self.stack
        self.say(f"4. kill -9 {self.daemon}: supervisord is gone, Daphne {self.daphne} is an orphan on its port")
        began = time.monotonic()
        stack.end(self.daemon)
        self.verify("the orphan serves", stack.daphnes() == [self.daphne] and stack.status(stack.daphne_port) == 200)
        stack.incident("daemon-dead", "healed", 30)
        daemons, daphnes = stack.supervisords(), stack.daphnes()
        self.say(f"   supervisord {daemons} and Daphne {daphnes} run after {time.monotonic() - began:.1f} s")
        self.verify("exactly one supervisord, with the same conf", len(daemons) == 1 and daemons != [self.daemon])
        self.verify("exactly one Daphne, a new one", len(daphnes) == 1 and daphnes != [self.daphne])
        self.verify("HTTP 200 from it", wait_for("it answers", lambda: stack.status(stack.daphne_port) == 200, 15))
        self.verify("supervisorctl controls it", f"pid {daphnes[0]}," in stack.ctl("status"))


def _rss_mib(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20
    except OSError:
        return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise Interrupted


def main() -> int:
    """0 when everything was verified, 1 when something was not, 130 on Ctrl-C."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    stack = EmbeddedStack()
    try:
        Demo(stack).play()
        print("everything was verified healed")
        return 0
    except Interrupted:
        print("\ninterrupted: cleaning up", file=sys.stderr)
        return 130
    except AssertionError as wrong:
        print(f"\nFAILED: {wrong}\n\nwhat the agent said:\n{stack.agent_log()}", file=sys.stderr)
        return 1
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        stack.close()


if __name__ == "__main__":
    sys.exit(main())
