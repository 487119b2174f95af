"""why a policy does or does not act: its condition value by value, its state, and every guard

Asks the running agent's last look; without an agent it looks once itself, and says so.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paramedic import expect, orders
from paramedic.cli.common import NoAgent, journal_of, policies_of, published, settings_at
from paramedic.engine import Stance
from paramedic.evaluate import Node
from paramedic.evaluate.compile import Past
from paramedic.explain import Explanation, explain
from paramedic.facts import join
from paramedic.host import clock
from paramedic.host.proc import Proc
from paramedic.journal import facts_from_json, subject_of
from paramedic.mind import Mind
from paramedic.model.facts import Facts, Known
from paramedic.model.record import Phase, RuleState, Truth
from paramedic.model.stack import Mode, Settings
from paramedic.published import Published
from paramedic.sense.host import Sensors
from paramedic.windows import Windows

MOST = 20


@dataclass(frozen=True, slots=True)
class Look:
    """What an explanation is made of, and where that comes from."""

    mind: Mind
    facts: Facts
    past: Past
    stance: Stance
    source: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which policy, and which subject."""
    parser.add_argument("policy", metavar="POLICY")
    parser.add_argument(
        "subject", nargs="?", metavar="SUBJECT", help="e.g. uwsgi.worker:web/1; left out: all it watches"
    )


def main(arguments: argparse.Namespace) -> int:
    """0; 2 where there is no such policy or subject."""
    settings = settings_at(arguments.config)
    policies = {policy.name: policy for policy in policies_of(settings)}
    policy = policies.get(arguments.policy)
    if policy is None:
        return _refuse(arguments.policy, "policy", policies)
    look = _look(settings)
    subjects = {str(found.subject): found.subject for found in look.facts.of_kind(policy.watch)}
    subjects |= {str(subject): subject for name, subject in look.mind.rules if name == policy.name}
    if arguments.subject and arguments.subject not in subjects:
        return _refuse(arguments.subject, f"{policy.watch} that {policy.name} watches", subjects)
    wanted = [subjects[arguments.subject]] if arguments.subject else list(subjects.values())
    found = [explain(look.mind, policy, one, look.facts, look.past, look.stance) for one in wanted]
    if arguments.json:
        print(json.dumps({"source": look.source, "explanations": [_document(one) for one in found]}))
        return 0
    print(f"{policy.name}{': ' if policy.about else ''}{policy.about}\n{look.source}")
    for one in found[:MOST]:
        _print(one)
    if len(found) > MOST:
        print(f"\n{len(found) - MOST} more: name one")
    if not found:
        print(f"there is no {policy.watch} to watch")
    return 0


def _refuse(word: str, what: str, known: Mapping[str, object]) -> int:
    hint = expect.near(word, known) or f"; known are {', '.join(known) or 'none'}"
    print(f'paramedic: cannot find "{word}": no such {what}{hint}', file=sys.stderr)
    return 2


def _look(settings: Settings) -> Look:
    """The running agent's last pass; else one look of our own, with what the journal says was done."""
    now, wall = clock.monotonic(), clock.wall()
    journal = journal_of(settings)
    attempts = tuple(journal.recent_attempts(wall, now)) if journal else ()
    incidents = {(one.policy, one.subject): one for one in journal.open_incidents()} if journal else {}
    ordered = orders.read(settings.state_dir, wall, now, Proc().boot_id())
    stance = Stance(
        settings.mode is Mode.OBSERVE, settings.interval_s, clock.local_zone(), os.uname().nodename, ordered
    )
    mind = Mind(incidents=incidents, attempts=attempts)
    try:
        document = published(settings)
    except NoAgent as none:
        known = journal.load_known() if journal else Known()
        facts = join(Sensors(settings.stack, Proc(), settings.state_dir, thorough=True).read(known), known)
        return Look(mind, facts, Windows(), stance, f"{none}; this is one look without it, so no time was counted")
    rules = {(row["policy"], subject_of(row["subject"])): _rule(row) for row in document["rules"]}
    restarts = {subject_of(name): at for name, at in document["restarts"].items()}
    mind = Mind(rules, incidents, attempts, restarts=restarts)
    facts = facts_from_json(document["facts"])
    return Look(mind, facts, Published(document["past"]), stance, "as the agent saw it in its last look")


def _rule(row: dict[str, Any]) -> RuleState:
    since = float("-inf") if row["since"] is None else row["since"]
    return RuleState(Phase(row["phase"]), row["held_s"], None, Truth(row["last"]), row["clear_s"], since)


def _print(one: Explanation) -> None:
    print(f"\n{one.subject}: {one.conclusion}")
    for name, node in one.conditions.items():
        print(f"  {name}")
        _print_node(node, 2)
    print(f"  state     {one.state}")
    print(f"  incident  {one.incident.id if one.incident else 'none'}")
    print("  guards")
    for name, hold in one.guards:
        told = "" if hold is None else f": {hold.reason}; way out: {hold.way_out}"
        shown = name if hold is None or hold.guard == name else f"{name} ({hold.guard})"
        print(f"    {'pass' if hold is None else 'hold'}  {shown}{told}")


def _print_node(node: Node, depth: int) -> None:
    seen = f"   {node.seen}" if node.seen else ""
    print(f"{'  ' * depth}{node.truth:7} {node.asked}{seen}")
    for part in node.parts:
        _print_node(part, depth + 1)


def _document(one: Explanation) -> dict[str, object]:
    return {
        "policy": one.policy.name,
        "subject": str(one.subject),
        "conclusion": one.conclusion,
        "verdict": one.verdict.truth.value,
        "evidence": one.verdict.evidence,
        "state": one.state,
        "incident": one.incident.id if one.incident else None,
        "conditions": {name: _node(node) for name, node in one.conditions.items()},
        "guards": [
            {"guard": name, "passes": hold is None}
            | ({} if hold is None else {"reason": hold.reason, "way_out": hold.way_out})
            for name, hold in one.guards
        ],
    }


def _node(node: Node) -> dict[str, object]:
    return {"asked": node.asked, "truth": node.truth.value, "seen": node.seen, "parts": [_node(p) for p in node.parts]}
