"""One guarded socket of any server as facts."""

from __future__ import annotations

from paramedic.model.facts import Finding, Subject, SubjectFacts, Unknown, Value
from paramedic.model.readings import PathKind, Unreadable
from paramedic.model.supervision import SocketReading
from paramedic.model.vocabulary import DIAGNOSES, OK


def socket_subject(name: str, reading: SocketReading | Unreadable) -> SubjectFacts:
    """The socket `name` of `stack.sockets`."""
    subject = Subject("socket", name)
    if isinstance(reading, Unreadable):
        return SubjectFacts(subject, {"diagnosis": Unknown(reading.reason)})
    diagnosis, evidence = diagnose_socket(reading)
    fields: dict[str, Value] = {"diagnosis": diagnosis}
    findings = () if diagnosis == OK else (Finding(diagnosis, subject, evidence, DIAGNOSES[diagnosis].repair),)
    identity = reading.owner.identity if reading.owner else None
    return SubjectFacts(subject, fields, findings, reading=reading, identity=identity)


def diagnose_socket(reading: SocketReading) -> tuple[str, str]:
    """(diagnosis, evidence); `ok` has no evidence."""
    path, kind = reading.entry.path, reading.path.kind
    if reading.owner is None:
        what = f"{path} has no listener" if kind is PathKind.SOCKET else f"nobody listens at {path}"
        return "socket-stale", f"{what}: its server does not run"
    if reading.is_reached:
        return OK, ""
    alive = f"{reading.owner} still listens"
    if kind is PathKind.ABSENT:
        gone = f"{path} is gone" if reading.path.parent else f"{path} is gone with its folder"
        return "socket-missing", f"{alive}, but {gone}"
    if reading.at_path is not None:
        return "socket-replaced", f"{alive}, but at {path} stands the live socket of {reading.at_path}"
    what = "a dead socket" if kind is PathKind.SOCKET else f"a {kind} of {reading.path.size} bytes"
    return "socket-replaced", f"{alive}, but at {path} stands {what}"
