"""The samples of many passes in one compressed block: a column for each field, one value where it did not change."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from paramedic.journal.readings import (
    ID,
    Beside,
    beside_of,
    beside_to_json,
    is_subject,
    subject_from_json,
    subject_of,
    unknown_to_json,
)
from paramedic.journal.store import Journal
from paramedic.model.facts import Facts, Subject, SubjectFacts, Unknown
from paramedic.model.readings import USER_HZ, Identity, age_s

BLOCK_S = 60.0
MOST_WAITING = 12
DAMAGED = (ValueError, TypeError, LookupError, AttributeError, OverflowError)
ABSENT, AGED, CONSTANT = "~absent", "~aged", "="
_AGES = ("age", "uptime")  # a subject has one of them at most
FAST = 3  # of zlib: a sixth larger than its usual 6, in a third of the time
Document = dict[str, Any]
Row = tuple[object, ...]


class Stretch:
    """One subject through passes without a gap, with the same fields and the same beside them: a row for each pass."""

    __slots__ = ("_aged_at", "begins", "beside", "paths", "rows")

    def __init__(self, begins: int, paths: tuple[str, ...], beside: Beside) -> None:
        self.begins, self.paths, self.beside = begins, paths, beside
        self.rows: list[Row] = []
        self._aged_at = next((at for at, path in enumerate(paths) if path in _AGES), -1)

    def add(self, found: SubjectFacts, up_s: float) -> None:
        """Its values in one more pass; an age that follows from its start is AGED."""
        row, identity, at, rows = [*found.fields.values()], found.identity, self._aged_at, self.rows
        if identity is not None and at >= 0 and row[at] == age_s(identity, up_s):
            row[at] = AGED
        told = tuple(row)
        rows.append(rows[-1] if rows and rows[-1] == told else told)


class Block:
    """Passes of one boot: while they wait for the disk a row for each subject, on the disk a column for each field.

    How old a process was is not kept: that follows from when it started and how long the host was `up` in each pass.
    """

    def __init__(self, boot_id: str = "") -> None:
        self._boot_id = boot_id
        self.walls: list[float] = []
        self.monotonics: list[float] = []
        self._up: list[float] = []
        self._told: dict[Subject, list[Stretch]] = {}

    def add(self, facts: Facts) -> None:
        """One more pass."""
        at, told, up_s = len(self.walls), self._told, _up_s(facts)
        self.walls.append(facts.wall)
        self.monotonics.append(facts.monotonic)
        self._up.append(up_s)
        for subject, found in facts.subjects.items():
            if not found.fields:
                continue
            stretches = told.get(subject)
            if stretches is None:
                stretches = told[subject] = []
            last = stretches[-1] if stretches else None
            beside, paths = beside_of(found), tuple(found.fields)
            goes_on = last is not None and last.begins + len(last.rows) == at
            if last is None or not goes_on or last.paths != paths or last.beside != beside:
                stretches.append(last := Stretch(at, paths, beside))
            last.add(found, up_s)

    def packed(self) -> bytes:
        """All of it, compressed."""
        count = len(self.walls)
        subjects = {str(subject): _columns(stretches, count) for subject, stretches in self._told.items()}
        times = {"wall": self.walls, "monotonic": self.monotonics, "up": self._up}
        block = {**times, "boot": self._boot_id, "subjects": subjects}
        text = json.dumps(block, separators=(",", ":"), default=unknown_to_json)
        return zlib.compress(text.encode("utf-8", "surrogatepass"), FAST)


def _up_s(facts: Facts) -> float:
    """How long the host had been up, by the age of the first process that has one; 0 without any."""
    for found in facts.subjects.values():
        age = found.fields.get("age", found.fields.get("uptime"))
        if found.identity is not None and isinstance(age, float):
            return round(age + found.identity.start_ticks / USER_HZ, 2)
    return 0.0


def _columns(stretches: Sequence[Stretch], count: int) -> dict[str, object]:
    """Each field through `count` passes; what is always the same is told once, under CONSTANT."""
    first, constant = stretches[0], dict[str, object]()
    columns: dict[str, Sequence[object]]
    if len(first.rows) == count:
        constant = beside_to_json(first.beside)
        if first.rows.count(first.rows[0]) == count:
            return {CONSTANT: dict(zip(first.paths, first.rows[0], strict=True)) | constant}
        columns = dict(zip(first.paths, zip(*first.rows, strict=True), strict=False))
    else:
        columns = _with_gaps(stretches, count)
    constant |= {path: column[0] for path, column in columns.items() if column.count(column[0]) == count}
    return {CONSTANT: constant} | {path: column for path, column in columns.items() if path not in constant}


def _with_gaps(stretches: Iterable[Stretch], count: int) -> dict[str, Sequence[object]]:
    """ABSENT in the passes of others."""
    columns: dict[str, list[object]] = {}
    for one in stretches:
        beside = {path: (value,) * len(one.rows) for path, value in beside_to_json(one.beside).items()}
        for path, values in (*zip(one.paths, zip(*one.rows, strict=True), strict=False), *beside.items()):
            column = columns.setdefault(path, [])
            column += [ABSENT] * (one.begins - len(column))
            column += values
    return {path: [*column, *[ABSENT] * (count - len(column))] for path, column in columns.items()}


class Recorder:
    """Collects the passes of a minute and writes them as one block: what is lost with a killed agent is a minute."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._block = Block(journal.boot_id)
        self.failure: str | None = None

    def take(self, facts: Facts) -> None:
        """Keep one pass."""
        block = self._block
        block.add(facts)
        is_full = facts.monotonic - block.monotonics[0] >= BLOCK_S or len(block.walls) >= MOST_WAITING
        if is_full or facts.wall < block.walls[0]:
            self.flush()

    def flush(self) -> None:
        """Write what waits. A journal that cannot take it costs the record, not the healing."""
        block, self._block = self._block, Block(self._journal.boot_id)
        if not block.walls:
            return
        try:
            self._journal.save_samples(min(block.walls), max(block.walls), block.packed())
            self.failure = None
        except sqlite3.Error as error:
            self.failure = f"{type(error).__name__}: {error}"


