"""Memory of cgroups, v1 and v2 (kernel: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst).

`Cgroups(proc, root)` puts `root` before every mount point, so that a recorded tree can stand in for a host.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from paramedic.host.counters import counter, whole
from paramedic.host.proc import Proc
from paramedic.model.readings import Unreadable

MOST_BYTES = 64 * 1024
UNITS = (".service", ".scope")
_LOGINS = re.compile(r"session-.*\.scope|init\.scope|user@.*\.service")
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Cgroup:
    """A cgroup of the hierarchy that counts memory. `name` is its path as /proc/PID/cgroup shows it here.

    `is_top`: nothing above it can be seen; in a container it is the container's own.
    """

    version: int
    name: str
    folder: str
    is_top: bool

    def __str__(self) -> str:
        """As evidence names it."""
        return f"cgroup {self.name}" if self.name != "/" else "this container (cgroup /)"


@dataclass(frozen=True, slots=True)
class Usage:
    """What a cgroup may use and uses, in bytes; `inactive_file` of it is page cache that is given back first.

    `swap_limit` is None without a limit of its own.
    """

    limit: int
    used: int
    inactive_file: int
    dirty: int | Unreadable
    shmem: int | Unreadable
    unreclaimable: int | Unreadable
    swap_limit: int | None
    swap_used: int


@dataclass(frozen=True, slots=True)
class _Mount:
    version: int
    root: tuple[str, ...]
    point: str


class Cgroups:
    """The cgroups that processes are in, as far as the mounts of this namespace show them."""

    def __init__(self, proc: Proc, root: str = "") -> None:
        self._proc = proc
        self._root = root
        self._mounts: list[_Mount] | None = None

    def of(self, pid: int | str) -> tuple[Cgroup, ...]:
        """The cgroup of a process and what is above it, the topmost last; empty where that cannot be seen."""
        version, path = memory_path(self._proc.text(f"{pid}/cgroup") or "")
        if version == 0 or path.endswith(" (deleted)"):
            return ()
        if self._mounts is None:
            self._mounts = _mounts(self._proc.text("self/mountinfo") or "")
        for mount in self._mounts:
            inside = _below(mount.root, _parts(path))
            if mount.version == version and inside is not None:
                return tuple(self._cgroup(mount, inside[:depth]) for depth in range(len(inside), -1, -1))
        return ()

    def _cgroup(self, mount: _Mount, inside: tuple[str, ...]) -> Cgroup:
        name = "/" + "/".join((*mount.root, *inside))
        folder = "/".join((f"{self._root}{mount.point}", *inside))
        return Cgroup(mount.version, name, folder, not inside)


def memory_path(text: str) -> tuple[int, str]:
    """(version, path) of the hierarchy that counts memory, from /proc/PID/cgroup; version 0 where there is none.

    With both versions mounted a controller belongs to one of them: a v1 line that names memory is it.
    """
    rows = [line.split(":", 2) for line in text.splitlines() if line.count(":") >= 2]
    legacy = next((path for _, controllers, path in rows if "memory" in controllers.split(",")), None)
    if legacy is not None:
        return 1, legacy
    unified = next((path for number, controllers, path in rows if number == "0" and not controllers), None)
    return (0, "") if unified is None else (2, unified)


def unit_of(text: str) -> str | None:
    """The systemd unit of a process, from its /proc/PID/cgroup; None without one, and for logins: they tell nothing."""
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers in ("", "name=systemd"):
            units = [part for part in path.split("/") if part.endswith(UNITS)]
            if units:
                return None if _LOGINS.fullmatch(units[-1]) else units[-1]
    return None


def limit_of(cgroup: Cgroup) -> int | None:
    """How much memory it may use before its tasks are held up or killed, in bytes; None without a limit.

    memory.high counts as one: above it every allocation is held up. Where the topmost visible cgroup is v1, a limit
    further up shows only in its hierarchical_memory_limit.
    """
    if cgroup.version == 2:
        found = [whole(_text(cgroup, name) or "") for name in ("memory.max", "memory.high")]
    else:
        found = [whole(_text(cgroup, "memory.limit_in_bytes") or "")]
        if cgroup.is_top:
            found.append(counter(_text(cgroup, "memory.stat") or "", "hierarchical_memory_limit"))
    return min((limit for limit in found if limit is not None), default=None)


def usage_of(cgroup: Cgroup) -> Usage | Unreadable | None:
    """What it uses now; None where it is gone or has no limit any more, Unreadable where the numbers cannot be."""
    is_v2 = cgroup.version == 2
    limit, stat = limit_of(cgroup), _text(cgroup, "memory.stat")
    used = whole(_text(cgroup, "memory.current" if is_v2 else "memory.usage_in_bytes") or "")
    if limit is None or stat is None:
        return None
    total = "" if is_v2 else "total_"
    inactive = counter(stat, f"{total}inactive_file")
    if used is None or inactive is None or limit == 0:
        return Unreadable(f"{cgroup} is impossible: {used} B used of {limit} B, {inactive} B of it page cache")
    dirty = counter(stat, "file_dirty" if is_v2 else "total_dirty")
    shmem, slab = counter(stat, f"{total}shmem"), counter(stat, "slab_unreclaimable")
    swap_limit, swap_used = _swap_v2(cgroup) if is_v2 else _swap_v1(stat, limit)
    return Usage(
        limit=limit,
        used=used,
        inactive_file=min(inactive, used),
        dirty=_or_unreadable(dirty, cgroup, "dirty"),
        shmem=_or_unreadable(shmem, cgroup, "shmem"),
        unreclaimable=_or_unreadable(slab, cgroup, "slab_unreclaimable"),
        swap_limit=swap_limit,
        swap_used=swap_used,
    )


def oom_kills_of(cgroup: Cgroup) -> int | None:
    """Processes the OOM killer ended in it: v2 counts those below it, v1 only its own."""
    name = "memory.events" if cgroup.version == 2 else "memory.oom_control"
    return counter(_text(cgroup, name) or "", "oom_kill")


def pressure_of(cgroup: Cgroup) -> str | None:
    """Its memory.pressure, None where it has none (v1, or PSI is off)."""
    return _text(cgroup, "memory.pressure") if cgroup.version == 2 else None


def _swap_v2(cgroup: Cgroup) -> tuple[int | None, int]:
    limit = whole(_text(cgroup, "memory.swap.max") or "")
    return limit, whole(_text(cgroup, "memory.swap.current") or "") or 0


def _swap_v1(stat: str, limit: int) -> tuple[int | None, int]:
    """v1 limits memory and swap together; what is more than the memory's own limit is for swap."""
    both = counter(stat, "hierarchical_memsw_limit")
    return None if both is None else max(0, both - limit), counter(stat, "total_swap") or 0


