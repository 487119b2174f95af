"""Why a policy does or does not act on a subject, value by value: the engine's questions, asked without deciding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from paramedic import schedule
from paramedic.decide import Case, Situation, examine, note_wanted
from paramedic.engine import Stance
from paramedic.evaluate import Node, View, judge_of, tree, when_gone
from paramedic.evaluate.compile import Past
from paramedic.mind import Mind
from paramedic.model.facts import Facts, Subject
from paramedic.model.policy import Policy
from paramedic.model.record import Hold, Incident, Phase, RuleState, Truth, Verdict
from paramedic.model.units import render_seconds


@dataclass(frozen=True, slots=True)
class Explanation:
    """One policy on one subject. `conditions` has where, when and clear as trees; a guard without a hold lets pass."""

    policy: Policy
    subject: Subject
    verdict: Verdict
    conditions: Mapping[str, Node]
    state: str
    incident: Incident | None
    guards: tuple[tuple[str, Hold | None], ...]
    next_time: str = ""

    @property
    def conclusion(self) -> str:
        """One sentence: acts, waits for what, or has no reason to."""
        hold = next((hold for _, hold in self.guards if hold is not None), None)
        if self.verdict.truth is Truth.UNKNOWN:
            return "does nothing: it cannot be told, and unknown never acts"
        if self.verdict.truth is Truth.NO:
            return "does nothing: its condition does not hold"
        if self.state == Phase.QUIET.value:
            when = self.next_time or f"once it held for {render_seconds(self.policy.for_s)}"
            return f"waits: its condition holds, and it acts {when}"
        if self.state != Phase.FIRING.value:
            return f"waits: {self.state}"
        return f"holds ({hold.guard}): {hold.reason}; way out: {hold.way_out}" if hold else "acts"


def explain(mind: Mind, policy: Policy, subject: Subject, facts: Facts, past: Past, stance: Stance) -> Explanation:
    """The explanation, after the pass that left `mind`."""
    key = (policy.name, subject)
    rule, view = mind.rules.get(key, RuleState()), View(facts, past)
    found = facts.subjects.get(subject)
    judge = judge_of(policy)
    is_firing = rule.phase in (Phase.FIRING, Phase.RESOLVING)
    verdict = when_gone(subject, facts) if found is None else judge.verdict(found, view, is_firing)
    asked = {"where": policy.where, "when": policy.when, "clear": policy.clear}
    trees = {name: tree(c, found, view) for name, c in asked.items() if c is not None and found is not None}
    incident = mind.incidents.get(key)
    tried = tuple(a for a in mind.attempts if incident and a.incident == incident.id and a.started >= rule.since)
    situation = Situation(
        facts,
        facts.monotonic,
        stance.is_observing,
        mind.attempts,
        stance.orders,
        mind.rules,
        mind.restarts,
        stance.zone,
    )
    note_wanted(_firing(mind, policy), situation)
    guards = tuple(examine(Case(policy, subject, verdict, tried, incident), situation))
    return Explanation(
        policy, subject, verdict, trees, _state(policy, rule), incident, guards, _next_time(policy, facts, stance)
    )


def _firing(mind: Mind, policy: Policy) -> list[Case]:
    firing = [s for (name, s), rule in mind.rules.items() if name == policy.name and rule.phase is Phase.FIRING]
    return [Case(policy, subject, Verdict(Truth.YES, "")) for subject in firing]


def _next_time(policy: Policy, facts: Facts, stance: Stance) -> str:
    """When a calendar policy looks again."""
    slots, _ = schedule.step([policy], {}, facts.wall, stance.zone, stance.host)
    found = slots[policy.name].next_at if policy.name in slots else None
    zone = policy.zone or stance.zone
    return "" if found is None else f"at {datetime.fromtimestamp(found, zone):%a %Y-%m-%d %H:%M} ({zone})"


def _state(policy: Policy, rule: RuleState) -> str:
    """The phase, and the time left of `for` or `keep`."""
    if rule.phase is Phase.PENDING:
        held, needed = render_seconds(rule.held_s), render_seconds(policy.for_s)
        return f"pending: held {held} of {needed}, {render_seconds(max(0.0, policy.for_s - rule.held_s))} left"
    if rule.phase is Phase.RESOLVING:
        clear, needed = render_seconds(rule.clear_s), render_seconds(policy.keep_s)
        return f"resolving: clear {clear} of {needed}"
    return rule.phase.value
