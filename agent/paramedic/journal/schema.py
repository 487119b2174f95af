"""The journal's tables, its versions, and the file itself: opened, proven to be whole, set aside where it is not."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

BUSY_MS = 3000
WAL_KEPT_BYTES = 4 * 2**20
FAR = 100
CACHE_KIB = 256  # its default of 2 MiB fills within days, and buys a writer nothing
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


class Newer(Exception):
    """A newer paramedic wrote it: it is not touched."""


def read_only(path: str) -> sqlite3.Connection:
    """A connection of a reader; raises sqlite3.Error.

    On a full or read-only disk SQLite cannot make the shared index of its log. Then nobody writes there either, so it
    is read without one, and where there is no log as what cannot change (sqlite.org/wal.html, "read-only databases").
    """
    try:
        return _readable(path, "mode=ro")
    except sqlite3.OperationalError as error:
        if not str(error).startswith(("unable to open", "disk I/O")):
            raise
        way = "vfs=unix-none" if Path(f"{path}-wal").exists() else "immutable=1"
        return _readable(path, f"mode=ro&{way}")


def _readable(path: str, how: str) -> sqlite3.Connection:
    db = _connect(path, how)
    try:
        if "vfs" in how:
            db.execute("pragma locking_mode = exclusive")
        db.execute("select 1 from incidents limit 1")
    except sqlite3.Error:
        db.close()
        raise
    return db


def writable(path: str) -> sqlite3.Connection:
    """The connection of the one writer, whose commits are on disk when they return, with all tables of this version.

    Only its owner may read it; its log has the same mode. Raises OSError, or sqlite3.DatabaseError itself for a file
    that is damaged, a subclass of it where it cannot be written now, Newer where a newer paramedic wrote it.
    """
    if path != ":memory:":
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    db = _connect(path, "mode=rwc")
    try:
        if db.execute("pragma auto_vacuum").fetchone()[0] == 0:
            _let_it_shrink(db)
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = full")
        db.execute(f"pragma journal_size_limit = {WAL_KEPT_BYTES}")
        db.execute(f"pragma cache_size = -{CACHE_KIB}")
        said = db.execute("pragma quick_check(1)").fetchone()[0]
        if said != "ok":
            raise sqlite3.DatabaseError(said)
        _migrate(db)
        db.execute(f"pragma user_version = {VERSION}")  # a write: a full or read-only disk shows here
    except BaseException:
        db.close()
        raise
    return db


def _connect(path: str, how: str) -> sqlite3.Connection:
    target = f"{Path(path).absolute().as_uri()}?{how}" if path != ":memory:" else f"file:{path}"
    db = sqlite3.connect(target, uri=True, isolation_level=None, timeout=BUSY_MS / 1000)
    db.row_factory = sqlite3.Row
    return db


def _let_it_shrink(db: sqlite3.Connection) -> None:
    """What is deleted goes back to the disk; of an older journal's file once, where there is room for the copy."""
    db.execute("pragma auto_vacuum = incremental")
    with contextlib.suppress(sqlite3.OperationalError):
        db.execute("vacuum")


def _migrate(db: sqlite3.Connection) -> None:
    """Bring an older journal up to this version; one of a newer paramedic is not touched."""
    version = int(db.execute("pragma user_version").fetchone()[0])
    if version > VERSION + FAR:
        raise sqlite3.DatabaseError(f"it says that it is of version {version}")
    if version > VERSION:
        raise Newer(f"a newer paramedic wrote it (version {version}); use that one, or move it away")
    for step in range(version or VERSION, VERSION):
        db.executescript(f"begin; {_MIGRATIONS[step]} pragma user_version = {step + 1}; commit;")
    db.executescript(_SCHEMA)


def is_damage(error: Exception) -> bool:
    """Whether the file itself is broken, not what is around it; some of what SQLite says then is no text."""
    return type(error) is sqlite3.DatabaseError or isinstance(error, UnicodeDecodeError)


def set_aside(path: str, stamp: int) -> str:
    """Rename the files of a damaged journal, so that a new one can begin; the new name. Nothing is deleted."""
    aside = f"{path}.damaged-{stamp}"
    while os.path.lexists(aside):
        aside += "-more"
    for ending in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{path}{ending}", f"{aside}{ending}")
    return aside
