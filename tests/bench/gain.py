"""Is what a reload claims to have given back what the host gained? Its memory from outside, on a quiet machine."""

from __future__ import annotations

import time
from pathlib import Path

from harness.load import Load, failures
from harness.stack import EmbeddedStack
from harness.waiting import wait_for

MIB = 1 << 20
TURNS = 2
WORKERS = 8
FAT_MIB = 200
BOUND = 0.05
POLICY = """
policies:
  - name: fat
    watch: uwsgi
    when: rss > 1000 MiB
    for: 8s
    do:
      - {action}
    cooldown: 1h
"""
ACTIONS = ("chain_reload", f"recycle_worker: {{ most: {WORKERS} }}")


def print_gains() -> None:
    """One line for each turn: claimed by paramedic, seen in MemAvailable, and how far apart they are."""
    print(f"memory given back by replacing {WORKERS} workers of {FAT_MIB} MiB; bound {BOUND:.0%}")
    for action in ACTIONS:
        for _ in range(TURNS):
            claimed, seen = _one(action)
            apart = claimed / seen - 1
            verdict = "PASS" if abs(apart) <= BOUND else "FAIL"
            name = action.partition(":")[0]
            sums = f"claimed {claimed / MIB:7.1f} MiB, MemAvailable {seen / MIB:7.1f} MiB"
            print(f"{name:<16} {sums}, {apart:+.2%} {verdict}")


def _one(action: str) -> tuple[int, int]:
    stack = EmbeddedStack()
    try:
        stack.ini.write_text(stack.ini.read_text().replace("processes = 4\n", f"processes = {WORKERS}\n"))
        stack.start_uwsgi()
        _fatten(stack)
        stack.add_policies(POLICY.format(action=action))
        stack.start_agent()
        began = time.monotonic()
        wait_for("the agent has settled", lambda: time.monotonic() - began > 4.0)
        before = _available()
        told = stack.incident("fat", "healed", 120)
        began = time.monotonic()
        wait_for("the host has settled", lambda: time.monotonic() - began > 6.0)
        return int(told["actions"][0]["gained"]["bytes"]), _available() - before
    finally:
        stack.close()


def _fatten(stack: EmbeddedStack) -> None:
    pids = stack.worker_pids().values()
    load = Load(stack.uwsgi_port, 60, lambda _: "/leak/10")
    try:
        wait_for("every worker is fat", lambda: all(_rss_mib(pid) > FAT_MIB for pid in pids), 60)
    finally:
        if failures(load.stop()):
            raise AssertionError("requests failed while it leaked")


def _rss_mib(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 >> 20


def _available() -> int:
    """MemAvailable, and the freed pages that each CPU keeps for itself for a while (/proc/zoneinfo, pagesets): since
    Linux 6.7 hundreds of MiB after a large process ended, and in no sum of /proc/meminfo.
    """
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    available = next(int(words[1]) for words in lines if words[0] == "MemAvailable:") * 1024
    zones = (line.split() for line in Path("/proc/zoneinfo").read_text().splitlines())
    return available + sum(int(words[1]) for words in zones if words[:1] == ["count:"]) * 4096
