"""SQLite in WAL mode: one writer (the decision thread), any number of readers."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from paramedic.journal.known import known_from_json, known_to_json
from paramedic.model.facts import Known, Subject
from paramedic.model.record import Attempt, Hold, Incident, Slot, Status

BUSY_MS = 3000
KEPT_S = 90 * 86400.0
RECENT_S = 21 * 86400.0
SAMPLES_KEPT_S = 8 * 86400.0
_SCHEMA = """
create table if not exists incidents (
  id text primary key, kind text not null, name text not null, diagnosis text not null, policy text not null,
  evidence text not null, opened real not null, closed real, result text not null, told text not null,
  round integer not null default 1);
create table if not exists attempts (
  id integer primary key, incident text not null, policy text not null, kind text not null, name text not null,
  action text not null, target_kind text not null, target_name text not null, rung integer not null,
  started real not null, deadline real not null, before text not null, args text not null,
  status text not null, finished real, detail text not null, gained text not null, seconds real not null,
  boot text not null default '', started_mono real, finished_mono real);
create table if not exists holds (
  at real not null, incident text not null, guard text not null, reason text not null, way_out text not null);
create table if not exists known (only_row integer primary key check (only_row = 1), document text not null);
create table if not exists slots (policy text primary key, rule text not null, next_at real, seen_at real not null);
create table if not exists samples (first real primary key, last real not null, packed blob not null);
create index if not exists attempts_by_incident on attempts (incident);
create index if not exists incidents_by_opened on incidents (opened);
"""
VERSION = 2
_MIGRATIONS = {
    1: """alter table incidents add column round integer not null default 1;
