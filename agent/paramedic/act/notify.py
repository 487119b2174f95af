"""Tell a person, and do nothing else."""

from __future__ import annotations

from paramedic.act.job import Job
from paramedic.model.facts import Subject, Unknown, Value
from paramedic.model.record import Report
from paramedic.model.units import render
from paramedic.model.vocabulary import KINDS


def notify(job: Job) -> Report:
    """Spool one document for notify.command; `say` may name fields of the subject in braces."""
    fields = job.facts.subjects[job.act.subject].fields if job.act.subject in job.facts.subjects else {}
    words = str(job.act.step.args.get("say") or job.act.why)
    named: dict[str, Value | Subject] = {"subject": job.act.subject, **fields}
    for name, value in named.items():
        words = words.replace("{" + name + "}", _shown(job.act.subject.kind, name, value))
    job.spool.tell("told", words, job.incident)
    if not job.spool.is_configured:
        return Report(False, "recorded only: no notify.command is configured")
    return Report(False, "handed to notify.command")


def _shown(kind: str, name: str, value: Value | Subject) -> str:
    if isinstance(value, Unknown):
        return f"unknown ({value.reason})"
    return str(value) if isinstance(value, Subject) else render(value, KINDS[kind][name].dimension)
