"""ONE PASS: sense, join, judge, evaluate, track, decide, record, act, prepare. The only place that knows the order."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from paramedic import decide, incident, verify
from paramedic.act.job import Job
from paramedic.act.prepare import Preparation
from paramedic.act.spool import Spool
from paramedic.evaluate import evaluate, when_gone
from paramedic.facts import join, learn
from paramedic.host import clock
from paramedic.host.proc import Proc
from paramedic.incident import Key
from paramedic.journal import Journal, as_json
from paramedic.model.facts import Facts, Known, Subject
from paramedic.model.policy import Policy
from paramedic.model.record import Act, Attempt, Hold, Incident, Phase, Report, RuleState, Status, Truth, Verdict
from paramedic.model.stack import Mode, Settings
from paramedic.sense.host import Sensors
from paramedic.track import track

Begin = Callable[[Attempt, Job], None]


@dataclass
class State:
    """What one pass hands to the next."""

    known: Known
    rules: dict[Key, RuleState] = field(default_factory=dict)
    incidents: dict[Key, Incident] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    holds: dict[Key, Hold] = field(default_factory=dict)
    serial: int = 0


@dataclass(frozen=True, slots=True)
class Passed:
    """What a pass saw and decided, for status and for choosing when to look again."""

    facts: Facts
    verdicts: Mapping[Key, Verdict]
    decisions: tuple[Act | Hold, ...]


class Cycle:
    """Runs passes over one stack. `begin` starts a repair off the thread; its report comes with a later pass."""

    def __init__(
        self, settings: Settings, policies: tuple[Policy, ...], journal: Journal, spool: Spool, begin: Begin
    ) -> None:
        self.settings = settings
        self.policies = policies
        self.journal = journal
        self.spool = spool
        self.proc = Proc()
        self.sensors = Sensors(settings.stack, self.proc, settings.state_dir)
        self.preparation = Preparation(settings, self.proc)
        self._begin = begin
        self.state = _recall(journal, self.proc.boot_id(), {policy.name for policy in policies})

    def run_pass(self, reports: Iterable[tuple[int, Report]] = (), due: frozenset[str] = frozenset()) -> Passed:
        """One pass. `reports` are of repairs that ended since the last one; `due` names calendar policies."""
        self.take_reports(reports)
        sample = self.sensors.read(self.state.known)
        facts = join(sample, self.state.known)
        self._remember(learn(self.state.known, sample))
        self._judge(facts)
        verdicts = self._look(facts, due)
        with self._recorded_or_undone():
            self._open_and_close(verdicts, facts)
            decisions = decide.decide(self._cases(verdicts), self._situation(facts))
            self._record_holds(decisions, facts.wall)
            jobs = [self._intend(act, facts) for act in decisions if isinstance(act, Act)]
        for attempt, job in jobs:
            if attempt.status is Status.RUNNING:
                self._begin(attempt, job)
        self._tell(facts.wall)
        self.preparation.refresh(sample)
        return Passed(facts, verdicts, tuple(decisions))

    @contextlib.contextmanager
    def _recorded_or_undone(self) -> Iterator[None]:
        """What was decided is on disk when the block ends; where that fails nothing was decided."""
        state = self.state
        before = replace(
            state,
            incidents=dict(state.incidents),
            attempts=list(state.attempts),
            holds=dict(state.holds),
            rules=dict(state.rules),
        )
        try:
            with self.journal.batch():
                yield
        except BaseException:
            self.state = before
            raise

    def take_reports(self, reports: Iterable[tuple[int, Report]]) -> None:
        """Book what repairs say of themselves: refused is final, done waits for a later sample."""
        for attempt_id, report in reports:
            now = clock.monotonic()
            status = Status.REFUSED if report.refused else Status.DONE
            for at, attempt in enumerate(self.state.attempts):
                if attempt.id == attempt_id and attempt.status is Status.RUNNING:
                    seconds = now - attempt.started
                    ended = replace(attempt, status=status, finished=now, detail=report.detail, seconds=seconds)
                    self._settle(at, ended)
                    self._learn_preflight(attempt.target, report)

    def _settle(self, at: int, attempt: Attempt) -> None:
        self.state.attempts[at] = attempt
        self.journal.settle(attempt, clock.wall())

    def _learn_preflight(self, target: Subject, report: Report) -> None:
        if report.preflight is not None:
            known = self.state.known
            self._remember(replace(known, preflights={**known.preflights, target.name: report.preflight}))

    def _remember(self, known: Known) -> None:
        if known != self.state.known:
            self.journal.save_known(known)
            self.state.known = known

    def _judge(self, facts: Facts) -> None:
        for at, attempt in enumerate(self.state.attempts):
            judged = verify.judge(attempt, facts)
            if judged is not attempt:
                self._settle(at, judged)

    def _look(self, facts: Facts, due: frozenset[str]) -> dict[Key, Verdict]:
        """Evaluate and track every policy on every subject it watches, those that vanished included."""
        verdicts: dict[Key, Verdict] = {}
        for policy in self.policies:
            subjects = {s.subject for s in facts.of_kind(policy.watch)}
            for subject in subjects | {s for name, s in self.state.rules if name == policy.name}:
                key = (policy.name, subject)
                state = self.state.rules.get(key, RuleState())
                verdict = self._verdict(policy, subject, state, facts)
                if policy.at is not None:
                    state, verdict = self._calendar(policy, key, state, verdict, due)
                self.state.rules[key] = track(state, verdict, policy.for_s, facts.monotonic)
                verdicts[key] = verdict
        return verdicts

    def _verdict(self, policy: Policy, subject: Subject, state: RuleState, facts: Facts) -> Verdict:
        if subject not in facts.subjects:
            return when_gone(subject, facts)
        return evaluate(policy, facts.subjects[subject], state.phase is Phase.FIRING)

    def _calendar(
        self, policy: Policy, key: Key, state: RuleState, verdict: Verdict, due: frozenset[str]
    ) -> tuple[RuleState, Verdict]:
        """A calendar policy is looked at when it is due, and stays until what it began is judged."""
        incident_id = self.state.incidents[key].id if key in self.state.incidents else ""
        is_busy = any(a.incident == incident_id and a.status.is_open for a in self.state.attempts)
        if state.phase is Phase.QUIET and policy.name in due:
            return state, verdict
        return state, replace(verdict, truth=Truth.YES if is_busy else Truth.NO)

    def _open_and_close(self, verdicts: Mapping[Key, Verdict], facts: Facts) -> None:
        state = self.state
        before = dict(state.incidents)
        state.incidents, closed = incident.open_and_close(
            before, state.rules, verdicts, state.attempts, facts, state.serial
        )
        for key, opened in state.incidents.items():
            if key not in before:
                state.serial += 1
                self.journal.save_incident(opened)
        for ended in closed:
            self.journal.save_incident(ended)
            farewell = incident.farewell(ended, state.attempts)
            if farewell:
                self._send(farewell)
        state.rules = {key: rule for key, rule in state.rules.items() if rule.phase is not Phase.QUIET}
        state.holds = {key: hold for key, hold in state.holds.items() if key in state.rules}

    def _cases(self, verdicts: Mapping[Key, Verdict]) -> list[decide.Case]:
        by_name = {policy.name: policy for policy in self.policies}
        found = []
        for key, rule in self.state.rules.items():
            if rule.phase is Phase.FIRING and verdicts[key].truth is Truth.YES:
                mine = self.state.incidents.get(key)
                tried = tuple(a for a in self.state.attempts if mine and a.incident == mine.id)
                found.append(decide.Case(by_name[key[0]], key[1], verdicts[key], tried))
        return found

    def _situation(self, facts: Facts) -> decide.Situation:
        is_observing = self.settings.mode is Mode.OBSERVE
        return decide.Situation(facts, clock.monotonic(), is_observing, tuple(self.state.attempts))

    def _record_holds(self, decisions: Iterable[Act | Hold], wall: float) -> None:
        """Keep each hold; the journal gets it when its guard changes, not in every pass."""
        for hold in decisions:
            if isinstance(hold, Hold):
                key = (hold.policy, hold.subject)
                before = self.state.holds.get(key)
                if (before is None or before.guard != hold.guard) and key in self.state.incidents:
                    self.journal.hold(self.state.incidents[key].id, hold, wall)
                self.state.holds[key] = hold

    def _intend(self, act: Act, facts: Facts) -> tuple[Attempt, Job]:
        """Write the intent down; an observer's is final, every other is begun once it is on disk."""
        opened = self.state.incidents[act.policy.name, act.subject]
        self.state.holds.pop((act.policy.name, act.subject), None)
        attempt = Attempt(
            id=0,
            incident=opened.id,
            policy=act.policy.name,
            subject=act.subject,
            action=act.step.action,
            target=act.target,
            rung=act.rung,
            started=clock.monotonic(),
            started_wall=facts.wall,
            deadline_s=act.step.within_s or verify.deadline(act.step.action, act.target, facts),
            before=verify.expect(act.target, facts),
            args=act.step.args,
            status=Status.OBSERVED if act.observe else Status.RUNNING,
            detail=f"would {act.step.action} on {act.target}: {act.why}" if act.observe else "",
        )
        attempt = self.journal.intend(attempt)
        self.state.attempts.append(attempt)
        return attempt, Job(act, facts, self.settings, self.proc, self.spool, as_json(opened, []), int(facts.wall))

    def _tell(self, wall: float) -> None:
        state = self.state
        for event in incident.news(state.incidents.values(), state.rules, state.attempts, state.holds.values()):
            key = (event.incident.policy, event.incident.subject)
            state.incidents[key] = incident.told(state.incidents[key], event)
            self.journal.save_incident(state.incidents[key])
            self._send(event)
        state.attempts = [a for a in state.attempts if a.status.is_open or wall - a.started_wall < 2 * 86400]

    def _send(self, event: incident.Event) -> None:
        attempts = [a for a in self.state.attempts if a.incident == event.incident.id]
        self.spool.tell(event.name, event.sentence, as_json(event.incident, attempts))


def _recalled(attempt: Attempt, now: float) -> Attempt:
    """An earlier agent's attempt; times the wall clock puts into the future (it was set back) become now."""
    started, finished = min(attempt.started, now), None if attempt.finished is None else min(attempt.finished, now)
    if attempt.status is not Status.RUNNING:
        return replace(attempt, started=started, finished=finished)
    return replace(attempt, status=Status.DONE, started=started, finished=now, interrupted=True)


def _recall(journal: Journal, boot_id: str, policies: set[str]) -> State:
    """The state an earlier agent left. An intent without an outcome counts as done and is judged by facts."""
    known = journal.load_known()
    if known.boot_id != boot_id:
        known = Known(boot_id=boot_id, preflights=known.preflights)
    state = State(known)
    for left in journal.open_incidents():
        if left.policy in policies:
            state.incidents[left.policy, left.subject] = left
        else:
            journal.save_incident(replace(left, closed=clock.wall(), result="policy removed"))
    state.rules = {key: RuleState(Phase.PENDING) for key in state.incidents}
    attempts = journal.recent_attempts(clock.wall(), clock.monotonic())
    state.attempts = [_recalled(attempt, clock.monotonic()) for attempt in attempts]
    return state
