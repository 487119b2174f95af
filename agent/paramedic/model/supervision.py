"""What the sensors read of a Supervisor daemon, of its programs, and of guarded sockets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from paramedic.model.readings import (
    FolderReading,
    Holder,
    Identity,
    MemoryReading,
    PathKind,
    PathReading,
    Unreadable,
)
from paramedic.model.stack import SocketEntry, SupervisorConf

_NOT_READ = Unreadable("it was not read")


@dataclass(frozen=True, slots=True)
class PortHeld:
    """A port that a program is meant to serve and that another process listens on: what is left of `orphan`, the other
    `program` of this Supervisor, or a stranger.
    """

    port: int
    holder: Holder
    orphan: str | None = None
    program: str | None = None


class ProgramReading(NamedTuple):
    """One row of getAllProcessInfo (supervisor/rpcinterface.py), its pid made an identity.

    Memory is that of its process tree, of so many `processes`. `starts` counts those seen within `watched_s`, the first
    look's left out; `hint` explains a spawn error; `connections` are established TCP connections to the `ports` it
    listens on.
    """

    name: str
    state: str
    identity: Identity | None
    spawnerr: str
    age_s: float
    processes: int = 0
    rss_bytes: int | Unreadable = _NOT_READ
    memory: MemoryReading | Unreadable = _NOT_READ
    connections: int | Unreadable = _NOT_READ
    ports: tuple[int, ...] = ()
    starts: int = 0
    watched_s: float = 0.0
    port_held: PortHeld | None = None
    hint: str = ""


class RpcReading(NamedTuple):
    """What the daemon itself answered, and through which path it was asked."""

    via: str
    state: str
    pid: int
    identifier: str
    programs: tuple[ProgramReading, ...]


@dataclass(frozen=True, slots=True)
class ExitTrace:
    """How a daemon left, as far as it left a trace.

    `said` is its own last word in the log, `was_leaving` its last answer while it was asked, `is_ours` that an agent
    had told it to end, to start it again.
    """

    socket_left: bool
    pidfile_left: bool
    said: str | None
    was_leaving: bool = False
    is_ours: bool = False


class ChildRecord(NamedTuple):
    """A supervised process as it was while its daemon was healthy: the lineage an orphan is proven by.

    `master` is None for one that was never seen before: its proof is what it says and how it runs. `socket` is where
    its daemon listened, if that was recorded.
    """

    program: str
    identity: Identity
    pgid: int
    master: Identity | None
    socket: str | None = None


class OrphanReading(NamedTuple):
    """A child that outlived its daemon. `doubt` names the proof that is missing, if one is."""

    child: ChildRecord
    command: str
    rss_bytes: int
    age_s: float
    doubt: str | None


@dataclass(frozen=True, slots=True)
class Silence:
    """A daemon that was asked and did not answer: how often, for how long, and what its process did meanwhile.

    `state` is that of proc(5), `tracer` the pid of a debugger, `still_s` for how long it used no CPU time, `waiting`
    the connections it has not accepted, `blocked` its programs that hang in a write to it.
    """

    misses: int
    for_s: float
    state: str
    tracer: int
    still_s: float
    waiting: int
    blocked: tuple[str, ...] = ()

    @property
    def is_stopped(self) -> bool:
        """Whether it was stopped by a signal."""
        return self.state == "T"


@dataclass(frozen=True, slots=True)
class Rival:
    """One of several daemons of one conf; `settled` are its programs that run longer than they need to start."""

    identity: Identity
    listening_inode: int | None
    children: tuple[ChildRecord, ...]
    settled: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pidfile:
    """What the pidfile says where it is not the daemon's pid; `holder` is the living process of that pid."""

    path: str
    content: str
    holder: Holder | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """Who may not use the socket, and which step denies it; `by_conf` is the line to write where the conf denies it."""

    user: str
    why: str
    by_conf: str | None = None


class SupervisorReading(NamedTuple):
    """Everything the sensors know of one configured Supervisor daemon, from sources that must agree.

    `listener_at_path`: somebody who is not proven to be this daemon listens there, or under that name; `at_path` is who
    that is. `relayed`: our own relay stands there. `uid` and `gid` are the daemon's, `owner` what its conf gives the
    socket. `keeper` is which rival owns the programs, `undecided` why none.
    """

    conf: SupervisorConf
    path: PathReading
    daemon: Identity | None
    rivals: tuple[Rival, ...]
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
    socket_inode: int | None = None
    uid: int = -1
    gid: int = -1
    owner: tuple[int, int] = (-1, -1)
    relayed: bool = False
    at_path: Holder | None = None
    silence: Silence | None = None
    keeper: Identity | None = None
    undecided: str = ""
    pidfile: Pidfile | None = None
    deleted_logs: tuple[str, ...] = ()
    denied: Denied | None = None
    folder: FolderReading | None = None

    @property
    def is_reached(self) -> bool:
        """Whether the path leads to the daemon: to its very inode, or through our relay."""
        is_same = self.path.inode == self.listening_inode and self.listening_inode is not None
        return self.path.kind is PathKind.SOCKET and (is_same or self.relayed)


class SocketReading(NamedTuple):
    """A guarded socket of any server: who listens on it, and what stands at its path.

    `owner` is None where nobody is known to listen, `runs_as` its process's (uid, gid), `recorded` whether this very
    socket was seen healthy before; the rest is as in SupervisorReading.
    """

    entry: SocketEntry
    path: PathReading
    owner: Holder | None
    socket_inode: int | None
    listening_inode: int | None
    kept_inode: int | None
    relayed: bool
    at_path: Holder | None
    uid: int
    gid: int
    mode: int
    folder: FolderReading | None = None
    runs_as: tuple[int, int] = (-1, -1)
    recorded: bool = False

    @property
    def is_reached(self) -> bool:
        """Whether the path leads to the listening socket."""
        is_same = self.path.inode == self.listening_inode and self.listening_inode is not None
        return self.path.kind is PathKind.SOCKET and (is_same or self.relayed)
