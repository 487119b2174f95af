"""The thinking part of a pass, pure: (mind, book, facts, past, stance) -> thought. No I/O, no clock, no ids of its own.

The live agent, and whatever tests, explains or replays policies, think with this same code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo

from paramedic import decide, incident, schedule, verify
from paramedic.decide import Case, Situation
from paramedic.evaluate import View
from paramedic.evaluate.compile import Past
from paramedic.incident import Course, Event, Key
from paramedic.judging import look, skipped_now
from paramedic.mind import Book, Mind, processes_of, remembered
from paramedic.model.facts import Facts
from paramedic.model.record import Act, Attempt, Hold, Incident, Orders, Phase, RuleState, Slot, Truth, Verdict

LONGEST_STEP_INTERVALS = 3.0
LONGEST_STEP_S = 15.0


@dataclass(frozen=True, slots=True)
class Stance:
    """How the agent stands to what it sees: observing or not, how often it looks, where it is, its orders."""

    is_observing: bool = False
    interval_s: float = 5.0
    zone: tzinfo = UTC
    host: str = ""
    orders: Orders = field(default_factory=Orders)

    @property
    def longest_step_s(self) -> float:
        """More time than this between two looks was not looked at, and counts for no timer beyond it."""
        return max(LONGEST_STEP_S, LONGEST_STEP_INTERVALS * self.interval_s)


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
    skipped: Mapping[Key, Verdict] = field(default_factory=dict)

    @property
    def acts(self) -> list[Act]:
        """The decisions to act, an observer's included."""
        return [decision for decision in self.decisions if isinstance(decision, Act)]


def think(mind: Mind, book: Book, facts: Facts, past: Past, stance: Stance) -> Thought:
    """One pass over `facts`."""
    attempts = tuple([verify.judge(attempt, facts) for attempt in mind.attempts])
    judged = tuple([new for new, old in zip(attempts, mind.attempts, strict=True) if new is not old])
    by_incident = _by_incident(attempts, mind)
    slots, due = schedule.step(book.by_name.values(), mind.slots, facts.wall, stance.zone, stance.host)
    view = View(facts, past)
    rules, verdicts, untold = look(mind, book, view, stance.longest_step_s, due, by_incident)
    if not (rules or mind.incidents):
        quiet = _quiet(mind, book, view, attempts, slots)
        return Thought(quiet, {}, (), judged, (), (), (), skipped_now(book, view, due, {}))
    calendars = {name for name, policy in book.by_name.items() if policy.at is not None}
    spent = _spent(mind, rules, verdicts, facts, stance.orders)
    course = Course(rules, verdicts, by_incident, facts, mind.serial, calendars, spent)
    incidents, closed = incident.open_and_close(mind.incidents, course)
    rules = {
        key: rule for key, rule in _new_rounds(mind, incidents, rules, facts).items() if rule.phase is not Phase.QUIET
    }
    processes, restarts = processes_of(mind, facts)
    now = facts.monotonic
    situation = Situation(
        facts, now, stance.is_observing, attempts, stance.orders, rules, restarts, stance.zone, untold
    )
    cases = cases_of(book, rules, verdicts, incidents, by_incident)
    decisions = [*decide.decide(cases, situation), *_untellable(rules, verdicts)]
    holds = _holds(mind.holds, rules, decisions)
    events = incident.news(incidents.values(), rules, by_incident, _not_told(mind, holds), calendars)
    for event in events:
        key = (event.incident.policy, event.incident.subject)
        incidents[key] = incident.told(incidents[key], event)
    opened = [one for key, one in incidents.items() if key not in mind.incidents or mind.incidents[key].id != one.id]
    open_ids = {one.id for one in incidents.values()}
    kept, trips = remembered(attempts, facts, book, open_ids), _trips(mind, holds, facts)
    return Thought(
        mind=Mind(rules, incidents, kept, holds, mind.serial + len(opened), processes, restarts, trips, slots),
        verdicts=verdicts,
        decisions=tuple(decisions),
        judged=judged,
        changed=(*closed, *(one for key, one in incidents.items() if mind.incidents.get(key) != one)),
        held=_new_holds(mind.holds, holds, incidents),
        events=(*_farewells(closed, by_incident, stance.orders), *events),
        skipped=skipped_now(book, view, due, rules),
    )


def _quiet(mind: Mind, book: Book, view: View, attempts: Sequence[Attempt], slots: Mapping[str, Slot]) -> Mind:
    """What stays where nothing is true and nothing is open: that is nearly every pass."""
    processes, restarts = processes_of(mind, view.facts)
    kept, trips = remembered(attempts, view.facts, book, ()), _trips(mind, {}, view.facts)
    return Mind({}, {}, kept, {}, mind.serial, processes, restarts, trips, slots)


