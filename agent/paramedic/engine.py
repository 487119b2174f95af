"""The thinking part of a pass, pure: (mind, policies, facts) -> thought. No I/O, no clock, no ids of its own.

The live agent, and whatever tests or replays policies, think with this same code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from paramedic import decide, incident, verify
from paramedic.evaluate import evaluate, when_gone
from paramedic.incident import Event, Key
from paramedic.model.facts import Facts, Subject
from paramedic.model.policy import Policy
from paramedic.model.record import Act, Attempt, Hold, Incident, Phase, Report, RuleState, Status, Truth, Verdict
from paramedic.track import track

REMEMBERED_S = 2 * 86400.0


@dataclass(frozen=True, slots=True)
class Mind:
    """What one pass hands to the next. `attempts` are those of two days, oldest first, open ones included."""

    rules: Mapping[Key, RuleState] = field(default_factory=dict)
    incidents: Mapping[Key, Incident] = field(default_factory=dict)
    attempts: tuple[Attempt, ...] = ()
    holds: Mapping[Key, Hold] = field(default_factory=dict)
    serial: int = 0


@dataclass(frozen=True, slots=True)
class Thought:
    """What a pass concludes: the next mind, and everything that is new in it and must be recorded or told."""

    mind: Mind
    verdicts: Mapping[Key, Verdict]
    decisions: tuple[Act | Hold, ...]
    judged: tuple[Attempt, ...]
    changed: tuple[Incident, ...]
    held: tuple[tuple[str, Hold], ...]
    events: tuple[Event, ...]

    @property
    def acts(self) -> list[Act]:
        """The decisions to act, an observer's included."""
        return [decision for decision in self.decisions if isinstance(decision, Act)]


def think(mind: Mind, policies: Sequence[Policy], facts: Facts, is_observing: bool, due: frozenset[str]) -> Thought:
    """One pass over `facts`; `due` names the calendar policies whose time has come."""
    attempts = tuple(verify.judge(attempt, facts) for attempt in mind.attempts)
    judged = tuple(new for new, old in zip(attempts, mind.attempts, strict=True) if new is not old)
    rules, verdicts = _look(replace(mind, attempts=attempts), policies, facts, due)
    calendars = {policy.name for policy in policies if policy.at is not None}
    incidents, closed = incident.open_and_close(
        mind.incidents, rules, verdicts, attempts, facts, mind.serial, calendars
    )
    rules = {key: rule for key, rule in rules.items() if rule.phase is not Phase.QUIET}
    cases = _cases(rules, verdicts, incidents, attempts, policies)
    decisions = decide.decide(cases, decide.Situation(facts, facts.monotonic, is_observing, attempts))
    holds = _holds(mind.holds, rules, decisions)
    events = incident.news(incidents.values(), rules, attempts, holds.values())
    for event in events:
        key = (event.incident.policy, event.incident.subject)
        incidents[key] = incident.told(incidents[key], event)
    opened = [one for key, one in incidents.items() if key not in mind.incidents]
    return Thought(
        mind=Mind(rules, incidents, _remembered(attempts, facts), holds, mind.serial + len(opened)),
        verdicts=verdicts,
        decisions=tuple(decisions),
        judged=judged,
        changed=(*closed, *(one for key, one in incidents.items() if mind.incidents.get(key) != one)),
        held=_new_holds(mind.holds, holds, incidents),
        events=(*filter(None, (incident.farewell(one, attempts) for one in closed)), *events),
    )


def intent(act: Act, mind: Mind, facts: Facts, now: float) -> Attempt:
    """The attempt that an act begins at monotonic time `now`, without an id yet; an observer's is final."""
    return Attempt(
        id=0,
        incident=mind.incidents[act.policy.name, act.subject].id,
        policy=act.policy.name,
        subject=act.subject,
        action=act.step.action,
        target=act.target,
        rung=act.rung,
        started=now,
        started_wall=facts.wall,
        deadline_s=act.step.within_s or verify.deadline(act.step.action, act.target, facts),
        before=verify.expect(act.target, facts),
        args=act.step.args,
        status=Status.OBSERVED if act.observe else Status.RUNNING,
        detail=f"would {act.step.action} on {act.target}: {act.why}" if act.observe else "",
    )


def reported(mind: Mind, attempt_id: int, report: Report, now: float) -> tuple[Mind, Attempt | None]:
    """The mind after a repair said how it ended: refused is final, done waits for a later sample."""
    for at, attempt in enumerate(mind.attempts):
        if attempt.id == attempt_id and attempt.status is Status.RUNNING:
            status = Status.REFUSED if report.refused else Status.DONE
            ended = replace(attempt, status=status, finished=now, detail=report.detail, seconds=now - attempt.started)
            return replace(mind, attempts=(*mind.attempts[:at], ended, *mind.attempts[at + 1 :])), ended
    return mind, None


