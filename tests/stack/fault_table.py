"""The faults of the table, each made for real: what is broken, what must come of it, and how it is seen from outside.

A row runs on a stack whose agent watches, and leaves both healthy. It returns what happened to the programs.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.processes import age_s, is_alive, start_ticks, state
from harness.stack import BIN, EmbeddedStack, free_port
from harness.waiting import stays, wait_for
from paramedic.host.status_socket import NoAnswer
from paramedic.rulebook import shipped_policies
from paramedic.sense.condition import PIDFILE_AFTER_S

SAME, NEW, NONE = "the same", "new, once", "none runs"
QUICK = {
    **{f"for: {slow}s": "for: 1s" for slow in (5, 10, 15, 20, 30)},
    "cooldown: 10s": "cooldown: 1s",
    "cooldown: 1m": "cooldown: 1s",
    "[resume_daemon, restart": "[resume_daemon: { within: 1s }, restart",
}
MORE = """username=operator
password=first
"""
# As root's daemons are set up whose site's user may use supervisorctl; nobody is kept from a socket of root's own.
GIVEN = "chown=nobody:nogroup\n"
PROGRAMS = """
[program:flappy]
command=/bin/sleep 0.3
autostart=false
autorestart=true
startsecs=0
[program:mute]
command={python} -c "import signal; signal.pause()" --port {port}
autostart=false
startsecs=0
"""


@dataclass(frozen=True)
class Row:
    """One line of the table; `as_user` is what is done where the agent is an ordinary user, if that is less."""

    diagnosis: str
    fault: str
    done: str
    run: Callable[[Site], str]
    as_user: str = ""


ROWS: list[Row] = []
Fault = Callable[["Site"], str]


def row(diagnosis: str, fault: str, done: str, as_user: str = "") -> Callable[[Fault], Fault]:
    """Register a fault."""

    def register(run: Fault) -> Fault:
        ROWS.append(Row(diagnosis, fault, done, run, as_user))
        return run

    return register


@dataclass
class Site:
    """A stack with its agent and what a row needs of it."""

    stack: EmbeddedStack
    is_root: bool
    agent: subprocess.Popen[bytes] | None = None
    mute_port: int = field(default_factory=free_port)
    seen: set[str] = field(default_factory=set)
    server: Path = Path()
    server_pid: int = 0

    def lay_out(self) -> None:
        """The conf of the table: a password, and programs that can be made to fail."""
        stack = self.stack
        text = stack.conf.read_text().replace("[supervisord]\n", MORE + "[supervisord]\n", 1)
        if stack.owner is None and os.geteuid() == 0:
            text = text.replace("[supervisord]\n", GIVEN + "[supervisord]\n", 1)
        text = text.replace("[program:daphne]", MORE + "[program:daphne]", 1)
        stack.conf.write_text(text + PROGRAMS.format(python=sys.executable, port=self.mute_port))
        policies = Path(shipped_policies(), "supervisor.yaml").read_text()
        for slow, quick in QUICK.items():
            policies = policies.replace(slow, quick)
        (stack.folder / "etc" / "quick.yaml").write_text(policies)
        stack.policies, stack.interval = ["quick.yaml"], "500ms"
        self.server = stack.folder / "tmp" / "cache.sock"
        self.server_pid = stack.serve_at(self.server)
        stack.sockets = {"cache": f"{{ path: {self.server}, relay: true }}"}

    def begin(self) -> None:
        """Start the agent and wait until it calls the daemon well."""
        self.agent = self.stack.start_agent()
        self.await_ok()

    def rest(self) -> None:
        """End the agent."""
        if self.agent is not None:
            self.stack.stop(self.agent)
            self.agent = None

    def await_ok(self) -> None:
        """Until the agent sees a daemon in order and has nothing open."""

        def is_ok() -> bool:
            with contextlib.suppress(NoAnswer, KeyError):
                found = self.stack.published()
                daemon = found["facts"]["subjects"]["supervisor:main"]
                return bool(daemon["diagnosis"] == "ok" and not found["incidents"])
            return False

        wait_for("the agent calls everything well", is_ok, 40)
        self.seen = {incident["id"] for incident in self.stack.history()}

    def told(self, policy: str, diagnosis: str, result: str, deadline_s: float = 30.0) -> dict[str, Any]:
        """The incident that this fault opened, once it stands as expected; `told` stands for a notice given."""

        def look() -> dict[str, Any] | None:
            mine = [i for i in self.stack.history() if i["policy"] == policy and i["id"] not in self.seen]
            for incident in mine:
                actions = [action["outcome"] for action in incident["actions"]]
                is_there = "met" in actions if result == "told" else incident["result"] == result
                if is_there and incident["diagnosis"] == diagnosis:
                    return incident
            return None

        try:
            return wait_for(f"{policy}: {diagnosis} {result}", look, deadline_s) or {}
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.stack.history()[-3:]}\n{self.stack.agent_log()[-3000:]}") from late

    def programs(self) -> dict[int, int]:
        """The Daphnes that run, as identities."""
        return {pid: start_ticks(pid) for pid in self.stack.daphnes()}

    @contextlib.contextmanager
    def untouched(self) -> Iterator[None]:
        """Whatever happens inside, daemon and program stay the very same processes."""
        daemon, before = self.stack.supervisords(), self.programs()
        yield
        assert (self.stack.supervisords(), self.programs()) == (daemon, before)

    def controls(self) -> None:
        """supervisorctl works, asked from outside."""
        wait_for("supervisorctl works", lambda: "RUNNING" in self.stack.ctl("status", "daphne"), 15)

    def renewed(self, before: dict[int, int]) -> str:
        """One daemon, one new Daphne that answers."""
        stack = self.stack
        one_each = "one daemon and one Daphne"
        wait_for(one_each, lambda: (len(stack.supervisords()), len(stack.daphnes())) == (1, 1), 30)
        wait_for("Daphne answers", lambda: stack.status(stack.daphne_port) == 200)
        assert not set(before.items()) & set(self.programs().items())
        self.controls()
        return NEW


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


def hang_up(site: Site) -> None:
    """A graceful restart by hand: the daemon makes its own socket again."""
    stack = site.stack
    before = site.programs()
    os.kill(stack.supervisords()[0], signal.SIGHUP)
    wait_for("the daemon made its own socket", lambda: not set(before) & set(site.programs()) and stack.daphnes(), 30)
    site.controls()


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
    found = _replaced(site, lambda path: _write(path, "notes"))
    assert _asides(site.stack)[-1].read_text() == "notes"
    return found


def _write(path: Path, text: str) -> None:
    path.write_text(text)


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


@row(
    "socket-stale", "a socket file, no listener, and no daemon was ever seen", "started by `command`, survivors settled"
)
def stale(site: Site) -> str:
    """The first look of an agent that comes too late; the orphan has no record."""
    stack = site.stack
    site.rest()
    before = site.programs()
    stack.end(stack.supervisords()[0])
    shutil.rmtree(stack.folder / "state" / "paramedic")
    stack.extra = stack.configured_command()
    site.agent = stack.start_agent()
    site.told("daemon-dead", "socket-stale", "healed")
    stack.extra = ""
    return site.renewed(before)


@row("daemon-dead", "kill -9", "start proven possible, survivors settled, started as it ran")
def killed(site: Site) -> str:
    """The third night."""
    before = site.programs()
    environment = site.stack.daphne_environment()
    site.stack.end(site.stack.supervisords()[0])
    site.told("daemon-dead", "daemon-dead", "healed")
    found = site.renewed(before)
    assert site.stack.daphne_environment() == environment
    return found


@row("daemon-stopped", "supervisorctl shutdown", "told, left stopped")
def stopped(site: Site) -> str:
    """Somebody wanted that."""
    assert "Shut down" in site.stack.ctl("shutdown")
    site.told("daemon-told", "daemon-stopped", "told")
    stays("it is left stopped", lambda: not site.stack.supervisords(), 1.0)
    site.stack.start_supervisord()
    return NONE


@row("daemon-hung", "SIGSTOP", "SIGCONT")
def suspended(site: Site) -> str:
    """Nothing is lost."""
    daemon = site.stack.supervisords()[0]
    with site.untouched():
        os.kill(daemon, signal.SIGSTOP)
        wait_for("it is stopped", lambda: state(daemon) == "T")
        told = site.told("daemon-hung", "daemon-hung", "healed")
        assert [action["action"] for action in told["actions"]] == ["resume_daemon"]
        site.controls()
    return SAME


@row("daemon-hung", "it blocks in a write to a full pipe; its queue fills", "TERM, KILL, survivors settled, started")
def blocked(site: Site) -> str:
    """A foreground daemon whose log nobody reads: it answers nobody and stops nobody's output from filling."""
    site.stack.ctl("shutdown")
    wait_for("the old daemon left", lambda: not site.stack.supervisords() and not site.stack.daphnes())
    with blocked_daemon(site.stack):
        before = site.programs()
        told = site.told("daemon-hung", "daemon-hung", "healed", 90)
        assert [a["outcome"] for a in told["actions"]] == ["missed", "met"]
        assert "connections wait in its queue" in told["evidence"]
        return site.renewed(before)