def _farewells(
    closed: Sequence[Incident], by_incident: Mapping[str, Sequence[Attempt]], orders: Orders
) -> Iterator[Event]:
    """What is told of incidents that closed; nothing of those that were a person's."""
    for one in closed:
        event = incident.farewell(one, by_incident.get(one.id, ()))
        if event is not None and orders.pause is None and one.id not in orders.acknowledged:
            yield event


def cases_of(
    book: Book,
    rules: Mapping[Key, RuleState],
    verdicts: Mapping[Key, Verdict],
    incidents: Mapping[Key, Incident],
    by_incident: Mapping[str, Sequence[Attempt]],
) -> list[Case]:
    """What fires and is seen to be true now. What was tried before it last left quiet belongs to an earlier ladder."""
    found = []
    for key, rule in rules.items():
        if rule.phase is Phase.FIRING and verdicts[key].truth is Truth.YES:
            mine = incidents.get(key)
            tried = tuple(a for a in by_incident.get(mine.id, ()) if a.started >= rule.since) if mine else ()
            found.append(Case(book.by_name[key[0]], key[1], verdicts[key], tried, mine))
    return found


def _by_incident(attempts: Sequence[Attempt], mind: Mind) -> dict[str, list[Attempt]]:
    """The attempts of open incidents, by incident, oldest first."""
    found: dict[str, list[Attempt]] = {one.id: [] for one in mind.incidents.values()}
    for attempt in attempts:
        if attempt.incident in found:
            found[attempt.incident].append(attempt)
    return found


def _spent(
    mind: Mind, rules: Mapping[Key, RuleState], verdicts: Mapping[Key, Verdict], facts: Facts, orders: Orders
) -> set[Key]:
    """Where a ladder ended without help long enough ago, and no person took over."""
    over = {
        key
        for key, hold in mind.holds.items()
        if hold.guard == "gave up"
        and hold.until is not None
        and facts.monotonic >= hold.until
        and key in mind.incidents
    }
    return {
        key
        for key in over
        if orders.pause is None
        and mind.incidents[key].id not in orders.acknowledged
        and key in rules
        and rules[key].phase is Phase.FIRING
        and rules[key].last is Truth.YES
        and verdicts[key].is_acute
    }


def _new_rounds(
    mind: Mind, incidents: Mapping[Key, Incident], rules: Mapping[Key, RuleState], facts: Facts
) -> dict[Key, RuleState]:
    """The rules that are not quiet; a new round's ladder begins now."""
    begun = {k for k, one in incidents.items() if k in mind.incidents and mind.incidents[k].id != one.id}
    return {
        key: replace(rule, since=facts.monotonic) if key in begun else rule
        for key, rule in rules.items()
        if rule.phase is not Phase.QUIET
    }


def _untellable(rules: Mapping[Key, RuleState], verdicts: Mapping[Key, Verdict]) -> list[Hold]:
    """A firing policy whose condition cannot be told any more holds for that."""
    return [
        Hold(key[0], key[1], "unknown", f"it cannot be told: {verdicts[key].evidence}", "it can be read again")
        for key, rule in rules.items()
        if rule.phase is Phase.FIRING and verdicts[key].truth is Truth.UNKNOWN
    ]


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


def _not_told(mind: Mind, holds: Mapping[Key, Hold]) -> dict[Key, Hold]:
    """The holds without breakers that were told of already: an open one is told once, however often it holds."""
    return {key: hold for key, hold in holds.items() if hold.guard != "limit" or mind.trips.get(key) != hold.until}


def _trips(mind: Mind, holds: Mapping[Key, Hold], facts: Facts) -> dict[Key, float]:
    """The open breakers that were told of."""
    found = {key: until for key, until in mind.trips.items() if until > facts.monotonic}
    return found | {k: hold.until for k, hold in holds.items() if hold.guard == "limit" and hold.until is not None}


def _new_holds(
    before: Mapping[Key, Hold], holds: Mapping[Key, Hold], incidents: Mapping[Key, Incident]
) -> tuple[tuple[str, Hold], ...]:
    """(incident id, hold) where the guard changed: a hold is recorded once, not in every pass."""
    return tuple(
        (incidents[key].id, hold)
        for key, hold in holds.items()
        if key in incidents and (key not in before or before[key].guard != hold.guard)
    )
