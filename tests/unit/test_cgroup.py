"""host/cgroup.py: where a process is and what it may use, on recorded trees of v1, v2, both, and containers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.host_tree import GIB, HYBRID, MIB, V1, V1_UNLIMITED, V2, HostTree
from harness.real_cgroup import holding, limited_cgroup
from paramedic.host.cgroup import (
    Cgroup,
    Cgroups,
    Usage,
    limit_of,
    memory_path,
    oom_kills_of,
    pressure_of,
    unit_of,
    usage_of,
)
from paramedic.host.counters import counter, stalls, whole
from paramedic.host.proc import Proc
from paramedic.model.readings import Unreadable

V1_LINES = "12:cpu,cpuacct:/cpu\n9:memory:{0}\n1:name=systemd:{0}\n0::{0}\n"


def names(cgroups: tuple[Cgroup, ...]) -> list[str]:
    """The chain by name."""
    return [cgroup.name for cgroup in cgroups]


def test_v2_shows_the_cgroup_and_what_is_above_it(tmp_path: Path) -> None:
    tree = HostTree(tmp_path)
    tree.process(50, "/web.slice/web-app.slice/uwsgi.service")
    found = tree.cgroups.of(50)
    assert names(found) == ["/web.slice/web-app.slice/uwsgi.service", "/web.slice/web-app.slice", "/web.slice", "/"]
    assert [cgroup.is_top for cgroup in found] == [False, False, False, True]
    assert {cgroup.version for cgroup in found} == {2}
    assert found[2].folder == f"{tmp_path}/sys/fs/cgroup/web.slice"


@pytest.mark.parametrize("mounts", [V1, HYBRID])
def test_the_hierarchy_that_names_memory_is_the_one(tmp_path: Path, mounts: str) -> None:
    tree = HostTree(tmp_path, mounts)
    tree.process(50, V1_LINES.format("/web.slice/uwsgi.service"))
    found = tree.cgroups.of(50)
    assert [(cgroup.version, cgroup.folder) for cgroup in found[:1]] == [
        (1, f"{tmp_path}/sys/fs/cgroup/memory/web.slice/uwsgi.service")
    ]


def test_both_mounted_and_memory_with_v2(tmp_path: Path) -> None:
    """systemd's hybrid with cgroup_no_v1=memory."""
    tree = HostTree(tmp_path, HYBRID)
    tree.process(50, "3:cpu,cpuacct:/a\n0::/web.slice\n")
    assert tree.cgroups.of(50)[0].folder == f"{tmp_path}/sys/fs/cgroup/unified/web.slice"


def test_a_v1_container_in_the_hosts_namespace_sees_its_own_part_only(tmp_path: Path) -> None:
    """Its mount shows /docker/abc as the root, and /proc/PID/cgroup the whole path."""
    mounts = V1.replace("0:32 / /sys", "0:32 /docker/abc /sys")
    tree = HostTree(tmp_path, mounts)
    tree.process(50, V1_LINES.format("/docker/abc/app"))
    tree.process(51, V1_LINES.format("/docker/other"))
    found = tree.cgroups.of(50)
    assert names(found) == ["/docker/abc/app", "/docker/abc"]
    assert (found[1].folder, found[1].is_top) == (f"{tmp_path}/sys/fs/cgroup/memory", True)
    assert tree.cgroups.of(51) == ()


@pytest.mark.parametrize(
    ("root", "path", "seen"),
    [
        ("/", "/", ["/"]),
        ("/", "/../x", []),
        ("/", "/../../x/y", []),
        ("/..", "/../x", ["/../x", "/.."]),
        ("/..", "/", []),
        ("/..", "/../../x", []),
        ("/../..", "/../x", []),
        ("/a", "/ab", []),
        ("/", "/gone (deleted)", []),
    ],
)
def test_paths_of_a_cgroup_namespace(tmp_path: Path, root: str, path: str, seen: list[str]) -> None:
    """What is outside the namespace begins with /.. and has no folder here, unless the mount is from outside, too."""
    tree = HostTree(tmp_path, V2.replace("0:26 / /sys", f"0:26 {root} /sys"))
    tree.process(50, path)
    assert names(tree.cgroups.of(50)) == seen


