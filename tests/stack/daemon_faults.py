"""What happens to a daemon, its pidfile and its logs, each made for real."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.processes import age_s, is_alive, state
from harness.stack import EmbeddedStack
from harness.waiting import stays, wait_for
from paramedic.sense.condition import PIDFILE_AFTER_S
from stack.fault_site import NONE, SAME, Site, row, write


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
    return _pidfile(site, lambda path: write(path, "999999\n"))


@row(
    "pidfile-wrong",
    "root wrote another pid into a file of its own there",
    "refused, with its reason; root's file is left",
)
def pidfile_of_root(site: Site) -> str:
    """It is not the daemon's, so it is not paramedic's to overwrite."""
    stack = site.stack
    if stack.owner is None:
        return _pidfile(site, lambda path: write(path, "999999\n"))
    path = stack.folder / "tmp" / "supervisord.pid"
    wait_for("the daemon is old enough to have one", lambda: age_s(stack.supervisords()[0]) > PIDFILE_AFTER_S, 20)
    with site.untouched():
        path.unlink()
        path.write_text("999999\n")
        told = site.told("pidfile-wrong", "pidfile-wrong", "refused")
        assert "does not belong to the daemon's user" in str(told) and "broke" not in str(told)
        assert path.read_text() == "999999\n" and path.stat().st_uid == 0
        path.unlink()
        stack.as_owner(lambda: write(path, f"{stack.supervisords()[0]}\n"))
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