def recalled(
    incidents: Sequence[Incident], attempts: Iterable[Attempt], policies: Sequence[Policy], now: float, serial: int
) -> tuple[Mind, list[Incident]]:
    """(the mind an earlier agent left, incidents whose policy is no more).

    An intent without an outcome counts as done and is judged by facts. Times that the wall clock puts into
    the future, because it was set back, become `now`. `serial` counts the incidents there ever were.
    """
    names = {policy.name for policy in policies}
    found = {(one.policy, one.subject): one for one in incidents if one.policy in names}
    rules = {key: RuleState(Phase.PENDING) for key in found}
    mind = Mind(rules, found, tuple(_recalled(attempt, now) for attempt in attempts), serial=serial)
    return mind, [one for one in incidents if one.policy not in names]


def _recalled(attempt: Attempt, now: float) -> Attempt:
    started, finished = min(attempt.started, now), None if attempt.finished is None else min(attempt.finished, now)
    if attempt.status is not Status.RUNNING:
        return replace(attempt, started=started, finished=finished)
    return replace(attempt, status=Status.DONE, started=started, finished=now, interrupted=True)


def _look(
    mind: Mind, policies: Sequence[Policy], facts: Facts, due: frozenset[str]
) -> tuple[dict[Key, RuleState], dict[Key, Verdict]]:
    """Evaluate and track every policy on every subject it watches, those that vanished included."""
    rules: dict[Key, RuleState] = {}
    verdicts: dict[Key, Verdict] = {}
    for policy in policies:
        subjects = {found.subject for found in facts.of_kind(policy.watch)}
        for subject in sorted(subjects | {s for name, s in mind.rules if name == policy.name}):
            key = (policy.name, subject)
            state = mind.rules.get(key, RuleState())
            verdict = _verdict(policy, subject, state, facts)
            if policy.at is not None and not (state.phase is Phase.QUIET and policy.name in due):
                verdict = replace(verdict, truth=Truth.YES if _is_busy(mind, key) else Truth.NO)
            rules[key], verdicts[key] = track(state, verdict, policy.for_s, facts.monotonic), verdict
    return rules, verdicts


def _verdict(policy: Policy, subject: Subject, state: RuleState, facts: Facts) -> Verdict:
    if subject not in facts.subjects:
        return when_gone(subject, facts)
    return evaluate(policy, facts.subjects[subject], state.phase is Phase.FIRING)


def _is_busy(mind: Mind, key: Key) -> bool:
    """Whether what a calendar policy began is not judged yet, or it still waits for its turn behind another action."""
    mine = mind.incidents.get(key)
    waits = key in mind.holds and mind.holds[key].guard in ("in flight", "one at a time", "max_targets", "stale sample")
    return mine is not None and (waits or any(a.incident == mine.id and a.status.is_open for a in mind.attempts))


def _cases(
    rules: Mapping[Key, RuleState],
    verdicts: Mapping[Key, Verdict],
    incidents: Mapping[Key, Incident],
    attempts: Sequence[Attempt],
    policies: Sequence[Policy],
) -> list[decide.Case]:
    by_name = {policy.name: policy for policy in policies}
    found = []
    for key, rule in rules.items():
        if rule.phase is Phase.FIRING and verdicts[key].truth is Truth.YES:
            mine = incidents.get(key)
            tried = tuple(a for a in attempts if mine and a.incident == mine.id)
            found.append(decide.Case(by_name[key[0]], key[1], verdicts[key], tried))
    return found


def _holds(
    before: Mapping[Key, Hold], rules: Mapping[Key, RuleState], decisions: Sequence[Act | Hold]
) -> dict[Key, Hold]:
    """The holds that stand: those of this pass, and earlier ones of rules that were not decided on now."""
    found = {key: hold for key, hold in before.items() if key in rules}
    for decision in decisions:
        if isinstance(decision, Hold):
            found[decision.policy, decision.subject] = decision
        else:
            found.pop((decision.policy.name, decision.subject), None)
    return found


def _new_holds(
    before: Mapping[Key, Hold], holds: Mapping[Key, Hold], incidents: Mapping[Key, Incident]
) -> tuple[tuple[str, Hold], ...]:
    """(incident id, hold) where the guard changed: a hold is recorded once, not in every pass."""
    return tuple(
        (incidents[key].id, hold)
        for key, hold in holds.items()
        if key in incidents and (key not in before or before[key].guard != hold.guard)
    )


def _remembered(attempts: Sequence[Attempt], facts: Facts) -> tuple[Attempt, ...]:
    return tuple(a for a in attempts if a.status.is_open or facts.wall - a.started_wall < REMEMBERED_S)
