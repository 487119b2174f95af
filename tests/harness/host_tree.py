"""Hosts as folders: /proc and /sys/fs/cgroup as kernels and container engines show them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from paramedic.host.cgroup import Cgroups
from paramedic.host.proc import Proc
from paramedic.model.readings import Identity

GIB, MIB, KIB = 2**30, 2**20, 2**10
V1_UNLIMITED = 9223372036854771712
V2 = "29 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate"
V1 = (
    "31 23 0:28 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755\n"
    "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:11 - cgroup cgroup rw,memory\n"
    "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime shared:5 - cgroup cgroup rw,xattr,name=systemd"
)
HYBRID = f"{V1}\n41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:6 - cgroup2 cgroup2 rw,nsdelegate"
PSI = "some avg10={} avg60={} avg300=0.00 total=77\nfull avg10={} avg60=0.00 avg300=0.00 total=9\n"
MASTER = Identity(50, 500)


class HostTree:
    """One recorded host. The machine has 32 GiB, 24 of them available, and 4 GiB of swap, until a test says else."""

    def __init__(self, root: Path, mountinfo: str = V2) -> None:
        self.root = root
        self.proc = Proc(str(root / "proc"))
        self.cgroups = Cgroups(self.proc, str(root))
        self.write("proc/self/mountinfo", mountinfo)
        self.write("proc/self/cgroup", "0::/system.slice/paramedic.service\n")
        self.machine()
        self.vmstat()

    def write(self, name: str, text: str | int) -> None:
        """A file of this host."""
        path = self.root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n" if isinstance(text, int) else text)

    def machine(self, total: int = 32 * GIB, available: int = 24 * GIB, **more: int) -> None:
        """meminfo, its values in bytes."""
        values = {"MemTotal": total, "MemFree": GIB, "MemAvailable": available, "SwapTotal": 4 * GIB}
        values |= {"SwapFree": 3 * GIB, "Dirty": 5 * MIB, "Shmem": 64 * MIB, "SUnreclaim": 100 * MIB} | more
        self.write("proc/meminfo", "".join(f"{name}:{size // KIB:>15} kB\n" for name, size in values.items()))

    def vmstat(self, pswpin: int = 0, pswpout: int = 0, oom_kill: int = 0) -> None:
        """The counters of vmstat among others."""
        self.write("proc/vmstat", f"nr_free 5\npswpin {pswpin}\npswpout {pswpout}\noom_kill {oom_kill}\nswpin_zero 9\n")

    def psi(self, name: str, some10: float, some60: float = 0.0, full10: float = 0.0) -> None:
        """A PSI file."""
        self.write(name, PSI.format(some10, some60, full10))

    def process(self, pid: int, cgroup: str, name: str = "x", anonymous: int = 0, **more: int) -> Identity:
        """A process in a cgroup; `cgroup` is the text of /proc/PID/cgroup, or a v2 path."""
        parent, swap = more.get("parent", 1), more.get("swap", 0)
        self.write(f"proc/{pid}/cgroup", cgroup if ":" in cgroup else f"0::{cgroup}\n")
        self.write(f"proc/{pid}/stat", f"{pid} ({name}) S {parent} {pid} {pid} {'0 ' * 15}{pid * 10} 0 9\n")
        sizes = f"RssAnon:\t{anonymous // KIB} kB\nVmSwap:\t{swap // KIB} kB\n" if anonymous else ""
        self.write(f"proc/{pid}/status", f"Name:\t{name}\nPid:\t{pid}\nPPid:\t{parent}\n{sizes}Threads:\t1\n")
        return Identity(pid, pid * 10)

    def v2(self, path: str, limit: int | str, used: int, inactive_file: int = 0, **more: int | str) -> None:
        """A cgroup of v2 with a memory controller."""
        folder = f"sys/fs/cgroup{path}"
        stat = {"anon": used - inactive_file, "inactive_file": inactive_file, "file_dirty": 3 * MIB, "shmem": 7 * MIB}
        stat["slab_unreclaimable"] = 2 * MIB
        files: Mapping[str, int | str] = {
            "memory.max": f"{limit}\n",
            "memory.high": f"{more.get('high', 'max')}\n",
            "memory.current": used,
            "memory.stat": "".join(f"{name} {size}\n" for name, size in stat.items()),
            "memory.events": f"low 0\nhigh 0\nmax 9\noom 4\noom_kill {more.get('oom_kill', 0)}\noom_group_kill 0\n",
            "memory.swap.max": f"{more.get('swap_max', 'max')}\n",
            "memory.swap.current": int(more.get("swap", 0)),
        }
        for name, text in files.items():
            self.write(f"{folder}/{name}", text)

    def v1(self, path: str, limit: int, used: int, inactive_file: int = 0, **more: int) -> None:
        """A cgroup of v1; its plain counters are of itself, those with total_ of all below it, too."""
        folder = f"sys/fs/cgroup/memory{path}"
        above, both = more.get("hierarchical", limit), more.get("memsw", V1_UNLIMITED)
        self.write(f"{folder}/memory.limit_in_bytes", limit)
        self.write(f"{folder}/memory.usage_in_bytes", used)
        self.write(
            f"{folder}/memory.stat",
            f"cache 9\ninactive_file 1\nshmem 1\nhierarchical_memory_limit {above}\nhierarchical_memsw_limit {both}\n"
            f"total_cache 9\ntotal_shmem {7 * MIB}\ntotal_dirty {3 * MIB}\ntotal_swap {more.get('swap', 0)}\n"
            f"total_inactive_file {inactive_file}\n",
        )
        self.write(
            f"{folder}/memory.oom_control", f"oom_kill_disable 0\nunder_oom 0\noom_kill {more.get('kills', 0)}\n"
        )