@contextlib.contextmanager
def blocked_daemon(stack: EmbeddedStack) -> Iterator[int]:
    """A supervisord that serves until its log has filled a pipe; its pid."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 16384)
    argv = [str(stack.supervisor_bin / "supervisord"), "-n", "-e", "blather", "-c", str(stack.conf)]
    owner = stack.owner
    child = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=subprocess.STDOUT,
        env=stack.environment(),
        cwd=stack.conf.parent,
        start_new_session=True,
        user=owner.uid if owner else None,
        group=owner.gid if owner else None,
        extra_groups=[] if owner else None,
    )
    os.close(writer)
    stack.children.append(child)
    try:
        wait_for("its Daphne answers", lambda: stack.status(stack.daphne_port) == 200)
        yield child.pid
    finally:
        os.close(reader)


@row("daemon-foreign", "another conf's supervisord answers at the path", "told, never touched")
def foreign(site: Site) -> str:
    """The distribution's, started by hand, with its socket moved over ours."""
    stack = site.stack
    conf = stack.folder / "distro" / "distro.conf"
    other = stack.start_distro()
    with site.untouched():
        os.rename(conf.with_name("distro.sock"), stack.socket)
        told = site.told("daemon-told", "daemon-foreign", "told")
        assert str(conf) in told["evidence"]
        stays("it is never touched", lambda: is_alive(other.pid), 0.5)
        stack.stop(other)
        site.controls()
    return SAME


