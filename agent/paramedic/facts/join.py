"""Sample + what is known -> Facts: one entry for each subject a policy can watch."""

from __future__ import annotations

from collections.abc import Iterable

from paramedic.facts.causes import with_causes
from paramedic.facts.host import host_subject
from paramedic.facts.sockets import socket_subject
from paramedic.facts.supervisor import supervisor_subjects
from paramedic.facts.uwsgi import uwsgi_subjects
from paramedic.model.facts import Facts, Known, Subject, SubjectFacts
from paramedic.model.sample import Sample


def join(sample: Sample, known: Known) -> Facts:
    """The facts of one pass. Subjects that are configured but unreadable are there, with unknown fields."""
    found: list[SubjectFacts] = [host_subject(sample.host)]
    for name, uwsgi in sample.uwsgi.items():
        found += uwsgi_subjects(name, uwsgi, known, sample.wall)
    for name, supervisor in sample.supervisor.items():
        found += supervisor_subjects(name, supervisor, sample.host)
    found += [socket_subject(name, reading) for name, reading in sample.sockets.items()]
    return Facts(sample.monotonic, sample.wall, with_causes(_by_subject(found)))


def _by_subject(found: Iterable[SubjectFacts]) -> dict[Subject, SubjectFacts]:
    return {facts.subject: facts for facts in found}
