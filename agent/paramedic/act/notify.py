"""Tell a person, and do nothing else."""

from __future__ import annotations

from paramedic.act.job import Job
from paramedic.model.record import Report


def notify(job: Job) -> Report:
    """Spool one document for notify.command; `say` may name fields of the subject in braces."""
    fields = job.facts.subjects[job.act.subject].fields if job.act.subject in job.facts.subjects else {}
    words = str(job.act.step.args.get("say") or job.act.why)
    for name, value in {"subject": job.act.subject, **fields}.items():
        words = words.replace("{" + name + "}", str(value))
    job.spool.tell("told", words, job.incident)
    if not job.spool.is_configured:
        return Report(False, "recorded only: no notify.command is configured")
    return Report(False, "handed to notify.command")
