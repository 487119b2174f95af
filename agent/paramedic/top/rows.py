"""One look and the one before it -> rows. Pure: time comes with the facts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from paramedic.model.facts import Subject, SubjectFacts, Unknown, Value
from paramedic.model.policy import Window
from paramedic.model.readings import MemoryReading, Unreadable, UwsgiReading, WorkerReading
from paramedic.model.stack import UwsgiConf
from paramedic.model.supervision import ProgramReading
from paramedic.top.seen import NOT_READ, Daemon, Instance, Look, Number, ProgramRow, Seen, Sizes, WorkerRow
from paramedic.windows import Windows

SLOPE = Window("slope", "rss", 3600.0)
NEEDED = dict.fromkeys(("uwsgi", "uwsgi.worker", "supervisor.program"), (SLOPE,))
CLOSED = "not allowed to read its PSS and USS as this user"
NOTHING = "no uWSGI and no Supervisor is configured or running: there is nothing to show"


def seen(look: Look, before: Look | None, past: Windows) -> Seen:
    """The rows of a look; `before` is the one it is compared with, `past` has its readings already."""
    facts, host = look.facts, look.facts.subjects.get(Subject("host", "host"))
    rows = _Rows(look, before, past)
    uwsgi = tuple(rows.instance(found) for found in facts.of_kind("uwsgi"))
    supervisor = tuple(rows.daemon(found) for found in facts.of_kind("supervisor"))
    shown = ("host", "socket")
    elsewhere = [(str(s), name) for s, one in facts.subjects.items() if s.kind in shown for name in rows.diagnoses(one)]
    return Seen(
        wall=facts.wall,
        host=host.fields if host else {},
        swap_total=look.swap_total,
        load=look.load,
        agent=look.agent,
        uwsgi=uwsgi,
        supervisor=supervisor,
        elsewhere=tuple(elsewhere),
        unknown=_unknown(look) if uwsgi or supervisor else {"stack": NOTHING},
    )


class _Rows:
    """The rows of one look."""

    def __init__(self, look: Look, before: Look | None, past: Windows) -> None:
        self._look, self._before, self._past = look, before, past
        self._now = look.facts.monotonic

    def instance(self, found: SubjectFacts) -> Instance:
        """One uWSGI instance with its workers."""
        name, reading = found.subject.name, found.reading
        if not isinstance(reading, UwsgiReading):
            return Instance(name, _why(found), self.diagnoses(found))
        before = self._reading_before(found.subject)
        rows = tuple(self._worker(name, worker, before) for worker in reading.workers)
        return Instance(
            name=name,
            diagnoses=self.diagnoses(found),
            ini=reading.conf.ini,
            version=reading.version,
            master=reading.master.pid,
            mode=_mode(reading.conf),
            counts=_counts(found, rows),
            rate=self._rate(_served(reading), _served(before) if before else None),
            sizes=self._sum(found, rows),
            workers=rows,
            others=self._look.others.get(name, ()),
        )

    def daemon(self, found: SubjectFacts) -> Daemon:
        """One Supervisor with its programs and what outlived it."""
        facts, subject = self._look.facts, found.subject
        reading = facts.supervisor(subject)
        programs = [self._program(one) for one in facts.children(subject, "supervisor.program")]
        orphans = [self._orphan(one) for one in facts.children(subject, "orphan")]
        return Daemon(
            name=subject.name,
            trouble=_why(found) if isinstance(found.fields.get("diagnosis"), Unknown) else "",
            diagnoses=self.diagnoses(found),
            conf=reading.conf.conf if reading else "",
            pid=found.identity.pid if found.identity else None,
            fields=found.fields,
            programs=(*programs, *orphans),
        )

    def diagnoses(self, found: SubjectFacts) -> tuple[str, ...]:
        """What is wrong with it by its state, and by the incidents the agent has open on it."""
        names = [finding.diagnosis for finding in found.findings]
        return tuple(dict.fromkeys([*names, *self._look.incidents.get(str(found.subject), ())]))

    def _reading_before(self, subject: Subject) -> UwsgiReading | None:
        return self._before.facts.uwsgi(subject) if self._before else None

    def _worker(self, name: str, worker: WorkerReading, before: UwsgiReading | None) -> WorkerRow:
        subject = Subject("uwsgi.worker", f"{name}/{worker.id}")
        found = self._look.facts.subjects.get(subject) or SubjectFacts(subject, {})
        earlier = next((w.requests for w in before.workers if w.id == worker.id), None) if before else None
        return WorkerRow(
            id=worker.id,
            pid=worker.identity.pid if worker.identity else None,
            status=status_of(worker),
            requests=worker.requests,
            rate=self._rate(worker.requests, earlier),
            exceptions=worker.exceptions,
            harakiris=worker.harakiris,
            sizes=self._sizes(subject, worker.rss_bytes, worker.memory),
            age=Unknown("it has no process") if worker.age_s is None else worker.age_s,
            diagnoses=self.diagnoses(found),
        )

    def _program(self, found: SubjectFacts) -> ProgramRow:
        reading, fields = found.reading, found.fields
        missing = Unreadable("it was not read")
        memory = reading.memory if isinstance(reading, ProgramReading) else missing
        rss = reading.rss_bytes if isinstance(reading, ProgramReading) else missing
        return ProgramRow(
            name=found.subject.name.partition("/")[2],
            state=str(fields.get("state", "")),
            pid=found.identity.pid if found.identity else None,
            processes=reading.processes if isinstance(reading, ProgramReading) else Unknown(missing.reason),
            sizes=self._sizes(found.subject, rss, memory),
            connections=number(fields.get("connections")),
            age=number(fields.get("age")) if found.identity else Unknown("it does not run"),
            diagnoses=self.diagnoses(found),
        )

    def _orphan(self, found: SubjectFacts) -> ProgramRow:
        unread = Unknown("not read of what outlived its daemon")
        name = found.subject.name.partition("/")[2].rpartition("@")[0]
        pid = found.identity.pid if found.identity else None
        sizes = Sizes(number(found.fields.get("rss")), unread, unread, unread, unread)
        age = number(found.fields.get("age"))
        return ProgramRow(name, "orphan", pid, unread, sizes, unread, age, self.diagnoses(found))

    def _sizes(self, subject: Subject, rss: int | Unreadable, memory: MemoryReading | Unreadable) -> Sizes:
        resident = Unknown(rss.reason) if isinstance(rss, Unreadable) else rss
        slope = self._past.value(subject, SLOPE, self._now) if isinstance(rss, int) else resident
        if isinstance(memory, Unreadable):
            unread = Unknown(memory.reason)
            return Sizes(resident, unread, unread, unread, slope)
        parts = (memory.pss_bytes, memory.uss_bytes, memory.swap_bytes)
        return Sizes(resident, *parts, slope, max(0.0, self._now - memory.read_at))

    def _sum(self, found: SubjectFacts, rows: Sequence[WorkerRow]) -> Sizes:
        """The sums of an instance's workers, as old as the oldest part; a worker without a process holds nothing."""
        running = [row.sizes for row in rows if row.pid is not None]
        ages = [one.read_age for one in running if one.read_age is not None]
        return Sizes(
            _total(one.rss for one in running),
            _total(one.pss for one in running),
            _total(one.uss for one in running),
            _total(one.swap for one in running),
            self._past.value(found.subject, SLOPE, self._now),
            max(ages, default=None),
        )

    def _rate(self, now: int, before: int | None) -> Number:
        """Per second since the look before."""
        over_s = self._now - self._before.facts.monotonic if self._before else 0.0
        if before is None or over_s <= 0:
            return Unknown("it takes two looks")
        return (now - before) / over_s if now >= before else Unknown("it was reloaded meanwhile")


