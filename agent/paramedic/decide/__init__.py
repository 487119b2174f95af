"""(firing policies, situation) -> acts and holds. Every refusal to act is a Hold: guard, reason, way out.

Nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from paramedic.decide.case import Case, Situation
from paramedic.decide.guards import GUARDS, PERSONS, root_cause
from paramedic.decide.ladder import rung_of
from paramedic.decide.target import target_of
from paramedic.model.actions import ACTIONS
from paramedic.model.facts import Subject
from paramedic.model.record import Act, Hold

__all__ = ["GUARDS", "PERSONS", "Case", "Situation", "decide", "examine", "name_of", "note_wanted", "root_cause"]


def decide(cases: Sequence[Case], situation: Situation) -> list[Act | Hold]:
    """What to do about each case, the worst subject of each policy first, memory after everything else."""
    decisions: list[Act | Hold] = []
    note_wanted(cases, situation)
    for case in sorted(cases, key=_urgency):
        decision = _decide(case, situation)
        decisions.append(decision)
        if isinstance(decision, Act):
            situation.chosen.append(decision)
    return decisions


def note_wanted(cases: Sequence[Case], situation: Situation) -> None:
    """Note the targets of all firing cases, before any of them is decided."""
    for case in cases:
        target = target_of(case, case.policy.do[0], situation.facts)
        if isinstance(target, Subject):
            situation.wanted.setdefault(case.policy.name, set()).add(target)


def examine(case: Case, situation: Situation) -> list[tuple[str, Hold | None]]:
    """Every guard of one case by name, with its hold or None where it lets pass: what `explain` shows."""
    found: list[tuple[str, Hold | None]] = [(name_of(ask), ask(case, situation)) for ask in PERSONS]
    act = _wanted(case, situation)
    found.append(("ladder", act if isinstance(act, Hold) else None))
    asked = _act(case, 0, situation) if isinstance(act, Hold) else act
    if isinstance(asked, Act):
        found += [(name_of(guard), guard(case, asked, situation)) for guard in GUARDS]
    return found


def name_of(guard: Callable[..., object]) -> str:
    """A guard's name as people read it."""
    return guard.__name__.replace("_", " ")


def _urgency(case: Case) -> tuple[bool, float, Subject]:
    reclaims = any(ACTIONS[rung.action].reclaims_memory for rung in case.policy.do)
    return reclaims, -case.verdict.weight, case.subject


def _decide(case: Case, situation: Situation) -> Act | Hold:
    for ask in PERSONS:
        if (hold := ask(case, situation)) is not None:
            return hold
    act = _wanted(case, situation)
    if isinstance(act, Hold):
        return act
    for guard in GUARDS:
        if (hold := guard(case, act, situation)) is not None:
            return hold
    return act


def _wanted(case: Case, situation: Situation) -> Act | Hold:
    """The act that the ladder asks for, before any guard."""
    rung = rung_of(case, situation)
    return rung if isinstance(rung, Hold) else _act(case, rung, situation)


def _act(case: Case, rung: int, situation: Situation) -> Act | Hold:
    step = case.policy.do[rung]
    target = target_of(case, step, situation.facts)
    if isinstance(target, Hold):
        return target
    observe = situation.is_observing or case.policy.mode == "observe"
    return Act(case.policy, case.subject, target, rung, step, case.verdict.evidence, observe)
