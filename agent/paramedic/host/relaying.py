"""Start, recognise and end the relay of a path: `paramedic.host.relay` as a process of its own.

What is known of it stands beside the kept link, in a folder only we can write: which process, which inode, for whom.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from paramedic.host import files, folders, inodes, pidfd, systemd, texts
from paramedic.host.commands import run
from paramedic.host.failpoint import reached
from paramedic.host.proc import Proc
from paramedic.host.processes import runs_python
from paramedic.model.readings import Identity, PathReading

START_S = 10.0
BACKLOG = 1024
STICKY = 0o1000
WORDS = 10
_PROGRAM = str(Path(__file__).with_name("relay.py"))
_ARGV = (sys.executable, "-I", "-S", _PROGRAM)


class NotStarted(OSError):
    """The relay could not be started; nothing was left at the path."""


@dataclass(frozen=True, slots=True)
class Relay:
    """A relay as it was started: its process, the inode of its own socket, whom it serves, and that one's inode."""

    process: Identity
    inode: int
    serves: Identity
    live_inode: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """A relay to be: at `path`, for the live socket open at `live`, with this owner and mode, as user `runs_as`."""

    path: str
    live: int
    live_inode: int
    serves: Identity
    uid: int
    gid: int
    mode: int
    runs_as: tuple[int, int]


def record_of(path: str, kept: int) -> str:
    """Where the relay of a path is written down, in the folder of ours that is open at `kept`: beside a user's socket
    that user could put another one, or a link, in its place.
    """
    return f"/proc/self/fd/{kept}/{os.path.basename(path)}.relay"


def current(path: str, proc: Proc) -> Relay | None:
    """The recorded relay of a path while its process lives; None where nothing is recorded, readable or ours."""
    try:
        with folders.private(files.keep_folder(path), must_exist=True) as kept:
            found = json.loads(texts.read_text(record_of(path, kept), 4096))
        process, serves = (Identity(*map(int, found[name])) for name in ("process", "serves"))
        relay = Relay(process, int(found["inode"]), serves, int(found["live_inode"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return relay if proc.is_alive(relay.process) else None


def recognise(path: str, at: PathReading, holder: Identity, uid: int, proc: Proc) -> Relay | None:
    """The relay that stands at a path although its record is gone: by its command line, as the server's user or root.

    Who can run as that user owns the server anyway.
    """
    argv = proc.cmdline(holder.pid) or ()
    words = argv[argv.index(_PROGRAM) + 1 :] if _PROGRAM in argv else ()
    if len(words) != WORDS or words[-1] != path or proc.uid(holder.pid) not in (0, uid):
        return None
    if not runs_python(holder.pid, proc):
        return None
    with contextlib.suppress(ValueError):
        own, live_inode, pid, start = (int(word) for word in words[5:9])
        relay = Relay(holder, at.inode, Identity(pid, start), live_inode)
        return relay if inodes.is_same(at.inode, own) and proc.is_alive(relay.process) else None
    return None


def start(wanted: Wanted, proc: Proc) -> Relay:
    """Bind a listener, hand it to a relay process and move it to the path, which must be free.

    Connections queue from the moment the path is there. Raises NotStarted, or FileExistsError when
    something stands there.
    """
    folder = files.keep_folder(wanted.path)
    name = f"{Path(wanted.path).name}.own"
    with folders.private(folder) as kept, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=kept)
        listener.bind(f"/proc/self/fd/{kept}/{name}")
        os.chown(name, wanted.uid, wanted.gid, dir_fd=kept, follow_symlinks=False)
        os.chmod(name, wanted.mode | STICKY, dir_fd=kept)
        listener.listen(BACKLOG)
        reached("relay bound")
        own = os.stat(name, dir_fd=kept, follow_symlinks=False)
        process = _spawn(wanted, listener.fileno(), own.st_ino, proc)
        reached("relay started")
        relay = Relay(process, files.number(own), wanted.serves, wanted.live_inode)
        try:
            files.move_in(kept, name, wanted.path)
            reached("relay in place")
            files.write_private(record_of(wanted.path, kept), json.dumps(asdict(relay) | _pairs(relay)).encode())
            reached("relay recorded")
        except OSError:
            end(relay, proc)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=kept)
            raise
    return relay


def freshen(path: str, now: float, older_than_s: float) -> None:
    """Renew the time of the record, for cleaners."""
    with folders.private(files.keep_folder(path), must_exist=True) as kept:
        files.freshen(record_of(path, kept), now, older_than_s)


def _pairs(relay: Relay) -> dict[str, list[int]]:
    pairs = {"process": relay.process, "serves": relay.serves}
    return {name: [one.pid, one.start_ticks] for name, one in pairs.items()}


def _spawn(wanted: Wanted, listener: int, own: int, proc: Proc) -> Identity:
    """Run the program, as a service where systemd is: neither the agent's end nor its sandbox reaches it."""
    daemon = os.pidfd_open(wanted.serves.pid)
    serves = wanted.serves
    numbers = (*wanted.runs_as, own, wanted.live_inode, serves.pid, serves.start_ticks)
    words = (*map(str, numbers), wanted.path)
    fds = (listener, wanted.live, daemon)
    try:
        if not proc.is_alive(serves):
            raise NotStarted(3, f"process {serves.pid} is gone")
        if systemd.is_running() and os.geteuid() == 0:
            pid = systemd.start_with(
                f"paramedic-relay-{own}-{os.getpid()}", (*_ARGV, "0", "1", "2", *words), fds, START_S
            )
            said = "systemd did not start it"
        else:
            result = run((*_ARGV, *map(str, fds), *words), START_S, {"PATH": os.defpath}, cwd="/", pass_fds=fds)
            said = result.output.strip().rpartition("\n")[2]
            pid = int(said) if result.code == 0 and said.isdigit() else 0
    finally:
        os.close(daemon)
    process = proc.identify(pid) if pid else None
    if process is None:
        raise NotStarted(5, f"the relay did not start: {said or 'it said nothing'}")
    return process


def end(relay: Relay, proc: Proc) -> None:
    """Ask a relay to finish what it carries and leave, through a pidfd; a process that is not it is not touched."""
    with contextlib.suppress(ProcessLookupError, PermissionError, pidfd.Unproven):
        fd = pidfd.open_proven(proc, relay.process, lambda one: _doubt(one, proc))
        if fd is not None:
            try:
                signal.pidfd_send_signal(fd, signal.SIGTERM)
            finally:
                os.close(fd)


def _doubt(one: Identity, proc: Proc) -> str | None:
    return None if is_relay(proc.cmdline(one.pid) or ()) else "it does not run the relay"


def is_relay(argv: tuple[str, ...]) -> bool:
    """Whether this is the command line of a relay of ours."""
    return _PROGRAM in argv
