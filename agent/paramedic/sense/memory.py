"""Memory of the host and, within a budget, of single processes."""

from __future__ import annotations

from paramedic.host.proc import Proc
from paramedic.model.readings import HostReading, Identity, MemoryReading, Unreadable


def read_host(proc: Proc) -> HostReading | Unreadable:
    """/proc/meminfo, /proc/vmstat, /proc/pressure/memory; impossible numbers are unreadable, not bad."""
    kib = _table(proc.text("meminfo"))
    total, available = kib.get("MemTotal"), kib.get("MemAvailable")
    if not total or available is None:
        return Unreadable("/proc/meminfo has no MemTotal or MemAvailable")
    swap, free = kib.get("SwapTotal", 0), kib.get("SwapFree", 0)
    if not 0 <= available <= total or not 0 <= free <= swap:
        return Unreadable(f"/proc/meminfo is impossible: {available} KiB available of {total} KiB")
    kills = _table(proc.text("vmstat")).get("oom_kill")
    pressure = _pressure(proc.text("pressure/memory"))
    return HostReading(
        total_bytes=total * 1024,
        available_bytes=available * 1024,
        swap_total_bytes=swap * 1024,
        swap_free_bytes=free * 1024,
        oom_kills=Unreadable("/proc/vmstat has no oom_kill") if kills is None else kills,
        some_avg10=pressure.get("some avg10", _NO_PSI),
        some_avg60=pressure.get("some avg60", _NO_PSI),
        full_avg10=pressure.get("full avg10", _NO_PSI),
    )


_NO_PSI = Unreadable("this kernel has no pressure stall information")


def _table(text: str | None) -> dict[str, int]:
    rows = [line.split() for line in (text or "").splitlines()]
    return {row[0].rstrip(":"): int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}


def _pressure(text: str | None) -> dict[str, float | Unreadable]:
    found: dict[str, float | Unreadable] = {}
    for line in (text or "").splitlines():
        words = line.split()
        for word in words[1:]:
            name, _, value = word.partition("=")
            if name.startswith("avg") and value.replace(".", "", 1).isdigit():
                found[f"{words[0]} {name}"] = float(value)
    return found


class Rollups:
    """smaps_rollup of many processes, a few in each pass: first the never read, then what changed most."""

    def __init__(self, proc: Proc, each_pass: int) -> None:
        self._proc = proc
        self._each_pass = each_pass
        self._read: dict[Identity, tuple[MemoryReading, int]] = {}

    def refresh(self, resident: dict[Identity, int], now: float) -> None:
        """Read the next few of `resident` (identity -> RSS now); forget those that are not in it."""
        self._read = {identity: kept for identity, kept in self._read.items() if identity in resident}
        for identity in sorted(resident, key=lambda i: self._urgency(i, resident[i]))[: self._each_pass]:
            found = self._proc.rollup(identity.pid)
            if found is not None and self._proc.is_alive(identity):
                reading = MemoryReading(found.pss_bytes, found.uss_bytes, found.swap_bytes, now)
                self._read[identity] = (reading, found.rss_bytes)

    def _urgency(self, identity: Identity, rss: int) -> tuple[bool, bool, float]:
        kept = self._read.get(identity)
        if kept is None:
            return False, False, 0.0
        has_grown = abs(rss - kept[1]) > 0.1 * kept[1]
        return True, not has_grown, kept[0].read_at

    def of(self, identity: Identity) -> MemoryReading | Unreadable:
        """The latest reading; its age is part of it."""
        kept = self._read.get(identity)
        return kept[0] if kept else Unreadable("its PSS and USS were not read yet")
