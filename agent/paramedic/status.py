"""What the agent sees now, as one sentence and as the document behind `paramedic status`."""

from __future__ import annotations

import os
from typing import Any

from paramedic.cycle import Cycle, Passed
from paramedic.incident import Key
from paramedic.journal import as_json
from paramedic.model.facts import Facts, SubjectFacts, Unknown
from paramedic.model.record import Phase
from paramedic.model.stack import Mode
from paramedic.model.units import render
from paramedic.model.vocabulary import KINDS


def sentence(cycle: Cycle, passed: Passed) -> str:
    """One human sentence: for systemd's STATUS and the first line of `paramedic status`."""
    firing = [i for key, i in cycle.mind.incidents.items() if _fires(cycle, key)]
    mode = "observing: " if cycle.settings.mode is Mode.OBSERVE else ""
    if firing:
        worst = firing[0]
        more = f" (and {len(firing) - 1} more)" if len(firing) > 1 else ""
        return f"{mode}{worst.diagnosis} on {worst.subject}: {worst.evidence}{more}"
    unknown = [s for s in passed.facts.subjects.values() if isinstance(s.fields.get("diagnosis"), Unknown)]
    if unknown:
        return f"{mode}cannot tell about {unknown[0].subject}: {unknown[0].fields['diagnosis'].reason}"  # type: ignore[union-attr]
    findings = [f for s in passed.facts.subjects.values() for f in s.findings]
    if findings:
        return f"{mode}{findings[0].diagnosis} on {findings[0].subject}: {findings[0].evidence}"
    subjects = [s for s in passed.facts.subjects.values() if s.subject.kind in ("uwsgi", "supervisor")]
    return f"{mode}all well: {len(subjects)} watched, {_memory(passed.facts)}"


def _fires(cycle: Cycle, key: Key) -> bool:
    rule = cycle.mind.rules.get(key)
    return rule is not None and rule.phase is Phase.FIRING


def _memory(facts: Facts) -> str:
    for host in facts.of_kind("host"):
        used = host.fields.get("memory.used_percent")
        if isinstance(used, float):
            return f"memory {used:.0f} % used"
    return "memory unknown"


def snapshot(cycle: Cycle, passed: Passed) -> dict[str, Any]:
    """The whole document; times are epoch seconds."""
    incidents = list(cycle.mind.incidents.values())
    attempts = cycle.mind.attempts
    return {
        "agent": {"pid": os.getpid(), "mode": cycle.settings.mode.value, "at": passed.facts.wall},
        "sentence": sentence(cycle, passed),
        "subjects": subjects(passed.facts),
        "findings": findings(passed.facts),
        "incidents": [as_json(i, [a for a in attempts if a.incident == i.id]) for i in incidents],
        "holds": [
            {"policy": h.policy, "subject": str(h.subject), "guard": h.guard, "reason": h.reason, "way_out": h.way_out}
            for h in cycle.mind.holds.values()
        ],
        "troubles": {
            **{f"cannot prepare {what}": why for what, why in cycle.preparation.failures.items()},
            **({"nobody is told": cycle.spool.failure} if cycle.spool.failure else {}),
        },
    }


def findings(facts: Facts) -> list[dict[str, str]]:
    """Every finding, in the shape of `doctor --json`."""
    return [
        {"diagnosis": f.diagnosis, "subject": str(f.subject), "evidence": f.evidence, "repair": f.repair}
        for subject in facts.subjects.values()
        for f in subject.findings
    ]


def subjects(facts: Facts) -> dict[str, dict[str, str]]:
    """Every subject with its fields as a person reads them."""
    return {str(subject): _fields(found) for subject, found in facts.subjects.items()}


def _fields(found: SubjectFacts) -> dict[str, str]:
    table = KINDS[found.subject.kind]
    return {
        path: f"unknown: {value.reason}" if isinstance(value, Unknown) else render(value, table[path].dimension)
        for path, value in found.fields.items()
    }
