"""The connection of the one writer, and where it writes while the journal's own file cannot take anything.

The spare file is to lie on another file system (/run): an intent written there outlives the agent, and a machine that
loses it by losing power has lost the processes, too. What is in it goes back as soon as the journal can be written.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Callable, Mapping
from typing import TypeVar

from paramedic.host import clock
from paramedic.journal import schema

AGAIN_S = 60.0
MEMORY = ":memory:"
CURRENT = {
    "incidents": "select * from incidents where closed is null",
    "attempts": "select * from attempts where started > ? or status in ('running', 'done') "
    "or id = (select max(id) from attempts)",
    "known": "select * from known",
    "slots": "select * from slots",
}
ALL = {table: f"select * from {table}" for table in (*CURRENT, "holds")}  # noqa: S608
_RECENT_S = 21 * 86400.0
_FAILURES = (sqlite3.Error, OSError)
Written = TypeVar("Written")
log = logging.getLogger(__name__)


class Keeper:
    """`trouble` says why the own file cannot be written, `damaged` where a broken one was put."""

    def __init__(self, path: str, spare: str, prove: Callable[[sqlite3.Connection], None]) -> None:
        """`prove` raises sqlite3.DatabaseError where what an agent recalls at its start cannot be read."""
        self._path, self._spare, self._prove = path, spare, prove
        self.trouble: str | None = None
        self.damaged: str | None = None
        self.floor = 0
        self._again_at = 0.0
        self._place = path
        try:
            self.db = self._whole(path)
            self._take_back()
        except _FAILURES as error:
            self._begin_elsewhere(error)

    @property
    def is_durable(self) -> bool:
        """Whether what is written outlives the agent."""
        return self._place != MEMORY

    def is_elsewhere(self) -> bool:
        """Whether the own file still cannot be written; now and then it is tried."""
        if self._place != self._path and clock.monotonic() > self._again_at:
            self._return()
        return self._place != self._path

    def durably(self, write: Callable[[], Written]) -> Written:
        """Write all of it or nothing, wherever it can be written; raises sqlite3.Error where it cannot at all."""
        if self.db.in_transaction:
            return write()
        self.is_elsewhere()
        while True:
            try:
                return self._at_once(write)
            except sqlite3.Error as error:
                if not self.is_durable:
                    raise
                self._begin_elsewhere(error)

    def _at_once(self, write: Callable[[], Written]) -> Written:
        self.db.execute("begin immediate")
        try:
            written = write()
            self.db.execute("commit")
        except BaseException:
            if self.db.in_transaction:
                self.db.execute("rollback")
            raise
        return written

    def close(self) -> None:
        """Give the file back; what is in the spare one stays there for the next agent."""
        self.db.close()

    def _whole(self, path: str) -> sqlite3.Connection:
        """A connection to this file; where it is damaged it is set aside and a new one begun."""
        try:
            db = schema.writable(path)
            self._prove(db)
            return db
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            if not schema.is_damage(error):
                raise
            aside = schema.set_aside(path, int(clock.wall()))
            self.damaged = f"it was damaged ({error}); it is kept as {aside}, and a new one was begun"
            log.error("the journal %s: %s", path, self.damaged)
            return schema.writable(path)

    def _begin_elsewhere(self, error: Exception) -> None:
        """Go on in the spare file, and where that cannot be written either in memory, with what is current."""
        before = getattr(self, "db", None)
        places = [self._spare, MEMORY] if self._place == self._path and self._spare else [MEMORY]
        self.trouble = f"{self._place}: {error}" if self.trouble is None else f"{self.trouble}; {self._place}: {error}"
        self._again_at = clock.monotonic() + AGAIN_S
        for place in places:
            is_left, damaged = os.path.exists(place), self.damaged
            try:
                db = self._whole(place)
                is_left = is_left and self.damaged == damaged
                break
            except _FAILURES as another:
                self.trouble += f"; {place}: {another}"
        if not is_left:
            self._seed(before, db)
        if before is not None:
            before.close()
        self.db, self._place = db, place
        log.error("cannot write the journal: %s; going on in %s", self.trouble, place)

    def _seed(self, before: sqlite3.Connection | None, db: sqlite3.Connection) -> None:
        """Take along what is current. Where it cannot be read, new ids begin beyond all that there may be."""
        try:
            source = before or schema.read_only(self._path)
            carry(source, db, CURRENT)
            if before is None:
                source.close()
        except _FAILURES as error:
            self.floor = int(clock.wall())
            log.warning("what the journal %s holds cannot be taken along: %s", self._path, error)

    def _return(self) -> None:
        self._again_at = clock.monotonic() + AGAIN_S
        try:
            own = self._whole(self._path)
            carry(self.db, own, ALL)
        except _FAILURES as error:
            self.trouble = f"{self._path}: {error}"
            return
        self.db.close()
        self.db, self._place, self.trouble, self.floor = own, self._path, None, 0
        self._remove_spare()
        log.info("the journal %s can be written again, and has what was kept elsewhere", self._path)

    def _take_back(self) -> None:
        """What an earlier agent could only write into the spare file."""
        if not (self._spare and os.path.exists(self._spare)):
            return
        left = self._whole(self._spare)
        carry(left, self.db, ALL)
        left.close()
        self._remove_spare()

    def _remove_spare(self) -> None:
        for ending in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self._spare}{ending}")


def carry(source: sqlite3.Connection, target: sqlite3.Connection, queries: Mapping[str, str]) -> None:
    """Write the rows that the queries find in `source` into `target`, all of them or none."""
    target.execute("begin immediate")
    try:
        for table, query in queries.items():
            found = source.execute(query, (clock.wall() - _RECENT_S,) if "?" in query else ()).fetchall()
            for row in found:
                names, marks = ",".join(row.keys()), ",".join("?" * len(row))
                target.execute(f"insert or replace into {table} ({names}) values ({marks})", tuple(row))  # noqa: S608
        target.execute("commit")
    except BaseException:
        if target.in_transaction:
            target.execute("rollback")
        raise
