"""(open incidents, rule states, attempts) -> incidents and what to tell: from first symptom to verified recovery."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from paramedic.model.facts import Facts, Subject
from paramedic.model.record import Attempt, Hold, Incident, Phase, RuleState, Status, Truth, Verdict

Key = tuple[str, Subject]
_BY_KIND = {"host": "memory-high", "uwsgi": "memory-high", "uwsgi.worker": "worker-memory"}


@dataclass(frozen=True, slots=True)
class Event:
    """Something a person off the host is told: opened, refused, healed, gave up or cleared."""

    name: str
    incident: Incident
    sentence: str


def open_and_close(
    incidents: Mapping[Key, Incident],
    rules: Mapping[Key, RuleState],
    verdicts: Mapping[Key, Verdict],
    attempts: Iterable[Attempt],
    facts: Facts,
    serial: int,
) -> tuple[dict[Key, Incident], list[Incident]]:
    """(open incidents, those that closed in this pass). `serial` makes ids of one second differ.

    An incident stays open until everything done about it is judged, even if its symptom is gone before.
    """
    found, closed = dict(incidents), []
    tried = list(attempts)
    for key, incident in incidents.items():
        rule = rules.get(key, RuleState())
        mine = [attempt for attempt in tried if attempt.incident == incident.id]
        if rule.phase is Phase.QUIET and not any(attempt.status.is_open for attempt in mine):
            closed.append(replace(found.pop(key), closed=facts.wall, result=_result(mine)))
    for key, rule in rules.items():
        if rule.phase is not Phase.QUIET and key not in found and _is_own_symptom(key[1], verdicts[key], facts):
            stamp = datetime.fromtimestamp(facts.wall, UTC).strftime("%Y%m%dT%H%M%S")
            found[key] = _opened(f"{stamp}-{serial}", key, verdicts[key], facts)
            serial += 1
    return found, closed


def _is_own_symptom(subject: Subject, verdict: Verdict, facts: Facts) -> bool:
    """It is seen now, and it has no cause: a symptom with one belongs to the cause's incident."""
    seen = facts.subjects.get(subject)
    return seen is not None and seen.cause is None and verdict.truth is Truth.YES


def news(
    incidents: Iterable[Incident], rules: Mapping[Key, RuleState], attempts: Iterable[Attempt], holds: Iterable[Hold]
) -> list[Event]:
    """What is to be told of open incidents and was not told yet."""
    found: list[Event] = []
    tried = list(attempts)
    exhausted = {(hold.policy, hold.subject): hold for hold in holds if hold.guard in ("gave up", "limit")}
    for incident in incidents:
        key = (incident.policy, incident.subject)
        rule = rules.get(key)
        if rule is None or rule.phase is not Phase.FIRING:
            continue
        mine = [attempt for attempt in tried if attempt.incident == incident.id]
        last = mine[-1] if mine else None
        found += _untold(incident, "opened", incident.evidence)
        if last and last.status is Status.REFUSED:
            found += _untold(incident, "refused", f"{last.action} was refused: {last.detail}")
        if key in exhausted:
            found += _untold(incident, "gave up", exhausted[key].reason)
    return found


def farewell(incident: Incident, attempts: Iterable[Attempt]) -> Event | None:
    """What is told of an incident that closed, if its opening was told."""
    if "opened" not in incident.told:
        return None
    mine = [attempt for attempt in attempts if attempt.incident == incident.id and attempt.status is Status.MET]
    sentence = f"{mine[-1].action}: {mine[-1].detail}" if mine else "the condition is gone"
    return Event("healed" if incident.result == "healed" else "cleared", incident, sentence)


def told(incident: Incident, event: Event) -> Incident:
    """The incident after the event was handed over; its result follows what was told last."""
    result = event.name if event.name in ("refused", "gave up") else incident.result
    return replace(incident, told=(*incident.told, event.name), result=result)


def _untold(incident: Incident, name: str, sentence: str) -> list[Event]:
    return [] if name in incident.told else [Event(name, incident, sentence)]


def _opened(name: str, key: Key, verdict: Verdict, facts: Facts) -> Incident:
    policy, subject = key
    findings = facts.subjects[subject].findings if subject in facts.subjects else ()
    diagnosis = findings[0].diagnosis if findings else _BY_KIND.get(subject.kind, "condition")
    return Incident(name, subject, diagnosis, policy, verdict.evidence, facts.wall)


def _result(mine: list[Attempt]) -> str:
    statuses = {attempt.status for attempt in mine if attempt.action != "notify"}
    if Status.MET in statuses:
        return "healed"
    if statuses == {Status.OBSERVED}:
        return "observed"
    return "cleared"
