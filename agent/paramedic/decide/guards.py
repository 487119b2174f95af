"""The guards, each a function (case, act, situation) -> hold or None, in the order a person would ask them."""

from __future__ import annotations

from collections.abc import Callable

from paramedic.decide.breaker import breaker
from paramedic.decide.case import Case, Situation
from paramedic.decide.ladder import looks_back_s
from paramedic.decide.worth import OF_HOST, growth_of
from paramedic.model.actions import ACTIONS, NOTIFY, is_disruptive
from paramedic.model.facts import Facts, Subject, SubjectFacts, Unknown
from paramedic.model.record import Act, Hold, Status
from paramedic.model.units import render_bytes, render_seconds
from paramedic.model.vocabulary import OK

RECLAIMS = ("recycle_worker", "chain_reload", "reload_uwsgi")
WORTHWHILE_SHARE = 0.1
COUNTED = (Status.RUNNING, Status.DONE, Status.MET, Status.MISSED)
HOST = Subject("host", "host")
Guard = Callable[[Case, Act, Situation], Hold | None]


def paused(case: Case, situation: Situation) -> Hold | None:
    """A person took over the host: nothing is done, and nobody is told of it."""
    pause = situation.orders.pause
    if pause is None:
        return None
    left = render_seconds(max(0.0, pause.until - situation.facts.wall))
    return case.hold("paused", f"paused: {pause.why}", f"over in {left}, or paramedic resume")


def acknowledged(case: Case, situation: Situation) -> Hold | None:
    """A person took over this incident."""
    why = situation.orders.acknowledged.get(case.incident.id) if case.incident else None
    if why is None or case.incident is None:
        return None
    way_out = f"the condition clears, or paramedic resume {case.incident.id}"
    return case.hold("acknowledged", f"a person took it over: {why}", way_out)


def unknown(case: Case, act: Act, situation: Situation) -> Hold | None:
    """A target that cannot be read is not acted on, whatever another subject's numbers say."""
    target = situation.facts.subjects.get(act.target)
    diagnosis = target.fields.get("diagnosis") if target else OK
    if act.step.action == NOTIFY:
        return None
    if isinstance(diagnosis, Unknown):
        reason = f"the state of {act.target} is unknown: {diagnosis.reason}"
        return case.hold("unknown", reason, "it is readable")
    if diagnosis == "uwsgi-unreachable":
        return case.hold("unknown", f"{act.target} does not answer", "its stats socket answers")
    return None


def between(case: Case, act: Act, situation: Situation) -> Hold | None:
    """Between `clear` and `when` a ladder that began goes on, and none begins."""
    begun = any(attempt.status in (*COUNTED, Status.OBSERVED) for attempt in case.tried)
    if case.verdict.is_acute or begun:
        return None
    return case.hold("between", "it is not clear yet, but the condition no longer holds", "it holds again, or clears")


def cause_present(case: Case, act: Act, situation: Situation) -> Hold | None:
    """A symptom waits for its cause, however many steps away that is."""
    root = root_cause(case.subject, situation.facts)
    if root is None:
        return None
    return case.hold("cause present", f"{root} explains it", f"{root} is healed first")


def root_cause(subject: Subject, facts: Facts) -> Subject | None:
    """The last link of the chain of causes, None where the subject stands for itself."""
    seen, at = {subject}, subject
    while (found := facts.subjects.get(at)) is not None and found.cause is not None and found.cause not in seen:
        at = found.cause
        seen.add(at)
    return None if at == subject else at


def unless(case: Case, act: Act, situation: Situation) -> Hold | None:
    """Another policy fires here: on the subject, on what it belongs to, on what belongs to it, or on the host."""
    for name in case.policy.unless:
        for subject in situation.firing.get(name, ()):
            if _is_here(subject, case.subject, situation):
                return case.hold("unless", f"{name} fires on {subject}", f"{name} is quiet there")
        for other, subject in situation.untold:
            if other == name and _is_here(subject, case.subject, situation):
                reason = f"whether {name} fires on {subject} cannot be told"
                return case.hold("unless", reason, "it can be read again")
    return None