@row("daemon-duplicate", "a second daemon with the same conf", "the one that owns the programs is kept")
def duplicate(site: Site) -> str:
    """It takes the path, and its exit deletes it by name: the keeper has it afterwards."""
    stack = site.stack
    site.rest()
    keeper, inode = stack.supervisords()[0], stack.socket.stat().st_ino
    before = site.programs()
    stack.socket.unlink()
    assert stack.spawn_supervisord().wait(20) == 0
    wait_for("two daemons run", lambda: len(stack.supervisords()) == 2)
    wait_for("the path is the second one's", lambda: stack.socket.is_socket() and stack.socket.stat().st_ino != inode)
    site.agent = stack.start_agent()
    site.told("daemon-duplicate", "daemon-duplicate", "healed", 40)
    wait_for("one daemon is left", lambda: stack.supervisords() == [keeper])
    assert site.programs() == before
    site.controls()
    assert (stack.folder / "tmp" / "supervisord.pid").read_text().strip() == str(keeper)
    return SAME


@row("auth-refused", "the password in the conf is changed and not loaded", "told with the fix")
def refused(site: Site) -> str:
    """Restarting would not help."""
    conf = site.stack.conf
    right = conf.read_text()
    with site.untouched():
        conf.write_text(right.replace("password=first", "password=sesame", 1))
        told = site.told("daemon-told", "auth-refused", "told")
        assert "sesame" not in str(told)
        conf.write_text(right)
    return SAME


@row("pidfile-wrong", "the pidfile is deleted", "written again")
def pidfile_deleted(site: Site) -> str:
    """Scripts look there."""
    return _pidfile(site, lambda path: path.unlink())


@row("pidfile-wrong", "a failed start left its own pid there", "written again")
def pidfile_stale(site: Site) -> str:
    """As in the incident."""
    return _pidfile(site, lambda path: _write(path, "999999\n"))


@row(
    "pidfile-wrong",
    "root wrote another pid into a file of its own there",
    "refused, with its reason; root's file is left",
)
def pidfile_of_root(site: Site) -> str:
    """It is not the daemon's, so it is not paramedic's to overwrite."""
    stack = site.stack
    if stack.owner is None:
        return _pidfile(site, lambda path: _write(path, "999999\n"))
    path = stack.folder / "tmp" / "supervisord.pid"
    wait_for("the daemon is old enough to have one", lambda: age_s(stack.supervisords()[0]) > PIDFILE_AFTER_S, 20)
    with site.untouched():
        path.unlink()
        path.write_text("999999\n")
        told = site.told("pidfile-wrong", "pidfile-wrong", "refused")
        assert "does not belong to the daemon's user" in str(told) and "broke" not in str(told)
        assert path.read_text() == "999999\n" and path.stat().st_uid == 0
        path.unlink()
        stack.as_owner(lambda: _write(path, f"{stack.supervisords()[0]}\n"))
        site.await_ok()
    return SAME


def _pidfile(site: Site, fault: Callable[[Path], object]) -> str:
    stack = site.stack
    path = stack.folder / "tmp" / "supervisord.pid"
    wait_for("the daemon is old enough to have one", lambda: age_s(stack.supervisords()[0]) > PIDFILE_AFTER_S, 20)
    with site.untouched():
        stack.as_owner(lambda: fault(path))
        site.told("pidfile-wrong", "pidfile-wrong", "healed")
        assert path.read_text().strip() == str(stack.supervisords()[0])
        assert path.stat().st_uid == stack.uid
    return SAME


