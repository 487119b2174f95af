"""What happens to a socket or to its path, each made for real."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from harness.processes import is_alive
from harness.stack import EmbeddedStack
from harness.waiting import stays, wait_for
from stack.fault_site import SAME, Site, hang_up, row, write


@row("socket-missing", "the path is unlinked", "linked back")
def unlinked(site: Site) -> str:
    """The hero."""
    inode = site.stack.socket.stat().st_ino
    with site.untouched():
        site.stack.socket.unlink()
        site.told("socket-lost", "socket-missing", "healed")
        site.controls()
        assert site.stack.socket.stat().st_ino == inode
    return SAME


def _spoil(site: Site, fault: Callable[[], None]) -> str:
    """The path and the kept link go together: only the file without a name is left."""
    if site.is_root:
        with site.untouched():
            fault()
            told = site.told("socket-lost", "socket-missing", "healed")
            assert "relay" in told["actions"][-1]["detail"]
            site.controls()
    else:
        with site.untouched():
            fault()
            told = site.told("socket-lost", "socket-missing", "refused")
            assert "needs root" in told["actions"][-1]["detail"]
    hang_up(site)
    return SAME


@row(
    "socket-missing",
    "the path and the kept link are unlinked",
    "a relay to the file without a name",
    "refused: it needs root to reach a file without a name",
)
def unlinked_with_its_link(site: Site) -> str:
    """No preparation is left."""

    def fault() -> None:
        site.rest()
        for kept in site.stack.socket.parent.glob(".paramedic-*"):
            shutil.rmtree(kept)
        site.stack.socket.unlink()
        site.agent = site.stack.start_agent()

    return _spoil(site, fault)


@row(
    "socket-missing",
    "its whole folder is removed",
    "the folder made again as it was, and a relay",
    "refused: it needs root to reach a file without a name",
)
def folder_removed(site: Site) -> str:
    """The folder goes with everything in it, the pidfile, too."""
    folder = site.stack.socket.parent
    was = folder.stat()

    def fault() -> None:
        os.rename(folder, site.stack.folder / "trash")
        shutil.rmtree(site.stack.folder / "trash")

    def back() -> None:
        folder.mkdir(exist_ok=True)
        os.chown(folder, was.st_uid, was.st_gid)

    if not site.is_root:
        with site.untouched():
            fault()
            site.told("socket-lost", "socket-missing", "refused")
        back()
        hang_up(site)
        serve_again(site)
        return SAME
    told = _spoil(site, fault)
    assert site.stack.echo(site.server), "the other server's socket was there, too"
    serve_again(site)
    now = folder.stat()
    assert (now.st_uid, now.st_gid, now.st_mode) == (was.st_uid, was.st_gid, was.st_mode)
    return told


def _replaced(site: Site, put: Callable[[Path], None]) -> str:
    """Something is put at a name beside, then renamed over the socket."""
    stack = site.stack
    inode, beside = stack.socket.stat().st_ino, stack.socket.with_name("beside")
    with site.untouched():
        stack.as_owner(lambda: put(beside))
        _over(stack, beside)
        site.told("socket-lost", "socket-replaced", "healed")
        site.controls()
        assert stack.socket.stat().st_ino == inode
    return SAME


def _over(stack: EmbeddedStack, beside: Path) -> None:
    """Into the socket's place; a folder cannot be renamed over a socket, so that goes first and the folder is quick."""

    def attempt() -> bool:
        with contextlib.suppress(OSError):
            if beside.is_dir() and not beside.is_symlink():
                stack.socket.unlink(missing_ok=True)
            os.rename(beside, stack.socket)
        return not os.path.lexists(beside)

    wait_for("it stands in the socket's place", attempt)


def _asides(stack: EmbeddedStack) -> list[Path]:
    return sorted(stack.socket.parent.glob("supervisor.sock.aside-*"))


def serve_again(site: Site) -> None:
    """A new server at the guarded path, where the old one cannot be reached any more."""
    if site.server_pid:
        site.stack.end(site.server_pid)
    site.server.unlink(missing_ok=True)
    site.server_pid = site.stack.serve_at(site.server)


@row("socket-missing", "the path of another server in `stack.sockets` is unlinked", "linked back")
def guarded_unlinked(site: Site) -> str:
    """Any listening Unix socket."""
    site.server.unlink()
    site.told("guarded-socket-lost", "socket-missing", "healed")
    assert site.stack.echo(site.server)
    assert is_alive(site.server_pid)
    return SAME


