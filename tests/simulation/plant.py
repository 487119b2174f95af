"""A server over a day, in simulated time: workers that leak, Daphne, a load curve, a cron job; what acts do to it.

Everything is drawn from a seed. `Plant.now` is monotonic seconds, `hour` the time of day.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from harness.host_tree import GIB, MASTER, MIB, V1, V1_UNLIMITED, V2, HostTree
from paramedic.model.readings import HostReading, Identity, MemoryReading, UwsgiReading, WorkerReading
from paramedic.model.record import Act, Report
from paramedic.model.stack import ProgramConf
from paramedic.model.supervision import ProgramReading, RpcReading, SupervisorReading
from paramedic.sense.host_memory import HostMemory
from unit.builders import DAEMON, SOCKET, supervisor, uwsgi

BEGAN_AT = 1_000_000.0
HOUR = 3600.0
CRON_HOURS = (2.0, 2.0 + 1 / 3)
RESPAWN_S, LOADS_IN_S, LONGEST_REQUEST_S = 2.0, 6.0, 3.0
DAPHNE_STOPS_S, DAPHNE_STARTSECS = 2.0, 5.0
WARM_UP, WARM_AFTER_REQUESTS = 0.12, 300.0
SHARED, IN_A_REQUEST = 22 * MIB, 6 * MIB
PER_SECOND = 1.5
SLICE, UNIT = "/web.slice", "/web.slice/uwsgi.service"


@dataclass(frozen=True, slots=True)
class Shape:
    """What the server is. Bytes, and bytes per hour at full load; `leak` is what a worker loses in the mean.

    `others` is held by the database and the kernel, `cron` by a job that runs for twenty minutes at two. All is started
    at `begins`, an hour of the day.
    """

    total: int = 8 * GIB
    workers: int = 8
    leak: float = 60 * MIB
    daphne_leak: float = 30 * MIB
    others: int = 3 * GIB
    cron: int = 320 * MIB
    begins: float = 5.0
    seed: int = 1


@dataclass(slots=True)
class Process:
    """One worker's process, or Daphne's: it accepts from `accepts_at` on."""

    pid: int
    born: float
    accepts_at: float
    base: float
    leaked: float = 0.0
    requests: float = 0.0


@dataclass(slots=True)
class Slot:
    """A place that processes fill one after the other; a code path that leaks is used by all of them."""

    number: int
    rate: float
    process: Process
    spawns: int = 1
    served: float = 0.0
    next: tuple[float, float] | None = None


@dataclass
class Plant:
    """The server. `advance` lets time pass, `begin` does what an act does; `out_s` is what that took from workers."""

    shape: Shape = field(default_factory=Shape)
    now: float = BEGAN_AT
    out_s: float = 0.0
    touched: float = 0.0
    pids: int = 1000
    busy: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        rates = _rates(self.shape)
        self.slots = [Slot(n, rate, self._process(n, self.now, self.now)) for n, rate in enumerate(rates, 1)]
        self.daphne = Slot(0, self.shape.daphne_leak, self._process(0, self.now, self.now))

    @property
    def hour(self) -> float:
        """The time of day."""
        return (self.shape.begins + (self.now - BEGAN_AT) / HOUR) % 24

    @property
    def load(self) -> float:
        """The share of the busiest hour: a tenth at four in the night, all at four in the afternoon."""
        return 0.55 - 0.45 * math.cos(2 * math.pi * (self.hour - 4) / 24)

    @property
    def used(self) -> int:
        """Bytes that are not available."""
        low, high = CRON_HOURS
        cron = self.shape.cron if low <= self.hour < high else 0
        tide = 0.01 * math.sin(2 * math.pi * self.now / 5000)
        workers = sum(self._held(slot) for slot in (*self.slots, self.daphne))
        return min(int(self.shape.others * (1 + tide) + cron + SHARED + workers), self.shape.total * 999 // 1000)

    def advance(self, now: float) -> None:
        """Let time pass until `now`."""
        step, load = now - self.now, self.load
        self.now = now
        for slot in (*self.slots, self.daphne):
            if slot.next is not None and slot.next[0] <= now:
                born, accepts_at = slot.next
                slot.process, slot.next = self._process(slot.number, born, accepts_at, slot.spawns), None
                slot.spawns += 1
            worked = max(0.0, min(step, now - slot.process.accepts_at))
            slot.process.leaked += slot.rate * load * worked / HOUR
            slot.process.requests += PER_SECOND * load * worked
            slot.served += PER_SECOND * load * worked
        dice = Random(f"{self.shape.seed}/{now:.0f}")
        busy = min(len(self.slots) - 1, round(0.7 * load * len(self.slots) + dice.uniform(-1, 1)))
        self.busy = {slot.number for slot in dice.sample(self.slots, max(0, busy))}

    def _held(self, slot: Slot) -> float:
        process = slot.process
        warm = 1 + WARM_UP * (1 - math.exp(-process.requests / WARM_AFTER_REQUESTS))
        return process.base * warm + process.leaked + IN_A_REQUEST * (slot.number in self.busy)

    def _process(self, number: int, born: float, accepts_at: float, generation: int = 0) -> Process:
        self.pids += 1
        base = Random(f"{self.shape.seed}/{number}/{generation}").uniform(100, 150) * MIB
        return Process(self.pids, born, accepts_at, base)

    # What the sensors say of it

    def uwsgi(self) -> UwsgiReading:
        """The instance, its workers' memory read in this look."""
        return uwsgi(*map(self._worker, self.slots))._replace(touched_at=self.touched, uptime_s=self.now - BEGAN_AT)

    def _worker(self, slot: Slot) -> WorkerReading:
        process, uss = slot.process, int(self._held(slot))
        accepts = process.accepts_at <= self.now
        return WorkerReading(
            id=slot.number,
            identity=Identity(process.pid, int(process.born * 100)),
            accepting=accepts,
            status="busy" if accepts and slot.number in self.busy else "idle",
            requests=int(slot.served),
            exceptions=0,
            harakiris=0,
            respawns=slot.spawns,
            spawned_at=process.born,
            apps=int(accepts),
            age_s=self.now - process.born,
            rss_bytes=uss + SHARED,
            memory=MemoryReading(uss + SHARED // len(self.slots), uss, 0, self.now),
            startup_s=LOADS_IN_S,
            running_s=0.0,
        )

    def supervisor(self) -> SupervisorReading:
        """The daemon and its Daphne."""
        process, held = self.daphne.process, int(self._held(self.daphne))
        state = "RUNNING" if process.accepts_at <= self.now else "STARTING"
        identity = Identity(process.pid, int(process.born * 100))
        memory = MemoryReading(held, held, 0, self.now)
        daphne = ProgramReading(
            "daphne", state, identity, "", self.now - process.born, 1, held + SHARED, memory, connections=40
        )
        healthy = supervisor(rpc=RpcReading(SOCKET, "RUNNING", DAEMON.pid, "shop", (daphne,)))
        section = ProgramConf("daphne", "daphne shop.asgi:application", startsecs=DAPHNE_STARTSECS)
        return healthy._replace(conf=replace(healthy.conf, programs=(section,)))

    # What acts do to it

    def begin(self, act: Act) -> tuple[float, Report]:
        """(when the repair reports, what it says): as act/ does, which refuses while a worker is not there."""
        if act.step.action == "notify":
            return self.now, Report(False, "told")
        if act.step.action == "restart_program":
            born = self.now + DAPHNE_STOPS_S
            self.daphne.next = born, born + DAPHNE_STARTSECS
            return born, Report(False, "stopped daphne; started it again")
        away = [slot.number for slot in self.slots if slot.next or slot.process.accepts_at > self.now]
        if away:
            return self.now, Report(True, f"worker {away[0]} is being started: a chain may be running")
        tried_s = self.now + LOADS_IN_S
        if act.step.action == "recycle_worker":
            chosen = [self._chosen(act)]
        else:
            chosen, self.touched = self.slots, tried_s
        measured = self._replace(chosen, tried_s)
        return tried_s, Report(False, f"asked {len(chosen)} of {len(self.slots)} workers to leave", measured=measured)

    def _chosen(self, act: Act) -> Slot:
        """The worker that the policy names, or the fattest idle one."""
        if act.target.kind == "uwsgi.worker":
            return next(slot for slot in self.slots if str(slot.number) == act.target.name.rpartition("/")[2])
        idle = [slot for slot in self.slots if slot.number not in self.busy]
        return max(idle or self.slots, key=self._held)

    def _replace(self, chosen: list[Slot], at: float) -> Mapping[str, Any]:
        """One after the other: the request in hand ends, the master looks, the app loads (facts C2)."""
        dice = Random(f"{self.shape.seed}/{at}/requests")
        pids = {str(slot.number): slot.process.pid for slot in chosen}
        held = sum(int(self._held(slot)) for slot in chosen)
        for slot in chosen:
            leaves = at + (dice.uniform(0, LONGEST_REQUEST_S) if slot.number in self.busy else 0.0)
            at = leaves + RESPAWN_S + LOADS_IN_S
            slot.next = leaves, at
            self.out_s += at - leaves
        rss = held + SHARED * len(chosen)
        return {"uss": held, "rss": rss} | ({"recycled": pids} if len(chosen) == 1 else {})


def _rates(shape: Shape) -> list[float]:
    """A quarter of the workers do not leak, one leaks four times as much as the others do in the mean."""
    dice = Random(f"{shape.seed}/rates")
    sound, count = shape.workers // 4, shape.workers
    found = [0.0] * sound + [4.0] + [dice.uniform(0.5, 1.5) for _ in range(count - sound - 1)]
    dice.shuffle(found)
    return [share * shape.leak for share in found]


class Tree(HostTree):
    """Writes what changed: most files of a host stay as they are."""

    def __init__(self, root: Path, mountinfo: str) -> None:
        self._standing: dict[str, str | int] = {}
        super().__init__(root, mountinfo)

    def write(self, name: str, text: str | int) -> None:
        """A file of this host."""
        if self._standing.get(name) != text:
            super().write(name, text)
            self._standing[name] = text


class Host:
    """The host as files, which follow the plant: a machine, or a slice (cgroup v1, v2) of a larger one.

    `stalls_from`: used percent from which on tasks wait for memory; None: this kernel has no PSI.
    """

    def __init__(self, root: Path, kind: str, stalls_from: float | None) -> None:
        self.kind, self.stalls_from = kind, stalls_from
        self.tree = Tree(root, V1 if kind == "v1" else V2)
        for pid in (MASTER.pid, DAEMON.pid):
            self.tree.process(pid, f"9:memory:{UNIT}\n0::{UNIT}\n" if kind == "v1" else UNIT)
        self.tree.process(60, "/web.slice/postgresql.service", "postgres", 2 * GIB)
        if kind == "v1":
            self.tree.v1("", V1_UNLIMITED, GIB)
        self.tree.machine(64 * GIB, 32 * GIB)
        self.sensor = HostMemory(self.tree.proc, self.tree.cgroups)

    def read(self, plant: Plant, is_suspect: bool) -> HostReading:
        """Write what the kernel would show now, and have the sensor read it."""
        total, used = plant.shape.total, plant.used
        if self.kind == "machine":
            self.tree.machine(total, total - used)
        else:
            # Page cache fills a slice up to its limit: what is given back first is no pressure.
            write = self.tree.v1 if self.kind == "v1" else self.tree.v2
            write(SLICE, total, total - MIB, total - MIB - used)
        if self.stalls_from is not None:
            stalls = min(99.0, max(0.0, 100.0 * used / total - self.stalls_from) * 5)
            name = f"sys/fs/cgroup{SLICE}/memory.pressure" if self.kind == "v2" else "proc/pressure/memory"
            self.tree.psi(name, stalls, stalls)
        found = self.sensor.read((MASTER, DAEMON), plant.now, is_suspect)
        assert isinstance(found, HostReading), found
        return found
