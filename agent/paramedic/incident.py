"""(open incidents, rule states, attempts) -> incidents and what to tell: from first symptom to verified recovery."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from paramedic.model.facts import Facts, Subject, SubjectFacts
from paramedic.model.record import Attempt, Hold, Incident, Phase, RuleState, Status, Truth, Verdict

Key = tuple[str, Subject]
NOT_DONE = "not done"
_SIZES = ("rss", "pss", "uss")
_BY_FIELD: dict[str, tuple[tuple[str, str], ...]] = {
    "host": (
        ("oom_kills", "oom-killed"),
        ("swap.", "swap-thrash"),
        ("pressure.", "memory-pressure"),
        ("memory.", "memory-high"),
    ),
    "uwsgi": tuple((size, "memory-high") for size in _SIZES),
    "uwsgi.worker": tuple((size, "worker-memory") for size in _SIZES),
}


@dataclass(frozen=True, slots=True)
class Event:
    """Something a person off the host is told: opened, refused, healed, gave up or cleared."""

    name: str
    incident: Incident
    sentence: str


@dataclass(frozen=True, slots=True)
class Course:
    """What a pass knows when it opens and closes incidents. `serial` makes ids of one second differ.

    `calendars` names policies with `at`: theirs end with what was done, whether or not the condition is gone.
    `spent` are the keys whose ladder ended without help long enough ago for a new round.
    """

    rules: Mapping[Key, RuleState]
    verdicts: Mapping[Key, Verdict]
    attempts: Mapping[str, Sequence[Attempt]]
    facts: Facts
    serial: int
    calendars: Container[str] = ()
    spent: Container[Key] = ()


def open_and_close(incidents: Mapping[Key, Incident], course: Course) -> tuple[dict[Key, Incident], list[Incident]]:
    """(open incidents, those that closed in this pass).

    An incident stays open until everything done about it is judged, even if its symptom is gone before. One whose
    ladder ended without help gives way to the incident of the next round: what did not help is not repeated within one.
    """
    found, closed, wall = dict(incidents), [], course.facts.wall
    rounds: dict[Key, int] = {}
    for key, incident in incidents.items():
        rule = course.rules.get(key, RuleState())
        mine = course.attempts.get(incident.id, ())
        if any(attempt.status.is_open for attempt in mine):
            continue
        if rule.phase is Phase.QUIET:
            closed.append(replace(found.pop(key), closed=wall, result=_result(mine, key[0] in course.calendars)))
        elif key in course.spent:
            closed.append(replace(found.pop(key), closed=wall, result="gave up"))
            rounds[key] = incident.round + 1
    serial = course.serial
    for key, rule in course.rules.items():
        if rule.phase is Phase.QUIET or key in found:
            continue
        if _is_own_symptom(key[1], course.verdicts[key], course.facts):
            stamp = datetime.fromtimestamp(wall, UTC).strftime("%Y%m%dT%H%M%S")
            found[key] = _opened(f"{stamp}-{serial}", key, course.verdicts[key], course.facts, rounds.get(key, 1))
            serial += 1
    return found, closed


def _is_own_symptom(subject: Subject, verdict: Verdict, facts: Facts) -> bool:
    """It is seen now, and it has no cause: a symptom with one belongs to the cause's incident."""
    seen = facts.subjects.get(subject)
    return seen is not None and seen.cause is None and verdict.truth is Truth.YES


def news(
    incidents: Iterable[Incident],
    rules: Mapping[Key, RuleState],
    attempts: Mapping[str, Sequence[Attempt]],
    holds: Mapping[Key, Hold],
    calendars: Container[str] = (),
) -> list[Event]:
    """What is to be told of open incidents and was not told yet; nothing of those that are a person's.

    A calendar policy whose action was met did what it was for, though its condition may hold on: it gives up nothing.
    """
    found: list[Event] = []
    for incident in incidents:
        key = (incident.policy, incident.subject)
        rule, hold = rules.get(key), holds.get(key)
        guard = hold.guard if hold else ""
        if rule is None or rule.phase is not Phase.FIRING or guard in ("paused", "acknowledged"):
            continue
        mine = attempts.get(incident.id, ())
        last = mine[-1] if mine else None
        found += _untold(incident, "opened", incident.evidence)
        if last and last.status is Status.REFUSED:
            found += _untold(incident, "refused", f"{last.action} was refused: {last.detail}")
        is_done = incident.policy in calendars and bool(_met(mine))
        if hold and guard in ("gave up", "limit") and not is_done:
            found += _untold(incident, "gave up", hold.reason)
    return found


def farewell(incident: Incident, attempts: Sequence[Attempt]) -> Event | None:
    """What is told of an incident that closed, if its opening was told and its end was not."""
    if "opened" not in incident.told or incident.result in incident.told:
        return None
    met = _met(attempts)
    if incident.result == NOT_DONE:
        return Event(NOT_DONE, incident, "its time is over, and something held it: see history")
    if incident.result in ("refused", "gave up"):
        last = attempts[-1]
        return Event(incident.result, incident, f"{last.action} was {last.status}: {last.detail}")
    sentence = f"{met[-1].action}: {met[-1].detail}" if met else "the condition is gone"
    return Event("healed" if incident.result == "healed" else "cleared", incident, sentence)


def _met(attempts: Sequence[Attempt]) -> list[Attempt]:
    return [attempt for attempt in attempts if attempt.status is Status.MET and attempt.action != "notify"]


def told(incident: Incident, event: Event) -> Incident:
    """The incident after the event was handed over; its result follows what was told last."""
    result = event.name if event.name in ("refused", "gave up") else incident.result
    return replace(incident, told=(*incident.told, event.name), result=result)


def _untold(incident: Incident, name: str, sentence: str) -> list[Event]:
    return [] if name in incident.told else [Event(name, incident, sentence)]


def _opened(name: str, key: Key, verdict: Verdict, facts: Facts, number: int) -> Incident:
    policy, subject = key
    diagnosis = diagnosis_of(policy, facts.subjects.get(subject), verdict)
    return Incident(name, subject, diagnosis, policy, verdict.evidence, facts.wall, round=number)


def diagnosis_of(policy: str, subject: SubjectFacts | None, verdict: Verdict) -> str:
    """The name of what a policy found: the subject's own diagnosis, a word for memory, else the policy's name.

    Where several fields made the condition true, the one that says most gives the name.
    """
    if subject is None:
        return policy
    if subject.findings:
        return subject.findings[0].diagnosis
    for prefix, name in _BY_FIELD.get(subject.subject.kind, ()):
        if any(path.startswith(prefix) for path in verdict.blamed):
            return name
    return policy


def _result(mine: Sequence[Attempt], is_calendar: bool) -> str:
    real = [attempt for attempt in mine if attempt.action != "notify"]
    statuses = {attempt.status for attempt in real}
    if Status.MET in statuses:
        return "healed"
    if statuses == {Status.OBSERVED}:
        return "observed"
    if is_calendar and not mine:
        return NOT_DONE
    if is_calendar and real:
        return "refused" if real[-1].status is Status.REFUSED else "gave up"
    return "cleared"
