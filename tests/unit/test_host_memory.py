"""sense/host_memory.py: what is left for the stack, and where, on recorded hosts."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from harness.host_tree import GIB, HYBRID, KIB, MASTER, MIB, V1, V1_UNLIMITED, HostTree
from paramedic.host.proc import Proc
from paramedic.host.stat_text import PAGE_BYTES
from paramedic.model.readings import MACHINE, HostReading, Identity, Unreadable
from paramedic.sense.host_memory import HostMemory

V1_LINES = "9:memory:{0}\n1:name=systemd:{0}\n0::{0}\n"
WEB = "/web.slice/uwsgi.service"


def memory(tree: HostTree) -> HostMemory:
    """The sensor of a recorded host."""
    return HostMemory(tree.proc, tree.cgroups)


def seen(tree: HostTree, *masters: Identity, now: float = 100.0) -> HostReading:
    """What one look makes of the host."""
    found = memory(tree).read(masters, now)
    assert isinstance(found, HostReading), found
    return found


# The machine


def test_the_machine_without_psi(tmp_path: Path) -> None:
    found = seen(HostTree(tmp_path))
    assert (found.scope, found.total_bytes, found.available_bytes) == (MACHINE, 32 * GIB, 24 * GIB)
    assert (found.used_percent, found.swap_total_bytes, found.swap_free_bytes) == (25.0, 4 * GIB, 3 * GIB)
    assert (found.dirty_bytes, found.shmem_bytes, found.oom_kills, found.holders) == (5 * MIB, 64 * MIB, 0, ())
    no_psi = Unreadable("this kernel has no pressure stall information")
    assert found.some_avg10 == found.some_avg60 == found.full_avg10 == no_psi


def test_the_machine_with_psi(tmp_path: Path) -> None:
    tree = HostTree(tmp_path)
    tree.psi("proc/pressure/memory", 1.5, 0.2, 0.7)
    found = seen(tree)
    assert (found.some_avg10, found.some_avg60, found.full_avg10) == (1.5, 0.2, 0.7)
    assert found.pressure_files == (f"{tmp_path}/proc/pressure/memory",)


def test_what_the_kernel_does_not_count_is_unreadable_one_by_one(tmp_path: Path) -> None:
    tree = HostTree(tmp_path)
    tree.write("proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 200 kB\n")
    tree.write("proc/vmstat", "pgfault 1\n")
    found = seen(tree)
    assert (found.total_bytes, found.swap_total_bytes) == (1000 * KIB, 0)
    for value in (found.dirty_bytes, found.shmem_bytes, found.swap_in, found.swap_out, found.oom_kills):
        assert isinstance(value, Unreadable)


@pytest.mark.parametrize(
    "table",
    [
        "",
        "MemTotal: 0 kB\nMemAvailable: 0 kB\n",
        "MemTotal: 1000 kB\n",
        "MemTotal: 1000 kB\nMemAvailable: 2000 kB\n",
        "MemTotal: 1000 kB\nMemAvailable: -1 kB\n",
        "MemTotal: 1000 kB\nMemAvailable: 10 kB\nSwapTotal: 5 kB\nSwapFree: 6 kB\n",
        "MemTotal: many kB\nMemAvailable: 10 kB\n",
    ],
)
def test_an_impossible_machine_is_unreadable(tmp_path: Path, table: str) -> None:
    tree = HostTree(tmp_path)
    tree.write("proc/meminfo", table)
    assert isinstance(memory(tree).read((), 1.0), Unreadable)


def test_swap_traffic_is_what_went_between_two_looks(tmp_path: Path) -> None:
    tree = HostTree(tmp_path)
    sensor = memory(tree)

    def traffic(now: float, pages_in: int, pages_out: int) -> tuple[object, object]:
        tree.vmstat(pages_in, pages_out)
        found = sensor.read((), now)
        assert isinstance(found, HostReading)
        return found.swap_in, found.swap_out

    two = Unreadable("a rate needs two looks")
    assert traffic(100.0, 1000, 5000) == (two, two)
    assert traffic(100.5, 9000, 9000) == (two, two), "too close to tell"
    assert traffic(110.0, 2000, 5000) == (100 * PAGE_BYTES, 0.0)
    assert traffic(110.2, 2000, 9999) == (100 * PAGE_BYTES, 0.0), "the last rate stands for a moment"
    back, still = traffic(115.0, 0, 5000)
    assert (isinstance(back, Unreadable), still) == (True, 0.0)


# Which cgroup counts


def test_the_slice_of_the_stack_is_the_total_where_it_is_fuller(tmp_path: Path) -> None:
    tree = HostTree(tmp_path)
    tree.process(50, WEB)
    tree.v2("/web.slice", 4 * GIB, 3 * GIB, GIB, swap_max=GIB, swap=512 * MIB)
    tree.v2(WEB, "max", 3 * GIB)
    tree.psi("proc/pressure/memory", 1.0)
    tree.psi("sys/fs/cgroup/web.slice/memory.pressure", 30.0, 20.0, 10.0)
    found = seen(tree, MASTER)
    assert (found.scope, found.total_bytes, found.available_bytes) == ("cgroup /web.slice", 4 * GIB, 2 * GIB)
    assert (found.used_percent, found.dirty_bytes, found.shmem_bytes) == (50.0, 3 * MIB, 7 * MIB)
    assert (found.swap_total_bytes, found.swap_free_bytes) == (GIB, 512 * MIB)
    assert (found.some_avg10, found.some_avg60, found.full_avg10) == (30.0, 20.0, 10.0)
    own = f"{tmp_path}/sys/fs/cgroup/web.slice/memory.pressure"
    assert found.pressure_files == (own, f"{tmp_path}/proc/pressure/memory")


def test_a_slice_with_room_leaves_the_machine_the_total(tmp_path: Path) -> None:
    tree = HostTree(tmp_path)
    tree.process(50, WEB)
    tree.v2("/web.slice", 16 * GIB, GIB)
    assert seen(tree, MASTER).scope == MACHINE


def test_the_fullest_of_several_counts(tmp_path: Path) -> None:
    tree = HostTree(tmp_path)
    tree.process(50, WEB)
    tree.process(60, "/daphne.service")
    tree.v2("/web.slice", 8 * GIB, 4 * GIB)
    tree.v2(WEB, 4 * GIB, 3 * GIB)
    tree.v2("/daphne.service", GIB, 900 * MIB)
    assert seen(tree, MASTER).scope == f"cgroup {WEB}"
    assert seen(tree, MASTER, Identity(60, 600)).scope == "cgroup /daphne.service"


def test_nothing_is_left_that_the_machine_does_not_have(tmp_path: Path) -> None:
    tree = HostTree(tmp_path)
    tree.process(50, WEB)
    tree.machine(available=1600 * MIB)
    for inactive in range(0, 2000, 50):
        tree.v2("/web.slice", 2 * GIB, 2000 * MIB, inactive * MIB)
        found = seen(tree, MASTER)
        assert found.available_bytes == (48 + inactive) * MIB or found.scope == MACHINE
        assert found.available_bytes <= 1600 * MIB


def test_above_memory_high_nothing_is_left(tmp_path: Path) -> None:
    tree = HostTree(tmp_path)
    tree.process(50, WEB)
    tree.v2("/web.slice", 8 * GIB, 5 * GIB, high=4 * GIB)
    found = seen(tree, MASTER)
    assert (found.total_bytes, found.available_bytes, found.used_percent) == (4 * GIB, 0, 100.0)


@pytest.mark.parametrize("limit", ["max", 9223372036854771712, 64 * GIB, 32 * GIB])
def test_no_limit_and_limits_beyond_the_machine_are_none(tmp_path: Path, limit: int | str) -> None:
    tree = HostTree(tmp_path)
    tree.process(50, WEB)
    tree.v2("/web.slice", limit, 31 * GIB)
    assert seen(tree, MASTER).scope == MACHINE


@pytest.mark.parametrize("mounts", [V1, HYBRID])
def test_a_slice_of_v1(tmp_path: Path, mounts: str) -> None:
    tree = HostTree(tmp_path, mounts)
    tree.process(50, V1_LINES.format(WEB))
    tree.v1("", V1_UNLIMITED, 9 * GIB)
    tree.v1("/web.slice", 4 * GIB, 3 * GIB, GIB, memsw=5 * GIB, swap=256 * MIB)
    tree.psi("proc/pressure/memory", 4.0)
    found = seen(tree, MASTER)
    assert (found.scope, found.available_bytes, found.some_avg10) == ("cgroup /web.slice", 2 * GIB, 4.0)
    assert (found.swap_total_bytes, found.swap_free_bytes) == (GIB, 768 * MIB)


def test_a_container_of_v2(tmp_path: Path) -> None:
    """The root of its cgroup namespace has the limit, and its own count of kills; the machine's has those of others."""
    tree = HostTree(tmp_path)
    tree.write("proc/self/cgroup", "0::/\n")
    tree.process(50, "/")
    tree.v2("", 2 * GIB, GIB, oom_kill=1)
    tree.vmstat(oom_kill=70)
    for masters in ((MASTER,), ()):
        found = seen(tree, *masters)
        assert (found.scope, found.total_bytes, found.oom_kills) == ("this container (cgroup /)", 2 * GIB, 1)


