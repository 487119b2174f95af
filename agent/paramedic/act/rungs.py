"""The rungs of restoring a socket, cheapest first: the kept hard link, then a relay to the file without a name.

Nothing is done before the live server has answered through the very inode that is to get its path back.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from paramedic.act.job import Refused
from paramedic.host import files, folders, relaying, unix_diag, unlinked
from paramedic.host.failpoint import reached
from paramedic.host.proc import Proc, readable
from paramedic.model.readings import FolderReading, Identity, PathKind, PathReading
from paramedic.model.supervision import SocketReading

Prove = Callable[[str | int], None]


@dataclass(frozen=True, slots=True)
class Guarded:
    """A live socket and how its path should look. `inode` is its file's, `runs_as` the server's (uid, gid).

    `is_proven`: the server answers for itself, or was recorded while it was healthy; else only the name speaks for it.
    """

    path: str
    owner: Identity
    socket_inode: int
    inode: int
    uid: int
    gid: int
    mode: int
    runs_as: tuple[int, int]
    may_relay: bool
    folder: FolderReading | None = None
    is_proven: bool = True


class NoRung(Refused):
    """Neither the link nor a relay is possible here; the message says why."""


def restore(guarded: Guarded, proc: Proc, stamp: int, prove: Prove) -> str:
    """Give the path back to the live socket; what was done, in one sentence. Raises Refused, NoRung or OSError."""
    kept = files.keep_link(guarded.path)
    if _kept_inode(kept) == guarded.inode:
        with files.pinned_fd(kept, guarded.inode) as live:
            files.open_to_owner(live, guarded.mode)
        prove(kept)
        moved = free(guarded.path, guarded.inode, stamp)
        _link(kept, guarded.path, guarded.inode)
        done = f"linked the live socket back to {guarded.path}{moved}"
        try:
            prove(guarded.path)
        except Refused:
            if files.look(guarded.path).kind is not PathKind.ABSENT:
                raise
            return f"{done}, and somebody removed it again at once"
        return done
    return _relay(guarded, proc, stamp, prove)


def _kept_inode(kept: str) -> int | None:
    with contextlib.suppress(OSError):
        found = files.look(kept)
        return found.inode if found.kind is PathKind.SOCKET else None
    return None


def plan(guarded: Guarded, proc: Proc, prove: Prove) -> str:
    """What `restore` would do now, with the same proofs and refusals; nothing is touched."""
    found = files.look(guarded.path)
    if found.kind is not PathKind.ABSENT:
        _prove_unserved(guarded.path, found)
    aside = "" if found.kind is PathKind.ABSENT else f"move the {found.kind} that stands there aside, and "
    kept = files.keep_link(guarded.path)
    if _kept_inode(kept) == guarded.inode:
        prove(kept)
        return f"{aside}link the live socket back to {guarded.path}"
    with _reached(guarded, proc, prove):
        parent = Path(guarded.path).parent
        if guarded.folder is None and not parent.is_dir():
            raise Refused(f"{parent} is gone, and how it was is not known: make it first")
        return f"{aside}put a relay at {guarded.path} that carries to the live socket, whose file has no name any more"


@contextlib.contextmanager
def _reached(guarded: Guarded, proc: Proc, prove: Prove) -> Iterator[int]:
    """The live socket's file without a name, proven; NoRung where it is out of reach or must not be relayed."""
    try:
        live = unlinked.reach(proc, guarded.owner, guarded.socket_inode)
    except OSError as error:
        why = f"no hard link of it was kept, and its file without a name cannot be reached: {error.strerror}"
        raise NoRung(f"{why} (needs root and Linux 5.6)" if os.geteuid() else why) from error
    try:
        _prove_named(live, guarded)
        prove(live)
        if not guarded.may_relay:
            raise NoRung(
                "no hard link of it was kept; a relay could stand in, but a server that looks at peer credentials or "
                "passes descriptors would notice: allow it with relay: true, or --relay"
            )
        yield live
    finally:
        os.close(live)


def _prove_named(live: int, guarded: Guarded) -> None:
    """The kernel remembers under which name the socket was bound (unix(7)): it must be this path, not one elsewhere
    that was made to look alike. supervisord binds `PATH.PID` and links that to PATH.
    """
    if -1 in (*guarded.runs_as, guarded.uid, guarded.gid):
        raise Refused(f"process {guarded.owner.pid} changes its user: on whose behalf a relay would run is not clear")
    if guarded.is_proven:
        return
    parent = os.path.realpath(Path(guarded.path).parent)
    bound = os.readlink(f"/proc/self/fd/{live}").removesuffix(" (deleted)").removesuffix("//deleted")
    wanted = rf"{re.escape(os.path.join(parent, Path(guarded.path).name))}(\.\d+)?"
    if re.fullmatch(wanted, bound) is None:
        raise Refused(
            f"the socket of process {guarded.owner.pid} was bound at {readable(bound)}, not at {guarded.path}"
        )


