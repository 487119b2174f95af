"""What one look shows, in base units: bytes, seconds, per second. Unknown is explicit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from paramedic.model.facts import Facts, Unknown, Value
from paramedic.model.readings import Identity

Number = float | int | Unknown
NOT_READ = Unknown("it was not read")


@dataclass(frozen=True, slots=True)
class Other:
    """A process of a uWSGI instance that is no worker: the master, a mule, a spooler, a router."""

    what: str
    pid: int
    rss: int
    age: float


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the host, with what the facts do not carry.

    `others` are the masters and their other children by instance; `incidents` the diagnoses of the agent's open
    incidents by subject; `agent` one sentence about it; `load` that of 1, 5 and 15 minutes; `closed` the processes
    whose memory this user may not read.
    """

    facts: Facts
    swap_total: Number
    load: tuple[float, ...] = ()
    others: Mapping[str, tuple[Other, ...]] = field(default_factory=dict)
    incidents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    agent: str = ""
    closed: frozenset[Identity] = frozenset()


@dataclass(frozen=True, slots=True)
class Sizes:
    """Memory in bytes, its growth in bytes per second, and how old PSS, USS and swap are (the oldest of a sum)."""

    rss: Number
    pss: Number
    uss: Number
    swap: Number
    slope: Number
    read_age: float | None = None


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """One uWSGI worker. `rate` is requests per second since the look before; `pid` is None while it has none."""

    id: int
    pid: int | None
    status: str
    requests: int
    rate: Number
    exceptions: int
    harakiris: int
    sizes: Sizes
    age: Number
    diagnoses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProgramRow:
    """One supervised program with its process tree, or what is left of one (`state` orphan)."""

    name: str
    state: str
    pid: int | None
    processes: Number
    sizes: Sizes
    connections: Number
    age: Number
    diagnoses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Instance:
    """One uWSGI instance; `trouble` is why it could not be read, and then there is nothing but its name."""

    name: str
    trouble: str = ""
    diagnoses: tuple[str, ...] = ()
    ini: str = ""
    version: str = ""
    master: int = 0
    mode: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    rate: Number = NOT_READ
    sizes: Sizes | None = None
    workers: tuple[WorkerRow, ...] = ()
    others: tuple[Other, ...] = ()


@dataclass(frozen=True, slots=True)
class Daemon:
    """One Supervisor; `trouble` is why nothing can be told about it."""

    name: str
    trouble: str = ""
    diagnoses: tuple[str, ...] = ()
    conf: str = ""
    pid: int | None = None
    fields: Mapping[str, Value] = field(default_factory=dict)
    programs: tuple[ProgramRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything one look shows. `elsewhere` are the findings on subjects that have no row; `unknown` is what could not
    be told, and why.
    """

    wall: float
    host: Mapping[str, Value]
    swap_total: Number
    load: tuple[float, ...]
    agent: str
    uwsgi: tuple[Instance, ...]
    supervisor: tuple[Daemon, ...]
    elsewhere: tuple[tuple[str, str], ...]
    unknown: Mapping[str, str]