def _is_here(other: Subject, subject: Subject, situation: Situation) -> bool:
    lines = (_line(other, situation.facts), _line(subject, situation.facts))
    return other in lines[1] or subject in lines[0]


def _line(subject: Subject, facts: Facts) -> list[Subject]:
    """The subject and what it belongs to, up to the host."""
    found = facts.subjects.get(subject)
    return [subject, *([found.parent] if found and found.parent else []), HOST]


def only(case: Case, act: Act, situation: Situation) -> Hold | None:
    """It is not within the policy's hours."""
    hours = case.policy.only
    local = situation.local(case.policy.zone)
    if not hours or any(window.contains(local) for window in hours):
        return None
    wanted = ", ".join(window.text for window in hours)
    return case.hold("only", f"it is {local:%a %H:%M}, and it acts only {wanted}".lower(), "its hours begin")


def stale_sample(case: Case, act: Act, situation: Situation) -> Hold | None:
    """What was read before the last action ended says nothing about now."""
    if act.step.action == NOTIFY:
        return None
    done = (a.started if a.finished is None else a.finished for a in situation.attempts_on(act.target))
    latest = max(done, default=None)
    if latest is None:
        return None
    if situation.facts.monotonic <= latest:
        return case.hold("stale sample", "the sample is older than the last action", "the next sample")
    begun = any(attempt.status in COUNTED for attempt in case.tried)
    fresh = latest + (0.0 if begun else looks_back_s(case.policy))
    if situation.facts.monotonic >= fresh:
        return None
    left = render_seconds(fresh - situation.facts.monotonic)
    return case.hold(
        "stale sample", "its window still looks at the time before the last action", f"over in {left}", fresh
    )


def in_flight(case: Case, act: Act, situation: Situation) -> Hold | None:
    """One action on a target at a time. Notices never wait; what heals at once waits for what is being done, but
    not for its judgement, which may wait in turn for what it heals.
    """
    if act.step.action == NOTIFY:
        return None
    for attempt in situation.open_attempts:
        is_done = attempt.status is Status.DONE and not ACTIONS[act.step.action].queues
        if attempt.target == act.target and attempt.action != NOTIFY and not is_done:
            return case.hold("in flight", f"{attempt.action} on {attempt.target} is not judged yet", "its outcome")
    others = [o for o in situation.chosen if o.target == act.target and not o.observe and o.step.action != NOTIFY]
    if others:
        return case.hold("in flight", f"{act.target} is acted on in this pass", "its outcome")
    return None


def one_at_a_time(case: Case, act: Act, situation: Situation) -> Hold | None:
    """One memory action on a host at a time, and daemons are repaired before memory."""
    if not ACTIONS[act.step.action].reclaims_memory:
        return None
    begun = [(attempt.action, attempt.target) for attempt in situation.open_attempts]
    begun += [(other.step.action, other.target) for other in situation.chosen if not other.observe]
    for action, target in begun:
        kind = ACTIONS[action]
        if kind.reclaims_memory or (kind.repairs_daemon and kind.is_disruptive):
            return case.hold("one at a time", f"{action} on {target} runs", "its outcome")
    return None


def cooling(case: Case, act: Act, situation: Situation) -> Hold | None:
    """A ladder begins only `cooldown` after the last disruptive action on the target, or a later restart of it.

    Climbing on to the next rung does not wait: that one follows because the one before did not help.
    """
    if not act.step.is_disruptive:
        return None
    counted = (*COUNTED, Status.OBSERVED) if act.observe else COUNTED
    mine = [a.id for a in case.tried if a.status in counted and is_disruptive(a.action, a.args)]
    done = [
        a.started if a.finished is None else a.finished
        for a in situation.attempts_on(act.target, act.observe)
        if a.status in counted and is_disruptive(a.action, a.args) and a.id not in mine
    ]
    restarted = None if mine else situation.restarts.get(act.target)
    since = max([*done, *([restarted] if restarted is not None else [])], default=None)
    over = situation.now if since is None else since + case.policy.cooldown_s
    if over <= situation.now:
        return None
    what = "restarted" if since == restarted and since not in done else "was acted on"
    way_out = f"over in {render_seconds(over - situation.now)}"
    return case.hold("cooling", f"{act.target} {what} a moment ago", way_out, over)


