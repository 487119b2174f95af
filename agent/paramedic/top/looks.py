"""One look after the other at the host: the sensors of `doctor`, the agent's record for the past, rows as result."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from paramedic.facts import join
from paramedic.host import clock
from paramedic.host.proc import Proc
from paramedic.journal import Journal, JournalUnusable, recall_windows
from paramedic.model.facts import Facts, Known, Unknown
from paramedic.model.readings import HostReading, Identity, Unreadable, UwsgiReading
from paramedic.model.stack import Settings, Stack
from paramedic.sense.discover import discover
from paramedic.sense.host import Sensors
from paramedic.sense.memory import Rollups
from paramedic.top.rows import NEEDED, seen
from paramedic.top.seen import Look, Other, Seen
from paramedic.windows import Windows

CPU_SHARE = 0.02
Agent = Callable[[], tuple[str, Mapping[str, tuple[str, ...]]]]


class Looks:
    """Looks from one thread, the one that calls `look`.

    `settings` None, or with nothing in its stack, stands for whatever runs on this host; `each_look_s` is the CPU time
    that a look may spend on PSS, USS.
    """

    def __init__(self, settings: Settings | None, proc: Proc, each_look_s: float, agent: Agent) -> None:
        self._settings, self._proc, self._agent = settings, proc, agent
        self._is_configured = settings is not None and settings.stack != Stack()
        self._each_look_s = each_look_s
        self._sensors: Sensors | None = None
        self._journal: Journal | None = None
        self._past = Windows(NEEDED)
        self._before: Look | None = None

    def look(self) -> Seen:
        """Read the host; the first look reads all memory at once."""
        sensors = self._sensors
        if sensors is None:
            sensors = self._begin()
            sensors.read(self._known())
        sample = sensors.read(known := self._known())
        facts = join(sample, known)
        self._past.take(facts)
        sentence, incidents = self._agent()
        others = {name: self._others(one) for name, one in sample.uwsgi.items() if isinstance(one, UwsgiReading)}
        swap, closed = _swap_total(sample.host), self._closed(facts)
        look = Look(facts, swap, self._load(), others, incidents, sentence, closed)
        rows = seen(look, self._before, self._past)
        self._before = look
        if not (rows.uwsgi or rows.supervisor or self._is_configured):
            self._sensors = None
        return rows

    def _begin(self) -> Sensors:
        """Sensors for the configured stack or for what is found; the record of the agent, if it has one."""
        settings = self._settings or Settings("")
        if not self._is_configured:
            settings = replace(settings, stack=discover(self._proc).stack)
        if settings.path and self._journal is None:
            self._journal = self._open(f"{settings.state_dir}/journal.db")
        if self._journal is not None:
            recall_windows(self._journal, self._past, clock.wall(), clock.monotonic())
        rollups = Rollups(self._proc, self._each_look_s, math.inf)
        self._sensors = Sensors(
            settings.stack, self._proc, settings.state_dir if settings.path else "", rollups=rollups
        )
        return self._sensors

    def _open(self, path: str) -> Journal | None:
        """The record; where there is none to read, only the slopes of the first quarter hour are missing."""
        try:
            found = Path(path).exists()
            return Journal(path, read_only=True, boot_id=self._proc.boot_id()) if found else None
        except (JournalUnusable, PermissionError):
            return None

    def _known(self) -> Known:
        try:
            known = self._journal.load_known() if self._journal else Known()
        except sqlite3.Error:
            known = Known()
        return known if known.boot_id == self._proc.boot_id() else Known(preflights=known.preflights)

    def _others(self, reading: UwsgiReading) -> tuple[Other, ...]:
        """The master, then what it started beside its workers: named where that differs from the master's own name."""
        workers = {worker.identity.pid for worker in reading.workers if worker.identity}
        own = self._proc.cmdline(reading.master.pid)
        found = []
        for pid in [reading.master.pid, *self._proc.children(reading.master.pid)]:
            stat = self._proc.stat(pid)
            if pid in workers or stat is None or not stat.is_alive:
                continue
            named = self._proc.cmdline(pid) or ("other",)
            what = "master" if pid == reading.master.pid else "other" if named == own else " ".join(named)[:80]
            found.append(Other(what, pid, stat.rss_bytes, self._proc.age_s(stat.identity)))
        return tuple(found)

    def _closed(self, facts: Facts) -> frozenset[Identity]:
        """The workers and programs whose memory was not read because this user may not."""
        rows = [*facts.of_kind("uwsgi.worker"), *facts.of_kind("supervisor.program")]
        unread = [row.identity for row in rows if row.identity and isinstance(row.fields.get("pss"), Unknown)]
        return frozenset(one for one in unread if self._proc.is_closed(one.pid))

    def _load(self) -> tuple[float, ...]:
        words = (self._proc.text("loadavg") or "").split()[:3]
        return tuple(float(word) for word in words if word.replace(".", "", 1).isdigit())


def _swap_total(host: HostReading | Unreadable) -> int | Unknown:
    return Unknown(host.reason) if isinstance(host, Unreadable) else host.swap_total_bytes
