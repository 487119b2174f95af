"""What stands at a guarded socket's path, who listens on it, and what was kept of it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from paramedic.host import files, relaying, systemd
from paramedic.host.proc import Proc, readable
from paramedic.host.processes import Row, conf_of, is_supervisord
from paramedic.host.unix_diag import Listener
from paramedic.model.readings import FolderReading, Holder, Identity, PathKind, PathReading


class Holders:
    """Who holds a kernel socket; found by a walk over all descriptors once, then remembered while they live."""

    def __init__(self, proc: Proc) -> None:
        self.proc = proc
        self._found: dict[int, Holder] = {}

    def of(self, socket_inode: int) -> Holder | None:
        """The oldest process that holds it, e.g. the master and not its workers; None where none may be seen."""
        kept = self._found.get(socket_inode)
        if kept is not None and self.proc.is_alive(kept.identity):
            return kept
        self._found = {inode: one for inode, one in self._found.items() if self.proc.is_alive(one.identity)}
        holders = self.proc.holders(socket_inode)
        if not holders:
            return None
        self._found[socket_inode] = self.describe(holders[0])
        return self._found[socket_inode]

    def describe(self, identity: Identity) -> Holder:
        """What this process is."""
        argv = self.proc.cmdline(identity.pid) or ("?",)
        conf = None
        if is_supervisord(argv):
            conf = conf_of(Row(identity, 0, self.proc.uid(identity.pid) or 0, argv), self.proc)
        unit = None
        with contextlib.suppress(OSError):  # what is done about it asks again
            unit = systemd.owning_unit(self.proc.unit(identity.pid), identity.pid)
        return Holder(identity, readable(" ".join(argv))[:120], conf, unit)


def named(path: str, seen: Sequence[Listener]) -> list[Listener]:
    """The listeners bound as this path or, as supervisord binds, as `<path>.<pid>`; alive although unlinked."""
    stem = f"{path}."
    return [
        one
        for one in seen
        if one.name == path or (one.name.startswith(stem) and one.name.removeprefix(stem).isdecimal())
    ]


def looked_again(path: str | None, at: PathReading, seen: Sequence[Listener]) -> PathReading:
    """What stands there, looked at once more where nobody listens on it: a server that starts between the two looks
    listens before its socket stands there. Raises OSError.
    """
    if path is None or at.inode in [one.file_inode for one in seen]:
        return at
    return files.look(path)


def kept_inode(path: str | None) -> int | None:
    """The inode of the kept link of the socket at `path`."""
    if path is None:
        return None
    try:
        reading = files.look(files.keep_link(path))
    except OSError:
        return None
    return reading.inode if reading.kind is PathKind.SOCKET else None


def is_relayed(path: str, at: PathReading, live: Listener | None, seen: Sequence[Listener], holders: Holders) -> bool:
    """Whether our own relay stands at the path, and for this very socket; recognised even without its record."""
    if at.kind is not PathKind.SOCKET or live is None or at.inode == live.file_inode:
        return False
    relay = relaying.current(path, holders.proc)
    if relay is None or relay.inode != at.inode:
        stands, server = holder_at(at, seen, holders), holders.of(live.socket_inode)
        if stands is None or server is None:
            return False
        uid = holders.proc.uid(server.identity.pid) or 0
        relay = relaying.recognise(path, at, stands.identity, uid, holders.proc)
    return relay is not None and (relay.inode, relay.live_inode) == (at.inode, live.file_inode)


def holder_at(at: PathReading, seen: Sequence[Listener], holders: Holders) -> Holder | None:
    """Who listens on the socket that stands at a path."""
    if at.kind is not PathKind.SOCKET:
        return None
    for listener in seen:
        if listener.file_inode == at.inode:
            return holders.of(listener.socket_inode)
    return None


def is_taken(path: str | None, at: PathReading, live: int | None, seen: Sequence[Listener]) -> bool:
    """Whether somebody else listens at a daemon's path, or, with no daemon found, still under its name."""
    if path is None:
        return False
    if live is None and named(path, seen):
        return True
    if at.kind is not PathKind.SOCKET or at.inode == live:
        return False
    return any(one.file_inode == at.inode for one in seen) or is_listening(path)


def is_listening(path: str) -> bool:
    """Whether anybody listens there, by connecting: for sockets that unix_diag does not list, e.g. of another network
    namespace. A path that vanished has no listener.
    """
    try:
        return files.is_listening(path)
    except FileNotFoundError:
        return False


def sees_same_folder(pid: int, path: str, proc: Proc) -> bool:
    """Whether a process finds our very folder at that place; anybody may bind that name in a tree of their own."""
    parent = os.path.dirname(path)
    try:
        return os.path.samestat(os.stat(f"{proc.root}/{pid}/root{os.path.realpath(parent)}"), os.stat(parent))
    except FileNotFoundError:
        return not os.path.exists(parent)
    except OSError:
        return os.geteuid() != 0


def folder_of(path: str | None) -> FolderReading | None:
    """The folder of a path, as it is; None where it is gone."""
    if path is None:
        return None
    try:
        found = os.stat(os.path.dirname(path))
    except OSError:
        return None
    return FolderReading(found.st_uid, found.st_gid, found.st_mode & 0o7777)
