"""(open incidents, rule states, attempts) -> incidents and what to tell: from first symptom to verified recovery."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from paramedic.model.facts import Facts, Subject, SubjectFacts
from paramedic.model.record import Attempt, Hold, Incident, Phase, RuleState, Status, Truth, Verdict

Key = tuple[str, Subject]
_MEMORY = ("rss is", "pss is", "uss is", "swap is", "memory.", "swap.")
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
    calendars: Container[str] = (),
) -> tuple[dict[Key, Incident], list[Incident]]:
    """(open incidents, those that closed in this pass). `serial` makes ids of one second differ.

    `calendars` names policies with `at`: theirs end with what was done, whether or not the condition is gone.

    An incident stays open until everything done about it is judged, even if its symptom is gone before.
    """
    found, closed = dict(incidents), []
    tried = list(attempts)
    for key, incident in incidents.items():
        rule = rules.get(key, RuleState())
        mine = [attempt for attempt in tried if attempt.incident == incident.id]
        if rule.phase is Phase.QUIET and not any(attempt.status.is_open for attempt in mine):
            closed.append(replace(found.pop(key), closed=facts.wall, result=_result(mine, key[0] in calendars)))
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
    if incident.result in ("refused", "gave up"):
        tried = [attempt for attempt in attempts if attempt.incident == incident.id]
        return Event(incident.result, incident, f"{tried[-1].action} was {tried[-1].status}: {tried[-1].detail}")
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
    diagnosis = diagnosis_of(policy, facts.subjects.get(subject), verdict)
    return Incident(name, subject, diagnosis, policy, verdict.evidence, facts.wall)


def diagnosis_of(policy: str, subject: SubjectFacts | None, verdict: Verdict) -> str:
    """The name of what a policy found: the subject's own diagnosis, a word for memory, else the policy's name."""
    if subject is not None and subject.findings:
        return subject.findings[0].diagnosis
    is_memory = any(word in verdict.evidence for word in _MEMORY)
    return _BY_KIND.get(subject.subject.kind, policy) if subject is not None and is_memory else policy


def _result(mine: list[Attempt], is_calendar: bool) -> str:
    real = [attempt for attempt in mine if attempt.action != "notify"]
    statuses = {attempt.status for attempt in real}
    if Status.MET in statuses:
        return "healed"
    if statuses == {Status.OBSERVED}:
        return "observed"
    if is_calendar and real:
        return "refused" if real[-1].status is Status.REFUSED else "gave up"
    return "cleared"
