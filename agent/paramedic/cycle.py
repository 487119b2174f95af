"""ONE PASS: sense, join, think, record, act, tell, prepare. The only place that knows the order."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace

from paramedic import orders
from paramedic.act.bring_up import restore_programs
from paramedic.act.job import Job
from paramedic.act.prepare import Preparation
from paramedic.act.restart_program import go_on
from paramedic.act.spool import Spool
from paramedic.engine import Stance, Thought, think
from paramedic.facts import join, learn
from paramedic.host import clock
from paramedic.host.failpoint import reached
from paramedic.host.held import HeldProc
from paramedic.host.proc import Proc
from paramedic.host.supervisor_rpc import RpcFailure
from paramedic.incident import Key
from paramedic.journal import Journal, Recorder, as_json, recall_windows
from paramedic.mind import Mind, adopted, book_of, intent, recalled, reported
from paramedic.model.facts import Facts, Known
from paramedic.model.record import Act, Attempt, Incident, Report, Status, Truth
from paramedic.model.stack import Mode, Settings
from paramedic.model.supervision import ProgramReading
from paramedic.rulebook import Rulebook
from paramedic.sense.host import Sensors
from paramedic.windows import Windows

_SKIPPED = {Truth.NO: "not needed", Truth.UNKNOWN: "cannot be told", Truth.YES: "not begun, for its last is not over"}
Begin = Callable[[Attempt, Job], None]
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Passed:
    """What a pass saw and thought, for status and for choosing when to look again."""

    facts: Facts
    thought: Thought
    stance: Stance


class Cycle:
    """Runs passes over one stack. `begin` starts a repair off the thread; its report comes with a later pass."""

    def __init__(self, settings: Settings, rulebook: Rulebook, journal: Journal, spool: Spool, begin: Begin) -> None:
        self.settings = settings
        self.rulebook = rulebook
        self.book, self._adopted = book_of(rulebook.policies), rulebook.policies
        self.journal = journal
        self.recorder = Recorder(journal)
        self.spool = spool
        self.proc = Proc()
        self._held = HeldProc()
        self.sensors = Sensors(settings.stack, self._held, settings.state_dir)
        self.preparation = Preparation(settings, self.proc)
        self._begin = begin
        is_observing = settings.mode is Mode.OBSERVE
        self._stance = Stance(is_observing, settings.interval_s, clock.local_zone(), os.uname().nodename, orders.NONE)
        self._boot_id = self.proc.boot_id()
        self.known = _known(journal, self._boot_id)
        self.mind = self._recall()
        self.skipped: dict[Key, str] = {}
        self._gone_on: set[int] = set()
        self.past = Windows(self.book.needed)
        recall_windows(journal, self.past, clock.wall(), clock.monotonic())

    def run_pass(self) -> Passed:
        """One pass."""
        is_suspect = "host" in [subject.kind for _, subject in self.mind.rules]
        try:
            sample = self.sensors.read(self.known, is_suspect)
        finally:
            self._held.let_go()
        facts = join(sample, self.known)
        self.past.take(facts)
        self._remember(learn(self.known, sample))
        stance = self.stance(facts)
        self._go_on(facts, stance)
        thought = think(self.mind, self.book, facts, self.past, stance)
        begun = self._record(thought, facts)
        for attempt in thought.judged:
            reached("judged", attempt.action)
        self.mind = thought.mind
        if begun:
            self.mind = replace(thought.mind, attempts=(*thought.mind.attempts, *(attempt for _, attempt in begun)))
        for act, attempt in begun:
            if attempt.status is Status.RUNNING:
                self._start(attempt, self._job(act, facts))
        self._say_skipped(thought)
        self.recorder.take(facts)
        self.preparation.refresh(sample)
        return Passed(facts, thought, stance)

    def _go_on(self, facts: Facts, stance: Stance) -> None:
        """What an earlier agent was killed over: a program that it had stopped to restart it, a daemon that it had
        started and whose programs are not as they were. Once: what a person does afterwards stays.
        """
        if stance.is_observing or stance.orders.pause is not None:
            return
        for attempt in self.mind.attempts:
            if not (attempt.interrupted and attempt.status.is_open) or attempt.id in self._gone_on:
                continue
            try:
                said = _continued(attempt, facts)
            except RpcFailure as failure:
                log.warning("%s cannot go on with %s: %s", attempt.incident, attempt.action, failure)
                continue
            if said:
                self._gone_on.add(attempt.id)
                log.warning("%s %s", attempt.incident, said)

    def _say_skipped(self, thought: Thought) -> None:
        """A night that was not needed is told, with the reason: silence would look like a timer that does not run."""
        for key in [key for key in self.skipped if key in thought.mind.rules]:
            del self.skipped[key]
        for (policy, subject), verdict in thought.skipped.items():
            what = _SKIPPED[verdict.truth]
            self.skipped[policy, subject] = f"{what}: {verdict.evidence}"
            log.info("%s on %s: %s: %s", policy, subject, what, verdict.evidence)

    def _start(self, attempt: Attempt, job: Job) -> None:
        """Begin a repair; one that cannot even begin is refused, and holds nothing."""
        try:
            self._begin(attempt, job)
        except (RuntimeError, OSError) as error:
            self.take_report(attempt.id, Report(True, f"{attempt.action} could not be started: {error}"))

    def stance(self, facts: Facts) -> Stance:
        """How the agent stands to `facts`: observing, ordered to pause, where and how often it looks."""
        ordered = orders.read(self.settings.state_dir, facts.wall, facts.monotonic, self._boot_id)
        return self._stance if ordered is orders.NONE else replace(self._stance, orders=ordered)

    def reload(self, force: bool = False) -> None:
        """Take over policy files that changed, all of them or none; what did not change keeps its states."""
        before = self.rulebook.errors
        self.rulebook.refresh(force)
        if self.rulebook.policies is not self._adopted:
            after = self.rulebook.policies
            mind, removed = adopted(self.mind, self.book.policies, after, clock.monotonic())
            self._close(removed, clock.wall())
            self.mind, self.book, self._adopted = mind, book_of(after), after
            self.past.need(self.book.needed)
            self.recorder.flush()
            recall_windows(self.journal, self.past, clock.wall(), clock.monotonic())
            log.info("policies changed: %d are in force", len(self.book.judges))
        if self.rulebook.errors and self.rulebook.errors != before:
            log.error("changed policies are not used, the old ones stay: %s", "; ".join(self.rulebook.errors))

    def take_report(self, attempt_id: int, report: Report) -> None:
        """Book what a repair says of itself, on disk first."""
        mind, ended = reported(self.mind, attempt_id, report, clock.monotonic())
        if ended is None:
            return
        self.journal.settle(ended, clock.wall())
        reached("reported", ended.action)
        self.mind = mind
        if report.preflight is not None:
            preflights = {**self.known.preflights, ended.target.name: report.preflight}
            self._remember(replace(self.known, preflights=preflights))

    def _record(self, thought: Thought, facts: Facts) -> list[tuple[Act, Attempt]]:
        """All of it in one transaction, intents before anything is begun; where it fails nothing was thought."""
        is_new = thought.judged or thought.changed or thought.held or thought.acts
        if not is_new and (thought.mind.slots == self.mind.slots or _moments(thought.mind) == _moments(self.mind)):
            return []
        return self.journal.durably(lambda: self._write(thought, facts))

    def _write(self, thought: Thought, facts: Facts) -> list[tuple[Act, Attempt]]:
        for attempt in thought.judged:
            self.journal.settle(attempt, facts.wall)
        for incident in thought.changed:
            self.journal.save_incident(incident)
        for incident_id, hold in thought.held:
            self.journal.hold(incident_id, hold, facts.wall)
        if _moments(thought.mind) != _moments(self.mind):
            self.journal.save_slots(thought.mind.slots)
        now = clock.monotonic()
        acts = [act for act in thought.acts if self.journal.is_durable or not act.step.is_disruptive]
        begun = [(act, self.journal.intend(intent(act, thought.mind, facts, now))) for act in acts]
        self._tell(thought, [attempt for _, attempt in begun])
        return begun

    def _tell(self, thought: Thought, begun: list[Attempt]) -> None:
        """Before it is recorded as told: a killed agent may have a person told twice, never not at all."""
        for event in thought.events:
            mine = [one for one in (*thought.mind.attempts, *begun) if one.incident == event.incident.id]
            self.spool.tell(event.name, event.sentence, as_json(event.incident, mine))

    def _job(self, act: Act, facts: Facts) -> Job:
        incident = as_json(self.mind.incidents[act.policy.name, act.subject], [])
        return Job(act, facts, self.settings, self.proc, self.spool, incident, int(facts.wall))

    def _remember(self, known: Known) -> None:
        if known is not self.known:
            self.journal.save_known(known)
            self.known = known

    def _recall(self) -> Mind:
        """What an earlier agent left; incidents of policies that are no more are closed."""
        now, wall = clock.monotonic(), clock.wall()
        attempts = self.journal.recent_attempts(wall, now)
        incidents, slots = self.journal.open_incidents(), self.journal.load_slots()
        mind, left = recalled(incidents, attempts, slots, self.book.policies, now, self.journal.count())
        self._close(left, wall)
        return mind

    def _close(self, incidents: list[Incident], wall: float) -> None:
        for incident in incidents:
            self.journal.save_incident(replace(incident, closed=wall, result="policy removed"))


def _continued(attempt: Attempt, facts: Facts) -> str | None:
    """What was done to end an interrupted repair, None where nothing was left to do. Raises RpcFailure."""
    found = facts.subjects.get(attempt.target)
    reading = facts.supervisor(found.parent or found.subject) if found else None
    if found is None or reading is None:
        return None
    if attempt.action == "restart_supervisord":
        return restore_programs(reading, attempt.before)
    if attempt.action == "restart_program" and isinstance(found.reading, ProgramReading):
        return go_on(found.reading, reading)
    return None


def _known(journal: Journal, boot_id: str) -> Known:
    """Identities of another boot mean nothing; what the app's last import said still does."""
    known = journal.load_known()
    return known if known.boot_id == boot_id else Known(boot_id=boot_id, preflights=known.preflights)


def _moments(mind: Mind) -> dict[str, float | None]:
    return {name: slot.next_at for name, slot in mind.slots.items()}
