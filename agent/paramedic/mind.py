"""What one pass hands to the next, and how it survives restarts of the agent and changes of its policies. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from paramedic import verify
from paramedic.evaluate import Judge, judge_of
from paramedic.incident import Key
from paramedic.model.actions import ACTIONS
from paramedic.model.facts import Facts, Subject
from paramedic.model.policy import Condition, Policy, Window, windows
from paramedic.model.readings import Identity
from paramedic.model.record import Act, Attempt, Hold, Incident, Phase, Report, RuleState, Slot, Status

REMEMBERED_S = 2 * 86400.0
BREAKER_REMEMBERED_S = 21 * 86400.0
RESTARTS_KEPT_S = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class Mind:
    """Everything a pass concludes that later ones need. `attempts` are the remembered ones, oldest first.

    `processes` is who stood behind each subject when it was last seen, `restarts` when (monotonic) a later one was seen
    to have started, `trips` the breakers (by their end) that were told of, `slots` where calendar policies stand.
    """

    rules: Mapping[Key, RuleState] = field(default_factory=dict)
    incidents: Mapping[Key, Incident] = field(default_factory=dict)
    attempts: tuple[Attempt, ...] = ()
    holds: Mapping[Key, Hold] = field(default_factory=dict)
    serial: int = 0
    processes: Mapping[Subject, Identity] = field(default_factory=dict)
    restarts: Mapping[Subject, float] = field(default_factory=dict)
    trips: Mapping[Key, float] = field(default_factory=dict)
    slots: Mapping[str, Slot] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Book:
    """The policies in force, compiled once, also by what they watch; `waited_for` are named in some `unless`.

    `asked` are those that may be true, by the diagnoses that there are: in nearly every pass the same.
    """

    judges: tuple[Judge, ...]
    by_name: Mapping[str, Policy]
    needed: Mapping[str, tuple[Window, ...]]
    waited_for: frozenset[str] = frozenset()
    by_kind: Mapping[str, tuple[Judge, ...]] = field(default_factory=dict)
    asked: dict[frozenset[tuple[str, str | None]], frozenset[str]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def policies(self) -> tuple[Policy, ...]:
        """The policies in their order."""
        return tuple(judge.policy for judge in self.judges)


def book_of(policies: Sequence[Policy]) -> Book:
    """The policies compiled, and the windows they look through by kind of subject."""
    needed: dict[str, tuple[Window, ...]] = {}
    for policy in policies:
        asked: list[Condition] = [c for c in (policy.where, policy.when, policy.clear) if c is not None]
        found = tuple(window for condition in asked for window in windows(condition))
        needed[policy.watch] = tuple(dict.fromkeys((*needed.get(policy.watch, ()), *found)))
    waited_for = frozenset(name for policy in policies for name in policy.unless)
    judges = tuple(judge_of(policy) for policy in policies)
    by_kind = {kind: tuple(one for one in judges if one.policy.watch == kind) for kind in needed}
    return Book(judges, {policy.name: policy for policy in policies}, needed, waited_for, by_kind)


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
        deadline_s=act.step.within_s or verify.deadline(act.step, act.target, facts),
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
            seconds, before = now - attempt.started, {**attempt.before, **report.measured}
            ended = replace(attempt, status=status, finished=now, detail=report.detail, seconds=seconds, before=before)
            return replace(mind, attempts=(*mind.attempts[:at], ended, *mind.attempts[at + 1 :])), ended
    return mind, None


def recalled(
    incidents: Sequence[Incident],
    attempts: Iterable[Attempt],
    slots: Mapping[str, Slot],
    policies: Sequence[Policy],
    now: float,
    serial: int,
) -> tuple[Mind, list[Incident]]:
    """(the mind an earlier agent left, incidents whose policy is no more).

    An intent without an outcome counts as done and is judged by facts; actions that this version does not have are
    left out. Times that the wall clock puts into
    the future, because it was set back, become `now`. `serial` counts the incidents there ever were.
    """
    left = tuple(_recalled(attempt, now) for attempt in attempts if attempt.action in ACTIONS)
    began = {attempt.incident for attempt in left}
    rules = {
        (one.policy, one.subject): RuleState(Phase.FIRING if one.told or one.id in began else Phase.PENDING)
        for one in incidents
    }
    mind = Mind(rules, {(one.policy, one.subject): one for one in incidents}, left, serial=serial)
    mind = replace(mind, slots={name: replace(slot, is_recalled=True) for name, slot in slots.items()})
    return adopted(mind, (), policies, now)


def adopted(mind: Mind, before: Sequence[Policy], after: Sequence[Policy], now: float) -> tuple[Mind, list[Incident]]:
    """(the mind under other policies, incidents whose policy is no more).

    Policies that did not change keep their states; of those that did, the open incidents stay, and their ladders
    begin anew at monotonic `now`.
    """
    old, new = {p.name: p for p in before}, {p.name: p for p in after}
    changed = {name for name, policy in new.items() if name in old and old[name] != policy}
    kept = {k: i for k, i in mind.incidents.items() if k[0] in new and new[k[0]].watch == k[1].kind}
    rules = {
        k: s for k, s in mind.rules.items() if k[0] in new and k[0] not in changed and k[1].kind == new[k[0]].watch
    }
    rules |= {key: RuleState(Phase.PENDING, since=now) for key in kept if key[0] in changed}
    holds = {key: hold for key, hold in mind.holds.items() if key in rules and key[0] not in changed}
    slots = {name: slot for name, slot in mind.slots.items() if name in new}
    removed = [incident for key, incident in mind.incidents.items() if key not in kept]
    return replace(mind, rules=rules, incidents=kept, holds=holds, slots=slots), removed


def remembered(
    attempts: Sequence[Attempt], facts: Facts, book: Book, open_incidents: Container[str]
) -> tuple[Attempt, ...]:
    """Those that cooldowns, limits and open incidents may still ask about.

    A breaker is read off its attempts, with trials up to a day or a period apart: those of limited policies are few,
    and kept for three weeks.
    """
    if not attempts:
        return ()
    shortest = max(REMEMBERED_S, max((policy.cooldown_s for policy in book.by_name.values()), default=0.0))
    limited = {name for name, policy in book.by_name.items() if policy.limit.count}

    def is_needed(attempt: Attempt) -> bool:
        age = facts.monotonic - attempt.started
        is_fresh = age < (BREAKER_REMEMBERED_S if attempt.policy in limited else shortest)
        return is_fresh or attempt.status.is_open or attempt.incident in open_incidents

    return tuple(attempt for attempt in attempts if is_needed(attempt))


def processes_of(mind: Mind, facts: Facts) -> tuple[Mapping[Subject, Identity], dict[Subject, float]]:
    """Who stands behind each subject, and when a later process than before was seen to have started."""
    restarts = {s: at for s, at in mind.restarts.items() if facts.monotonic - at < RESTARTS_KEPT_S}
    before, processes = mind.processes, dict[Subject, Identity]()
    for subject, found in facts.subjects.items():
        identity = found.identity
        if identity is None or subject.kind == "orphan" or before.get(subject) == identity:
            continue
        processes[subject] = identity
        if subject in before:
            age = found.fields.get("age", found.fields.get("uptime"))
            restarts[subject] = facts.monotonic - (age if isinstance(age, int | float) else 0.0)
    return {**before, **processes} if processes else before, restarts


def _recalled(attempt: Attempt, now: float) -> Attempt:
    started, finished = min(attempt.started, now), None if attempt.finished is None else min(attempt.finished, now)
    if attempt.status is not Status.RUNNING:
        return replace(attempt, started=started, finished=finished)
    return replace(attempt, status=Status.DONE, started=started, finished=now, interrupted=True)