def status_of(worker: WorkerReading) -> str:
    """What a worker does: uWSGI's word, but `spawning` without a process and `booting` while it loads its app.

    uWSGI calls both idle (core/master_utils.c).
    """
    if worker.status == "cheap":
        return "cheap"
    if worker.identity is None:
        return "spawning"
    return "booting" if worker.status == "idle" and not worker.accepting else worker.status


def number(value: Value | None) -> Number:
    """A field that is a number."""
    return NOT_READ if value is None or isinstance(value, str) else value


def _mode(conf: UwsgiConf) -> str:
    threads = f", {conf.threads} threads each" if conf.threads > 1 else ""
    return f"{'lazy-apps' if conf.lazy_apps else 'prefork'}{threads}"


def _counts(found: SubjectFacts, rows: Sequence[WorkerRow]) -> dict[str, int]:
    """Those of the facts, but idle only the workers that can take a request; the others are on their way up."""
    names = ("workers", "accepting", "listen_queue", "respawns", "harakiris")
    counts = {one: value for one in names if isinstance(value := found.fields.get(one), int)}
    states = [row.status for row in rows]
    booting = states.count("booting") + states.count("spawning")
    return counts | {"busy": states.count("busy"), "idle": states.count("idle"), "booting": booting}


def _total(parts: Iterable[Number]) -> Number:
    total: float = 0
    for part in parts:
        if isinstance(part, Unknown):
            return part
        total += part
    return total


def _served(reading: UwsgiReading) -> int:
    return sum(worker.requests for worker in reading.workers)


def _why(found: SubjectFacts) -> str:
    """Why it could not be read."""
    diagnosis = found.fields.get("diagnosis")
    if isinstance(diagnosis, Unknown):
        return diagnosis.reason
    return found.findings[0].evidence if found.findings else "it was not read"


def _unknown(look: Look) -> dict[str, str]:
    """What should be told and cannot be, by subject; a worker or program that does not run has no memory to tell of."""
    found: dict[str, str] = {}
    for one in look.facts.subjects.values():
        fields, kind = one.fields, one.subject.kind
        asked = {"host": ["memory.total"], "uwsgi": ["diagnosis"], "supervisor": ["diagnosis"]}.get(kind, [])
        if one.identity is not None and kind in ("uwsgi.worker", "supervisor.program"):
            asked = ["pss"]
        reasons = [value.reason for path in asked if isinstance(value := fields.get(path), Unknown)]
        if kind == "uwsgi" and one.reading is None:
            reasons = [_why(one)]
        if one.identity in look.closed:
            reasons = [CLOSED]
        if reasons:
            found[str(one.subject)] = reasons[0]
    return found