def _or_unreadable(value: int | None, cgroup: Cgroup, name: str) -> int | Unreadable:
    return Unreadable(f"{cgroup} does not count {name}") if value is None else value


def _text(cgroup: Cgroup, name: str) -> str | None:
    try:
        fd = os.open(f"{cgroup.folder}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        return os.read(fd, MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return None
    finally:
        os.close(fd)


def _mounts(text: str) -> list[_Mount]:
    """The cgroup mounts that count memory, from mountinfo (proc(5)); a later mount on a point hides the one before."""
    found: dict[str, _Mount] = {}
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")
        if len(fields) < 6 or len(kind) < 3:
            continue
        root, point = _plain(fields[3]), _plain(fields[4])
        found.pop(point, None)
        version = {"cgroup2": 2, "cgroup": 1}.get(kind[0], 0)
        if version == 2 or (version == 1 and "memory" in kind[2].split(",")):
            found[point] = _Mount(version, _parts(root), point)
    return list(found.values())


def _plain(path: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), path)


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split("/") if part)


def _below(root: tuple[str, ...], path: tuple[str, ...]) -> tuple[str, ...] | None:
    """`path` from `root` on, both relative to the cgroup namespace: `/../x` is outside, and the way back unknown."""
    inside = path[len(root) :]
    return inside if path[: len(root)] == root and ".." not in inside else None
