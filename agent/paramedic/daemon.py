"""The agent's life: wake-ups, signals, systemd, helper threads. It owns the only loop."""

from __future__ import annotations

import collections
import contextlib
import json
import logging
import math
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from paramedic import __version__, orders, schedule
from paramedic.act import report_of
from paramedic.act.job import Job, longest_s, stops_s
from paramedic.act.spool import Spool
from paramedic.cycle import Cycle, Passed
from paramedic.host import clock, folders, journald, lean, lock, systemd
from paramedic.host.calendar import Calendar
from paramedic.host.hands import Hands
from paramedic.host.proc import Proc
from paramedic.host.status_socket import StatusSocket
from paramedic.host.wake import Wake
from paramedic.host.watching import PathWatch
from paramedic.journal import Journal
from paramedic.model.readings import HostReading, Identity, UwsgiReading
from paramedic.model.record import Attempt, Phase, Report, Truth
from paramedic.model.stack import Settings
from paramedic.model.supervision import SupervisorReading
from paramedic.rulebook import Rulebook
from paramedic.status import sentence, snapshot

WHILE_ACTING_S = 0.5
SHORTEST_S = 0.02
LAST_PATIENCE_S = 20.0
ONCE_S = 300.0
ONCE_FOR_S = 30.0
FORGET_S = 86400.0
BEAT_S = 10.0
ANSWERS_S = 3.0
log = logging.getLogger(__name__)
_BROKEN = Report(True, "there was no memory left to say how it ended")


