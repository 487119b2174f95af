"""Repairs beyond the fault table: one program, a graceful restart, a foreign daemon replaced, groups, locks, access."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import SWITCHES, make_stack
from harness.processes import cmdline, end, is_alive, start_ticks
from harness.stack import EmbeddedStack
from harness.waiting import stays, wait_for

FAT = """policies:
  - name: program-fat
    watch: supervisor.program
    when: rss > 1 MiB and age > 3s and name is daphne
    do: [restart_program]
    cooldown: 10m
"""
GRACEFUL = """policies:
  - name: socket-lost-for-good
    watch: supervisor
    when: diagnosis is socket-missing
    do: [restore_socket: { restart: ok }]
    cooldown: 1s
"""
REPLACE = """policies:
  - name: replaced
    watch: supervisor
    when: diagnosis is daemon-foreign
    for: 1s
    do: [restart_supervisord: { replace: true }]
    cooldown: 1s
"""


@pytest.fixture
def user_stack() -> Iterator[EmbeddedStack]:
    """Stack and agent as one ordinary user, for whom there is no relay."""
    made = make_stack("both as an ordinary user")
    try:
        yield made
    finally:
        made.close()


def identity(stack: EmbeddedStack) -> dict[int, int]:
    """The Daphnes that run."""
    return {pid: start_ticks(pid) for pid in stack.daphnes()}


def first_action(stack: EmbeddedStack) -> dict[str, Any]:
    """What was done first about the fat program."""
    return dict((stack.incident("program-fat")["actions"] or [{"outcome": "none yet"}])[0])


def test_one_program_is_restarted_with_its_connections_counted_and_its_memory_told(stack: EmbeddedStack) -> None:
    daemon = stack.start_supervisord()
    stack.add_policies(FAT.replace("do:", "for: 1s\n    do:"))  # by then its launch is recorded
    before = identity(stack)
    with socket.create_connection(("127.0.0.1", stack.daphne_port)):
        stack.start_agent()
        wait_for("it is judged", lambda: first_action(stack)["outcome"] == "met", 40)
    action = first_action(stack)
    assert action["action"] == "restart_program"
    assert "which had 1 open connection;" in action["detail"]
    assert "bytes" in action["gained"]
    assert stack.supervisords() == [daemon]
    assert len(stack.daphnes()) == 1
    assert not set(identity(stack).items()) & set(before.items())
    wait_for("Daphne serves", lambda: stack.status(stack.daphne_port) == 200)


def test_a_program_that_could_not_start_again_is_not_stopped(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    stack.start_supervisord()
    stack.add_policies(FAT)
    before = identity(stack)
    stack.conf.write_text(stack.conf.read_text().replace("command=daphne", "command=daphne-that-is-nowhere"))
    stack.start_agent()

    def why() -> str:
        """A daemon that is not seen well before the first try was not recorded by then."""
        return str(stack.incident("program-fat", "refused", 30)["actions"][-1]["detail"])

    wait_for("it says why", lambda: "it could not start again, so it is not stopped" in why(), 30)
    assert identity(stack) == before


def test_a_program_stopped_by_an_agent_that_was_killed_is_started_by_the_next(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    stubborn = "[program:stubborn]\ncommand=/bin/sh -c \"trap '' TERM; while :; do sleep 0.1; done\"\nstopwaitsecs=4\n"
    stack.conf.write_text(stack.conf.read_text() + stubborn)
    stack.start_supervisord()
    stack.add_policies(FAT.replace("daphne", "stubborn"))
    agent = stack.start_agent()
    wait_for("it is being stopped", lambda: "STOPPING" in stack.ctl("status", "stubborn"), 20)
    stack.stop(agent, signal.SIGKILL)
    wait_for("it is stopped", lambda: "STOPPED" in stack.ctl("status", "stubborn"), 20)
    stays("nobody else starts it", lambda: "STOPPED" in stack.ctl("status", "stubborn"), 1.0)
    stack.policies = ["shipped"]
    stack.start_agent()
    wait_for("it runs again", lambda: "RUNNING" in stack.ctl("status", "stubborn"), 20)
    assert "started stubborn, which an agent had stopped before it ended" in stack.agent_log()


@SWITCHES
def test_a_graceful_restart_is_the_last_rung_and_only_by_policy(user_stack: EmbeddedStack) -> None:
    stack = user_stack
    daemon = stack.start_supervisord()
    stack.add_policies(GRACEFUL)
    stack.policies = ["policies.yaml"]
    agent = stack.start_agent()
    wait_for("its launch was recorded", lambda: list((stack.folder / "state/paramedic/recipes").glob("*.json")))
    stack.stop(agent)
    shutil.rmtree(next(stack.socket.parent.glob(".paramedic-*")))
    stack.socket.unlink()
    before = identity(stack)
    good = stack.conf.read_text()
    stack.conf.write_text(good.replace("startsecs=1", "startsecs=soon"))
    stack.start_agent()
    told = stack.incident("socket-lost-for-good", "refused", 20)
    assert "it could not start again, so it is not restarted" in told["actions"][0]["detail"]
    assert (stack.supervisords(), identity(stack)) == ([daemon], before), "a conf that does not load would end it"
    stack.conf.write_text(good)
    told = stack.incident("socket-lost-for-good", "healed", 40)
    assert f"sent SIGHUP to supervisord {daemon}" in told["actions"][-1]["detail"]
    assert stack.supervisords() == [daemon]
    wait_for("its program runs again", lambda: "RUNNING" in stack.ctl("status"))


@pytest.mark.parametrize("ours", ["alive", "killed"])
def test_a_foreign_daemon_is_replaced_only_where_the_policy_says_so(stack: EmbeddedStack, ours: str) -> None:
    daemon = stack.start_supervisord()
    stack.add_policies(REPLACE)
    before = identity(stack)
    agent = stack.start_agent()
    wait_for("its launch was recorded", lambda: list((stack.folder / "state/paramedic/recipes").glob("*.json")))
    stack.stop(agent)
    other = stack.start_distro()
    os.rename(stack.folder / "distro" / "distro.sock", stack.socket)
    if ours == "killed":
        stack.end(daemon)
    stack.start_agent()
    told = stack.incident("replaced", "healed", 40)
    assert f"stopped supervisord {other.pid}" in told["actions"][-1]["detail"]
    assert not is_alive(other.pid)
    wait_for("ours is in control", lambda: "RUNNING" in stack.ctl("status", "daphne"))
    assert len(stack.supervisords()) == 1
    if ours == "alive":
        assert (stack.supervisords(), identity(stack)) == ([daemon], before), "no program of ours was restarted"


@SWITCHES
def test_who_is_denied_by_the_conf_is_told_the_line_to_write_and_nothing_is_widened() -> None:
    stack = make_stack("agent as root")
    try:
        stack.start_supervisord()
        stack.extra = "      control_user: daemon"
        stack.start_agent()
        told = stack.incident("socket-denied", "refused", 20)
        assert "write chown=nobody:GROUP and chmod=0770 below [unix_http_server]" in told["evidence"]
        assert stack.socket.stat().st_mode & 0o777 == 0o700
        assert stack.socket.stat().st_uid == stack.uid
        wait_for("a person is told", lambda: stack.notified_of("socket-denied"))
    finally:
        stack.close()


def test_a_shell_around_daphne_leaves_nobody_on_the_port(stack: EmbeddedStack) -> None:
    text = stack.conf.read_text()
    line = next(line for line in text.splitlines() if line.startswith("command=daphne"))
    stack.conf.write_text(text.replace(line, f'command=/bin/sh -c "{line.removeprefix("command=")}; true"'))
    daemon = stack.start_supervisord()
    stack.start_agent()
    old = [pid for pid in stack.daphnes() if "-c" not in cmdline(pid)[:2]]
    wait_for("the agent knows the program", lambda: "running 1" in stack.paramedic("status").stdout)
    stack.end(daemon)
    stack.incident("daemon-dead", "healed", 30)
    assert not any(is_alive(pid) for pid in old), "the shell was ended and its Daphne was not"
    wait_for("the new Daphne answers", lambda: stack.status(stack.daphne_port) == 200)


def test_a_daphne_lock_with_the_pid_of_a_stranger_is_removed_before_the_start(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    app = stack.folder / "tmp" / "app.sock"
    text = stack.conf.read_text()
    stack.conf.write_text(text.replace(f"-b 127.0.0.1 -p {stack.daphne_port}", f"-u {app}"))
    assert stack.spawn_supervisord().wait(20) == 0
    wait_for("Daphne listens", lambda: app.is_socket() and "RUNNING" in stack.ctl("status"))
    stack.start_agent()
    wait_for("the agent knows it", lambda: "running 1" in stack.paramedic("status").stdout)
    stranger = stack.spawn([sys.executable, "-c", "import signal; signal.pause()"], stack.owner, "stranger.log")
    daphne = int(os.readlink(f"{app}.lock"))

    def fault() -> None:
        os.unlink(f"{app}.lock")
        os.symlink(str(stranger.pid), f"{app}.lock")

    daemon = stack.supervisords()[0]
    os.kill(daemon, signal.SIGSTOP)
    end(daphne)
    stack.as_owner(fault)
    stack.end(daemon)
    told = stack.incident("daemon-dead", "healed", 30)
    assert f"removed {app}.lock, whose pid {stranger.pid} is another program now" in told["actions"][-1]["detail"]
    assert is_alive(stranger.pid)
    assert os.readlink(f"{app}.lock") != str(stranger.pid)


CLEANERS = {
    "systemd-tmpfiles": ["systemd-tmpfiles", "--clean", "--prefix={tmp}", "{conf}"],
    "tmpreaper": ["tmpreaper", "--all", "--mtime", "1h", "{tmp}"],
}


@pytest.mark.parametrize("cleaner", CLEANERS)
def test_cleaners_leave_the_guarded_socket_and_its_link_alone(lone_stack: EmbeddedStack, cleaner: str) -> None:
    """With `--all` even tmpreaper takes sockets; a fresh mtime keeps it away, the sticky bit systemd-tmpfiles."""
    stack = lone_stack
    program = shutil.which(CLEANERS[cleaner][0], path="/usr/bin:/usr/sbin:/bin:/sbin")
    if program is None or os.geteuid() != 0:
        pytest.skip(f"needs {CLEANERS[cleaner][0]} and root")
    stack.start_supervisord()
    tmp, conf = stack.socket.parent, stack.folder / "etc" / "tmpfiles.conf"
    conf.write_text(f"d {tmp} 0755 - - 1s\n")
    words = [word.format(tmp=tmp, conf=conf) for word in CLEANERS[cleaner][1:]]
    litter = tmp / "litter"
    litter.write_text("old")

    def clean() -> None:
        found = subprocess.run([program, *words], capture_output=True, text=True, timeout=30)
        assert found.returncode in (0, 73), found.stderr

    def grow_old(*paths: Path) -> None:
        """For systemd-tmpfiles the time of the last change of owner or mode counts, too, which nobody can set."""
        for path in paths:
            os.utime(path, (1_600_000_000, 1_600_000_000), follow_symlinks=False)
        changed = max(path.lstat().st_ctime for path in (litter, stack.socket))
        wait_for("everything is older than a second", lambda: time.time() - changed > 1.1)

    spare = tmp.parent / "spare"
    os.link(stack.socket, spare)
    grow_old(litter, stack.socket)
    clean()
    assert not stack.socket.exists(), "the fault is real: it takes the live socket"
    assert not litter.exists()
    os.rename(spare, stack.socket)
    litter.write_text("old")
    os.utime(stack.socket, (1_600_000_000, 1_600_000_000))
    stack.start_agent()
    wait_for("it is protected", lambda: stack.socket.stat().st_mode & 0o1000 and stack.socket.stat().st_mtime > 1.7e9)
    stack.socket.chmod(0o700)
    wait_for("and again, at once", lambda: stack.socket.stat().st_mode & 0o1000)
    inode = stack.socket.stat().st_ino
    grow_old(litter)
    clean()
    assert not litter.exists(), "it did clean"
    stays("the live socket stays", lambda: stack.socket.stat().st_ino == inode, 0.5)
    assert [link.stat().st_ino for link in tmp.glob(".paramedic-*/supervisor.sock")] == [inode]


def test_the_kept_link_follows_a_graceful_restart(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    daemon = stack.start_supervisord()
    stack.start_agent()
    first = stack.socket.stat().st_ino
    os.kill(daemon, signal.SIGHUP)
    wait_for("it has a new socket", lambda: stack.socket.exists() and stack.socket.stat().st_ino != first, 20)
    inode = stack.socket.stat().st_ino

    def kept() -> list[int]:
        with contextlib.suppress(OSError):
            return [link.stat().st_ino for link in stack.socket.parent.glob(".paramedic-*/supervisor.sock")]
        return []

    wait_for("the link is of the new one", lambda: kept() == [inode], 20)
    stack.socket.unlink()
    wait_for("and is linked back", lambda: stack.socket.exists() and stack.socket.stat().st_ino == inode)


def test_the_sockets_of_uwsgi_can_be_guarded_too(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    stats = stack.folder / "tmp" / "stats.sock"
    master = stack.start_uwsgi()
    stack.sockets = {"stats": f"{{ path: {stats} }}"}
    stack.start_agent()
    inode = stats.stat().st_ino
    stats.unlink()
    wait_for("it is linked back", lambda: stats.exists() and stats.stat().st_ino == inode)
    assert stack.stats()["pid"] == master
    told = stack.incident("guarded-socket-lost", "healed")
    assert f"process {master}" in told["evidence"]


def rescue(stack: EmbeddedStack, *words: str) -> tuple[int, dict[str, str]]:
    """`paramedic restore-socket --json`, without a configuration."""
    found = stack.paramedic("restore-socket", "--json", *words)
    assert found.stdout, found.stderr
    return found.returncode, json.loads(found.stdout)


def test_the_one_shot_command_restores_without_an_agent_and_touches_nothing_in_a_dry_run(stack: EmbeddedStack) -> None:
    daemon = stack.start_supervisord()
    before, is_root = identity(stack), stack.agent_owner is None and os.geteuid() == 0
    path = str(stack.socket)
    assert rescue(stack, path)[1]["found"].endswith("nothing is to be done")
    stack.socket.unlink()
    listing = sorted(os.listdir(stack.socket.parent))
    code, told = rescue(stack, "--dry-run", path)
    assert sorted(os.listdir(stack.socket.parent)) == listing
    assert "socket-missing" in told["found"]
    if not is_root:
        assert (code, "needs root" in told["would do"]) == (1, True)
        return
    assert (code, told["would do"].startswith("put a relay at")) == (0, True)
    code, told = rescue(stack, path)
    assert (code, "answered RUNNING through the path" in told["proved"]) == (0, True)
    assert "RUNNING" in stack.ctl("status")
    assert "daphne: started" in stack.ctl("restart", "daphne"), "everything works through a relay"
    assert stack.supervisords() == [daemon]
    assert before
    stack.ctl("shutdown")
    wait_for("the relay leaves with the daemon, and its path with it", lambda: not stack.socket.exists())


def test_the_one_shot_command_asks_before_it_relays_for_other_servers(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    path = stack.folder / "tmp" / "cache.sock"
    pid = stack.serve_at(path)
    assert rescue(stack, str(path))[0] == 0
    path.unlink()
    code, told = rescue(stack, str(path))
    assert code == 1
    if os.geteuid() != 0:
        assert "needs root" in told["did"]
        return
    assert "peer credentials" in told["did"]
    assert not path.exists()
    assert rescue(stack, "--relay", str(path))[0] == 0
    assert stack.echo(path)
    path.unlink()
    path.write_text("a note")
    assert rescue(stack, "--relay", str(path))[0] == 0
    assert [aside.read_text() for aside in path.parent.glob("cache.sock.aside-*")] == ["a note"]
    assert stack.echo(path)
    stack.end(pid)
    wait_for("the relay leaves with its server", lambda: not path.exists())
    code, told = rescue(stack, str(path))
    assert (code, "nobody listens" in told["found"]) == (1, True)