def test_a_container_of_v1(tmp_path: Path) -> None:
    tree = HostTree(tmp_path, V1.replace("0:32 / /sys", "0:32 /docker/abc /sys"))
    tree.write("proc/self/cgroup", V1_LINES.format("/docker/abc"))
    tree.process(50, V1_LINES.format("/docker/abc"))
    tree.v1("", 2 * GIB, GIB, kills=3)
    found = seen(tree, MASTER)
    assert (found.scope, found.total_bytes, found.oom_kills) == ("cgroup /docker/abc", 2 * GIB, 3)


def test_the_agents_own_limit_is_not_the_hosts(tmp_path: Path) -> None:
    tree = HostTree(tmp_path)
    tree.v2("/system.slice/paramedic.service", 512 * MIB, 500 * MIB)
    assert seen(tree).scope == MACHINE
    tree.write("proc/self/cgroup", "0::/system.slice/paramedic.service/preflight\n")
    tree.v2("/system.slice/paramedic.service/preflight", 256 * MIB, 255 * MIB)
    assert seen(tree).scope == MACHINE
    tree.v2("/system.slice", 8 * GIB, 6 * GIB)
    assert seen(tree).scope == "cgroup /system.slice"
    tree.process(50, WEB)
    assert seen(tree, MASTER).scope == MACHINE, "the stack is not in it"


