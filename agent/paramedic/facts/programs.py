"""One supervised program as facts: what Supervisor says of it, held against what runs and who holds its port."""

from __future__ import annotations

from paramedic.model.facts import Finding, Subject, SubjectFacts, Value, unknown
from paramedic.model.readings import Unreadable
from paramedic.model.supervision import ProgramReading
from paramedic.model.units import render_seconds
from paramedic.model.vocabulary import DIAGNOSES, OK

FLAPS = 3


def program_subject(name: str, parent: Subject, program: ProgramReading) -> SubjectFacts:
    """The program of the daemon `name`."""
    subject = Subject("supervisor.program", f"{name}/{program.name}")
    diagnosis, evidence = _diagnose(program)
    memory = program.memory
    fields: dict[str, Value] = {
        "diagnosis": diagnosis,
        "state": program.state,
        "age": program.age_s,
        "respawns": program.starts,
        "rss": _value(program.rss_bytes),
        "pss": unknown(memory.reason) if isinstance(memory, Unreadable) else memory.pss_bytes,
        "uss": unknown(memory.reason) if isinstance(memory, Unreadable) else memory.uss_bytes,
        "connections": _value(program.connections),
    }
    findings = () if diagnosis == OK else (Finding(diagnosis, subject, evidence, DIAGNOSES[diagnosis].repair),)
    return SubjectFacts(subject, fields, findings, parent=parent, reading=program, identity=program.identity)


def _value(reading: int | Unreadable) -> Value:
    return unknown(reading.reason) if isinstance(reading, Unreadable) else reading


def _diagnose(program: ProgramReading) -> tuple[str, str]:
    held = _held(program)
    if program.state == "FATAL":
        why = program.spawnerr or "no spawn error is recorded; look into its own log"
        more = "".join(f"; {words}" for words in (program.hint, held) if words)
        return "program-fatal", f"FATAL: {why}{more}"
    if program.starts >= FLAPS:
        why = "; ".join(words for words in (held, program.spawnerr) if words)
        times = f"it was started {program.starts} times in {render_seconds(program.watched_s)}"
        return "program-flapping", f"{times}, Supervisor calls it {program.state}{'; ' + why if why else ''}"
    if held:
        return "port-held", f"Supervisor calls it {program.state}, but {held}"
    return OK, ""


def _held(program: ProgramReading) -> str:
    held = program.port_held
    if held is None:
        return ""
    what = f"that is {held.program}" if held.program else "not a program of this Supervisor"
    what = f"what is left of {held.orphan}" if held.orphan else what
    return f"port {held.port} is held by {held.holder}: {what}"
