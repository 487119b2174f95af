"""What the agent sees now, as one sentence and as the document behind `paramedic status` and `paramedic explain`."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

from paramedic.cycle import Cycle, Passed
from paramedic.incident import Key
from paramedic.journal import as_json, facts_to_json
from paramedic.model.facts import Facts, Subject, Unknown
from paramedic.model.readings import MemoryReading, UwsgiReading
from paramedic.model.record import Phase, RuleState
from paramedic.model.supervision import ProgramReading
from paramedic.verify import progress

POLICIES_INVALID = "policies-invalid"


def sentence(cycle: Cycle, passed: Passed) -> str:
    """One human sentence: for systemd's STATUS and the first line of `paramedic status`."""
    unrecorded = "".join(f"; {what}" for what in cycle.journal.troubles)
    return f"{_stance(passed)}{_seen(cycle, passed)}{unrecorded}"


def _stance(passed: Passed) -> str:
    pause = passed.stance.orders.pause
    if pause is not None:
        until = datetime.fromtimestamp(pause.until, passed.stance.zone)
        return f"paused until {until:%a %H:%M} ({pause.why}): "
    return "observing: " if passed.stance.is_observing else ""


def _seen(cycle: Cycle, passed: Passed) -> str:
    firing = [i for key, i in cycle.mind.incidents.items() if _fires(cycle, key)]
    if firing:
        worst = firing[0]
        more = f" (and {len(firing) - 1} more)" if len(firing) > 1 else ""
        now = passed.thought.verdicts.get((worst.policy, worst.subject))
        return f"{worst.diagnosis} on {worst.subject}: {now.evidence if now else worst.evidence}{more}"
    for found in passed.facts.subjects.values():
        diagnosis = found.fields.get("diagnosis")
        if isinstance(diagnosis, Unknown):
            return f"cannot tell about {found.subject}: {diagnosis.reason}"
    findings = [f for s in passed.facts.subjects.values() for f in s.findings]
    if findings:
        return f"{findings[0].diagnosis} on {findings[0].subject}: {findings[0].evidence}"
    if cycle.rulebook.errors:
        return f"changed policies are not used: {cycle.rulebook.errors[0]}"
    subjects = [s for s in passed.facts.subjects.values() if s.subject.kind in ("uwsgi", "supervisor")]
    return f"all well: {len(subjects)} watched, {_memory(passed.facts)}"


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
    pause = passed.stance.orders.pause
    return {
        "agent": {"pid": os.getpid(), "mode": cycle.settings.mode.value, "at": passed.facts.wall},
        "paused": {"why": pause.why, "since": pause.since, "until": pause.until} if pause else None,
        "sentence": sentence(cycle, passed),
        "findings": [*findings(passed.facts), *_invalid(cycle)],
        "incidents": [as_json(i, [a for a in attempts if a.incident == i.id]) for i in incidents],
        "holds": [
            {"policy": h.policy, "subject": str(h.subject), "guard": h.guard, "reason": h.reason, "way_out": h.way_out}
            for h in cycle.mind.holds.values()
        ],
        "rules": [_rule(name, subject, rule) for (name, subject), rule in cycle.mind.rules.items()],
        "facts": facts_to_json(passed.facts),
        "past": cycle.past.published(passed.facts.monotonic),
        "restarts": {str(subject): at for subject, at in cycle.mind.restarts.items()},
        "troubles": _troubles(cycle),
        "skipped": {f"{policy} on {subject}": why for (policy, subject), why in cycle.skipped.items()},
        "progress": _progress(cycle, passed.facts),
        "read_ago": _read_ago(passed.facts),
    }


def _read_ago(facts: Facts) -> dict[str, float]:
    """Seconds since PSS and USS of a worker or program were read: they cost too much for every look."""
    read: dict[str, float] = {}
    for found in facts.subjects.values():
        reading = found.reading
        if isinstance(reading, UwsgiReading):
            named = ((f"uwsgi.worker:{found.subject.name}/{worker.id}", worker.memory) for worker in reading.workers)
            read |= {name: memory.read_at for name, memory in named if isinstance(memory, MemoryReading)}
        elif isinstance(reading, ProgramReading) and isinstance(reading.memory, MemoryReading):
            read[str(found.subject)] = reading.memory.read_at
    return {name: round(facts.monotonic - at, 1) for name, at in read.items()}


def _progress(cycle: Cycle, facts: Facts) -> dict[str, str]:
    """How far each repair under way has come, by incident and action."""
    open_ones = (attempt for attempt in cycle.mind.attempts if attempt.status.is_open)
    told = ((attempt, progress(attempt, facts)) for attempt in open_ones)
    return {f"{attempt.incident} {attempt.action} on {attempt.target}": how for attempt, how in told if how}


def _rule(policy: str, subject: Subject, rule: RuleState) -> dict[str, Any]:
    """Where a policy stands on a subject; `since` is null where an earlier agent saw it begin."""
    since = rule.since if rule.since > float("-inf") else None
    row = {"policy": policy, "subject": str(subject), "phase": rule.phase.value, "last": rule.last.value}
    return row | {"held_s": rule.held_s, "clear_s": rule.clear_s, "since": since}


def _invalid(cycle: Cycle) -> list[dict[str, str]]:
    repair = "the old policies stay in force; mend the file, and it is taken over at once"
    return [
        {"diagnosis": POLICIES_INVALID, "subject": "policies", "evidence": error, "repair": repair}
        for error in cycle.rulebook.errors
    ]


def _troubles(cycle: Cycle) -> dict[str, str]:
    found = cycle.journal.troubles | {f"cannot prepare {what}": why for what, why in cycle.preparation.failures.items()}
    if cycle.spool.failure:
        found["nobody is told"] = cycle.spool.failure
    if cycle.recorder.failure:
        found["samples are not recorded"] = cycle.recorder.failure
    return found


def findings(facts: Facts) -> list[dict[str, str]]:
    """Every finding, in the shape of `doctor --json`."""
    return [
        {"diagnosis": f.diagnosis, "subject": str(f.subject), "evidence": f.evidence, "repair": f.repair}
        for subject in facts.subjects.values()
        for f in subject.findings
    ]
