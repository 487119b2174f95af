"""SQLite in WAL mode: one writer (the decision thread), any number of readers."""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from paramedic.journal import schema
from paramedic.journal.keeper import Keeper, Written
from paramedic.journal.known import known_from_json, known_to_json
from paramedic.journal.rows import attempt_of, clean, incident_of, prove
from paramedic.model.facts import Known
from paramedic.model.record import Attempt, Hold, Incident, Slot

KEPT_S = 90 * 86400.0
RECENT_S = 21 * 86400.0
SAMPLES_KEPT_S = 8 * 86400.0
MOST_BYTES = 256 * 2**20
MOST_HOLDS = 50_000
log = logging.getLogger(__name__)


class JournalUnusable(Exception):
    """The journal cannot be opened; the message says why and what to do."""


class Journal:
    """All reads and writes of the record. Writes are on disk when they return (synchronous=FULL)."""

    def __init__(self, path: str, read_only: bool = False, boot_id: str = "", spare: str = "") -> None:
        """`boot_id`: within one boot times are taken from the monotonic clock, so a clock step changes nothing.

        `spare`: where to write while `path` cannot be written, on another file system.
        """
        self.boot_id = boot_id
        self._keeper: Keeper | None = None
        try:
            if read_only:
                self._reader = schema.read_only(path)
            else:
                self._keeper = Keeper(path, spare, prove)
        except (sqlite3.Error, schema.Newer) as error:
            raise JournalUnusable(f"cannot open the journal {path}: {error}") from error

    @property
    def _db(self) -> sqlite3.Connection:
        return self._keeper.db if self._keeper else self._reader

    @property
    def troubles(self) -> dict[str, str]:
        """What is wrong with the record, and why; nothing while all is well."""
        keeper = self._keeper
        if keeper is None:
            return {}
        what = (
            "the record is kept elsewhere"
            if keeper.is_durable
            else "nothing is recorded, so nothing disruptive is begun"
        )
        found = {what: keeper.trouble} if keeper.trouble else {}
        return found | ({"an older record is lost": keeper.damaged} if keeper.damaged else {})

    @property
    def is_durable(self) -> bool:
        """Whether an intent that is written now outlives the agent."""
        return self._keeper is None or self._keeper.is_durable

    def close(self) -> None:
        """Give the file back."""
        self._db.close()

    def durably(self, write: Callable[[], Written]) -> Written:
        """One transaction, on disk, all of it, when this returns. `write` may be called again, for another file."""
        return self._keeper.durably(write) if self._keeper else write()

    def _write(self, sql: str, row: Sequence[object]) -> sqlite3.Cursor:
        return self.durably(lambda: self._db.execute(sql, row))

    def save_incident(self, incident: Incident) -> None:
        """Write it, or what became of it."""
        row = (
            incident.id,
            incident.subject.kind,
            incident.subject.name,
            incident.diagnosis,
            incident.policy,
            clean(incident.evidence),
            incident.opened,
            incident.closed,
            incident.result,
            json.dumps(incident.told),
            incident.round,
        )
        columns = "id,kind,name,diagnosis,policy,evidence,opened,closed,result,told,round"
        self._write(f"insert or replace into incidents ({columns}) values (?,?,?,?,?,?,?,?,?,?,?)", row)  # noqa: S608

    def intend(self, attempt: Attempt) -> Attempt:
        """Put the intent on disk before anything is done; the attempt with its id."""
        row = (
            self._keeper.floor if self._keeper else 0,
            attempt.incident,
            attempt.policy,
            attempt.subject.kind,
            attempt.subject.name,
            attempt.action,
            attempt.target.kind,
            attempt.target.name,
            attempt.rung,
            attempt.started_wall,
            attempt.deadline_s,
            json.dumps(dict(attempt.before)),
            json.dumps(dict(attempt.args)),
            attempt.status.value,
            clean(attempt.detail),
            json.dumps(dict(attempt.gained)),
            attempt.seconds,
            self.boot_id,
            attempt.started,
            attempt.finished,
        )
        columns = (
            "incident,policy,kind,name,action,target_kind,target_name,rung,started,deadline,before,args,status,"
            "detail,gained,seconds,boot,started_mono,finished_mono"
        )
        marks = "(select max(?, coalesce(max(id), 0)) + 1 from attempts)" + ",?" * (len(row) - 1)
        cursor = self._write(f"insert into attempts (id,{columns}) values ({marks})", row)  # noqa: S608
        return replace(attempt, id=int(cursor.lastrowid or 0))

    def settle(self, attempt: Attempt, wall: float) -> None:
        """Write what became of the attempt."""
        self._write(
            "update attempts set status=?, finished=?, finished_mono=?, detail=?, gained=?, seconds=?, before=? "
            "where id=?",
            (
                attempt.status.value,
                wall,
                attempt.finished,
                clean(attempt.detail),
                json.dumps(dict(attempt.gained)),
                attempt.seconds,
                json.dumps(dict(attempt.before)),
                attempt.id,
            ),
        )

    def hold(self, incident: str, hold: Hold, wall: float) -> None:
        """Write that nothing was done, and why."""
        row = (wall, incident, hold.guard, clean(hold.reason), hold.way_out)
        self._write("insert into holds values (?,?,?,?,?)", row)

    def save_known(self, known: Known) -> None:
        """Write what must survive the agent."""
        self._write("insert or replace into known values (1, ?)", (known_to_json(known),))

    def save_slots(self, slots: Mapping[str, Slot]) -> None:
        """Write when each calendar policy is due next."""
        rows = [(name, slot.rule, slot.next_at, slot.seen_at) for name, slot in slots.items()]
        self._db.execute("delete from slots")
        self._db.executemany("insert into slots values (?,?,?,?)", rows)

    def load_slots(self) -> dict[str, Slot]:
        """What an earlier agent wrote of them."""
        rows = self._db.execute("select * from slots").fetchall()
        return {row["policy"]: Slot(row["rule"], row["next_at"], row["seen_at"]) for row in rows}

    def save_samples(self, first: float, last: float, packed: bytes) -> None:
        """Write some passes' samples; `first` and `last` are epoch seconds. Elsewhere they would fill the memory."""
        if self._keeper and self._keeper.is_elsewhere():
            raise sqlite3.OperationalError(self._keeper.trouble)
        self._db.execute("insert or replace into samples values (?,?,?)", (first, last, packed))

    def samples(self, since: float) -> Iterator[bytes]:
        """The packed samples that reach beyond `since`, in the order of their making: the wall clock may have been set
        back meanwhile. None where an older agent kept none.
        """
        with contextlib.suppress(sqlite3.OperationalError):
            for row in self._db.execute("select packed from samples where last >= ? order by rowid", (since,)):
                yield row["packed"]

    def load_known(self) -> Known:
        """What an earlier agent knew; nothing where there is none or it is damaged."""
        row = self._db.execute("select document from known").fetchone()
        return known_from_json(row["document"]) if row else Known()

    def open_incidents(self) -> list[Incident]:
        """Those that no agent closed."""
        return [
            incident_of(row) for row in self._db.execute("select * from incidents where closed is null order by opened")
        ]

    def count(self) -> int:
        """How many incidents are recorded."""
        return int(self._db.execute("select count(*) from incidents").fetchone()[0])

    def incidents(self, most: int) -> list[Incident]:
        """The newest, oldest first."""
        rows = self._db.execute("select * from incidents order by opened desc, rowid desc limit ?", (most,)).fetchall()
        return [incident_of(row) for row in reversed(rows)]

    def recent_attempts(self, wall: float, monotonic: float) -> list[Attempt]:
        """The attempts of three weeks, the longest a limit looks back, oldest first, their times made monotonic."""
        query = "select * from attempts where started > ? or status in ('running', 'done') or {boot} order by id"
        knows_boots = "boot" in [row["name"] for row in self._db.execute("pragma table_info(attempts)")]
        asked = query.format(boot="boot = ?" if knows_boots else "?")
        rows = self._db.execute(asked, (wall - RECENT_S, (self.boot_id or None) if knows_boots else 0))
        return [attempt_of(row, wall - monotonic, self.boot_id if knows_boots else "") for row in rows]

    def attempts_of(self, incidents: Iterable[str]) -> dict[str, list[Attempt]]:
        """The attempts of each incident, oldest first."""
        found: dict[str, list[Attempt]] = {incident: [] for incident in incidents}
        for incident, attempts in found.items():
            rows = self._db.execute("select * from attempts where incident = ? order by id", (incident,))
            attempts.extend(attempt_of(row, 0.0) for row in rows)
        return found

    def holds_of(self, incident: str) -> list[dict[str, Any]]:
        """Every change of mind about not acting."""
        query = "select at, guard, reason, way_out from holds where incident = ? order by rowid"
        return [dict(row) for row in self._db.execute(query, (incident,))]

    def forget(self, wall: float) -> None:
        """Drop what is older than 90 days and closed, samples older than eight days, the oldest beyond 256 MiB and of
        the holds beyond 50,000; the file shrinks by it. A full disk does not let it: then it is tried again.
        """
        try:
            self._forget(wall)
        except sqlite3.Error as error:
            log.warning("cannot drop old records: %s", error)

    def _forget(self, wall: float) -> None:
        old = "select id from incidents where closed is not null and closed < ?"
        self._db.execute("delete from samples where last < ?", (wall - SAMPLES_KEPT_S,))
        for table, column in (("attempts", "incident"), ("holds", "incident"), ("incidents", "id")):
            self._db.execute(f"delete from {table} where {column} in ({old})", (wall - KEPT_S,))  # noqa: S608
        self._db.execute("delete from holds where rowid <= (select max(rowid) from holds) - ?", (MOST_HOLDS,))
        while self._used_bytes() > MOST_BYTES:
            few = "select first from samples order by first limit max(1, (select count(*) from samples) / 10)"
            if not self._db.execute(f"delete from samples where first in ({few})").rowcount:  # noqa: S608
                break
        self._db.executescript("pragma incremental_vacuum; pragma wal_checkpoint(truncate);")

    def _used_bytes(self) -> int:
        pages, free, size = (
            int(self._db.execute(f"pragma {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size
