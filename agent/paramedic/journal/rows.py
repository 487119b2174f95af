"""Rows of the journal as what they stand for, and whether all that an agent recalls can be read."""

from __future__ import annotations

import json
import sqlite3

from paramedic.model.facts import Subject
from paramedic.model.record import Attempt, Incident, Status
from paramedic.model.vocabulary import KINDS


def prove(db: sqlite3.Connection) -> None:
    """What an agent recalls at its start can be read: SQLite finds a broken page, but not a broken value in one."""
    try:
        for row in db.execute("select * from incidents where closed is null"):
            _known_kind(incident_of(row).subject)
        for row in db.execute("select * from attempts where started > 0 or status in ('running', 'done')"):
            _known_kind(attempt_of(row, 0.0).target)
        db.execute("select * from slots").fetchall()
        db.execute("select document from known").fetchone()
    except (sqlite3.Error, ValueError, LookupError, TypeError, AttributeError) as error:
        raise sqlite3.DatabaseError(f"a row of it cannot be read: {error}") from error


def _known_kind(subject: Subject) -> None:
    if subject.kind not in KINDS:
        raise ValueError(f"{subject.kind} is no kind of subject")


def clean(text: str) -> str:
    """SQLite takes UTF-8 only; names of strangers may be anything."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def incident_of(row: sqlite3.Row) -> Incident:
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


def attempt_of(row: sqlite3.Row, offset: float, boot_id: str = "") -> Attempt:
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
