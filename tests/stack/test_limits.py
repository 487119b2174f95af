"""The agent at the limits of its host: it says so, claims nothing that it cannot know, and goes on."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import SWITCHES, make_stack
from harness.real_cgroup import limited_cgroup
from harness.stack import BIN, EmbeddedStack
from harness.waiting import stays, wait_for
from paramedic.journal import Journal
from stack.test_full_disk import QUICK

CAP_BYTES = 128 * 2**20
UWSGI_TOO = """  - name: gone
    watch: uwsgi
    when: diagnosis is uwsgi-dead
    for: 1s
    do: [start_uwsgi]
"""


def test_without_descriptors_nothing_is_called_dead(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    stack.start_uwsgi()
    stack.start_supervisord()
    agent = stack.start_agent()
    path = str(stack.folder / "state" / "paramedic" / "journal.db")

    def children() -> list[object]:
        with contextlib.closing(Journal(path, read_only=True)) as journal:
            return [child for one in journal.load_known().supervisors.values() for child in one.children]

    wait_for("it knows its stack", children)
    argv = [sys.executable, str(Path(__file__).with_name("scarce.py")), str(stack.config)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run(argv, capture_output=True, text=True, timeout=60, env=environment)
    rows = [json.loads(line) for line in found.stdout.splitlines()]
    print("\n".join(str(row) for row in rows))
    assert len(rows) == 14, found.stderr
    whole = rows[0][2]
    assert whole["supervisor:main"] == "ok" and whole["uwsgi:web"] == "ok"
    honest = {"ok", "none", "unknown", "uwsgi-unreachable"}
    whys = [row[2].pop("why") for row in rows if "why" in row[2]]
    assert all("Too many open files" in why for why in whys), whys
    wrong = [row for row in rows if set(row[2].values()) - honest]
    assert not wrong, "\n".join(map(str, wrong))
    assert any("unknown" in row[2].values() for row in rows), "the fault is real: it could not look"
    stack.stop(agent)


def test_a_running_agent_without_descriptors_harms_nothing_and_heals_when_it_has_some(
    lone_stack: EmbeddedStack,
) -> None:
    """Everything that it opens fails from one look to the next, while a socket is deleted; the daemon must live on."""
    stack = lone_stack
    stack.start_uwsgi()
    stack.start_supervisord()
    (stack.folder / "etc" / "quick.yaml").write_text(QUICK + UWSGI_TOO)
    stack.policies, stack.interval = ["quick.yaml"], "500ms"
    agent = stack.start_agent()
    wait_for("a link is kept", lambda: list(stack.socket.parent.glob(".paramedic-*/supervisor.sock")))
    wait_for("its launch is recorded", lambda: list(stack.folder.glob("state/paramedic/recipes/main.json")))
    before = (stack.supervisords(), stack.daphnes(), stack.worker_pids())
    inode = stack.socket.stat().st_ino
    usual = resource.prlimit(agent.pid, resource.RLIMIT_NOFILE)[0]
    held = {int(name) for name in os.listdir(f"/proc/{agent.pid}/fd")}
    limit(stack, agent.pid, "nofile", str(min(set(range(usual)) - held)))
    wait_for("nothing can be opened", lambda: "Too many open files" in stack.agent_log(), 30)
    stack.socket.unlink()
    stays("the agent lives and starts nothing", lambda: agent.poll() is None and stack.supervisords() == before[0], 4.0)
    limit(stack, agent.pid, "nofile", str(usual))
    wait_for("the socket is back", lambda: _is_at(stack.socket, inode), 20)
    wait_for("all is well", lambda: not stack.published()["incidents"], 30)
    assert (stack.supervisords(), stack.daphnes(), stack.worker_pids()) == before
    done = {action["action"] for incident in stack.history() for action in incident["actions"]}
    assert done <= {"restore_socket", "notify"}, done


def heals_a_deletion(stack: EmbeddedStack, deadline_s: float = 20.0) -> float:
    """The socket is deleted and comes back, the very same; after how many seconds."""
    inode, began = stack.socket.stat().st_ino, time.monotonic()
    stack.socket.unlink()
    wait_for("the socket is back", lambda: _is_at(stack.socket, inode), deadline_s)
    return time.monotonic() - began


def _is_at(path: Path, inode: int) -> bool:
    with contextlib.suppress(OSError):
        return path.stat().st_ino == inode
    return False


def limit(stack: EmbeddedStack, pid: int, name: str, soft: str) -> None:
    """Set a soft limit of a running process, as its own user."""
    owner = stack.agent_owner
    argv = ["/usr/bin/prlimit", f"--pid={pid}", f"--{name}={soft}:"]
    subprocess.run(argv, check=True, timeout=10, user=owner.uid if owner else None, group=owner.gid if owner else None)


@SWITCHES
def test_a_repair_needs_no_thread_that_is_not_there() -> None:
    """An ordinary user may have no more processes: what is counted are threads."""
    stack = make_stack("both as an ordinary user")
    try:
        stack.start_supervisord()
        (stack.folder / "etc" / "quick.yaml").write_text(QUICK)
        stack.policies, stack.interval = ["quick.yaml"], "500ms"
        agent = stack.start_agent()
        wait_for("its launch is recorded", lambda: list(stack.folder.glob("state/paramedic/recipes/main.json")))
        before = resource.getrlimit(resource.RLIMIT_NPROC)[0]
        limit(stack, agent.pid, "nproc", "1")
        heals_a_deletion(stack)
        stack.end(stack.supervisords()[0])
        wait_for("no process can be had", lambda: "Resource temporarily unavailable" in stack.agent_log(), 30)
        assert agent.poll() is None, "the fault is real, and it lives"
        limit(stack, agent.pid, "nproc", str(before) if before >= 0 else "unlimited")
        wait_for("the daemon runs again", stack.supervisords, 60)
    finally:
        stack.close()


def test_repairs_work_with_little_memory_and_it_outlives_having_none(lone_stack: EmbeddedStack) -> None:
    """128 MiB for the agent and all that it starts, the daemon and its program, too; then an address space that does
    not grow.
    """
    stack = lone_stack
    stack.start_supervisord()
    (stack.folder / "etc" / "quick.yaml").write_text(QUICK)
    stack.policies, stack.interval = ["quick.yaml"], "500ms"
    with limited_cgroup(CAP_BYTES) as cgroup:
        agent = stack.start_agent()
        wait_for("its launch is recorded", lambda: list(stack.folder.glob("state/paramedic/recipes/main.json")))
        (Path(cgroup.folder) / "cgroup.procs").write_text(str(agent.pid))
        heals_a_deletion(stack)
        daemon = stack.supervisords()[0]
        stack.end(daemon)
        wait_for("another daemon runs", lambda: stack.supervisords() and stack.supervisords() != [daemon], 40)
        wait_for("it is controlled", lambda: "RUNNING" in stack.ctl("status"), 20)
        for pid in [*stack.supervisords(), *stack.daphnes()]:
            (Path(cgroup.folder).parent / "cgroup.procs").write_text(str(pid))
        wait_for("all is well", lambda: not stack.published()["incidents"], 30)
        size = int(Path(f"/proc/{agent.pid}/statm").read_text().split()[0]) * resource.getpagesize()
        limit(stack, agent.pid, "as", str(size))
        inode = stack.socket.stat().st_ino
        stack.socket.unlink()
        wait_for("the socket is back", lambda: _is_at(stack.socket, inode), 30)
        assert agent.poll() is None
        limit(stack, agent.pid, "as", "unlimited")
        stack.stop(agent)


def test_on_busy_cpus_a_socket_is_back_within_seconds(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    stack.start_supervisord()
    stack.start_agent()
    wait_for("a link is kept", lambda: list(stack.socket.parent.glob(".paramedic-*/supervisor.sock")))
    burners = [
        stack.spawn([sys.executable, "-S", "-c", "while True: pass"], None, "burn.log")
        for _ in range(4 * (os.cpu_count() or 1))
    ]
    try:
        took = [heals_a_deletion(stack, 10) for _ in range(3)]
    except AssertionError as late:
        raise AssertionError(f"{late}\n{stack.agent_log()}") from late
    for burner in burners:
        stack.stop(burner)
    assert max(took) < 5.0, took


def test_without_inotify_it_says_so_and_finds_out_by_its_interval() -> None:
    """A user namespace has a limit of its own; the machine's is not touched. From in there it may only look."""
    stack = EmbeddedStack()
    try:
        stack.start_supervisord()
        stack.interval = "500ms"
        stack.write_config()
        words = 'echo 0 >/proc/sys/user/max_inotify_instances && exec "$@"'
        argv = ["/usr/bin/unshare", "--user", "--map-root-user", "/bin/sh", "-c", words, "agent", BIN / "paramedic"]
        agent = stack.spawn([*argv, "run", "--config", stack.config], None, "agent.log", stack.folder)
        listens = stack.folder / "state" / "run" / "status.sock"
        wait_for("the first pass", lambda: listens.exists() or agent.poll() is not None)
        if "Operation not permitted" in stack.agent_log():
            pytest.skip("nobody may make a user namespace here")
        before = stack.published()["findings"]
        troubles = stack.published()["troubles"]
        assert "inotify" in troubles["cannot watch anything"], troubles
        stack.ini.unlink()
        wait_for("it has seen that a file is gone", lambda: stack.published()["findings"] != before, 10)
        assert agent.poll() is None
    finally:
        stack.close()


@SWITCHES
def test_where_proc_hides_the_processes_of_others_nobody_is_called_dead() -> None:
    """hidepid=2 in a mount namespace; an ordinary user looks at a daemon and a uWSGI that are not theirs."""
    stack = EmbeddedStack()
    try:
        stack.start_uwsgi()
        stack.start_supervisord()
        (stack.folder / "state").chmod(0o777)
        stack.write_config()
        hide = 'mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"'
        argv = ["/usr/bin/unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", hide, "sh"]
        argv += [str(BIN / "paramedic"), "doctor", "--config", str(stack.config)]
        for is_there in (True, False):
            if not is_there:
                stack.socket.unlink()
            found = subprocess.run(argv, capture_output=True, text=True, timeout=30, env=stack.environment())
            assert "cannot tell about uwsgi:web" in found.stdout, found.stderr
            assert "-dead" not in found.stdout and "started" not in found.stdout, found.stdout
    finally:
        stack.close()
