"""Incidents as a person or a script reads them: the shape of `paramedic history --json` and of notifications."""

from __future__ import annotations

from typing import Any

from paramedic.journal.store import Journal
from paramedic.model.record import Attempt, Incident


def as_json(incident: Incident, attempts: list[Attempt]) -> dict[str, Any]:
    """One incident; `opened` and `closed` are epoch seconds, `gained` has bytes or counts by name."""
    return {
        "id": incident.id,
        "subject": str(incident.subject),
        "diagnosis": incident.diagnosis,
        "policy": incident.policy,
        "evidence": incident.evidence,
        "opened": incident.opened,
        "closed": incident.closed,
        "result": incident.result,
        "actions": [_action(attempt) for attempt in attempts],
    }


def _action(attempt: Attempt) -> dict[str, Any]:
    return {
        "action": attempt.action,
        "outcome": attempt.status.value,
        "seconds": round(attempt.seconds, 3),
        "gained": dict(attempt.gained),
        "detail": attempt.detail,
    }


def history(journal: Journal, most: int = 100) -> list[dict[str, Any]]:
    """The newest incidents, oldest first."""
    incidents = journal.incidents(most)
    attempts = journal.attempts_of(incident.id for incident in incidents)
    return [as_json(incident, attempts[incident.id]) for incident in incidents]
