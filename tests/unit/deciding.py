"""What tests of a decision share: one case, and the words of what is decided."""

from __future__ import annotations

from typing import Any

from paramedic.decide import Case, Situation, decide
from paramedic.model.facts import Facts, Subject
from paramedic.model.policy import Policy
from paramedic.model.record import Act, Attempt, Hold, Incident, Phase, RuleState
from paramedic.model.vocabulary import GUARDS as MEANINGS
from unit.builders import MIB, WEB, YES, facts, subject

NOW = 1000.0
API = Subject("uwsgi", "api")
GROWN = subject(WEB, {"uss": 90 * MIB, "baseline_uss": 40 * MIB, "diagnosis": "ok"})
MINE = Incident("i", WEB, "memory-high", "p", "it is so", 0.0)
ALL_DAYS = frozenset(range(7))


def situation(seen: Facts | None = None, *attempts: Attempt, **more: Any) -> Situation:
    """At NOW, web having grown, unless said otherwise."""
    return Situation(seen or facts(GROWN), NOW, more.pop("observing", False), attempts, **more)


def only_decision(of: Policy, where: Situation, *tried: Attempt, about: Subject = WEB) -> Act | Hold:
    """What is decided about one case."""
    return decide([Case(of, about, YES, tried, MINE)], where)[0]


def words(decision: Act | Hold) -> tuple[str, str, str, float | None]:
    """(guard, reason, way out, until)."""
    assert isinstance(decision, Hold), decision
    assert (decision.policy, decision.guard in MEANINGS, isinstance(decision.subject, Subject)) == ("p", True, True)
    return decision.guard, decision.reason, decision.way_out, decision.until


def firing(*keys: tuple[str, Subject], phase: Phase = Phase.FIRING) -> dict[tuple[str, Subject], RuleState]:
    """Rules in this phase."""
    return {key: RuleState(phase) for key in keys}