class Daemon:
    """`paramedic run`: passes until a signal, or with `once` until nothing is left to verify."""

    def __init__(self, settings: Settings, rulebook: Rulebook) -> None:
        self.settings = settings
        for folder in (settings.state_dir, settings.runtime_dir):
            Path(folder).parent.mkdir(parents=True, exist_ok=True)
            folders.own(folder, is_private=folder == settings.state_dir)
        self._lock = lock.take(f"{settings.state_dir}/lock")
        spare = f"{settings.runtime_dir}/journal.db"
        self.journal = Journal(f"{settings.state_dir}/journal.db", boot_id=Proc().boot_id(), spare=spare)
        self.spool = Spool(settings.notify, settings.state_dir)
        self.cycle = Cycle(settings, rulebook, self.journal, self.spool, self._begin)
        self.wake = Wake(self.cycle.proc)
        self.watch = PathWatch(self.wake.poke)
        self.calendar = Calendar(self.wake.poke)
        self.asked = StatusSocket(settings.runtime_dir, self._answer)
        self._looking = threading.Lock()
        self._passed: Passed | None = None
        self._told: tuple[object, bytes] = (None, b"")
        self._reports: collections.deque[tuple[int, Report]] = collections.deque()
        self.hands = Hands()
        self._under_way: dict[int, tuple[str, float]] = {}
        self._stopping = ""
        self._broken = ""
        self._must_reload = False
        third_s = (systemd.watchdog_s() or math.inf) / 3
        self._interval_s, self._beat_s = min(settings.interval_s, third_s), min(BEAT_S, third_s / 2)
        self._had_news, self._beats_at = True, 0.0
        self._beat_told: object = None
        self._planned: object = None
        self._forgot_at = float("-inf")

    def run(self, once: bool = False) -> int:
        """0 after a signal; with `once` 1 when an incident is still open.

        `once` waits for conditions that must hold up to half a minute, and for what was begun to be judged.
        """
        with self._alive():
            started = clock.monotonic()
            log.info("%s", self._greeting())
            passed = self._pass()
            self.asked.start()
            systemd.notify(READY=1, STATUS=sentence(self.cycle, passed))
            lean.settle()
            while not self._stopping and not (once and self._is_settled(started)):
                self.wake.wait(self._patience_s())
                self._try_pass()
            log.info("stopping: %s", self._stopping or "nothing is left to do")
            systemd.notify(STOPPING=1, STATUS="stopping")
            self._finish_actions()
            return 1 if once and (self.cycle.mind.incidents or self._broken) else 0

    def _greeting(self) -> str:
        stack = self.settings.stack
        names = [f"uwsgi:{e.name}" for e in stack.uwsgi] + [f"supervisor:{e.name}" for e in stack.supervisor]
        told = "" if self.spool.is_configured else "; nobody is told: no notify.command"
        watched = ", ".join(names) or "memory only"
        mode, policies = self.settings.mode.value, len(self.cycle.book.judges)
        return f"paramedic {__version__} in mode {mode} watches {watched} with {policies} policies{told}"

    def _try_pass(self) -> None:
        """A pass that breaks, e.g. because the journal is locked, is told and tried again; it does not pet the
        watchdog, so systemd ends an agent that breaks for a minute.
        """
        try:
            self._pass()
            self._broken = ""
        except Exception as error:
            self._broken, self._had_news = f"a pass broke: {type(error).__name__}: {error}", True
            log.exception("a pass broke")
            systemd.notify(STATUS=self._broken)

    @contextlib.contextmanager
    def _alive(self) -> Iterator[None]:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, self._reload)
        self.spool.start()
        self.hands.start()
        self.watch.start()
        try:
            yield
        finally:
            self.asked.stop()
            self.calendar.stop()
            self.watch.stop()
            self.spool.stop(LAST_PATIENCE_S)
            self.cycle.recorder.flush()
            self.journal.close()
            self.wake.close()

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self._stopping = signal.Signals(number).name
        self.wake.poke("signal")

    def _reload(self, _number: int, _frame: FrameType | None) -> None:
        self._must_reload = True
        self.wake.poke("signal")

    def _begin(self, attempt: Attempt, job: Job) -> None:
        """Give a repair to a thread: a pass never waits for one."""
        about = journald.about(job.incident)
        log.info("%s %s on %s: %s", attempt.incident, attempt.action, attempt.target, job.act.why, extra=about)
        self.hands.take(attempt.action, lambda: self._work(attempt, job))
        self._under_way[attempt.id] = (attempt.action, clock.monotonic() + longest_s(attempt) + stops_s(job))

    def _work(self, attempt: Attempt, job: Job) -> None:
        report = _BROKEN
        try:
            report = report_of(attempt, job)
            how, about = "refused" if report.refused else "done", journald.about(job.incident)
            log.info("%s %s %s: %s", attempt.incident, attempt.action, how, report.detail, extra=about)
        finally:
            self._reports.append((attempt.id, report))
            self.wake.poke(f"{attempt.action} ended")

    def _pass(self) -> Passed:
        with self._looking:
            self._book()
            force, self._must_reload = self._must_reload, False
            if force:
                with systemd.reloading():
                    self.cycle.reload(force)
            else:
                self.cycle.reload()
            passed = self._passed = self.cycle.run_pass()
        self._watch(passed)
        self._plan(passed)
        self._beat(passed)
        if clock.monotonic() - self._forgot_at > FORGET_S:
            self.journal.forget(clock.wall())
            self._forgot_at = clock.monotonic()
        return passed

    def _beat(self, passed: Passed) -> None:
        """A sign of life to systemd with what is seen, while all helper threads live: at once where there is news,
        every ten seconds while all is well.
        """
        mind, pause, now = passed.thought.mind, passed.stance.orders.pause, clock.monotonic()
        told = (passed.facts.told, self.cycle.rulebook.errors, self.cycle.journal.troubles, pause)
        has_news = bool(mind.rules or mind.incidents)
        if told == self._beat_told and not (has_news or self._had_news) and now < self._beats_at:
            return
        silent = self._silent_hearts()
        if silent:
            log.error("no sign of life to systemd, which will start the agent anew: %s", ", ".join(silent))
            return
        systemd.notify(WATCHDOG=1, STATUS=sentence(self.cycle, passed))
        self._had_news, self._beat_told, self._beats_at = has_news, told, now + self._beat_s

    def _watch(self, passed: Passed) -> None:
        """Watch the paths, the processes and the memory stalls of this pass, and what a person may change."""
        paths: list[str] = [orders.path_of(self.settings.state_dir), *self.cycle.rulebook.files()]
        processes: list[Identity] = []
        for found in passed.facts.of_kind("supervisor"):
            if isinstance(found.reading, SupervisorReading):
                paths += [found.reading.conf.socket] if found.reading.conf.socket else []
                processes += [found.reading.daemon] if found.reading.daemon else []
        for found in passed.facts.of_kind("uwsgi"):
            if isinstance(found.reading, UwsgiReading):
                processes.append(found.reading.master)
        for found in passed.facts.of_kind("host"):
            if isinstance(found.reading, HostReading):
                self.wake.watch_pressure(found.reading.pressure_files)
        self.watch.guard(paths)
        self.wake.watch(processes)

    def _plan(self, passed: Passed) -> None:
        """Wake at the minute of every calendar policy."""
        zone, host = passed.stance.zone, passed.stance.host
        if self._planned == (self.cycle.book, zone, host):
            return
        self._planned = (self.cycle.book, zone, host)
        planned = [policy for policy in self.cycle.book.policies if policy.at is not None]
        self.calendar.set((p.at or "", p.zone or zone, schedule.shift_s(p, host)) for p in planned)

    def _answer(self) -> bytes:
        """The document behind `paramedic status`, as of the last finished look; none when a look does not end."""
        if not self._looking.acquire(timeout=ANSWERS_S):
            return b""
        try:
            look = (self._passed, self._broken)
            if self._passed is None or look == self._told[0]:
                return self._told[1]
            document = snapshot(self.cycle, self._passed)
        finally:
            self._looking.release()
        document["troubles"] |= {f"cannot watch {name}": why for name, why in self.watch.failures.items()}
        if self._broken:
            document["troubles"]["no look since"] = self._broken
        self._told = (look, json.dumps(document, check_circular=False).encode())
        return self._told[1]

    def _silent_hearts(self) -> list[str]:
        """The helper threads that ended, and the repairs that hang beyond any deadline of theirs."""
        hearts = {
            "observer": self.watch.is_alive,
            "scheduler": self.calendar.is_alive,
            "notify": self.spool.is_alive,
            "status": self.asked.is_alive,
        }
        ended = [f"{name} has ended" for name, beats in hearts.items() if not beats]
        hanging = [action for action, until in self._under_way.values() if until < clock.monotonic()]
        return ended + [f"{name} hangs" for name in hanging]

    def _patience_s(self) -> float:
        """How long to wait for the next pass: the interval, less while a timer or an attempt needs a look."""
        waits = [self._interval_s]
        if self._broken:
            return self._interval_s
        by_name = self.cycle.book.by_name
        for (name, _), rule in self.cycle.mind.rules.items():
            if rule.phase is Phase.PENDING and rule.last is Truth.YES:
                waits.append(by_name[name].for_s - rule.held_s)
        now = clock.monotonic()
        holds = self.cycle.mind.holds.values()
        waits += [hold.until - now for hold in holds if hold.until is not None and hold.until > now]
        if any(attempt.status.is_open for attempt in self.cycle.mind.attempts):
            waits.append(WHILE_ACTING_S)
        return max(SHORTEST_S, min(waits))

    def _is_settled(self, started: float) -> bool:
        if clock.monotonic() - started > ONCE_S:
            return True
        is_acting = any(attempt.status.is_open for attempt in self.cycle.mind.attempts)
        pending = {name for (name, _), rule in self.cycle.mind.rules.items() if rule.phase is Phase.PENDING}
        return not is_acting and not any(p.name in pending and p.for_s <= ONCE_FOR_S for p in self.cycle.book.policies)

    def _finish_actions(self) -> None:
        """Let repairs under way end and book what they say; what does not end in time is judged by the next agent."""
        self.hands.rest(LAST_PATIENCE_S)
        self._book()

    def _book(self) -> None:
        """Take over what repairs said; a report leaves the queue when it is on disk."""
        while self._reports:
            self.cycle.take_report(*self._reports[0])
            self._under_way.pop(self._reports.popleft()[0], None)