@row(
    "socket-missing",
    "the same with its kept link, `relay: true`",
    "a relay to the file without a name",
    "refused: it needs root to reach a file without a name",
)
def guarded_unlinked_with_its_link(site: Site) -> str:
    """A relay carries for any server that does not look at credentials."""
    site.rest()
    for kept in site.server.parent.glob(".paramedic-*"):
        shutil.rmtree(kept)
    site.server.unlink()
    site.agent = site.stack.start_agent()
    if site.is_root:
        told = site.told("guarded-socket-lost", "socket-missing", "healed")
        assert "relay" in told["actions"][-1]["detail"]
        assert site.stack.echo(site.server)
    else:
        site.told("guarded-socket-lost", "socket-missing", "refused")
    assert is_alive(site.server_pid)
    serve_again(site)
    return SAME


@row("socket-stale", "another server in `stack.sockets` ends", "told; it is not ours to start")
def guarded_ends(site: Site) -> str:
    """Its socket stays behind."""
    site.stack.end(site.server_pid)
    site.server_pid = 0
    site.told("guarded-socket-unserved", "socket-stale", "told")
    serve_again(site)
    return SAME


@row("socket-replaced", "a plain file is touched there", "moved aside unread, linked back")
def replaced_by_a_file(site: Site) -> str:
    """Its content must survive."""
    found = _replaced(site, lambda path: write(path, "notes"))
    assert _asides(site.stack)[-1].read_text() == "notes"
    return found


@row("socket-replaced", "a folder with files stands there", "moved aside, linked back")
def replaced_by_a_folder(site: Site) -> str:
    """So must what is in a folder."""

    def put(path: Path) -> None:
        path.mkdir()
        (path / "letter").write_text("dear")

    before = len(site.stack.history())
    inode = site.stack.socket.stat().st_ino
    with site.untouched():
        site.stack.as_owner(lambda: put(site.stack.socket.with_name("beside")))
        _over(site.stack, site.stack.socket.with_name("beside"))
        wait_for(
            "the socket is back", lambda: site.stack.socket.is_socket() and site.stack.socket.stat().st_ino == inode
        )
        site.controls()
    wait_for("it is in the history", lambda: len(site.stack.history()) > before)
    assert [p.read_text() for p in site.stack.socket.parent.glob("supervisor.sock.aside-*/letter")] == ["dear"]
    return SAME


@row("socket-replaced", "a folder stands there while it restarts: it loops over it", "moved aside; it makes its socket")
def folder_in_the_way_of_a_restart(site: Site) -> str:
    """Supervisor tries to unlink it for ever, without its programs."""
    stack = site.stack
    before = site.programs()
    site.rest()
    stack.as_owner(stack.socket.unlink, stack.socket.mkdir)
    os.kill(stack.supervisords()[0], signal.SIGHUP)
    wait_for("it has stopped its programs", lambda: not stack.daphnes(), 20)
    stays("it starts none of them, and makes no socket", lambda: not stack.daphnes() and stack.socket.is_dir(), 1.5)
    site.agent = stack.start_agent()
    site.told("socket-lost", "socket-replaced", "healed")
    return site.renewed(before)


@row("socket-replaced", "a symbolic link stands there", "moved aside, not followed, linked back")
def replaced_by_a_link(site: Site) -> str:
    """Where it points to is never touched."""
    victim = site.stack.folder / "srv" / "victim"
    victim.write_text("precious")
    found = _replaced(site, lambda path: path.symlink_to(victim))
    assert victim.read_text() == "precious"
    return found


@row("socket-replaced", "a dead socket stands there", "removed, linked back")
def replaced_by_a_dead_socket(site: Site) -> str:
    """What a server that crashed leaves behind."""

    def put(path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))

    return _replaced(site, put)


@row("socket-replaced", "another server's live socket stands there", "refused: it is never touched")
def replaced_by_a_live_socket(site: Site) -> str:
    """Then a person decides; here it leaves by itself."""
    stack = site.stack
    beside = stack.socket.with_name("thief")
    inode = stack.listen_at(beside)
    thief = stack.children[-1]
    with site.untouched():
        _over(stack, beside)
        told = site.told("socket-lost", "socket-replaced", "refused")
        assert f"process {thief.pid}" in told["evidence"]
        stays("the other server keeps the path", lambda: stack.socket.stat().st_ino == inode, 0.5)
        stack.stop(thief, signal.SIGKILL)
        site.controls()
    return SAME


@row("socket-denied", "chmod 0 on the socket", "mode and owner as the conf says")
def denied(site: Site) -> str:
    """Even its own user is denied."""
    with site.untouched():
        site.stack.as_owner(lambda: site.stack.socket.chmod(0))
        site.told("socket-denied", "socket-denied", "healed")
        assert site.stack.socket.stat().st_mode & 0o777 == 0o700
        site.controls()
    return SAME