def test_a_stack_in_a_namespace_that_cannot_be_seen_leaves_the_machine(tmp_path: Path) -> None:
    tree = HostTree(tmp_path)
    tree.write("proc/self/cgroup", "0::/\n")
    tree.process(50, "/../other")
    tree.v2("/other", GIB, GIB)
    assert seen(tree, MASTER).scope == MACHINE


def test_impossible_numbers_of_a_cgroup_are_unreadable_and_say_whose(tmp_path: Path) -> None:
    tree = HostTree(tmp_path)
    tree.process(50, WEB)
    tree.v2("/web.slice", 4 * GIB, 40 * GIB)
    found = memory(tree).read((MASTER,), 1.0)
    assert found == Unreadable("cgroup /web.slice is impossible: it uses more than the machine has")


def test_a_cgroup_that_vanishes_is_no_limit_any_more(tmp_path: Path) -> None:
    tree, now = HostTree(tmp_path), 100.0
    tree.process(50, WEB)
    tree.v2("/web.slice", 4 * GIB, 3 * GIB)
    sensor = memory(tree)
    first = sensor.read((MASTER,), now)
    for path in (tmp_path / "sys/fs/cgroup/web.slice").iterdir():
        path.unlink()
    later = sensor.read((MASTER,), now + 5)
    assert isinstance(first, HostReading)
    assert isinstance(later, HostReading)
    assert (first.scope, later.scope) == ("cgroup /web.slice", MACHINE)
    tree.v2("/web.slice", 4 * GIB, 3 * GIB)
    again = sensor.read((MASTER,), now + 10)
    assert isinstance(again, HostReading)
    assert again.scope == "cgroup /web.slice"


def test_a_limit_set_later_is_seen_within_a_minute_and_that_of_a_new_master_at_once(tmp_path: Path) -> None:
    tree = HostTree(tmp_path)
    tree.process(50, WEB)
    tree.process(60, "/daphne.service")
    tree.v2("/web.slice", "max", 3 * GIB)
    tree.v2("/daphne.service", GIB, 900 * MIB)
    sensor = memory(tree)
    scopes = []
    for now, masters in ((0.0, (MASTER,)), (30.0, (MASTER,)), (61.0, (MASTER,)), (62.0, (MASTER, Identity(60, 600)))):
        found = sensor.read(masters, now)
        assert isinstance(found, HostReading)
        scopes.append(found.scope)
        tree.v2("/web.slice", 4 * GIB, 3 * GIB)
    assert scopes == [MACHINE, MACHINE, "cgroup /web.slice", "cgroup /daphne.service"]


# This machine


def test_this_machine_is_readable() -> None:
    found = HostMemory(Proc()).read((), time.monotonic())
    assert isinstance(found, HostReading)
    assert 0 < found.available_bytes <= found.total_bytes
    assert isinstance(found.oom_kills, int)
