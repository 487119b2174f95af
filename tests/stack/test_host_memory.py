"""A stack in a cgroup of its own, with a real limit; real memory stalls; none where this kernel or user may not."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.real_cgroup import holding, limited_cgroup
from harness.stack import EmbeddedStack
from harness.waiting import wait_for
from paramedic.host.cgroup import Cgroup
from paramedic.host.pressure import Trigger, trigger_of
from paramedic.host.proc import Proc
from paramedic.host.wake import Wake

MIB, PRESSURE = 2**20, "/proc/pressure/memory"
POLICY = """
policies:
  - name: slice-full
    watch: host
    when: memory.used_percent > 80 %
    for: 1s
    do: [chain_reload]
"""
THRASH = """
import os, sys
print(1, flush=True)
while True:
    fd = os.open(sys.argv[1], os.O_RDONLY)
    while os.read(fd, 1 << 20):
        pass
    os.close(fd)
"""
LONG_INTERVAL_S = 50


def test_the_limit_of_the_stacks_cgroup_is_the_total_and_who_fills_it_is_named(stack: EmbeddedStack) -> None:
    """Without the cgroup's limit this machine has room, and nothing would be found at all."""
    stack.ini.write_text(stack.ini.read_text().replace("processes = 4", "processes = 2"))
    stack.start_uwsgi()
    stack.start_supervisord()
    stack.add_policies(POLICY)
    with limited_cgroup(1024 * MIB) as cgroup:
        for pid in (stack.stats()["pid"], *stack.worker_pids().values(), *stack.supervisords()):
            Path(cgroup.folder, "cgroup.procs").write_text(str(pid))
        agent = stack.start_agent()
        if stack.agent_owner is None and takes_triggers():
            assert PRESSURE in [target for _, target in Proc().open_files(agent.pid)], "no stall would wake it"
        assert not [i for i in stack.history() if i["subject"] == "host"]
        with holding(850 * MIB, cgroup):
            found = stack.incident("slice-full")
            assert found["diagnosis"] == "memory-high"
            assert f"({cgroup}, 1 GiB)" in found["evidence"]
            assert "in 1 process" in found["evidence"]
            held = wait_for("it holds because it cannot help", lambda: held_by(stack, "cannot help"))
            assert "in 1 process" in held
            told = json.loads(stack.paramedic("doctor", "--json").stdout)["findings"]
            mine = [one for one in told if one["subject"] == "host"]
            assert {one["diagnosis"] for one in mine} == {"memory-high"}
            assert all(f"({cgroup}, 1 GiB)" in one["evidence"] for one in mine)
            assert all("in 1 process" in one["evidence"] for one in mine)
            assert all(one["repair"].startswith("nothing: ") and "in 1 process" in one["repair"] for one in mine)
        stack.incident("slice-full", "cleared")


def takes_triggers() -> bool:
    """Whether this kernel and user can be told of stalls."""
    trigger = trigger_of((PRESSURE,))
    if trigger:
        trigger.close()
    return trigger is not None


def held_by(stack: EmbeddedStack, guard: str) -> str:
    """The reason with which slice-full holds, once it is this guard."""
    status = stack.published()
    found = [hold for hold in status["holds"] if hold["policy"] == "slice-full" and hold["guard"] == guard]
    return str(found[0]["reason"]) if found else ""


@contextlib.contextmanager
def thrashing(cgroup: Cgroup) -> Iterator[None]:
    """A process that reads a file over and over which is three times as large as what its cgroup may hold."""
    with tempfile.NamedTemporaryFile(dir="/var/tmp") as file:
        file.write(b"x" * (48 * MIB))
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        argv = ["/bin/sh", "-c", 'echo $$ > "$1/cgroup.procs" && exec "$2" -c "$3" "$4"', "sh"]
        words = [cgroup.folder, sys.executable, THRASH, file.name]
        child = subprocess.Popen([*argv, *words], stdout=subprocess.PIPE, text=True)
        assert child.stdout
        try:
            assert child.stdout.readline() == "1\n"
            yield
        finally:
            child.kill()
            child.wait(5)
            child.stdout.close()


def test_a_real_stall_wakes_before_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """20 ms of stall in two seconds instead of 200: this shares its disk and its CPUs with others."""
    try:
        trigger = Trigger(PRESSURE, stall_us=20_000)
    except OSError as error:
        pytest.skip(f"this kernel takes no trigger: {error}")
    monkeypatch.setattr("paramedic.host.wake.trigger_of", lambda paths: trigger if paths else None)
    wake = Wake(Proc())
    wake.watch_pressure((PRESSURE,))
    wake.wait(2.1)
    with limited_cgroup(16 * MIB) as cgroup, thrashing(cgroup):
        began = time.monotonic()
        assert wake.wait(LONG_INTERVAL_S)
        assert wake.wait(LONG_INTERVAL_S), "it goes on, and wakes again"
        assert time.monotonic() - began >= 2
    wake.close()
