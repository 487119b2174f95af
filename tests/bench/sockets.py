"""The deleted socket: from unlink to an answer, by hard link and by relay; beside them Monit and a plain SIGHUP."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from conftest import make_stack
from harness.processes import cmdline, start_ticks, state
from harness.stack import EmbeddedStack
from harness.waiting import wait_for

BY_LINK_S, BY_RELAY_S = (0.05, 0.25), (0.5, 0.5)
RUNS = 200
YARDSTICK_RUNS = 10
QUESTION = (
    b"<?xml version='1.0'?><methodCall><methodName>supervisor.getState</methodName><params></params></methodCall>"
)
REQUEST = b"POST /RPC2 HTTP/1.0\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n" % len(QUESTION) + QUESTION
MONITRC = """set daemon 1
set log {folder}/monit.log
set idfile {folder}/monit.id
set statefile {folder}/monit.state
set pidfile {folder}/monit.pid
check process supervisord with pidfile {folder}/tmp/supervisord.pid
  if failed unixsocket {socket} then exec "{folder}/restart"
"""
RESTART = """#!/bin/sh
pid=$(cat {folder}/tmp/supervisord.pid)
kill "$pid"
while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
cd {cwd} && exec {supervisord} -c {conf}
"""


def answers(path: Path) -> bool:
    """Whether the daemon answers RUNNING through the path now."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(str(path))
        client.sendall(REQUEST)
        return b"RUNNING" in b"".join(iter(lambda: client.recv(65536), b""))
    return False


def ctl_s(stack: EmbeddedStack, *words: str) -> tuple[float, bool]:
    """(seconds, success) of one supervisorctl."""
    began = time.perf_counter()
    argv = [str(stack.supervisor_bin / "supervisorctl"), "-c", str(stack.conf), *words]
    code = subprocess.run(argv, env=stack.environment(), capture_output=True, timeout=30).returncode
    return time.perf_counter() - began, code == 0


def programs(stack: EmbeddedStack) -> dict[int, int]:
    """The supervised programs, as identities."""
    return {pid: start_ticks(pid) for pid in stack.daphnes()}


def deleted(stack: EmbeddedStack) -> float:
    """Delete it once the last repair is judged: somebody who deletes it at every repair is another story. When."""

    def is_judged() -> bool:
        return all(one["policy"] != "socket-lost" for one in stack.published()["incidents"])

    wait_for("the last repair is judged", is_judged)
    stack.socket.unlink()
    return time.perf_counter()


def to_an_answer_s(stack: EmbeddedStack) -> float:
    """Seconds from a deletion to a connection that the daemon answers."""
    began = deleted(stack)
    while not answers(stack.socket):
        if time.perf_counter() - began > 30:
            raise AssertionError(f"not restored: {stack.agent_log()[-2000:]}")
        time.sleep(0.0005)
    return time.perf_counter() - began


def to_supervisorctl_s(stack: EmbeddedStack) -> float:
    """Seconds from a deletion to a supervisorctl that works; the first is started at the same moment."""
    began, is_well = deleted(stack), False
    while not is_well:
        is_well = ctl_s(stack, "status")[1]
        if time.perf_counter() - began > 30:
            raise AssertionError(f"not restored: {stack.agent_log()[-2000:]}")
    return time.perf_counter() - began


def shown(times: Sequence[float]) -> str:
    """Median, p99 and worst in ms."""
    ordered = sorted(times)
    figures = {"median": statistics.median(ordered), "p99": p99_of(ordered), "worst": ordered[-1]}
    return "   ".join(f"{name} {seconds * 1e3:7.1f} ms" for name, seconds in figures.items())


def relays(stack: EmbeddedStack) -> list[int]:
    """The relays of this stack that run."""
    found = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and state(int(name)) not in ("", "Z") and str(stack.socket) in cmdline(int(name))[-1:]:
                found += [int(name)] if any(word.endswith("relay.py") for word in cmdline(int(name))) else []
    return found


def measure(stack: EmbeddedStack, rung: str, startup_s: float, bounds: tuple[float, float]) -> None:
    """200 deletions on one rung for each of the two figures, so that starting supervisorctl is not in the way of the
    repair whose time is taken; `bounds` are seconds, of an answer and of supervisorctl beyond its own start-up."""
    daemon, before = stack.supervisords(), programs(stack)
    answered = [to_an_answer_s(stack) for _ in range(RUNS)]
    controlled = [max(0.0, to_supervisorctl_s(stack) - startup_s) for _ in range(RUNS)]
    kept = sum(pid in before and before[pid] == ticks for pid, ticks in programs(stack).items())
    is_same = stack.supervisords() == daemon
    assert is_same and kept == len(before), "something was restarted: these are no figures of this rung"
    print(f"  {rung}, twice {RUNS} deletions; supervisord untouched, {kept} of {len(before)} programs untouched")
    print(f"    unlink -> the daemon answers            {shown(answered)}")
    print(f"    unlink -> supervisorctl status works    {shown(controlled)}", end="")
    print(f"   beyond its own start-up of {startup_s * 1e3:.0f} ms")
    for what, found, most in (
        ("an answer", p99_of(answered), bounds[0]),
        ("supervisorctl", p99_of(controlled), bounds[1]),
    ):
        print(f"  {'PASS' if found <= most else 'FAIL'}  {rung}: {what} within {most * 1e3:.0f} ms in 99 of 100")


