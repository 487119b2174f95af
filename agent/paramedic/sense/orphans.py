"""What outlived its daemon: children whose master is proven dead, recorded or not."""

from __future__ import annotations

from collections.abc import Set

from paramedic.host.lineage import doubt_of, unclaimed
from paramedic.host.proc import Proc, readable
from paramedic.host.processes import Row
from paramedic.model.facts import SupervisorKnown
from paramedic.model.readings import Identity
from paramedic.model.stack import SupervisorConf
from paramedic.model.supervision import ChildRecord, OrphanReading


class Orphans:
    """Those of one daemon; who was never recorded is found by a walk, and remembered from then on."""

    def __init__(self, proc: Proc) -> None:
        self._proc = proc
        self._unclaimed: list[ChildRecord] = []

    def look_for(self, rows: list[Row], conf: SupervisorConf, known: SupervisorKnown) -> None:
        """Among all processes, for those that nobody recorded."""
        self._unclaimed = unclaimed(rows, conf, (*known.children, *known.strays), self._proc)

    def of(
        self, known: SupervisorKnown, conf: SupervisorConf, daemon: Identity | None, owned: Set[Identity | None]
    ) -> tuple[OrphanReading, ...]:
        """Those that live, and that no living daemon calls its own: `owned` are the programs of this one."""
        if not (known.strays or self._unclaimed or [one for one in known.children if one.identity not in owned]):
            return ()
        recorded = dict.fromkeys((*known.children, *known.strays, *self._unclaimed))
        return tuple(self._orphan(child, conf, daemon) for child in recorded if self._is_one(child, owned))

    def _is_one(self, child: ChildRecord, owned: Set[Identity | None]) -> bool:
        is_owned = child.identity in owned or (child.master is not None and self._proc.is_alive(child.master))
        return not is_owned and self._proc.is_alive(child.identity)

    def _orphan(self, child: ChildRecord, conf: SupervisorConf, daemon: Identity | None) -> OrphanReading:
        pid = child.identity.pid
        command = readable(" ".join(self._proc.cmdline(pid) or ("?",)))[:120]
        doubt = doubt_of(child, conf, self._proc, daemon)
        return OrphanReading(child, command, self._proc.rss_bytes(pid) or 0, self._proc.age_s(child.identity), doubt)
