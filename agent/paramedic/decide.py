"""(firing policies, situation) -> acts and holds. Every refusal to act is a Hold: guard, reason, way out.

The guards stand in one tuple, in the order a person would ask them. Nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from paramedic.model.facts import Facts, Subject, SubjectFacts, Unknown
from paramedic.model.policy import Policy
from paramedic.model.record import Act, Attempt, Hold, Status, Verdict
from paramedic.model.units import render_bytes, render_seconds
from paramedic.model.vocabulary import ACTIONS, OK

REFUSED_AGAIN_S = 10.0
EXHAUSTED_AGAIN_S = 60.0
LONGEST_BACKOFF_S = 3600.0
SETTLE_S = 10.0
WORTHWHILE_SHARE = 0.1
WORTHWHILE_GROWTH = 1.2


@dataclass(frozen=True, slots=True)
class Case:
    """One policy firing on one subject; `tried` are its attempts within the open incident, oldest first."""

    policy: Policy
    subject: Subject
    verdict: Verdict
    tried: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a guard may look at. `attempts` are those of every policy, oldest first, open ones included."""

    facts: Facts
    now: float
    is_observing: bool
    attempts: Sequence[Attempt]
    chosen: list[Act] = field(default_factory=list)


def decide(cases: Sequence[Case], situation: Situation) -> list[Act | Hold]:
    """What to do about each case, the worst subject of each policy first, memory after everything else."""
    decisions: list[Act | Hold] = []
    for case in sorted(cases, key=_urgency):
        decision = _decide(case, situation)
        decisions.append(decision)
        if isinstance(decision, Act):
            situation.chosen.append(decision)
    return decisions


def _urgency(case: Case) -> tuple[bool, float, Subject]:
    reclaims = any(ACTIONS[rung.action].reclaims_memory for rung in case.policy.do)
    return reclaims, -case.verdict.weight, case.subject


def _decide(case: Case, situation: Situation) -> Act | Hold:
    rung = _rung(case, situation)
    if isinstance(rung, Hold):
        return rung
    step = case.policy.do[rung]
    target = _target(case, step.action, step.args.get("uwsgi"), situation.facts)
    if isinstance(target, Hold):
        return target
    observe = situation.is_observing or case.policy.mode == "observe"
    act = Act(case.policy, case.subject, target, rung, step, case.verdict.evidence, observe)
    for guard in GUARDS:
        hold = guard(case, act, situation)
        if hold is not None:
            return hold
    return act


def _hold(case: Case, guard: str, reason: str, way_out: str) -> Hold:
    return Hold(case.policy.name, case.subject, guard, reason, way_out)


def _backoff(first_s: float, times: int) -> float:
    return float(min(first_s * 2 ** max(0, times - 1), LONGEST_BACKOFF_S))


def _rung(case: Case, situation: Situation) -> int | Hold:
    """The rung to take: the next one only after the one before missed, or was met without helping."""
    is_observing = situation.is_observing or case.policy.mode == "observe"
    tried = [attempt for attempt in case.tried if is_observing or attempt.status is not Status.OBSERVED]
    if not tried:
        return 0
    last = tried[-1]
    passed = situation.now - (last.finished or last.started)
    if last.status.is_open:
        return _hold(case, "in flight", f"{last.action} on {last.target} is not judged yet", "its outcome")
    if last.status is Status.OBSERVED:
        return _hold(case, "observing", f"{last.action} would have been done", "mode: act")
    if last.status is Status.INTERRUPTED:
        return last.rung
    if last.status is Status.REFUSED:
        again = max(case.policy.cooldown_s, _backoff(REFUSED_AGAIN_S, _trailing(case, Status.REFUSED)))
        if passed < again:
            return _hold(case, "refused", last.detail, f"tried again in {render_seconds(again - passed)}")
        return last.rung
    if last.status is Status.MET and passed < SETTLE_S and ACTIONS[last.action].is_disruptive:
        return _hold(case, "settling", f"{last.action} was met", f"judged in {render_seconds(SETTLE_S - passed)}")
    return last.rung + 1 if last.rung + 1 < len(case.policy.do) else _exhausted(case, last, passed)


def _trailing(case: Case, status: Status) -> int:
    count = 0
    for attempt in reversed(case.tried):
        if attempt.status is not status:
            break
        count += 1
    return count


def _exhausted(case: Case, last: Attempt, passed: float) -> int | Hold:
    if last.action == "notify" and last.status is Status.MET:
        return _hold(case, "told", "a person was told, and nothing else is to be done", "the condition clears")
    rounds = sum(attempt.rung == last.rung and not attempt.status.is_open for attempt in case.tried)
    again = max(case.policy.cooldown_s, _backoff(EXHAUSTED_AGAIN_S, rounds))
    if passed < again:
        reason = f"{last.action} {last.status}: {last.detail}" if last.detail else f"{last.action} {last.status}"
        return _hold(case, "gave up", f"no rung is left: {reason}", f"tried again in {render_seconds(again - passed)}")
    return 0


def _target(case: Case, action: str, named: object, facts: Facts) -> Subject | Hold:
    subject = facts.subjects.get(case.subject)
    if action != "chain_reload" or subject is None or case.subject.kind == "uwsgi":
        return case.subject
    if subject.parent is not None and subject.parent.kind == "uwsgi":
        return subject.parent
    instances = [s for s in facts.of_kind("uwsgi") if named in (None, s.subject.name)]
    if not instances:
        return _hold(case, "no target", f"no uWSGI instance {named or ''} is configured", "stack.uwsgi")
    return max(instances, key=_size).subject


def _size(facts: SubjectFacts) -> float:
    rss = facts.fields.get("rss")
    return float(rss) if isinstance(rss, int | float) else -1.0