alter table attempts add column boot text not null default '';
alter table attempts add column started_mono real;
alter table attempts add column finished_mono real;"""
}


class JournalUnusable(Exception):
    """The journal cannot be opened; the message says why and what to do."""


class Journal:
    """All reads and writes of the record. Writes are on disk when they return (synchronous=FULL)."""

    def __init__(self, path: str, read_only: bool = False, boot_id: str = "") -> None:
        """`boot_id`: within one boot times are taken from the monotonic clock, so a clock step changes nothing."""
        self.path = path
        self.boot_id = boot_id
        try:
            target = f"{Path(path).absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
            self._db = sqlite3.connect(target, uri=True, isolation_level=None, timeout=BUSY_MS / 1000)
            self._db.row_factory = sqlite3.Row
            if not read_only:
                self._db.execute("pragma journal_mode = wal")
                self._db.execute("pragma synchronous = full")
                self._migrate()
            self._db.execute("select 1 from incidents limit 1")
        except sqlite3.Error as error:
            raise JournalUnusable(f"cannot open the journal {path}: {error}") from error

    def _migrate(self) -> None:
        """Bring an older journal up to this version; one of a newer paramedic is not touched."""
        version = int(self._db.execute("pragma user_version").fetchone()[0])
        if version > VERSION:
            raise sqlite3.DatabaseError(
                f"a newer paramedic wrote it (version {version}); use that one, or move it away"
            )
        for step in range(version or VERSION, VERSION):
            self._db.executescript(f"begin; {_MIGRATIONS[step]} pragma user_version = {step + 1}; commit;")
        self._db.executescript(_SCHEMA)
        self._db.execute(f"pragma user_version = {VERSION}")

    def close(self) -> None:
        """Give the file back."""
        self._db.close()

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """One transaction: on disk, all of it, when the block ends."""
        self._db.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._db.execute("rollback")
            raise
        self._db.execute("commit")

    def save_incident(self, incident: Incident) -> None:
        """Write it, or what became of it."""
        row = (
            incident.id,
            incident.subject.kind,
            incident.subject.name,
            incident.diagnosis,
            incident.policy,
            _clean(incident.evidence),
            incident.opened,
            incident.closed,
            incident.result,
            json.dumps(incident.told),
            incident.round,
        )
        columns = "id,kind,name,diagnosis,policy,evidence,opened,closed,result,told,round"
        self._db.execute(f"insert or replace into incidents ({columns}) values (?,?,?,?,?,?,?,?,?,?,?)", row)  # noqa: S608

    def intend(self, attempt: Attempt) -> Attempt:
        """Put the intent on disk before anything is done; the attempt with its id."""
        row = (
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
            _clean(attempt.detail),
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
        cursor = self._db.execute(f"insert into attempts ({columns}) values ({','.join('?' * len(row))})", row)  # noqa: S608
        return replace(attempt, id=int(cursor.lastrowid or 0))

    def settle(self, attempt: Attempt, wall: float) -> None:
        """Write what became of the attempt."""
        self._db.execute(
            "update attempts set status=?, finished=?, finished_mono=?, detail=?, gained=?, seconds=? where id=?",
            (
                attempt.status.value,
                wall,
                attempt.finished,
                _clean(attempt.detail),
                json.dumps(dict(attempt.gained)),
                attempt.seconds,
                attempt.id,
            ),
        )

    def hold(self, incident: str, hold: Hold, wall: float) -> None:
        """Write that nothing was done, and why."""
        row = (wall, incident, hold.guard, _clean(hold.reason), hold.way_out)
        self._db.execute("insert into holds values (?,?,?,?,?)", row)

    def save_known(self, known: Known) -> None:
        """Write what must survive the agent."""
        self._db.execute("insert or replace into known values (1, ?)", (known_to_json(known),))

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
        """Write some passes' samples; `first` and `last` are epoch seconds."""
        self._db.execute("insert or replace into samples values (?,?,?)", (first, last, packed))

    def samples(self, since: float) -> Iterator[bytes]:
        """The packed samples that reach beyond `since`, oldest first; none where an older agent kept none."""
        with contextlib.suppress(sqlite3.OperationalError):
            for row in self._db.execute("select packed from samples where last >= ? order by first", (since,)):
                yield row["packed"]

    def load_known(self) -> Known:
        """What an earlier agent knew; nothing where there is none or it is damaged."""
        row = self._db.execute("select document from known").fetchone()
        return known_from_json(row["document"]) if row else Known()

    def open_incidents(self) -> list[Incident]:
        """Those that no agent closed."""
        return [
            _incident(row) for row in self._db.execute("select * from incidents where closed is null order by opened")
        ]

    def count(self) -> int:
        """How many incidents are recorded."""
        return int(self._db.execute("select count(*) from incidents").fetchone()[0])

    def incidents(self, most: int) -> list[Incident]:
        """The newest, oldest first."""
        rows = self._db.execute("select * from incidents order by opened desc, rowid desc limit ?", (most,)).fetchall()
        return [_incident(row) for row in reversed(rows)]

    def recent_attempts(self, wall: float, monotonic: float) -> list[Attempt]:
        """The attempts of three weeks, the longest a limit looks back, oldest first, their times made monotonic."""
        query = "select * from attempts where started > ? or status in ('running', 'done') or {boot} order by id"
        knows_boots = "boot" in [row["name"] for row in self._db.execute("pragma table_info(attempts)")]
        asked = query.format(boot="boot = ?" if knows_boots else "?")
        rows = self._db.execute(asked, (wall - RECENT_S, (self.boot_id or None) if knows_boots else 0))
        return [_attempt(row, wall - monotonic, self.boot_id if knows_boots else "") for row in rows]

    def attempts_of(self, incidents: Iterable[str]) -> dict[str, list[Attempt]]:
        """The attempts of each incident, oldest first."""
        found: dict[str, list[Attempt]] = {incident: [] for incident in incidents}
        for incident, attempts in found.items():
            rows = self._db.execute("select * from attempts where incident = ? order by id", (incident,))
            attempts.extend(_attempt(row, 0.0) for row in rows)
        return found

    def holds_of(self, incident: str) -> list[dict[str, Any]]:
        """Every change of mind about not acting."""
        query = "select at, guard, reason, way_out from holds where incident = ? order by rowid"
        return [dict(row) for row in self._db.execute(query, (incident,))]

    def forget(self, wall: float) -> None:
        """Drop what is older than 90 days and closed, and samples older than eight days."""
        old = "select id from incidents where closed is not null and closed < ?"
        self._db.execute("delete from samples where last < ?", (wall - SAMPLES_KEPT_S,))
        for table, column in (("attempts", "incident"), ("holds", "incident"), ("incidents", "id")):
            self._db.execute(f"delete from {table} where {column} in ({old})", (wall - KEPT_S,))  # noqa: S608


def _clean(text: str) -> str:
    """SQLite takes UTF-8 only; names of strangers may be anything."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _incident(row: sqlite3.Row) -> Incident:
    return Incident(
        id=row["id"],
        subject=Subject(row["kind"], row["name"]),
        diagnosis=row["diagnosis"],
        policy=row["policy"],
        evidence=row["evidence"],
        opened=row["opened"],
        closed=row["closed"],
        result=row["result"],
        told=tuple(json.loads(row["told"])),
        round=row["round"] if "round" in row.keys() else 1,  # noqa: SIM118
    )


def _attempt(row: sqlite3.Row, offset: float, boot_id: str = "") -> Attempt:
    """Times become monotonic: as they were within this boot, else by the wall clock (`offset` before it)."""
    started, finished = row["started"] - offset, None if row["finished"] is None else row["finished"] - offset
    if boot_id and row["boot"] == boot_id and row["started_mono"] is not None:
        started, finished = row["started_mono"], row["finished_mono"]
    return Attempt(
        id=row["id"],
        incident=row["incident"],
        policy=row["policy"],
        subject=Subject(row["kind"], row["name"]),
        action=row["action"],
        target=Subject(row["target_kind"], row["target_name"]),
        rung=row["rung"],
        started=started,
        started_wall=row["started"],
        deadline_s=row["deadline"],
        before=json.loads(row["before"]),
        args=json.loads(row["args"]),
        status=Status(row["status"]),
        finished=finished,
        detail=row["detail"],
        gained=json.loads(row["gained"]),
        seconds=row["seconds"],
    )
