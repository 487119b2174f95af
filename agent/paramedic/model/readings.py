"""Sample: what the sensors read at one moment, or "unreadable, because"."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from paramedic.model.stack import SupervisorConf, UwsgiConf


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A value that could not be read, and why. Never a synonym for bad, zero or absent."""

    reason: str


@dataclass(frozen=True, slots=True, order=True)
class Identity:
    """A process that cannot be confused with a later one of the same pid.

    `start_ticks` is field 22 of /proc/PID/stat (proc(5)): clock ticks after boot, immune to clock steps.
    """

    pid: int
    start_ticks: int


@dataclass(frozen=True, slots=True)
class HostReading:
    """/proc/meminfo, /proc/vmstat and /proc/pressure/memory (kernel: Documentation/accounting/psi.rst)."""

    total_bytes: int
    available_bytes: int
    swap_total_bytes: int
    swap_free_bytes: int
    oom_kills: int | Unreadable
    some_avg10: float | Unreadable
    some_avg60: float | Unreadable
    full_avg10: float | Unreadable


@dataclass(frozen=True, slots=True)
class MemoryReading:
    """/proc/PID/smaps_rollup, and when (monotonic) it was read: it costs about 12 ms per GiB resident."""

    pss_bytes: int
    uss_bytes: int
    swap_bytes: int
    read_at: float


@dataclass(frozen=True, slots=True)
class WorkerReading:
    """One worker of the uWSGI stats JSON (core/master_utils.c), its memory from /proc, not from uWSGI."""

    id: int
    identity: Identity | None
    accepting: bool
    status: str
    requests: int
    exceptions: int
    harakiris: int
    respawns: int
    spawned_at: float
    apps: int
    age_s: float | None
    rss_bytes: int | Unreadable
    memory: MemoryReading | Unreadable


@dataclass(frozen=True, slots=True)
class UwsgiReading:
    """One uWSGI instance: its ini, its proven master and its workers. Times of day are epoch seconds."""

    conf: UwsgiConf
    master: Identity
    uid: int
    uptime_s: float
    version: str
    listen_queue: int
    workers: tuple[WorkerReading, ...]
    touched_at: float | None


class PathKind(StrEnum):
    """What lstat() finds at a path."""

    ABSENT = "absent"
    SOCKET = "socket"
    FILE = "plain file"
    DIRECTORY = "directory"
    SYMLINK = "symbolic link"
    OTHER = "special file"


@dataclass(frozen=True, slots=True)
class PathReading:
    """lstat() of a path, never following a link; `parent` is False when its folder is gone too."""

    kind: PathKind
    inode: int = 0
    mode: int = 0
    uid: int = -1
    size: int = 0
    parent: bool = True


@dataclass(frozen=True, slots=True)
class ProgramReading:
    """One row of getAllProcessInfo (supervisor/rpcinterface.py), its pid made an identity."""

    name: str
    state: str
    identity: Identity | None
    spawnerr: str
    age_s: float


@dataclass(frozen=True, slots=True)
class RpcReading:
    """What the daemon itself answered, and through which path it was asked."""

    via: str
    state: str
    pid: int
    identifier: str
    programs: tuple[ProgramReading, ...]


@dataclass(frozen=True, slots=True)
class ExitTrace:
    """How a daemon left, as far as it left a trace.

    `said` is its own last word in the log, `was_leaving` its last answer while it was asked.
    """

    socket_left: bool
    pidfile_left: bool
    said: str | None
    was_leaving: bool = False


@dataclass(frozen=True, slots=True)
class ChildRecord:
    """A supervised process as it was while its daemon was healthy: the lineage an orphan is proven by."""

    program: str
    identity: Identity
    pgid: int
    master: Identity


@dataclass(frozen=True, slots=True)
class OrphanReading:
    """A recorded child that outlived its daemon. `doubt` names the proof that is missing, if one is."""

    child: ChildRecord
    command: str
    rss_bytes: int
    age_s: float
    doubt: str | None


@dataclass(frozen=True, slots=True)
class SupervisorReading:
    """Everything the sensors know of one configured Supervisor daemon, from sources that must agree.

    `listener_at_path`: somebody who is not proven to be this daemon listens there, or under that name.
    """

    conf: SupervisorConf
    path: PathReading
    daemon: Identity | None
    rivals: tuple[int, ...]
    uptime_s: float
    listening_inode: int | None
    listener_at_path: bool
    kept_inode: int | None
    rpc: RpcReading | Unreadable
    seen_alive: bool
    trace: ExitTrace | None
    recorded: tuple[ChildRecord, ...] = ()
    stopped: tuple[str, ...] = ()
    orphans: tuple[OrphanReading, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the host. `monotonic` and `wall` are taken before the first sensor reads."""

    monotonic: float
    wall: float
    host: HostReading | Unreadable
    uwsgi: dict[str, UwsgiReading | Unreadable] = field(default_factory=dict)
    supervisor: dict[str, SupervisorReading | Unreadable] = field(default_factory=dict)
