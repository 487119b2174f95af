"""Facts: the sample typed, with units, joined; and the named states (diagnoses) that follow from it."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from paramedic.model.readings import (
    FolderReading,
    Holding,
    HostReading,
    Identity,
    UwsgiBlind,
    UwsgiGone,
    UwsgiReading,
)
from paramedic.model.supervision import ChildRecord, ProgramReading, SocketReading, SupervisorReading


@dataclass(frozen=True, slots=True)
class Unknown:
    """A field without a value, and why: it makes every comparison on it unknown."""

    reason: str


@functools.lru_cache(maxsize=1024)
def unknown(reason: str) -> Unknown:
    """The same one for the same reason: what is unknown stays so for long, and is compared in every pass."""
    return Unknown(reason)


Scalar = float | int | str
Value = float | int | str | Unknown
Reading = (
    HostReading
    | SupervisorReading
    | UwsgiReading
    | UwsgiBlind
    | UwsgiGone
    | SocketReading
    | ProgramReading
    | ChildRecord
)


class Subject(NamedTuple):
    """One thing a policy looks at, e.g. `uwsgi.worker:web/3`."""

    kind: str
    name: str

    def __str__(self) -> str:
        """`kind:name`, the form used in the journal, in notifications and on the command line."""
        return self.kind if self.kind == "host" else f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class Finding:
    """A diagnosis with its evidence and what is, or would be, done: one sentence each."""

    diagnosis: str
    subject: Subject
    evidence: str
    repair: str


class SubjectFacts(NamedTuple):
    """The fields of one subject; `parent` is what it belongs to, `cause` what explains its trouble.

    `identity` is the process behind it, where there is one; `unread` are the kinds of children that could not be told.
    Of the host, `scope` is what its numbers are of, and `holders` are who holds the memory beside the stack.
    """

    subject: Subject
    fields: Mapping[str, Value]
    findings: tuple[Finding, ...] = ()
    parent: Subject | None = None
    cause: Subject | None = None
    reading: Reading | None = None
    identity: Identity | None = None
    unread: frozenset[str] = frozenset()
    scope: str = ""
    holders: tuple[Holding, ...] = ()


def _name(one: SubjectFacts) -> str:
    return one.subject.name


@dataclass(frozen=True, slots=True)
class Facts:
    """All subjects of one pass; `monotonic` is the age of the evidence, not of the reasoning.

    `told` are the diagnoses that there are, by kind; None where there is a subject without one that is known.
    """

    monotonic: float
    wall: float
    subjects: Mapping[Subject, SubjectFacts] = field(default_factory=dict)
    _by_kind: dict[str, list[SubjectFacts]] = field(init=False, repr=False, compare=False, default_factory=dict)
    _by_parent: dict[tuple[Subject, str], list[SubjectFacts]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )
    told: set[tuple[str, str | None]] = field(init=False, repr=False, compare=False, default_factory=set)

    def __post_init__(self) -> None:
        """Index once: a pass asks for every kind once for each policy."""
        by_kind, by_parent, told = self._by_kind, self._by_parent, self.told
        for found in self.subjects.values():
            kind, diagnosis = found.subject.kind, found.fields.get("diagnosis")
            by_kind.setdefault(kind, []).append(found)
            told.add((kind, diagnosis if isinstance(diagnosis, str) else None))
            if found.parent is not None:
                by_parent.setdefault((found.parent, kind), []).append(found)
        for listed in by_kind.values():
            if len(listed) > 1:
                listed.sort(key=_name)

    def of_kind(self, kind: str) -> Sequence[SubjectFacts]:
        """All subjects of `kind`, in the order of their names."""
        return self._by_kind.get(kind, ())

    def children(self, parent: Subject, kind: str) -> list[SubjectFacts]:
        """What belongs to `parent`."""
        return self._by_parent.get((parent, kind), [])

    def supervisor(self, subject: Subject) -> SupervisorReading | None:
        """The reading behind a supervisor subject, if there is one."""
        facts = self.subjects.get(subject)
        return facts.reading if facts and isinstance(facts.reading, SupervisorReading) else None

    def socket(self, subject: Subject) -> SocketReading | None:
        """The reading behind a socket subject, if there is one."""
        facts = self.subjects.get(subject)
        return facts.reading if facts and isinstance(facts.reading, SocketReading) else None

    def uwsgi(self, subject: Subject) -> UwsgiReading | None:
        """The reading behind a uwsgi subject or one of its workers, also of one that is cheaped now; None without."""
        is_worker = subject.kind == "uwsgi.worker"
        facts = self.subjects.get(Subject("uwsgi", subject.name.partition("/")[0]) if is_worker else subject)
        return facts.reading if facts and isinstance(facts.reading, UwsgiReading) else None


@dataclass(frozen=True, slots=True)
class Preflight:
    """The last try to import an app outside uWSGI: `loads`, `broken` or `cannot tell`."""

    result: str
    detail: str
    wall: float


@dataclass(frozen=True, slots=True)
class SupervisorKnown:
    """What stays known of a daemon when it is gone.

    `stopped` are the programs a person had stopped; `was_leaving` whether its last answer was that it shuts down;
    `ports` what each program listened on; `folder` how the folder of its socket was.
    """

    daemon: Identity | None = None
    children: tuple[ChildRecord, ...] = ()
    strays: tuple[ChildRecord, ...] = ()
    stopped: tuple[str, ...] = ()
    was_leaving: bool = False
    ports: tuple[tuple[str, tuple[int, ...]], ...] = ()
    folder: FolderReading | None = None


@dataclass(frozen=True, slots=True)
class UwsgiKnown:
    """What stays known of an instance when it is gone: its master and its workers when it last answered."""

    master: Identity
    workers: tuple[Identity, ...] = ()


@dataclass(frozen=True, slots=True)
class SocketKnown:
    """A guarded socket while it was healthy: who listened, on which kernel socket and file, owned how."""

    owner: Identity
    socket_inode: int
    inode: int
    uid: int
    gid: int
    mode: int
    folder: FolderReading | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What earlier passes learned and later ones need; kept in the journal over restarts of the agent.

    `baselines` maps a worker's identity to its USS in bytes when it had settled after its start.
    """

    boot_id: str = ""
    supervisors: Mapping[str, SupervisorKnown] = field(default_factory=dict)
    baselines: Mapping[Identity, int] = field(default_factory=dict)
    preflights: Mapping[str, Preflight] = field(default_factory=dict)
    sockets: Mapping[str, SocketKnown] = field(default_factory=dict)
    uwsgis: Mapping[str, UwsgiKnown] = field(default_factory=dict)
