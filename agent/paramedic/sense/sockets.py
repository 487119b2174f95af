"""A guarded Unix socket of any server: who listens on it, alive although its path may be gone."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from paramedic.host import files
from paramedic.host.proc import Proc
from paramedic.host.unix_diag import Listener
from paramedic.model.facts import SocketKnown
from paramedic.model.readings import Holder, Identity, PathKind, PathReading, Unreadable
from paramedic.model.stack import SocketEntry
from paramedic.model.supervision import SocketReading
from paramedic.sense import path as at

IN_TREE_FOR_S = 60.0
Listeners = Callable[[int], Sequence[Listener]]


class SocketSensor:
    """Reads one entry of `stack.sockets`."""

    def __init__(self, entry: SocketEntry, proc: Proc) -> None:
        self.entry = entry
        self._proc = proc
        self._holders = at.Holders(proc)
        self._in_tree: tuple[object, float] = (None, 0.0)
        self._well: tuple[object, SocketReading] | None = None

    def read(self, known: SocketKnown | None, listeners: Listeners, now: float = 0.0) -> SocketReading | Unreadable:
        """What is known of it at monotonic `now`; raises OSError where its folder may not be looked into. `listeners`
        tells those that listen, with the one of a file that stands there.
        """
        path = files.look(self.entry.path)
        seen = listeners(path.inode)
        path = at.looked_again(self.entry.path, path, seen)
        stands = (path, known, seen, at.kept_inode(self.entry.path), at.folder_of(self.entry.path))
        if self._well is not None and self._well[0] == stands and self._still_serves(self._well[1], now):
            return self._well[1]
        reading = self._look(known, seen, path, now)
        is_well = isinstance(reading, SocketReading) and reading.path.inode == reading.listening_inode
        self._well = (stands, reading) if isinstance(reading, SocketReading) and is_well else None
        return reading

    def _still_serves(self, reading: SocketReading, now: float) -> bool:
        """Whether the process behind a socket that was well is the same, and as it was."""
        owner = reading.owner
        if owner is None or now >= self._in_tree[1] or not self._proc.is_alive(owner.identity):
            return False
        return self._user(owner) == reading.runs_as

    def _look(
        self, known: SocketKnown | None, seen: Sequence[Listener], path: PathReading, now: float
    ) -> SocketReading | Unreadable:
        bound = at.named(self.entry.path, seen)
        listener = self._listener(path, known, seen)
        if listener is None and len(bound) > 1:
            holders = [str(self._holders.of(one.socket_inode) or "somebody") for one in bound]
            return Unreadable(f"several still listen under the name {self.entry.path}: {'; '.join(holders)}")
        owner = self._holders.of(listener.socket_inode) if listener else None
        if owner is not None and not self._is_in_our_tree(owner.identity, now):
            return Unreadable(f"{owner} listens under that name in another file system tree, e.g. a container")
        if listener is not None and owner is None:
            return Unreadable(f"not allowed to see who listens on {self.entry.path}")
        live = listener.file_inode if listener else None
        is_relayed = at.is_relayed(self.entry.path, path, listener, seen, self._holders)
        is_own = path.kind is PathKind.SOCKET and path.inode == live
        uid, gid, mode = (path.uid, path.gid, path.mode) if is_own else self._as_it_was(known, owner)
        return SocketReading(
            entry=self.entry,
            path=path,
            owner=owner,
            socket_inode=listener.socket_inode if listener else None,
            listening_inode=live,
            kept_inode=at.kept_inode(self.entry.path),
            relayed=is_relayed,
            at_path=None if is_own or is_relayed else at.holder_at(path, seen, self._holders),
            uid=uid,
            gid=gid,
            mode=mode,
            runs_as=self._user(owner),
            recorded=known is not None and listener is not None and _is_known(listener, known),
            folder=(at.folder_of(self.entry.path) if is_own else None) or (known.folder if known else None),
        )

    def _listener(self, path: PathReading, known: SocketKnown | None, seen: Sequence[Listener]) -> Listener | None:
        """The server's listening socket: the one it had, unless it made itself a new one; else the one of that name."""
        standing = [one for one in seen if path.kind is PathKind.SOCKET and one.file_inode == path.inode]
        if known is not None and self._proc.is_alive(known.owner):
            had = [one for one in seen if _is_known(one, known)]
            if had and not (standing and self._is_of(standing[0], known)):
                return had[0]
        bound = at.named(self.entry.path, seen)
        named = bound[0] if bound else None
        if standing and not at.is_relayed(self.entry.path, path, named, seen, self._holders):
            return standing[0]
        return bound[0] if len(bound) == 1 else None

    def _is_in_our_tree(self, owner: Identity, now: float) -> bool:
        """Whether it finds our folder at that place; once that was seen it is looked at again in a minute."""
        stands = (owner, files.inode_of(os.path.dirname(self.entry.path)))
        if stands != self._in_tree[0] or now >= self._in_tree[1]:
            if not at.sees_same_folder(owner.pid, self.entry.path, self._proc):
                return False
            self._in_tree = (stands, now + IN_TREE_FOR_S)
        return True

    def _is_of(self, listener: Listener, known: SocketKnown) -> bool:
        holder = self._holders.of(listener.socket_inode)
        return holder is not None and holder.identity == known.owner

    def _user(self, owner: Holder | None) -> tuple[int, int]:
        """(uid, gid) of the server's process; -1 where it has no single one."""
        uid, gid = self._proc.ids(owner.identity.pid if owner else 0)
        return (-1, -1) if uid is None or gid is None else (uid, gid)

    def _as_it_was(self, known: SocketKnown | None, owner: Holder | None) -> tuple[int, int, int]:
        """Owner and mode it had while it was healthy; where that was never seen, its server's user and nobody else."""
        if known is not None:
            return known.uid, known.gid, known.mode
        return *self._user(owner), 0o600


def _is_known(listener: Listener, known: SocketKnown) -> bool:
    """Whether this is the very socket that was seen healthy."""
    return (listener.socket_inode, listener.file_inode) == (known.socket_inode, known.inode)
