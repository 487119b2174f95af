"""What runs on this host without anybody having configured it, each part with the process that proves it."""

from __future__ import annotations

from dataclasses import dataclass

from paramedic.model.readings import Identity
from paramedic.model.stack import SocketEntry, Stack, SupervisorEntry, UwsgiEntry


@dataclass(frozen=True, slots=True)
class Runs:
    """A process of the walk: who runs it, and who starts it again (a unit, a program of a supervisord); or empty."""

    identity: Identity
    user: str
    keeper: str = ""

    def __str__(self) -> str:
        """As a person looks for it."""
        kept = f", {self.keeper}" if self.keeper else ""
        return f"process {self.identity.pid}, user {self.user}{kept}"


@dataclass(frozen=True, slots=True)
class FoundUwsgi:
    """A uWSGI master by its ini; `lacks` are the options without which little can be seen or done."""

    entry: UwsgiEntry
    runs: Runs
    lacks: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class FoundSupervisor:
    """A supervisord by its conf; `named` says how the conf is known, `users` who may use its socket now.

    `is_exposed`: systemd-tmpfiles, or another cleaner, may delete its socket, and no line of tmpfiles.d excludes it.
    """

    entry: SupervisorEntry
    runs: Runs
    named: str = ""
    socket: str | None = None
    users: str = ""
    problem: str = ""
    is_exposed: bool = False


@dataclass(frozen=True, slots=True)
class FoundDaphne:
    """A Daphne, and where it belongs in words."""

    runs: Runs
    belongs: str
    is_supervised: bool


@dataclass(frozen=True, slots=True)
class FoundSocket:
    """A listening Unix stream socket where a cleaner may delete it.

    `is_service`: its server belongs to the stack or to a systemd unit, not to a person's session. `cleaner` says who
    empties the folder, `lost` why its path does not lead to it now, or nothing.
    """

    entry: SocketEntry
    server: str
    cleaner: str
    is_service: bool
    is_spared: bool = False
    lost: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """All of it. `notes` are sentences about what was seen and is nothing to watch; `untold` is (subject, why) for what
    cannot be understood.
    """

    uwsgi: tuple[FoundUwsgi, ...] = ()
    supervisor: tuple[FoundSupervisor, ...] = ()
    daphne: tuple[FoundDaphne, ...] = ()
    sockets: tuple[FoundSocket, ...] = ()
    notes: tuple[str, ...] = ()
    untold: tuple[tuple[str, str], ...] = ()

    @property
    def runs(self) -> tuple[Runs, ...]:
        """The processes that make up the stack."""
        uwsgi, supervisor, daphne = self.uwsgi, self.supervisor, self.daphne
        return (*(u.runs for u in uwsgi), *(s.runs for s in supervisor), *(d.runs for d in daphne))

    @property
    def seen(self) -> tuple[str, ...]:
        """What stands in no configuration, a sentence each."""
        return (*(f"Daphne: {one.runs}: {one.belongs}" for one in self.daphne), *self.notes)

    @property
    def unknown(self) -> dict[str, str]:
        """Why something cannot be looked at, by process or file."""
        found = [(one.entry.ini, one.problem) for one in self.uwsgi if one.problem]
        found += [(one.entry.conf, one.problem) for one in self.supervisor if one.problem]
        return dict((*self.untold, *found))

    @property
    def stack(self) -> Stack:
        """What can be watched of it."""
        return Stack(
            uwsgi=tuple(one.entry for one in self.uwsgi if not one.problem),
            supervisor=tuple(one.entry for one in self.supervisor if not one.problem),
            sockets=tuple(one.entry for one in self.sockets if one.is_service),
        )
