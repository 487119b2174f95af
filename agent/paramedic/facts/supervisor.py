"""One Supervisor daemon as facts: its diagnosis from sources that must agree, its programs, its orphans."""

from __future__ import annotations

from paramedic.facts.daemon import diagnose
from paramedic.facts.programs import program_subject
from paramedic.model.diagnoses import DIAGNOSES, OK, works
from paramedic.model.facts import Finding, Subject, SubjectFacts, Unknown, Value
from paramedic.model.readings import HostReading, Unreadable
from paramedic.model.supervision import OrphanReading, RpcReading, SupervisorReading
from paramedic.model.units import render_seconds


def supervisor_subjects(
    name: str, reading: SupervisorReading | Unreadable, host: HostReading | Unreadable
) -> list[SubjectFacts]:
    """The daemon first, then its programs, then what outlived it."""
    subject = Subject("supervisor", name)
    if isinstance(reading, Unreadable):
        unread = frozenset(("supervisor.program", "orphan"))
        return [SubjectFacts(subject, {"diagnosis": Unknown(reading.reason)}, unread=unread)]
    diagnosed = diagnose(reading, host)
    programs = reading.rpc.programs if isinstance(reading.rpc, RpcReading) and reading.rpc.pid else None
    states = [program.state for program in programs or ()]
    unknown = Unknown("the daemon does not say")
    fields: dict[str, Value] = {
        "diagnosis": diagnosed if isinstance(diagnosed, Unknown) else diagnosed[0],
        "uptime": reading.uptime_s if reading.daemon else Unknown("no daemon runs"),
        "running": states.count("RUNNING") if programs is not None else unknown,
        "fatal": states.count("FATAL") if programs is not None else unknown,
    }
    findings: tuple[Finding, ...] = ()
    if not isinstance(diagnosed, Unknown) and diagnosed[0] != OK:
        findings = (Finding(diagnosed[0], subject, diagnosed[1], DIAGNOSES[diagnosed[0]].repair),)
    unread = frozenset[str]() if programs is not None else frozenset(("supervisor.program",))
    daemon = SubjectFacts(subject, fields, findings, reading=reading, identity=reading.daemon, unread=unread)
    cause = None if works(fields["diagnosis"]) else subject
    return [
        daemon,
        *(program_subject(name, subject, program) for program in programs or ()),
        *(_orphan(name, subject, orphan, cause) for orphan in reading.orphans),
    ]


def _orphan(name: str, parent: Subject, orphan: OrphanReading, cause: Subject | None) -> SubjectFacts:
    child = orphan.child
    subject = Subject("orphan", f"{name}/{child.program}@{child.identity.pid}")
    age = render_seconds(orphan.age_s)
    said = f"process {child.identity.pid} ({orphan.command}) is {age} old"
    if child.master is not None:
        evidence = f"{said}; it was {child.program} of supervisord {child.master.pid}, which is dead"
    else:
        evidence = f"{said}; it has no parent, and by its variables it is {child.program} of this Supervisor"
    if orphan.doubt:
        evidence += f"; it is not touched: {orphan.doubt}"
    fields: dict[str, Value] = {
        "kind": Unknown(orphan.doubt) if orphan.doubt else "program",
        "rss": orphan.rss_bytes,
        "age": orphan.age_s,
    }
    finding = Finding("orphan", subject, evidence, DIAGNOSES["orphan"].repair)
    return SubjectFacts(subject, fields, (finding,), parent=parent, cause=cause, reading=child, identity=child.identity)
