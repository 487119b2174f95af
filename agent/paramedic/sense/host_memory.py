"""Memory of the host: the machine's own, or that of the cgroup whose limit is nearest."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from paramedic.host.cgroup import (
    UNITS,
    Cgroup,
    Cgroups,
    Usage,
    limit_of,
    oom_kills_of,
    pressure_of,
    usage_of,
)
from paramedic.host.counters import counter, stalls
from paramedic.host.proc import Proc
from paramedic.host.stat_text import PAGE_BYTES
from paramedic.model.readings import HostReading, Identity, Unreadable
from paramedic.sense.holders import Holders

RESOLVED_FOR_S = 60.0
SHORTEST_RATE_S = 1.0
NOTABLE_PERCENT = 75.0
NOTABLE_STALL_PERCENT = 10.0
PRESSURE = "pressure/memory"


class HostMemory:
    """Reads few files in each pass: which cgroups count is looked up when a master is new, and once a minute."""

    def __init__(self, proc: Proc, cgroups: Cgroups | None = None) -> None:
        self._proc = proc
        self._cgroups = cgroups or Cgroups(proc)
        self._holders = Holders(proc)
        self._traffic = _Traffic()
        self._resolved: tuple[frozenset[Identity], float] | None = None
        self._limited: tuple[Cgroup, ...] = ()
        self._container: Cgroup | None = None

    def read(self, masters: Collection[Identity], now: float, is_suspect: bool = False) -> HostReading | Unreadable:
        """Memory as the stack feels it, `masters` being its first processes and `now` monotonic.

        Who holds the memory is looked up where little is left, or somebody suspects the host. Impossible numbers are
        unreadable, not bad.
        """
        machine = self._machine(now)
        if isinstance(machine, Unreadable):
            return machine
        self._resolve(frozenset(masters), machine.total_bytes, now)
        machine = self._with_own_kills(machine)
        tightest, scope = machine, None
        for cgroup in self._limited:
            found = self._within(cgroup, machine)
            if isinstance(found, Unreadable):
                return found
            if found is not None and found.used_percent > tightest.used_percent:
                tightest, scope = found, cgroup
        reading = self._pressed(tightest, scope)
        if not (is_suspect or _is_notable(reading)):
            return reading
        return reading._replace(holders=self._holders.beside(masters, scope, reading.total_bytes, now))

    def _machine(self, now: float) -> HostReading | Unreadable:
        """/proc/meminfo and /proc/vmstat."""
        table, events = self._proc.text("meminfo") or "", self._proc.text("vmstat") or ""
        total, available = counter(table, "MemTotal"), counter(table, "MemAvailable")
        if not total or available is None:
            return Unreadable("/proc/meminfo has no MemTotal or MemAvailable")
        swap, free = counter(table, "SwapTotal") or 0, counter(table, "SwapFree") or 0
        if not available <= total or not free <= swap:
            return Unreadable(f"/proc/meminfo is impossible: {available} KiB available of {total} KiB")
        swap_in, swap_out = self._traffic.rates(counter(events, "pswpin"), counter(events, "pswpout"), now)
        return HostReading(
            total_bytes=total * 1024,
            available_bytes=available * 1024,
            swap_total_bytes=swap * 1024,
            swap_free_bytes=free * 1024,
            oom_kills=_or_unreadable(counter(events, "oom_kill"), "the kernel does not count its OOM kills"),
            some_avg10=_NO_PSI,
            some_avg60=_NO_PSI,
            full_avg10=_NO_PSI,
            dirty_bytes=_kib(table, "Dirty"),
            shmem_bytes=_kib(table, "Shmem"),
            swap_in=swap_in,
            swap_out=swap_out,
        )

    def _with_own_kills(self, machine: HostReading) -> HostReading:
        """The machine's count has those of every cgroup; in a container it has those of strangers, so its own is taken.

        One source for good, not the tightest cgroup's: a count that jumps to another's would look like kills.
        """
        if self._container is None:
            return machine
        kills = _or_unreadable(oom_kills_of(self._container), f"{self._container} does not count its OOM kills")
        return machine._replace(oom_kills=kills)

    def _resolve(self, masters: frozenset[Identity], total_bytes: int, now: float) -> None:
        """Which limited cgroups the stack is in; without a stack to look at, the agent, its own unit left out."""
        if self._resolved and self._resolved[0] == masters and now - self._resolved[1] < RESOLVED_FOR_S:
            return
        own = self._cgroups.of("self")
        chains = [self._cgroups.of(master.pid) for master in masters] if masters else [_above_its_unit(own)]
        found = {cgroup.folder: cgroup for chain in chains for cgroup in chain}
        self._limited = tuple(cgroup for cgroup in found.values() if _limits(cgroup, total_bytes))
        self._container = own[-1] if own and _limits(own[-1], total_bytes) else None
        self._resolved = (masters, now)

    def _within(self, cgroup: Cgroup, machine: HostReading) -> HostReading | Unreadable | None:
        """The machine's reading with a cgroup's numbers in place of its own; None where the cgroup is gone.

        Where it is fuller than the machine, less is left in it than MemAvailable: its limit is the smaller total.
        """
        usage = usage_of(cgroup)
        if usage is None:
            self._resolved = None
        if not isinstance(usage, Usage):
            return usage
        if usage.limit >= machine.total_bytes:
            return None
        if usage.used > machine.total_bytes:
            return Unreadable(f"{cgroup} is impossible: it uses more than the machine has")
        left = max(0, usage.limit - (usage.used - usage.inactive_file))
        swap_total, swap_free = machine.swap_total_bytes, machine.swap_free_bytes
        if usage.swap_limit is not None and usage.swap_limit < swap_total:
            swap_total = usage.swap_limit
            swap_free = min(swap_free, max(0, swap_total - usage.swap_used))
        return machine._replace(
            total_bytes=usage.limit,
            available_bytes=left,
            swap_total_bytes=swap_total,
            swap_free_bytes=swap_free,
            dirty_bytes=usage.dirty,
            shmem_bytes=usage.shmem,
            scope=str(cgroup),
        )

    def _pressed(self, reading: HostReading, scope: Cgroup | None) -> HostReading:
        """With the stalls of the scope, or of the machine where its cgroup does not count them."""
        whole_machine = f"{self._proc.root}/{PRESSURE}"
        text, files = (pressure_of(scope), (f"{scope.folder}/memory.pressure", whole_machine)) if scope else (None, ())
        found = stalls(text if text is not None else self._proc.text(PRESSURE) or "")
        return reading._replace(
            some_avg10=found.get("some avg10", _NO_PSI),
            some_avg60=found.get("some avg60", _NO_PSI),
            full_avg10=found.get("full avg10", _NO_PSI),
            pressure_files=files if text is not None else (whole_machine,),
        )


@dataclass(slots=True)
class _Traffic:
    """Pages in and out of swap since boot, as bytes per second between two looks that are far enough apart."""

    _last: tuple[int, int, float] | None = None
    _rates: tuple[float | Unreadable, float | Unreadable] = (
        Unreadable("a rate needs two looks"),
        Unreadable("a rate needs two looks"),
    )

    def rates(self, pages_in: int | None, pages_out: int | None, now: float) -> tuple[float | Unreadable, ...]:
        """(in, out)."""
        if pages_in is None or pages_out is None:
            self._last = None
            return _NO_SWAP, _NO_SWAP
        if self._last is not None and now - self._last[2] < SHORTEST_RATE_S:
            return self._rates
        if self._last is not None:
            before_in, before_out, at = self._last
            self._rates = (_rate(pages_in - before_in, now - at), _rate(pages_out - before_out, now - at))
        self._last = (pages_in, pages_out, now)
        return self._rates


_NO_PSI = Unreadable("this kernel has no pressure stall information")
_NO_SWAP = Unreadable("this kernel does not count swap traffic")


def _rate(pages: int, seconds: float) -> float | Unreadable:
    return Unreadable("its count went back") if pages < 0 else pages * PAGE_BYTES / seconds


def _kib(table: str, name: str) -> int | Unreadable:
    found = counter(table, name)
    return _or_unreadable(None if found is None else found * 1024, f"/proc/meminfo has no {name}")


def _or_unreadable(value: int | None, reason: str) -> int | Unreadable:
    return Unreadable(reason) if value is None else value


def _limits(cgroup: Cgroup, total_bytes: int) -> bool:
    limit = limit_of(cgroup)
    return limit is not None and limit < total_bytes


def _above_its_unit(own: tuple[Cgroup, ...]) -> tuple[Cgroup, ...]:
    """What is above the agent's own unit, whose limit is not the host's; a container's own cgroup is no unit."""
    if not own or own[0].is_top:
        return own
    parts = own[0].name.split("/")
    depth = max((at for at, part in enumerate(parts) if part.endswith(UNITS)), default=len(parts) - 1)
    return tuple(cgroup for cgroup in own if cgroup.is_top or len(cgroup.name.split("/")) <= depth)


def _is_notable(reading: HostReading) -> bool:
    stall = reading.some_avg10
    return reading.used_percent > NOTABLE_PERCENT or (isinstance(stall, float) and stall > NOTABLE_STALL_PERCENT)