def test_mount_points_with_blanks_and_mounts_that_hide_others(tmp_path: Path) -> None:
    elsewhere = V2.replace("/sys/fs/cgroup", "/mnt/my\\040groups")
    hidden = "90 29 0:99 / /sys/fs/cgroup rw - tmpfs tmpfs rw"
    tree = HostTree(tmp_path, f"{V2}\n{hidden}\nrubbish\n- - -\n{elsewhere}\n")
    tree.process(50, "/web.slice")
    assert tree.cgroups.of(50)[0].folder == f"{tmp_path}/mnt/my groups/web.slice"


@pytest.mark.parametrize("text", ["", "rubbish", "::", "0", "5:memory", "\0\0\0", "7:cpu:/x\n"])
def test_what_is_no_cgroup_is_none(tmp_path: Path, text: str) -> None:
    tree = HostTree(tmp_path)
    tree.write("proc/50/cgroup", text)
    assert tree.cgroups.of(50) == ()
    assert tree.cgroups.of(51) == ()


def test_without_a_mount_nothing_is_seen(tmp_path: Path) -> None:
    tree = HostTree(tmp_path, "22 1 0:1 / / rw - ext4 /dev/sda rw\n")
    tree.process(50, "/web.slice")
    assert tree.cgroups.of(50) == ()


def test_the_memory_path() -> None:
    assert memory_path(V1_LINES.format("/a:b")) == (1, "/a:b")
    assert memory_path("0::/a:b\n") == (2, "/a:b")
    assert memory_path("3:cpu:/x\n") == (0, "")


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/system.slice/postgresql.service", "postgresql.service"),
        ("/system.slice/system-postgresql.slice/postgresql@15-main.service/sub", "postgresql@15-main.service"),
        ("/user.slice/user-0.slice/user@0.service/app.slice/redis.service", "redis.service"),
        ("/kubepods.slice/cri-containerd-0abc.scope", "cri-containerd-0abc.scope"),
        ("/user.slice/user-0.slice/session-3.scope", None),
        ("/init.scope", None),
        ("/user.slice/user-0.slice/user@0.service/init.scope", None),
        ("/docker/abc", None),
        ("/", None),
    ],
)
def test_the_unit_of_a_process(path: str, unit: str | None) -> None:
    assert unit_of(f"0::{path}\n") == unit
    assert unit_of(V1_LINES.format(path)) == unit


def test_the_smaller_of_max_and_high_is_the_limit(tmp_path: Path) -> None:
    tree = HostTree(tmp_path)
    tree.process(50, "/web.slice/a.service")
    leaf, web, top = tree.cgroups.of(50)
    tree.v2("/web.slice", "max", GIB)
    tree.v2("/web.slice/a.service", 4 * GIB, GIB, high=3 * GIB)
    assert (limit_of(leaf), limit_of(web), limit_of(top)) == (3 * GIB, None, None)
    tree.write("sys/fs/cgroup/web.slice/memory.max", "rubbish\n")
    assert limit_of(web) is None


def test_v1_says_at_the_top_what_is_limited_above_it(tmp_path: Path) -> None:
    tree = HostTree(tmp_path, V1)
    tree.process(50, V1_LINES.format("/a"))
    leaf, top = tree.cgroups.of(50)
    tree.v1("", V1_UNLIMITED, GIB, hierarchical=2 * GIB)
    tree.v1("/a", V1_UNLIMITED, GIB, hierarchical=2 * GIB)
    assert (limit_of(leaf), limit_of(top)) == (V1_UNLIMITED, 2 * GIB)


def test_usage_of_v2(tmp_path: Path) -> None:
    tree = HostTree(tmp_path)
    tree.process(50, "/web.slice")
    web = tree.cgroups.of(50)[0]
    tree.v2("/web.slice", 4 * GIB, 3 * GIB, GIB, swap_max=GIB, swap=100 * MIB, oom_kill=2)
    assert usage_of(web) == Usage(4 * GIB, 3 * GIB, GIB, 3 * MIB, 7 * MIB, 2 * MIB, GIB, 100 * MIB)
    assert oom_kills_of(web) == 2
    assert pressure_of(web) is None
    tree.psi("sys/fs/cgroup/web.slice/memory.pressure", 12.5)
    assert stalls(pressure_of(web) or "")["some avg10"] == 12.5


