"""sense/holders.py: who holds the memory beside the stack, on recorded hosts and in a real cgroup."""

from __future__ import annotations

import os
import time
from pathlib import Path

from harness.host_tree import GIB, MASTER, MIB, HostTree
from harness.real_cgroup import holding, limited_cgroup
from paramedic.host.proc import Proc
from paramedic.model.readings import Holding, HostReading
from paramedic.sense.host_memory import HostMemory
from unit.test_host_memory import WEB, memory, seen


def crowd(tree: HostTree) -> None:
    """A database of two processes, a cron job, a login's shell, a kernel thread, and the stack."""
    tree.process(50, WEB, "uwsgi", 100 * MIB)
    tree.process(51, WEB, "uwsgi", 9 * GIB, parent=50)
    tree.process(70, "/system.slice/postgresql.service", "postgres", 3 * GIB, swap=GIB)
    tree.process(71, "/system.slice/postgresql.service", "postgres", 2 * GIB, parent=70)
    tree.process(80, "/user.slice/user-0.slice/session-2.scope", "backup\x1b.sh", 4 * GIB)
    tree.process(81, "/user.slice/user-0.slice/session-2.scope", "bash", 50 * MIB)
    tree.process(2, "/", "kthreadd")


def test_the_largest_beside_the_stack_are_named_when_little_is_left(tmp_path: Path) -> None:
    tree = HostTree(tmp_path)
    crowd(tree)
    assert seen(tree, MASTER).holders == (), "nobody asks while all is well"
    tree.machine(available=4 * GIB)
    named = [str(one) for one in seen(tree, MASTER).holders]
    assert named == [
        "postgresql.service holds 5 GiB and 1 GiB in swap in 2 processes",
        "backup?.sh holds 4 GiB in 1 process",
    ]


def test_what_no_process_holds_is_named_too(tmp_path: Path) -> None:
    tree = HostTree(tmp_path)
    crowd(tree)
    tree.machine(available=4 * GIB, Shmem=6 * GIB, SUnreclaim=7 * GIB, Hugetlb=4 * GIB + MIB)
    assert [str(one) for one in seen(tree, MASTER).holders] == [
        "the kernel (unreclaimable slab) holds 7 GiB",
        "shmem (tmpfs or shared memory) holds 6 GiB",
        "postgresql.service holds 5 GiB and 1 GiB in swap in 2 processes",
    ]


def test_within_a_slice_only_what_is_in_it_is_named(tmp_path: Path) -> None:
    tree = HostTree(tmp_path)
    crowd(tree)
    tree.process(90, "/web.slice/cache.service", "redis", 800 * MIB)
    tree.v2("/web.slice", 12 * GIB, 11 * GIB)
    found = seen(tree, MASTER)
    assert found.scope == "cgroup /web.slice"
    assert found.holders == (Holding("cache.service", 800 * MIB, 1),)


def test_the_walk_comes_at_most_once_a_minute(tmp_path: Path) -> None:
    tree = HostTree(tmp_path)
    crowd(tree)
    tree.machine(available=4 * GIB)
    sensor = memory(tree)

    def walked(now: float) -> int:
        found = sensor.read((MASTER,), now)
        assert isinstance(found, HostReading)
        return found.holders[0].processes

    counts = [walked(100.0)]
    tree.process(72, "/system.slice/postgresql.service", "postgres", GIB, parent=70)
    counts += [walked(now) for now in (101.0, 159.0, 160.0)]
    assert counts == [2, 2, 2, 3]


def test_a_suspicion_or_stalls_are_reasons_to_walk(tmp_path: Path) -> None:
    tree = HostTree(tmp_path)
    crowd(tree)
    found = memory(tree).read((MASTER,), 1.0, is_suspect=True)
    assert isinstance(found, HostReading)
    assert found.holders[0].name == "postgresql.service"
    tree.psi("proc/pressure/memory", 12.0)
    assert seen(tree, MASTER).holders[0].name == "postgresql.service"


def test_parents_that_make_a_loop_and_rows_that_are_rubbish_end_nothing(tmp_path: Path) -> None:
    tree = HostTree(tmp_path)
    tree.process(70, "/a.service", "a", GIB, parent=71)
    tree.process(71, "/a.service", "a", GIB, parent=70)
    tree.write("proc/72/status", "Name\n")
    tree.write("proc/73/status", "PPid:\tx\n")
    (tmp_path / "proc/74").mkdir()
    tree.machine(available=4 * GIB)
    assert seen(tree, MASTER).holders == (Holding("a.service", 2 * GIB, 2),)


def test_a_real_stack_in_a_real_cgroup_is_told_its_limit_and_who_holds_it() -> None:
    """A process of 10 MiB stands for the master, and one of 70 MiB beside it holds what is limited to 100."""
    proc = Proc()
    with limited_cgroup(100 * MIB) as cgroup, holding(10 * MIB, cgroup) as stack, holding(70 * MIB, cgroup) as other:
        master = proc.identify(stack.pid)
        assert master
        found = HostMemory(proc).read((master,), time.monotonic())
        assert isinstance(found, HostReading)
        assert (found.scope, found.total_bytes) == (str(cgroup), 100 * MIB)
        assert 80 * MIB < found.total_bytes - found.available_bytes < 100 * MIB
        held = [one for one in found.holders if one.processes]
        assert len(held) == 1
        assert 70 * MIB < held[0].size_bytes < 90 * MIB
        assert (proc.rss_bytes(other.pid) or 0) > held[0].size_bytes
        mine = HostMemory(proc).read((proc.identify(os.getpid()) or master,), time.monotonic())
        assert isinstance(mine, HostReading)
        assert mine.scope != str(cgroup)
