"""Sample: what the sensors read at one moment, or "unreadable, because"."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from paramedic.model.stack import UwsgiConf


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
    gid: int = -1


@dataclass(frozen=True, slots=True)
class FolderReading:
    """Owner and mode of the folder a socket lives in, so that it can be made again as it was."""

    uid: int
    gid: int
    mode: int


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a socket, read from /proc; `conf` is a supervisord's, `unit` the systemd unit it runs in."""

    identity: Identity
    command: str
    conf: str | None = None
    unit: str | None = None

    def __str__(self) -> str:
        """As a person looks for it."""
        what = f"supervisord with {self.conf}" if self.conf else self.command
        return f"process {self.identity.pid} ({what})"