def test_usage_of_v1_counts_what_is_below_it(tmp_path: Path) -> None:
    tree = HostTree(tmp_path, V1)
    tree.process(50, V1_LINES.format("/a"))
    leaf = tree.cgroups.of(50)[0]
    tree.v1("/a", 4 * GIB, 3 * GIB, GIB, memsw=5 * GIB, swap=MIB, kills=3)
    found = usage_of(leaf)
    assert isinstance(found, Usage)
    assert (found.limit, found.used, found.inactive_file, found.dirty) == (4 * GIB, 3 * GIB, GIB, 3 * MIB)
    assert (found.shmem, found.swap_limit, found.swap_used) == (7 * MIB, GIB, MIB)
    assert isinstance(found.unreclaimable, Unreadable)
    assert (oom_kills_of(leaf), pressure_of(leaf)) == (3, None)


def test_impossible_numbers_and_files_that_vanish(tmp_path: Path) -> None:
    tree = HostTree(tmp_path)
    tree.process(50, "/web.slice")
    web = tree.cgroups.of(50)[0]
    folder = tmp_path / "sys/fs/cgroup/web.slice"
    tree.v2("/web.slice", 0, GIB)
    assert isinstance(usage_of(web), Unreadable)
    for rubbish in ("-5\n", "lots\n", "", "9" * 40):
        tree.v2("/web.slice", GIB, GIB)
        tree.write("sys/fs/cgroup/web.slice/memory.current", rubbish)
        assert isinstance(usage_of(web), Unreadable), rubbish
    (folder / "memory.stat").unlink()
    assert usage_of(web) is None
    for name in os.listdir(folder):
        (folder / name).unlink()
    assert (usage_of(web), limit_of(web), oom_kills_of(web)) == (None, None, None)


def test_page_cache_is_never_more_than_what_is_used(tmp_path: Path) -> None:
    """The kernel adds its per-CPU counts up late, so for a moment it can look so."""
    tree = HostTree(tmp_path)
    tree.process(50, "/web.slice")
    tree.v2("/web.slice", 4 * GIB, GIB, 2 * GIB)
    found = usage_of(tree.cgroups.of(50)[0])
    assert isinstance(found, Usage)
    assert found.inactive_file == found.used


def test_a_huge_file_is_read_in_part(tmp_path: Path) -> None:
    tree = HostTree(tmp_path)
    tree.process(50, "/web.slice")
    tree.v2("/web.slice", 4 * GIB, GIB, MIB)
    path = tmp_path / "sys/fs/cgroup/web.slice/memory.stat"
    path.write_text(path.read_text() + "x 1\n" * 10**6)
    found = usage_of(tree.cgroups.of(50)[0])
    assert isinstance(found, Usage)
    assert found.inactive_file == MIB


def test_counters() -> None:
    table = "MemTotal:   1000 kB\nMemTotalX: 5 kB\nfoo 7\nbar -1\nbaz\nqux 1.5\nfoo_more 8"
    asked = ("MemTotal", "MemTotalX", "foo", "foo_more", "bar", "baz", "qux", "Mem", "oo")
    assert [counter(table, name) for name in asked] == [1000, 5, 7, 8, None, None, None, None, None]
    assert [whole(word) for word in ("7\n", "max", "-1", "", "٣", "1" * 30)] == [7, None, None, None, None, None]


def test_stalls_that_are_no_share_of_time_are_left_out() -> None:
    text = "some avg10=1.50 avg60=nan avg300=101 total=5\nfull avg10=-1 avg60=0.2 total=1\nsome\n\nrubbish avg=\n"
    assert stalls(text) == {"some avg10": 1.5, "full avg60": 0.2}


def test_a_real_cgroup_with_a_limit() -> None:
    with limited_cgroup(64 * MIB) as cgroup, holding(20 * MIB, cgroup) as child:
        assert Cgroups(Proc()).of(child.pid)[0] == cgroup
        assert limit_of(cgroup) == 64 * MIB
        found = usage_of(cgroup)
        assert isinstance(found, Usage)
        assert 20 * MIB <= found.used - found.inactive_file <= 40 * MIB
        assert oom_kills_of(cgroup) == 0
    assert usage_of(cgroup) is None, "it is gone"
