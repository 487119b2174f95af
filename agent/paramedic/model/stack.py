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


@dataclass(frozen=True, slots=True)
class UwsgiConf:
    """What a uWSGI ini says, overrides applied (uWSGI docs, "Options"). Mercy defaults to 60 s (core/init.c)."""

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


@dataclass(frozen=True, slots=True)
class ProgramConf:
    """One `[program:x]` section, as far as paramedic needs it; `path` is the PATH its `environment=` sets."""

    name: str
    command: str
    startsecs: float = 1.0
    stopwaitsecs: float = 10.0
    user: str | None = None
    directory: str | None = None
    path: str | None = None


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
    files: tuple[str, ...] = ()

    def program(self, full_name: str) -> ProgramConf | None:
        """The section behind a program as Supervisor calls it: `name` or `group:name`."""
        name = full_name.rpartition(":")[2]
        exact = [one for one in self.programs if one.name == name]
        numbered = [one for one in self.programs if re.fullmatch(rf"{re.escape(one.name)}[_-]?\d+", name)]
        return next(iter([*exact, *numbered]), None)
