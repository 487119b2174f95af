"""Who holds the memory beside the stack: a walk over /proc, at most once a minute and only while it is wanted."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from paramedic.host.cgroup import Cgroup, memory_path, unit_of, usage_of
from paramedic.host.counters import counter
from paramedic.host.proc import Proc, readable
from paramedic.model.readings import Holding, Identity, Unreadable

AGAIN_S = 60.0
MOST = 3
WORTH_NAMING = 0.01
SHMEM, SLAB, HUGE = "shmem (tmpfs or shared memory)", "the kernel (unreclaimable slab)", "the pool of huge pages"


class Holders:
    """The largest holders, as of the last walk."""

    def __init__(self, proc: Proc) -> None:
        self._proc = proc
        self._last: tuple[float, str, tuple[Holding, ...]] | None = None

    def beside(
        self, masters: Collection[Identity], scope: Cgroup | None, total_bytes: int, now: float
    ) -> tuple[Holding, ...]:
        """Who holds a hundredth of the total or more, within `scope` (None: on the machine), the largest first."""
        where = scope.name if scope else ""
        if self._last is None or now - self._last[0] >= AGAIN_S:
            found = [*self._kernels(scope), *self._units({master.pid for master in masters}, scope)]
            largest = sorted(found, key=lambda one: (-one.size_bytes, one.name))[:MOST]
            named = tuple(one for one in largest if one.size_bytes >= WORTH_NAMING * total_bytes)
            self._last = (now, where, named)
        return self._last[2] if self._last[1] == where else ()

    def _kernels(self, scope: Cgroup | None) -> Iterable[Holding]:
        """What no process holds: it stays when all of them end."""
        usage = usage_of(scope) if scope else None
        if usage is not None and not isinstance(usage, Unreadable):
            sizes: dict[str, int | Unreadable | None] = {SHMEM: usage.shmem, SLAB: usage.unreclaimable}
        else:
            table = self._proc.text("meminfo") or ""
            kib = {name: counter(table, name) or 0 for name in ("Shmem", "SUnreclaim", "Hugetlb")}
            sizes = {SHMEM: kib["Shmem"] * 1024, SLAB: kib["SUnreclaim"] * 1024, HUGE: kib["Hugetlb"] * 1024}
        return [Holding(name, size) for name, size in sizes.items() if isinstance(size, int) and size]

    def _units(self, stack: set[int], scope: Cgroup | None) -> Iterable[Holding]:
        """The processes that are not below one of the stack, by systemd unit or else by command."""
        rows = {row.pid: row for pid in self._proc.pids() if (row := self._row(pid)) is not None}
        groups: dict[str, list[_Row]] = {}
        for row in rows.values():
            if not row.anonymous_bytes or _is_below(row, stack, rows):
                continue
            text = self._proc.text(f"{row.pid}/cgroup") or ""
            if scope is None or _is_inside(memory_path(text)[1], scope.name):
                groups.setdefault(unit_of(text) or row.command, []).append(row)
        for name, mine in groups.items():
            size, swap = sum(row.anonymous_bytes for row in mine), sum(row.swap_bytes for row in mine)
            yield Holding(readable(name), size, len(mine), swap)

    def _row(self, pid: int) -> _Row | None:
        """/proc/PID/status (proc(5)); a kernel thread holds nothing and has no such lines."""
        text = self._proc.text(f"{pid}/status")
        parent = counter(text, "PPid") if text else None
        if text is None or parent is None:
            return None
        command = text.partition("\n")[0].partition(":")[2].strip()
        sizes = (1024 * (counter(text, name) or 0) for name in ("RssAnon", "VmSwap"))
        return _Row(pid, parent, command, *sizes)


@dataclass(frozen=True, slots=True)
class _Row:
    pid: int
    parent: int
    command: str
    anonymous_bytes: int
    swap_bytes: int


def _is_below(row: _Row, stack: set[int], rows: dict[int, _Row]) -> bool:
    """Whether it is one of the stack's processes, or one of them started it. Pids that were reused make no loop."""
    seen: set[int] = set()
    at: _Row | None = row
    while at is not None and at.pid not in seen:
        if at.pid in stack:
            return True
        seen.add(at.pid)
        at = rows.get(at.parent)
    return False


def _is_inside(path: str, scope: str) -> bool:
    return path == scope or path.startswith(f"{scope.rstrip('/')}/")