def _explained(case: Case, act: Act, situation: Situation) -> Hold | None:
    subject = situation.facts.subjects.get(case.subject)
    if subject is None or subject.cause is None:
        return None
    return _hold(case, "cause present", f"{subject.cause} explains it", f"{subject.cause} is healed first")


def _stale(case: Case, act: Act, situation: Situation) -> Hold | None:
    real = [a for a in situation.attempts if a.target == act.target and a.status is not Status.OBSERVED]
    latest = max((a.finished or a.started for a in real), default=None)
    if latest is None or situation.facts.monotonic > latest:
        return None
    return _hold(case, "stale sample", "the sample is older than the last action", "the next sample")


def _in_flight(case: Case, act: Act, situation: Situation) -> Hold | None:
    for attempt in situation.attempts:
        if attempt.status.is_open and attempt.target == act.target and attempt.action != "notify":
            return _hold(case, "in flight", f"{attempt.action} on {attempt.target} is not judged yet", "its outcome")
    if any(other.target == act.target and not other.observe for other in situation.chosen):
        return _hold(case, "in flight", f"{act.target} is acted on in this pass", "its outcome")
    return None


def _one_memory_action(case: Case, act: Act, situation: Situation) -> Hold | None:
    if not ACTIONS[act.step.action].reclaims_memory:
        return None
    running = [a for a in situation.attempts if a.status.is_open]
    blocking = [a for a in running if ACTIONS[a.action].reclaims_memory or a.action == "restart_supervisord"]
    if blocking:
        return _hold(case, "one at a time", f"{blocking[0].action} on {blocking[0].target} runs", "its outcome")
    if any(ACTIONS[other.step.action].reclaims_memory for other in situation.chosen):
        return _hold(case, "one at a time", "another memory action was just decided", "its outcome")
    return None


def _cooling(case: Case, act: Act, situation: Situation) -> Hold | None:
    if not ACTIONS[act.step.action].is_disruptive or act.rung > 0:
        return None
    done = [
        a.finished or a.started
        for a in situation.attempts
        if a.target == act.target and a.status in (Status.MET, Status.MISSED) and ACTIONS[a.action].is_disruptive
    ]
    left = max(done, default=situation.now - case.policy.cooldown_s) + case.policy.cooldown_s - situation.now
    if left <= 0:
        return None
    return _hold(case, "cooling", f"{act.target} was acted on a moment ago", f"over in {render_seconds(left)}")


def _limited(case: Case, act: Act, situation: Situation) -> Hold | None:
    limit = case.policy.limit
    recent = [
        a
        for a in situation.attempts
        if a.policy == case.policy.name
        and a.target == act.target
        and a.status not in (Status.REFUSED, Status.OBSERVED, Status.INTERRUPTED)
        and situation.now - a.started < limit.per_s
    ]
    if not limit.count or len(recent) < limit.count:
        return None
    left = limit.per_s - (situation.now - recent[0].started)
    reason = f"{len(recent)} attempts in {render_seconds(limit.per_s)} did not last"
    return _hold(case, "limit", reason, f"open again in {render_seconds(left)}")


def _too_many(case: Case, act: Act, situation: Situation) -> Hold | None:
    targets = {a.target for a in situation.attempts if a.status.is_open and a.policy == case.policy.name}
    targets |= {other.target for other in situation.chosen if other.policy.name == case.policy.name}
    if act.target in targets or len(targets) < case.policy.max_targets:
        return None
    return _hold(case, "max_targets", f"{len(targets)} of {case.policy.max_targets} are acted on", "their outcome")


def _cannot_help(case: Case, act: Act, situation: Situation) -> Hold | None:
    """A reload gives back what its workers grew by; where that is next to nothing somebody else has it."""
    if act.step.action != "chain_reload":
        return None
    instance = situation.facts.subjects.get(case.subject if case.subject.kind == "uwsgi.worker" else act.target)
    host = situation.facts.subjects.get(Subject("host", "host"))
    if instance is None or host is None:
        return None
    uss, baseline = instance.fields.get("uss"), instance.fields.get("baseline_uss")
    rss, total = instance.fields.get("rss"), host.fields.get("memory.total")
    if isinstance(uss, int) and isinstance(baseline, int):
        if uss >= WORTHWHILE_GROWTH * baseline:
            return None
        because = f"{instance.subject} holds {render_bytes(uss)} and held {render_bytes(baseline)} after its start"
        return _hold(case, "cannot help", because, "find who holds the memory")
    if case.subject.kind != "host" or isinstance(rss, Unknown) or isinstance(total, Unknown):
        return None
    if isinstance(rss, int) and isinstance(total, int) and rss >= WORTHWHILE_SHARE * total:
        return None
    return _hold(case, "cannot help", "its workers hold less than a tenth of the memory", "find who holds it")


def _broken(case: Case, act: Act, situation: Situation) -> Hold | None:
    """A subject that cannot be read is not acted on, whatever another subject's numbers say."""
    target = situation.facts.subjects.get(act.target)
    diagnosis = target.fields.get("diagnosis") if target else OK
    if not ACTIONS[act.step.action].is_disruptive:
        return None
    if isinstance(diagnosis, Unknown):
        return _hold(case, "unknown", f"the state of {act.target} is unknown: {diagnosis.reason}", "it is readable")
    if diagnosis == "uwsgi-unreachable":
        return _hold(case, "unknown", f"{act.target} does not answer", "its stats socket answers")
    return None


Guard = Callable[[Case, Act, Situation], Hold | None]
GUARDS: tuple[Guard, ...] = (
    _broken,
    _explained,
    _stale,
    _in_flight,
    _one_memory_action,
    _cooling,
    _limited,
    _too_many,
    _cannot_help,
)
