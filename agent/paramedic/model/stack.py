"""What paramedic looks after, as configured: the typed form of paramedic.yaml and of the confs it names."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum


class Mode(StrEnum):
    """`act` repairs; `observe` decides, records and says what would be done, and touches nothing."""

    ACT = "act"
    OBSERVE = "observe"


@dataclass(frozen=True, slots=True)
class UwsgiEntry:
    """One item of `stack.uwsgi`: the ini and what the user overrides of it."""

    name: str
    ini: str
    pidfile: str | None = None
    stats: str | None = None
    chain_reload: str | None = None
    preflight: tuple[str, ...] | None = None
    restart: str = "unless-stopped"
    boot_s: float = 60.0


@dataclass(frozen=True, slots=True)
class SupervisorEntry:
    """One item of `stack.supervisor`: the conf and how to start its daemon if that was never seen."""

    name: str
    conf: str
    unit: str | None = None
    command: tuple[str, ...] | None = None
    user: str | None = None
    directory: str | None = None
    environment: tuple[tuple[str, str], ...] = ()
    restart: str = "unless-stopped"
    control_user: str | None = None


@dataclass(frozen=True, slots=True)
class SocketEntry:
    """One item of `stack.sockets`: a listening Unix stream socket of any server, and whether a relay may stand in."""

    name: str
    path: str
    relay: bool = False


@dataclass(frozen=True, slots=True)
class Stack:
    """Everything on this host that paramedic was told to look after."""

    uwsgi: tuple[UwsgiEntry, ...] = ()
    supervisor: tuple[SupervisorEntry, ...] = ()
    sockets: tuple[SocketEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class NotifyConf:
    """`notify:` one JSON document on stdin of `command` per incident event; `retry_s` between tries."""

    command: tuple[str, ...] = ()
    retry_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class Settings:
    """`/etc/paramedic/paramedic.yaml`, checked and with absolute paths."""

    path: str
    mode: Mode = Mode.ACT
    interval_s: float = 5.0
    state_dir: str = "/var/lib/paramedic"
    runtime_dir: str = "/run/paramedic"
    policies: tuple[str, ...] = ()
    stack: Stack = field(default_factory=Stack)
    notify: NotifyConf = field(default_factory=NotifyConf)


# The options that bring in more options; one of them undecided means that any option may be set there.
READS_MORE = frozenset(
    (
        *("ini", "include", "inherit", "config", "xml", "xmlconfig", "yaml", "yml", "json", "js"),
        *("ini-paste", "ini-paste-logged", "ldap", "sqlite", "sqlite3"),
    )
)


@dataclass(frozen=True, slots=True)
class UwsgiConf:
    """What a uWSGI ini says, overrides applied (uWSGI docs, "Options"). Mercy defaults to 60 s (core/init.c).

    Paths are absolute. `safe_pidfile` is false only where a failed second start overwrites the pidfile; `sockets` are
    all addresses it binds for clients, not stats; `spoolers` one folder for each of their processes; `is_vassal` None
    where that cannot be told; `chmod_socket` the mode. `undecided` are the options that a loop or condition may set,
    or whose value only the running uWSGI knows: their fields hold what is set outside of those. `is_touch_by_launch`:
    where its touch file is depends on the environment or the folder it was started with.
    """

    name: str
    ini: str
    pidfile: str | None = None
    stats: str | None = None
    chain_reload: str | None = None
    preflight: tuple[str, ...] | None = None
    module: str | None = None
    wsgi_file: str | None = None
    callable: str = "application"
    chdir: str | None = None
    home: str | None = None
    pythonpath: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    lazy_apps: bool = False
    mercy_s: float = 60.0
    processes: int = 1
    threads: int = 1
    cheaper: int | None = None
    mules: int = 0
    spoolers: tuple[str, ...] = ()
    master: bool = False
    master_fifo: str | None = None
    touch_reload: tuple[str, ...] = ()
    harakiri_s: float | None = None
    max_requests: int | None = None
    max_requests_delta: int = 0
    min_worker_lifetime_s: float = 10.0
    need_app: bool = False
    die_on_term: bool = False
    no_orphans: bool = False
    vacuum: bool = False
    safe_pidfile: bool = True
    logto: str | None = None
    daemonize: bool = False
    uid: str | None = None
    restart: str = "unless-stopped"
    boot_s: float = 60.0
    sockets: tuple[str, ...] = ()
    chmod_socket: int | None = None
    emperor: tuple[str, ...] = ()
    is_vassal: bool | None = None
    is_touch_by_launch: bool = False
    files: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()

    @property
    def is_emperor(self) -> bool:
        """Whether it is an Emperor's own ini, which serves nothing itself."""
        return bool(self.emperor) and not self.sockets

    def is_open(self, *options: str) -> bool:
        """Whether one of these options may be set where it could not be decided or read."""
        return any(name in options or name in READS_MORE for name in self.undecided)


@dataclass(frozen=True, slots=True)
class ProgramConf:
    """One `[program:x]` section, as far as paramedic needs it; `path` is the PATH its `environment=` sets, `serverurl`
    where its processes are told to reach Supervisor, if not by its socket.
    """

    name: str
    command: str
    startsecs: float = 1.0
    stopwaitsecs: float = 10.0
    user: str | None = None
    directory: str | None = None
    path: str | None = None
    serverurl: str | None = None


@dataclass(frozen=True, slots=True)
class SupervisorConf:
    """What a supervisord.conf says, expanded like supervisor/options.py does it, read with configparser.

    `files` are the conf and everything it includes.
    """

    name: str
    conf: str
    socket: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    pidfile: str | None = None
    logfile: str | None = None
    user: str | None = None
    programs: tuple[ProgramConf, ...] = ()
    restart: str = "unless-stopped"
    socket_mode: int = 0o700
    socket_owner: str | None = None
    control_user: str | None = None
    identifier: str | None = None
    nodaemon: bool = False
    directory: str | None = None
    files: tuple[str, ...] = ()

    def program(self, full_name: str) -> ProgramConf | None:
        """The section behind a program as Supervisor calls it: `name` or `group:name`; with a process_name= of its own
        the group has the section's name, unless a [group:x] was made for it.
        """
        group, _, name = full_name.rpartition(":")
        exact = [one for one in self.programs if one.name == name]
        if exact:
            return exact[0]
        numbered = [one for one in self.programs if re.fullmatch(rf"{re.escape(one.name)}[_-]?\d+", name)]
        renamed = [one for one in self.programs if one.name == group]
        return next(iter([*numbered, *renamed]), None)