def _relay(guarded: Guarded, proc: Proc, stamp: int, prove: Prove) -> str:
    with _reached(guarded, proc, prove) as live:
        files.open_to_owner(live, guarded.mode)
        old = relaying.current(guarded.path, proc)
        made = _make_folder(guarded)
        moved = free(guarded.path, guarded.inode, stamp)
        relay = relaying.start(_wanted(guarded, live), proc)
    if old is not None:
        relaying.end(old, proc)
        reached("old relay ended")
    try:
        prove(guarded.path)
    except Refused:
        relaying.end(relay, proc)
        raise
    pid = relay.process.pid
    return f"{made}relay {pid} carries {guarded.path} to the live socket, whose file has no name any more{moved}"


def _wanted(guarded: Guarded, live: int) -> relaying.Wanted:
    g = guarded
    return relaying.Wanted(g.path, live, g.inode, g.owner, g.uid, g.gid, g.mode, g.runs_as)


def _make_folder(guarded: Guarded) -> str:
    """Make the vanished folder again as it was; what was done, as the beginning of a sentence."""
    parent = str(Path(guarded.path).parent)
    if os.path.lexists(parent):
        return ""
    was = guarded.folder
    if was is None:
        raise Refused(f"{parent} is gone, and how it was is not known: make it, and it is tried again")
    try:
        folders.make(parent, was.uid, was.gid, was.mode, guarded.runs_as[0])
    except FileExistsError:
        return ""  # made meanwhile, e.g. for another socket that lives there
    return f"made {parent} again; "


def free(path: str, inode: int, stamp: int) -> str:
    """Make room at the path without losing anything; what was done, as a clause."""
    found = files.look(path)
    if found.kind is PathKind.ABSENT or found.inode == inode:
        return ""
    _prove_unserved(path, found)
    aside = files.move_aside(path, str(stamp), found.inode)
    return f"; moved the {found.kind} that stood there to {aside}" if aside else f"; removed an empty {found.kind}"


def _prove_unserved(path: str, found: PathReading) -> None:
    if found.kind is PathKind.SOCKET and any(x.file_inode == found.inode for x in unix_diag.listeners()):
        raise Refused(f"another live server listens at {path}; it is never touched")


def _link(kept: str, path: str, inode: int) -> None:
    try:
        files.link_back(kept, path, inode)
    except FileExistsError:
        if files.look(path).inode != inode:
            raise


def of_socket(reading: SocketReading) -> Guarded:
    """The live socket of a guarded entry; raises Refused where nobody listens."""
    if reading.owner is None or reading.socket_inode is None or reading.listening_inode is None:
        raise Refused(f"nobody is proven to listen for {reading.entry.path}")
    return Guarded(
        path=reading.entry.path,
        owner=reading.owner.identity,
        socket_inode=reading.socket_inode,
        inode=reading.listening_inode,
        uid=reading.uid,
        gid=reading.gid,
        mode=reading.mode & 0o777,
        runs_as=reading.runs_as,
        may_relay=reading.entry.relay,
        folder=reading.folder,
        is_proven=reading.recorded,
    )


def prove_listening(guarded: Guarded, proc: Proc) -> Prove:
    """For servers whose language is not known: by the kernel's word only, for a connection without a question ends
    careless servers.
    """

    def prove(place: str | int) -> None:
        listed = [x for x in unix_diag.listeners() if x.socket_inode == guarded.socket_inode]
        is_same = bool(listed) and listed[0].file_inode == guarded.inode and proc.is_alive(guarded.owner)
        if not is_same or not proc.holds_socket(guarded.owner.pid, guarded.socket_inode):
            raise Refused(f"process {guarded.owner.pid} does not listen on that socket any more")
        found = files.number(os.stat(place, follow_symlinks=False) if isinstance(place, str) else os.fstat(place))
        relay = relaying.current(guarded.path, proc)
        if found != guarded.inode and (relay is None or (relay.inode, relay.live_inode) != (found, guarded.inode)):
            raise Refused(f"{place} does not lead to the live socket")

    return prove
