"""One Supervisor daemon as facts: its diagnosis from sources that must agree, its programs, its orphans."""

from __future__ import annotations

from paramedic.model.facts import Finding, Subject, SubjectFacts, Unknown, Value
from paramedic.model.readings import (
    ExitTrace,
    OrphanReading,
    PathKind,
    ProgramReading,
    RpcReading,
    SupervisorReading,
    Unreadable,
)
from paramedic.model.units import render_seconds
from paramedic.model.vocabulary import DIAGNOSES, OK

Diagnosed = tuple[str, str] | Unknown


def supervisor_subjects(name: str, reading: SupervisorReading | Unreadable) -> list[SubjectFacts]:
    """The daemon first, then its programs, then what outlived it."""
    subject = Subject("supervisor", name)
    if isinstance(reading, Unreadable):
        unread = frozenset(("supervisor.program", "orphan"))
        return [SubjectFacts(subject, {"diagnosis": Unknown(reading.reason)}, unread=unread)]
    diagnosed = diagnose(reading)
    programs = reading.rpc.programs if isinstance(reading.rpc, RpcReading) else None
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
        findings = (Finding(diagnosed[0], subject, diagnosed[1], _repair(diagnosed[0], reading)),)
    unread = frozenset[str]() if programs is not None else frozenset(("supervisor.program",))
    daemon = SubjectFacts(subject, fields, findings, reading=reading, identity=reading.daemon, unread=unread)
    cause = subject if fields["diagnosis"] != OK else None
    return [
        daemon,
        *(_program(name, subject, program) for program in programs or ()),
        *(_orphan(name, subject, orphan, cause) for orphan in reading.orphans),
    ]


def _repair(diagnosis: str, reading: SupervisorReading) -> str:
    """What is done about it here: not all of it is possible without what was kept while it was healthy."""
    if diagnosis in ("socket-missing", "socket-replaced") and reading.kept_inode != reading.listening_inode:
        return "tell; no hard link was kept (one is made in mode: act while healthy), and SIGHUP restarts programs"
    return DIAGNOSES[diagnosis].repair


def diagnose(reading: SupervisorReading) -> Diagnosed:
    """(diagnosis, evidence) of the daemon, or Unknown with what is missing to tell. `ok` has no evidence."""
    if reading.rivals:
        pids = ", ".join(map(str, reading.rivals))
        return "daemon-duplicate", f"processes {pids} all run supervisord with {reading.conf.conf}"
    if reading.daemon is None:
        return _gone(reading)
    if reading.conf.socket is None:
        return Unknown(f"{reading.conf.conf} has no [unix_http_server] file: paramedic cannot ask the daemon")
    if reading.listening_inode is None:
        return Unknown(f"supervisord {reading.daemon.pid} does not listen on its socket: it is starting or restarting")
    if reading.path.inode != reading.listening_inode or reading.path.kind is not PathKind.SOCKET:
        return _lost(reading)
    return _answering(reading)


def _lost(reading: SupervisorReading) -> Diagnosed:
    pid = reading.daemon.pid if reading.daemon else 0
    alive = f"supervisord {pid} runs and still listens"
    path, kind = reading.conf.socket, reading.path.kind
    if reading.kept_inode == reading.listening_inode and not _answers_running(reading):
        return Unknown(f"{path} is not the socket of supervisord {pid}, which does not answer: it may be leaving")
    if kind is PathKind.ABSENT:
        gone = f"{path} is gone" if reading.path.parent else f"{path} is gone with its folder"
        return "socket-missing", f"{alive}, but {gone}"
    if reading.listener_at_path:
        return "daemon-foreign", f"{alive}, but another live server listens at {path}"
    what = "a dead socket" if kind is PathKind.SOCKET else f"a {kind} of {reading.path.size} bytes"
    return "socket-replaced", f"{alive}, but at {path} stands {what}"


def _answers_running(reading: SupervisorReading) -> bool:
    return isinstance(reading.rpc, RpcReading) and reading.rpc.state == "RUNNING"


