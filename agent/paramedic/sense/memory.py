"""PSS and USS of single processes, within a budget of CPU time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set

from paramedic.host import clock
from paramedic.host.proc import Proc
from paramedic.model.readings import Identity, MemoryReading, Unreadable

NEW_S = 0.02
GROWN = 0.1
_NOT_YET = Unreadable("its PSS and USS were not read yet")
_NOT_ALLOWED = Unreadable("its PSS and USS may not be read as this user")


class Rollups:
    """smaps_rollup of many processes in turn: first the never read, then what changed most, then the oldest reading.

    It costs about 12 ms of CPU time per GiB resident, and holds up the process it reads while that maps memory. So a
    look spends `each_look_s` on it, where nothing grew or shrank no more than `share` of the time since the last one.
    A process that costs more is paid off by the looks after it. Those that were never read may take `new_s` of a look.
    What seems idle is read no less often: what a forked worker writes becomes its own while RSS stays.
    """

    def __init__(self, proc: Proc, each_look_s: float, new_s: float = NEW_S, share: float = math.inf) -> None:
        self._proc = proc
        self._new_s = max(new_s, each_look_s)
        self._each_look_s = each_look_s
        self._left_s = each_look_s
        self._share, self._looked_at = share, -math.inf
        self._read: dict[Identity, tuple[MemoryReading, int]] = {}  # with the RSS that the looks knew by then
        self._denied: set[Identity] = set()

    def refresh(self, resident: Mapping[Identity, int], now: float) -> None:
        """Read the next few of `resident` (identity -> RSS now); forget those that are not in it. What grew or shrank
        by more than a tenth since it was read comes first.
        """
        if self._read.keys() - resident.keys():
            self._read = {identity: kept for identity, kept in self._read.items() if identity in resident}
        self._denied &= resident.keys()
        unread, grown = [], set()
        for one, rss_bytes in resident.items():
            kept = self._read.get(one)
            if kept is None:
                unread.append(one)
            elif abs(rss_bytes - kept[1]) > GROWN * kept[1]:
                grown.add(one)
        if unread:
            self._take([one for one in unread if one not in self._denied], resident, self._new_s, now)
        earned_s = self._each_look_s if grown else min(self._each_look_s, self._share * (now - self._looked_at))
        self._looked_at = now
        self._left_s = min(self._left_s + earned_s, self._each_look_s)
        if self._left_s > 0 and self._read:
            self._left_s -= self._take(self._by_urgency(grown, now), resident, self._left_s, now)

    def _take(self, wanted: Sequence[Identity], resident: Mapping[Identity, int], budget_s: float, now: float) -> float:
        """Read one after the other until the budget is used up; what it took."""
        began, spent = clock.cpu(), 0.0
        for identity in wanted:
            if spent >= budget_s:
                break
            found = self._proc.rollup(identity.pid)
            if found is not None and self._proc.is_alive(identity):
                reading = MemoryReading(found.pss_bytes, found.uss_bytes, found.swap_bytes, now)
                self._read[identity] = (reading, resident[identity])
            elif self._proc.is_alive(identity):
                self._denied.add(identity)
            spent = clock.cpu() - began
        return spent

    def _by_urgency(self, grown: Set[Identity], now: float) -> list[Identity]:
        """Those that were not read in this look: the grown or shrunk first, then by the age of their reading."""
        old = [(reading.read_at, one) for one, (reading, _) in self._read.items() if reading.read_at < now]
        return [one for _, one in sorted(old, key=lambda row: (row[1] not in grown, row[0]))]

    def of(self, identity: Identity) -> MemoryReading | Unreadable:
        """The latest reading; its age is part of it."""
        kept = self._read.get(identity)
        if kept is not None:
            return kept[0]
        return _NOT_ALLOWED if identity in self._denied else _NOT_YET

    def sum_of(self, tree: Sequence[Identity]) -> MemoryReading | Unreadable:
        """What the processes of a tree hold together, as old as the oldest of their readings."""
        pss = uss = swap = 0
        read_at = float("inf")
        for identity in tree:
            found = self.of(identity)
            if isinstance(found, Unreadable):
                return found
            pss, uss, swap = pss + found.pss_bytes, uss + found.uss_bytes, swap + found.swap_bytes
            read_at = min(read_at, found.read_at)
        return MemoryReading(pss, uss, swap, read_at) if tree else Unreadable("it does not run")
