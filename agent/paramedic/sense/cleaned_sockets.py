"""The listening Unix stream sockets that a cleaner may delete, each with the server behind it."""

from __future__ import annotations

from dataclasses import replace

from paramedic.host import relaying, unix_diag
from paramedic.host.proc import Proc, readable
from paramedic.host.processes import is_supervisord
from paramedic.model.found import Found, FoundSocket
from paramedic.model.readings import Holder, PathKind
from paramedic.model.stack import SocketEntry
from paramedic.model.supervision import SocketReading
from paramedic.sense.cleaners import Cleaners
from paramedic.sense.discover import ancestors, named
from paramedic.sense.sockets import SocketSensor


def with_sockets(found: Found, cleaned: Cleaners, proc: Proc) -> Found:
    """What was found with its sockets; a supervisord's is guarded with it."""
    try:
        seen = unix_diag.listeners()
    except OSError as error:
        return replace(found, notes=(*found.notes, f"sockets: the kernel does not tell them: {error.strerror}"))
    paths = [one.name for one in seen if one.is_stream and one.name.startswith("/") and cleaned.of(one.name)]
    sockets, notes = [], list(found.notes)
    for path, name in named(paths).items():
        if not path.isprintable():
            notes.append(f"{readable(path)}: its name cannot be written into a configuration")
            continue
        try:
            reading = SocketSensor(SocketEntry(name, path), proc).read(None, lambda _: seen)
        except OSError as error:
            notes.append(f"{path}: cannot look at it: {error.strerror}")
            continue
        if not isinstance(reading, SocketReading):
            notes.append(f"{path}: {reading.reason}")
        elif reading.owner is not None and not _guards_itself(reading.owner, proc):
            sockets.append(_socket(reading, reading.owner, found, cleaned, proc))
    supervisor = tuple(replace(one, is_exposed=_is_exposed(one.socket, cleaned)) for one in found.supervisor)
    return replace(found, supervisor=supervisor, sockets=tuple(sockets), notes=tuple(notes))


def _is_exposed(path: str | None, cleaned: Cleaners) -> bool:
    return path is not None and cleaned.of(path) is not None and not cleaned.is_spared(path)


def _guards_itself(owner: Holder, proc: Proc) -> bool:
    """Whether it is a supervisord's, whose conf names it, or one of our relays."""
    argv = proc.cmdline(owner.identity.pid) or ("",)
    return is_supervisord(argv) or relaying.is_relay(argv)


def _socket(reading: SocketReading, owner: Holder, found: Found, cleaned: Cleaners, proc: Proc) -> FoundSocket:
    path, pid = reading.entry.path, owner.identity.pid
    stack = {one.identity.pid for one in found.runs}
    is_ours = bool(stack & {pid, *ancestors(pid, proc)})
    kept = f", unit {owner.unit}" if owner.unit else ""
    is_gone = reading.path.kind is PathKind.ABSENT
    lost = "" if reading.is_reached else "its path is gone" if is_gone else "something else stands at its path"
    return FoundSocket(
        reading.entry,
        f"process {pid} ({_program(owner, proc)}{kept})",
        cleaned.of(path) or "",
        is_ours or owner.unit is not None,
        cleaned.is_spared(path),
        lost,
    )


def _program(owner: Holder, proc: Proc) -> str:
    """Its program only: arguments may hold secrets, and the configuration can be read by all."""
    return readable((proc.cmdline(owner.identity.pid) or (owner.command,))[0].split(" ")[0])[:60]