def p99_of(times: Sequence[float]) -> float:
    """Seconds."""
    return sorted(times)[max(0, round(0.99 * len(times)) - 1)]


def by_relay(stack: EmbeddedStack, startup_s: float) -> None:
    """The kept link goes first, and the agent has none to make while a relay stands there."""

    def spoil() -> bool:
        for kept in stack.socket.parent.glob(".paramedic-*"):
            shutil.rmtree(kept)
        stack.socket.unlink(missing_ok=True)
        wait_for("an answer", lambda: answers(stack.socket))
        return bool(relays(stack))

    wait_for("a relay stands there", spoil, 30)
    measure(stack, "relay", startup_s, BY_RELAY_S)
    wait_for("only the last relay is left", lambda: len(relays(stack)) == 1, 15)
    print("    relays left over afterwards: 0")


def yardstick(stack: EmbeddedStack, name: str, repair: Callable[[], None]) -> None:
    """Delete, let somebody else repair, count what restarted."""
    times, touched, total = [], 0, 0
    for _ in range(YARDSTICK_RUNS):
        wait_for("all well", lambda: answers(stack.socket) and len(stack.daphnes()) == 1, 30)
        before = programs(stack)
        began = time.perf_counter()
        stack.socket.unlink()
        repair()
        wait_for("it answers", lambda: answers(stack.socket), 60)
        times.append(time.perf_counter() - began)
        total += len(before)
        wait_for("its program runs", lambda: len(stack.daphnes()) == 1 and "RUNNING" in stack.ctl("status"), 60)
        touched += sum(programs(stack).get(pid) != ticks for pid, ticks in before.items())
    print(f"  {name}, {YARDSTICK_RUNS} deletions; {touched} of {total} programs restarted")
    print(f"    unlink -> the daemon answers            {shown(times)}")


def by_hand(stack: EmbeddedStack) -> None:
    """SIGHUP at the very moment of the deletion: no detection at all is in its time."""

    def hang_up() -> None:
        os.kill(stack.supervisords()[0], signal.SIGHUP)

    hang_up()
    wait_for("the daemon made its own socket", lambda: not relays(stack) and answers(stack.socket), 30)
    yardstick(stack, "kill -HUP by hand, at once", hang_up)


def by_monit(stack: EmbeddedStack) -> None:
    """Monit with a cycle of 1 s and the recipe people use: exec a restart when the socket fails."""
    monit = shutil.which("monit")
    if monit is None:
        print("  Monit: not installed (apt-get install monit)")
        return
    script, conf = stack.folder / "restart", stack.folder / "monitrc"
    words = {"folder": stack.folder, "socket": stack.socket, "conf": stack.conf, "cwd": stack.conf.parent}
    script.write_text(RESTART.format(supervisord=stack.supervisor_bin / "supervisord", **words))
    conf.write_text(MONITRC.format(**words))
    script.chmod(0o755)
    conf.chmod(0o600)
    if stack.owner:
        os.chown(conf, stack.owner.uid, stack.owner.gid)
        os.chown(stack.folder, stack.owner.uid, stack.owner.gid)
    child = stack.spawn([monit, "-I", "-c", conf], stack.owner, "monit.out")
    try:
        version = subprocess.run([monit, "-V"], capture_output=True, text=True, timeout=10).stdout.splitlines()[0]
        log = stack.folder / "monit.log"
        wait_for("Monit watches", lambda: log.exists() and "daemon" in log.read_text().lower(), 20)
        yardstick(stack, f"{version.removeprefix('This is ')}, 1 s cycle, exec restart", lambda: None)
    finally:
        stack.stop(child)


def print_sockets() -> None:
    """The four, one after the other, on one machine."""
    stack = make_stack("agent as root" if os.geteuid() == 0 else "as me")
    try:
        print("the deleted socket")
        stack.start_supervisord()
        startup_s = statistics.median(ctl_s(stack, "-h")[0] for _ in range(20))
        agent = stack.start_agent()
        measure(stack, "hard link", startup_s, BY_LINK_S)
        if os.geteuid() == 0:
            by_relay(stack, startup_s)
        else:
            print("  relay: needs root")
        stack.stop(agent)
        by_hand(stack)
        by_monit(stack)
    finally:
        stack.close()
