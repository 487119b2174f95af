"""Sample: what the sensors read at one moment, or "unreadable, because"."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from paramedic.model.stack import UwsgiConf
from paramedic.model.units import render_bytes


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A value that could not be read, and why. Never a synonym for bad, zero or absent."""

    reason: str


class Identity(NamedTuple):
    """A process that cannot be confused with a later one of the same pid.

    `start_ticks` is field 22 of /proc/PID/stat (proc(5)): clock ticks after boot, immune to clock steps.
    """

    pid: int
    start_ticks: int


USER_HZ = 100


def age_s(one: Identity, up_s: float) -> float:
    """Its age when the host has been up for so many seconds, in hundredths: that is what its start is told in."""
    return max(0.0, round(up_s - one.start_ticks / USER_HZ, 2))


MACHINE = "the machine"
_NOT_READ = Unreadable("not read")


@dataclass(frozen=True, slots=True)
class Holding:
    """Memory that is not the stack's, in bytes: of a unit's or a command's processes, or with none of the kernel's own.

    Of processes it is their private anonymous memory: what would be freed if they ended.
    """

    name: str
    size_bytes: int
    processes: int = 0
    swap_bytes: int = 0

    def __str__(self) -> str:
        """`postgresql.service holds 5.1 GiB in 12 processes`."""
        size = render_bytes(self.size_bytes)
        if not self.processes:
            return f"{self.name} holds {size}"
        swapped = f" and {render_bytes(self.swap_bytes)} in swap" if self.swap_bytes else ""
        many = "1 process" if self.processes == 1 else f"{self.processes} processes"
        return f"{self.name} holds {size}{swapped} in {many}"


class HostReading(NamedTuple):
    """/proc/meminfo, /proc/vmstat and /proc/pressure/memory (kernel: Documentation/accounting/psi.rst).

    `scope` is what total, available and pressure are of: the machine, or the cgroup whose limit is nearest.
    `swap_in` and `swap_out` are bytes per second, of the machine. `pressure_files` are where a trigger may be set,
    best first. `holders` are who holds the memory beside the stack, the largest first; empty while nobody asked.
    """

    total_bytes: int
    available_bytes: int
    swap_total_bytes: int
    swap_free_bytes: int
    oom_kills: int | Unreadable
    some_avg10: float | Unreadable
    some_avg60: float | Unreadable
    full_avg10: float | Unreadable
    dirty_bytes: int | Unreadable = _NOT_READ
    shmem_bytes: int | Unreadable = _NOT_READ
    swap_in: float | Unreadable = _NOT_READ
    swap_out: float | Unreadable = _NOT_READ
    scope: str = MACHINE
    pressure_files: tuple[str, ...] = ()
    holders: tuple[Holding, ...] = ()

    @property
    def used_percent(self) -> float:
        """How much of the total is used."""
        return 100.0 * (1 - self.available_bytes / self.total_bytes)


class MemoryReading(NamedTuple):
    """/proc/PID/smaps_rollup, and when (monotonic) it was read: it costs about 12 ms per GiB resident."""

    pss_bytes: int
    uss_bytes: int
    swap_bytes: int
    read_at: float


class WorkerReading(NamedTuple):
    """One worker of the uWSGI stats JSON (core/master_utils.c), its memory from /proc, not from uWSGI."""

    id: int
    accepting: bool
    status: str
    requests: int
    exceptions: int
    harakiris: int
    respawns: int
    running_s: float
    spawned_at: float
    apps: int
    startup_s: float
    identity: Identity | None
    age_s: float | None
    rss_bytes: int | Unreadable
    memory: MemoryReading | Unreadable

    def is_older_than(self, touched: int) -> bool:
        """Whether it is of before a touch (epoch seconds): uWSGI tells spawns in whole seconds, and of those in the
        second of the touch only a worker that was never respawned is older.
        """
        return self.spawned_at < touched or (self.spawned_at == touched and self.respawns <= 1)


SLOWER_BOOTS = 5.0


class UwsgiReading(NamedTuple):
    """One uWSGI instance: its ini, its proven master and its workers. Times of day are epoch seconds."""

    conf: UwsgiConf
    master: Identity
    uid: int
    uptime_s: float
    version: str
    listen_queue: int
    workers: tuple[WorkerReading, ...]
    touched_at: float | None
    asked_at: float | None = None

    @property
    def chain_asked_at(self) -> float | None:
        """When a chain reload was last asked for, by the touch file or, as far as we did it, through the FIFO."""
        return max((at for at in (self.touched_at, self.asked_at) if at is not None), default=None)

    @property
    def stuck(self) -> tuple[WorkerReading, ...]:
        """Workers that have been loading their app for longer than its `boot`, and five times the slowest start."""
        booting = [w for w in self.workers if not w.accepting and w.identity and not w.apps and w.status != "cheap"]
        if not booting:
            return ()
        budget_s = max(self.conf.boot_s, SLOWER_BOOTS * max((w.startup_s for w in self.workers), default=0.0))
        return tuple(w for w in booting if w.age_s is not None and w.age_s > budget_s)


class UwsgiBlind(NamedTuple):
    """An instance whose master runs and whose workers cannot be asked for: memory is that of its process tree."""

    conf: UwsgiConf
    master: Identity
    why: str
    tree: tuple[Identity, ...]
    rss_bytes: int
    memory: MemoryReading | Unreadable


@dataclass(frozen=True, slots=True)
class UwsgiGone:
    """An instance of which no master runs. `farewell` is what says that it was stopped on purpose, None where what
    could say so does not; `untold` why that cannot be told. `keeper` starts it again by itself; `survivors` are workers
    that outlived their master.
    """

    conf: UwsgiConf
    seen_alive: bool
    farewell: str | None = None
    untold: str = ""
    last_words: str = ""
    is_failed: bool = False
    keeper: str = ""
    survivors: tuple[Identity, ...] = ()


class PathKind(StrEnum):
    """What lstat() finds at a path."""

    ABSENT = "absent"
    SOCKET = "socket"
    FILE = "plain file"
    DIRECTORY = "directory"
    SYMLINK = "symbolic link"
    OTHER = "special file"


class PathReading(NamedTuple):
    """lstat() of a path, never following a link; `parent` is False when its folder is gone too."""

    kind: PathKind
    inode: int = 0
    mode: int = 0
    uid: int = -1
    size: int = 0
    parent: bool = True
    gid: int = -1


class FolderReading(NamedTuple):
    """Owner and mode of the folder a socket lives in, so that it can be made again as it was."""

    uid: int
    gid: int
    mode: int


class Holder(NamedTuple):
    """Who holds a socket, read from /proc; `conf` is a supervisord's, `unit` the systemd unit it runs in."""

    identity: Identity
    command: str
    conf: str | None = None
    unit: str | None = None

    def __str__(self) -> str:
        """As a person looks for it."""
        what = f"supervisord with {self.conf}" if self.conf else self.command
        return f"process {self.identity.pid} ({what})"
