"""Sample + what is known -> Facts: one entry for each subject a policy can watch."""

from __future__ import annotations

from collections.abc import Iterable

from paramedic.facts.causes import with_causes
from paramedic.facts.sockets import socket_subject
from paramedic.facts.supervisor import supervisor_subjects
from paramedic.facts.uwsgi import uwsgi_subjects
from paramedic.model.facts import Facts, Known, Subject, SubjectFacts, Unknown, Value
from paramedic.model.readings import HostReading, Unreadable
from paramedic.model.sample import Sample


def join(sample: Sample, known: Known) -> Facts:
    """The facts of one pass. Subjects that are configured but unreadable are there, with unknown fields."""
    found: list[SubjectFacts] = [_host(sample.host)]
    for name, uwsgi in sample.uwsgi.items():
        found += uwsgi_subjects(name, uwsgi, known)
    for name, supervisor in sample.supervisor.items():
        found += supervisor_subjects(name, supervisor, sample.host)
    found += [socket_subject(name, reading) for name, reading in sample.sockets.items()]
    return Facts(sample.monotonic, sample.wall, with_causes(_by_subject(found)))


def _by_subject(found: Iterable[SubjectFacts]) -> dict[Subject, SubjectFacts]:
    return {facts.subject: facts for facts in found}


def _host(reading: HostReading | Unreadable) -> SubjectFacts:
    subject = Subject("host", "host")
    if isinstance(reading, Unreadable):
        unknown = Unknown(reading.reason)
        return SubjectFacts(subject, {"memory.total": unknown, "memory.used_percent": unknown})
    fields: dict[str, Value] = {
        "memory.total": reading.total_bytes,
        "memory.available": reading.available_bytes,
        "memory.used_percent": 100.0 * (1 - reading.available_bytes / reading.total_bytes),
        "swap.free": reading.swap_free_bytes,
        "swap.used_percent": _swap_used(reading),
    }
    rest = {
        "pressure.memory.some_avg10": reading.some_avg10,
        "pressure.memory.some_avg60": reading.some_avg60,
        "pressure.memory.full_avg10": reading.full_avg10,
        "oom_kills": reading.oom_kills,
    }
    fields |= {path: Unknown(v.reason) if isinstance(v, Unreadable) else v for path, v in rest.items()}
    return SubjectFacts(subject, fields)


def _swap_used(reading: HostReading) -> float:
    if not reading.swap_total_bytes:
        return 0.0
    return 100.0 * (1 - reading.swap_free_bytes / reading.swap_total_bytes)