def limit(case: Case, act: Act, situation: Situation) -> Hold | None:
    """The breaker is open."""
    allowed = case.policy.limit
    tells_only = all(step.action == NOTIFY for step in case.policy.do)
    if not allowed.count or (act.step.action == NOTIFY and not tells_only):
        return None
    on_target = situation.attempts_on(act.target, act.observe)
    mine = [a for a in on_target if a.policy == case.policy.name and (tells_only or a.action != NOTIFY)]
    found = breaker(allowed, mine)
    if not found.trips or situation.now >= found.until:
        return None
    reason = f"{allowed.count} attempts in {render_seconds(allowed.per_s)} did not last"
    again = f"; {found.trips - 1} trials since did not either" if found.trips > 1 else ""
    way_out = f"one trial in {render_seconds(found.until - situation.now)}"
    return case.hold("limit", f"{reason}{again}", way_out, found.until)


def too_many(case: Case, act: Act, situation: Situation) -> Hold | None:
    """Over max_targets: the worst first and the others queued, or all refused where the policy says so."""
    policy = case.policy
    targets = {a.target for a in situation.open_attempts if a.policy == policy.name}
    if policy.over == "refuse":
        wanted = targets | situation.wanted.get(policy.name, set())
        if len(wanted) > policy.max_targets:
            reason = f"{len(wanted)} fire, more than {policy.max_targets}: that is no trouble of single ones"
            return case.hold("too many", reason, f"at most {policy.max_targets} fire")
    targets |= {other.target for other in situation.chosen if other.policy.name == policy.name}
    if act.target in targets or len(targets) < policy.max_targets or not ACTIONS[act.step.action].queues:
        return None
    return case.hold("max_targets", f"{len(targets)} of {policy.max_targets} are acted on", "their outcome")


def cannot_help(case: Case, act: Act, situation: Situation) -> Hold | None:
    """A reload gives back what its workers grew by; where that is next to nothing somebody else has it."""
    if act.step.action not in RECLAIMS or act.step.args.get("stuck"):
        return None
    instance = situation.facts.subjects.get(case.subject if case.subject.kind == "uwsgi.worker" else act.target)
    host = situation.facts.subjects.get(HOST)
    if instance is None or host is None:
        return None
    growth, is_host = growth_of(instance), case.subject.kind == "host"
    rss, total = instance.fields.get("rss"), host.fields.get("memory.total")
    if growth is not None:
        is_little = is_host and isinstance(total, int | float) and growth < OF_HOST * total
        if growth and not is_little:
            return None
        uss, baseline = (render_bytes(float(str(instance.fields[name]))) for name in ("uss", "baseline_uss"))
        because = f"{instance.subject} holds {uss} and held {baseline} after its start"
        because += ", which is little of the host's memory" if growth else ""
        return _held_by_others(case, because, host, "find who holds the memory")
    if not is_host or not isinstance(rss, int | float) or not isinstance(total, int | float):
        return None
    if rss >= WORTHWHILE_SHARE * total:
        return None
    return _held_by_others(case, "its workers hold less than a tenth of the memory", host, "find who holds it")


def _held_by_others(case: Case, because: str, host: SubjectFacts, way_out: str) -> Hold:
    """The way out is with who holds the memory, named where that is known."""
    if not host.holders:
        return case.hold("cannot help", because, way_out)
    named = ", ".join(str(holding) for holding in host.holders)
    return case.hold("cannot help", f"{because}; {named}", "they give it back")


PERSONS: tuple[Callable[[Case, Situation], Hold | None], ...] = (paused, acknowledged)
GUARDS: tuple[Guard, ...] = (
    unknown,
    between,
    cause_present,
    unless,
    only,
    stale_sample,
    in_flight,
    one_at_a_time,
    cooling,
    limit,
    too_many,
    cannot_help,
)