def unpack(packed: bytes) -> Document:
    """The block as a document of columns; raises ValueError where it is damaged."""
    try:
        block: Document = json.loads(zlib.decompress(packed))
        count = len(block["wall"])
        times = (*block["wall"], *block["monotonic"])
        if len(block["monotonic"]) != count or not all(isinstance(at, int | float) for at in times):
            raise ValueError("a block of samples is damaged: its times are none")
        for table in block["subjects"].values():
            table |= {path: [value] for path, value in table.pop(CONSTANT, {}).items()}
            for path, column in table.items():
                table[path] = _decoded(path, column, count)
            _tell_ages(table, block.get("up", ()))
        return block
    except (zlib.error, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"a block of samples is damaged: {error!r}") from error


def _decoded(path: str, column: list[Any], count: int) -> list[Any]:
    if len(column) not in (1, count):
        raise ValueError("a block of samples is damaged: its columns differ in length")
    decoded = [Unknown(v["unknown"]) if isinstance(v, dict) else v for v in column] if path[0] != "~" else column
    return decoded * count if len(decoded) == 1 else decoded


def _tell_ages(table: Document, up: Sequence[float]) -> None:
    """In the place of AGED, from its start."""
    for path in _AGES:
        if AGED in table.get(path, ()):
            told = zip(table[path], table[ID], up, strict=True)
            table[path] = [age_s(Identity(*one), up_s) if age == AGED else age for age, one, up_s in told]


def facts_of(block: Mapping[str, Any]) -> Iterator[Facts]:
    """The facts of each pass of an unpacked block. A subject with no field in a pass was not there."""
    tables = [_Table(subject_of(name), table) for name, table in block["subjects"].items() if is_subject(name)]
    for at, (wall, monotonic) in enumerate(zip(block["wall"], block["monotonic"], strict=True)):
        found = {table.subject: facts for table in tables if (facts := table.facts(at)) is not None}
        yield Facts(monotonic, wall, found)


class _Table:
    """The columns of one subject; one that looks as in the pass before is not made anew."""

    def __init__(self, subject: Subject, table: Mapping[str, list[Any]]) -> None:
        self.subject = subject
        self._paths = tuple(table)
        self._rows = list(zip(*table.values(), strict=True))
        self._last: tuple[Any, SubjectFacts | None] = (None, None)

    def facts(self, at: int) -> SubjectFacts | None:
        """The subject in pass `at`, None where it was not there."""
        row = self._rows[at]
        if row != self._last[0]:
            fields = {path: value for path, value in zip(self._paths, row, strict=True) if value != ABSENT}
            self._last = (row, subject_from_json(self.subject, fields) if fields else None)
        return self._last[1]


def recorded(blocks: Iterable[bytes], since: float) -> Iterator[Facts]:
    """Every recorded pass from `since` (epoch seconds) on; damaged blocks are left out."""
    for packed in blocks:
        try:
            block = unpack(packed)
            found = [facts for facts in facts_of(block) if facts.wall >= since]
        except DAMAGED:
            continue
        yield from found


class Recalls(Protocol):
    """What can take over readings of an earlier agent."""

    @property
    def longest_s(self) -> float:
        """How far back it looks."""

    def paths(self, kind: str) -> set[str]:
        """The fields it looks at."""

    def recall(self, subject: Subject, path: str, readings: Iterable[tuple[float, float | Unknown]]) -> None:
        """Take readings (monotonic, value), oldest first."""


def recall_windows(journal: Journal, past: Recalls, wall: float, monotonic: float) -> None:
    """Feed the recorded readings that windows look back on; the wall clock bridges the time between two boots."""
    if not past.longest_s:
        return
    for packed in journal.samples(wall - past.longest_s):
        with contextlib.suppress(*DAMAGED):
            _recall_block(unpack(packed), journal.boot_id, past, wall, monotonic)


def _recall_block(block: Document, boot_id: str, past: Recalls, wall: float, monotonic: float) -> None:
    """Readings that another boot's clock puts after now are not taken: they would shut out the real ones."""
    is_this_boot = bool(boot_id) and block.get("boot") == boot_id
    times = block["monotonic"] if is_this_boot else [monotonic - (wall - at) for at in block["wall"]]
    for name, table in block["subjects"].items():
        if not is_subject(name):
            continue
        subject = subject_of(name)
        for path in past.paths(subject.kind) & table.keys():
            past.recall(subject, path, [(at, v) for at, v in _numbers(times, table[path]) if at < monotonic])


def _numbers(times: Iterable[float], column: Iterable[Any]) -> Iterator[tuple[float, float | Unknown]]:
    for at, value in zip(times, column, strict=True):
        if not isinstance(value, str):
            yield at, value