@row("log-deleted", "the logs of daemon and program are deleted", "reopened")
def log_deleted(site: Site) -> str:
    """Nobody could read what it says."""
    stack = site.stack
    logs = [stack.conf.parent / name for name in ("supervisord.log", "daphne.log")]
    with site.untouched():
        for log in logs:
            log.unlink()
        site.told("log-deleted", "log-deleted", "healed")
        assert all(log.exists() for log in logs)
    return SAME


@row("program-fatal", "its command is not in the PATH of the launch", "told, with that PATH and where the command is")
def fatal(site: Site) -> str:
    """Somebody started it from another shell."""
    stack = site.stack
    conf, place = stack.conf.read_text(), stack.conf.parent / "venv" / "bin" / "ghost-of-a-command"
    stack.as_owner(lambda: place.parent.mkdir(parents=True, exist_ok=True), place.touch, lambda: place.chmod(0o755))
    ghost = "[program:ghost]\ncommand=ghost-of-a-command --now\nstartretries=0\n"
    ghost += f"directory={stack.conf.parent}\n"
    with site.untouched():
        stack.conf.write_text(conf + ghost)
        stack.ctl("update", "ghost")
        told = site.told("program-fatal", "program-fatal", "told")
        assert "can't find command 'ghost-of-a-command'" in told["evidence"]
        assert f"PATH {BIN}:/usr/bin:/bin" in told["evidence"]
        assert f"it is at {place}: write command={place} ..." in told["evidence"]
        stack.conf.write_text(conf)
        stack.ctl("update", "ghost")
    return SAME


@row("program-flapping", "a program ends soon after every start", "told, with how often")
def flapping(site: Site) -> str:
    """Supervisor calls it RUNNING at most looks."""
    with site.untouched():
        site.stack.ctl("start", "flappy")
        told = site.told("program-troubled", "program-flapping", "told")
        assert "times in" in told["evidence"]
        wait_for("it is stopped", lambda: _stopped(site.stack, "flappy"))
    _forget(site)
    return SAME


def _stopped(stack: EmbeddedStack, program: str) -> bool:
    """Supervisor stops no program that has just ended, and then starts it again: it is told until it holds."""
    stack.ctl("stop", program)
    return "STOPPED" in stack.ctl("status", program)


def _forget(site: Site) -> None:
    """An agent without a memory of starts: the two minutes of a flapping program are not waited for."""
    site.rest()
    site.agent = site.stack.start_agent()


@row("port-held", "a stranger listens on the program's port, Supervisor says RUNNING", "told, with who")
def port_held(site: Site) -> str:
    """It serves old code, or nothing of ours at all."""
    stack = site.stack
    code = "import signal,socket,sys; s=socket.create_server(('127.0.0.1', int(sys.argv[1]))); signal.pause()"
    stranger = stack.spawn([sys.executable, "-c", code, site.mute_port], stack.owner, "stranger.log")
    with site.untouched():
        stack.ctl("start", "mute")
        told = site.told("program-troubled", "port-held", "told")
        assert f"process {stranger.pid}" in told["evidence"]
        assert is_alive(stranger.pid)
        stack.ctl("stop", "mute")
        stack.stop(stranger, signal.SIGKILL)
    return SAME


@row("orphan", "kill -9 and a start by hand: the recorded child holds the port", "ended by its record")
def orphan(site: Site) -> str:
    """The new Daphne cannot listen until the old one is gone."""
    before = site.programs()
    site.stack.end(site.stack.supervisords()[0])
    assert site.stack.spawn_supervisord().wait(20) == 0
    site.told("orphaned", "orphan", "healed", 40)
    return _after_orphan(site, before)


@row("orphan", "the same, before paramedic ever looked", "ended by its variables, group, user, command and folder")
def unrecorded_orphan(site: Site) -> str:
    """There is no record: everything must agree with the conf."""
    stack = site.stack
    site.rest()
    before = site.programs()
    stack.end(stack.supervisords()[0])
    shutil.rmtree(stack.folder / "state" / "paramedic")
    assert stack.spawn_supervisord().wait(20) == 0
    site.agent = stack.start_agent()
    told = site.told("orphaned", "orphan", "healed", 40)
    assert "by its variables" in told["evidence"]
    return _after_orphan(site, before)


def _after_orphan(site: Site, before: dict[int, int]) -> str:
    for pid in before:
        wait_for("the orphan is gone", lambda pid=pid: not is_alive(pid))  # type: ignore[misc]
    wait_for("Daphne was started again", lambda: site.stack.daphnes() or site.stack.ctl("start", "daphne") == "", 30)
    return site.renewed(before)