def _answering(reading: SupervisorReading) -> Diagnosed:
    pid = reading.daemon.pid if reading.daemon else 0
    if isinstance(reading.rpc, Unreadable):
        if reading.rpc.reason.startswith("401"):
            return "auth-refused", f"supervisord {pid} refuses the username and password in {reading.conf.conf}"
        return Unknown(f"supervisord {pid} does not answer: {reading.rpc.reason}")
    if reading.rpc.state != "RUNNING":
        return Unknown(f"supervisord {pid} is {reading.rpc.state.lower()}")
    if reading.rpc.pid != pid:
        return Unknown(f"getPID says {reading.rpc.pid}, /proc says {pid}")
    return OK, ""


def _gone(reading: SupervisorReading) -> Diagnosed:
    if reading.listener_at_path:
        return "daemon-foreign", f"another live server listens at {reading.conf.socket}, and ours does not run"
    trace = reading.trace
    if trace is None:
        return Unknown("the traces of the daemon cannot be read")
    purpose = _on_purpose(trace, reading)
    if purpose and reading.conf.restart != "always":
        return "daemon-stopped", f"no supervisord runs {reading.conf.conf}, and {purpose}"
    left = [word for word, there in (("its socket", trace.socket_left), ("its pidfile", trace.pidfile_left)) if there]
    behind = f"; it left {' and '.join(left)} behind" if left else ""
    serving = [f"{o.child.program} ({o.child.identity.pid})" for o in reading.orphans]
    alive = f"; still running: {', '.join(serving)}" if serving else ""
    always = f"; {purpose}, but restart: always" if purpose else ""
    if trace.socket_left and not reading.seen_alive:
        return "socket-stale", f"{reading.conf.socket} has no listener and no supervisord runs{alive}{always}"
    return "daemon-dead", f"no supervisord runs {reading.conf.conf}{behind}{alive}{always}"


def _on_purpose(trace: ExitTrace, reading: SupervisorReading) -> str | None:
    """Why this was no accident: its own last word or answer, or a clean exit's tidiness (options.py cleanup).

    An ordered exit stops every program before it tidies up; a crash tidies up too, and leaves them running.
    """
    if trace.said is not None and "indicating exit request" in trace.said:
        return f'its log says "{trace.said}"'
    if trace.said is not None and "SIGHUP" in trace.said:
        return None
    if trace.was_leaving:
        return "it was shutting down when it was last asked"
    if trace.socket_left or trace.pidfile_left or reading.orphans:
        return None
    return "it removed its socket and pidfile" if reading.seen_alive else "there is no trace that it ever started"


def _program(name: str, parent: Subject, program: ProgramReading) -> SubjectFacts:
    subject = Subject("supervisor.program", f"{name}/{program.name}")
    fields: dict[str, Value] = {"diagnosis": OK, "state": program.state, "age": program.age_s}
    if program.state != "FATAL":
        return SubjectFacts(subject, fields, parent=parent, identity=program.identity)
    fields["diagnosis"] = "program-fatal"
    why = program.spawnerr or "no spawn error is recorded; look into its own log"
    finding = Finding("program-fatal", subject, f"FATAL: {why}", DIAGNOSES["program-fatal"].repair)
    return SubjectFacts(subject, fields, (finding,), parent=parent)


def _orphan(name: str, parent: Subject, orphan: OrphanReading, cause: Subject | None) -> SubjectFacts:
    child = orphan.child
    subject = Subject("orphan", f"{name}/{child.program}@{child.identity.pid}")
    age = render_seconds(orphan.age_s)
    evidence = (
        f"process {child.identity.pid} ({orphan.command}) is {age} old; it was {child.program} "
        f"of supervisord {child.master.pid}, which is dead"
    )
    if orphan.doubt:
        evidence += f"; it is not touched: {orphan.doubt}"
    fields: dict[str, Value] = {
        "kind": Unknown(orphan.doubt) if orphan.doubt else "program",
        "rss": orphan.rss_bytes,
        "age": orphan.age_s,
    }
    finding = Finding("orphan", subject, evidence, DIAGNOSES["orphan"].repair)
    return SubjectFacts(subject, fields, (finding,), parent=parent, cause=cause, reading=child, identity=child.identity)
