"""The tables: what each column shows, in which order columns make room, and in which order rows come. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from paramedic.model.facts import Unknown
from paramedic.top.cells import (
    NONE,
    age_text,
    cells,
    count_text,
    old_text,
    padded,
    printable,
    rate_text,
    size_text,
    slope_text,
)
from paramedic.top.seen import Number, Other, ProgramRow, Sizes, WorkerRow

LONGEST = 40
GAP = "  "
READ_AGO = "READ AGO"
_READ = ("PSS", "USS", "SWAP")
Row = TypeVar("Row", WorkerRow, ProgramRow)


@dataclass(frozen=True, slots=True)
class Column:
    """`yields`: the higher, the sooner it makes room in a narrow terminal, 0 never; `needed`: shown though blank."""

    head: str
    yields: int = 0
    is_left: bool = False
    needed: bool = True


@dataclass(frozen=True, slots=True)
class Cells:
    """One row as texts by the heads of columns; a head without a text is blank."""

    texts: Mapping[str, str]
    is_bad: bool = False


_MEMORY = (
    Column("RSS"),
    Column("PSS", yields=5),
    Column("USS", yields=3),
    Column("SWAP", yields=11),
    Column(READ_AGO, yields=2, needed=False),
    Column("SLOPE/H", yields=4),
)
_WHY = Column("DIAGNOSIS", yields=1, is_left=True, needed=False)
WORKER_COLUMNS = (
    Column("ID"),
    Column("PID", yields=7),
    Column("STATUS", is_left=True),
    Column("REQUESTS", yields=6),
    Column("REQ/S", yields=8),
    Column("EXC", yields=10),
    Column("HARAKIRI", yields=12),
    *_MEMORY,
    Column("AGE", yields=9),
    _WHY,
)
PROGRAM_COLUMNS = (
    Column("PROGRAM", is_left=True),
    Column("STATE", is_left=True),
    Column("PID", yields=7),
    Column("PROCS", yields=8),
    *_MEMORY,
    Column("CONN", yields=6),
    Column("AGE", yields=9),
    _WHY,
)
SORTS: Mapping[str, Callable[[WorkerRow | ProgramRow], Number]] = {
    "rss": lambda row: row.sizes.rss,
    "pss": lambda row: row.sizes.pss,
    "uss": lambda row: row.sizes.uss,
    "slope": lambda row: row.sizes.slope,
    "requests": lambda row: row.requests if isinstance(row, WorkerRow) else 0,
}


def in_order(rows: Sequence[Row], by: str) -> list[Row]:
    """The largest first and the unknown last; by `id` as they are. A tie keeps that order."""
    value = SORTS.get(by)
    if value is None:
        return list(rows)

    def place(row: Row) -> tuple[bool, float]:
        found = value(row)
        return (True, 0.0) if isinstance(found, Unknown) else (False, -float(found))

    return sorted(rows, key=place)


def worker_cells(row: WorkerRow) -> Cells:
    """One worker; while it has no process there is nothing to measure, and before its first uWSGI gives it no id."""
    texts = {
        "ID": str(row.id or NONE),
        "PID": NONE if row.pid is None else str(row.pid),
        "STATUS": printable(row.status, 10),
        "REQUESTS": str(row.requests),
        "REQ/S": rate_text(row.rate),
        "EXC": str(row.exceptions),
        "HARAKIRI": str(row.harakiris),
        **_sizes(row.sizes),
        "AGE": age_text(row.age),
        "DIAGNOSIS": ", ".join(row.diagnoses),
    }
    return Cells(texts, bool(row.diagnoses))


def other_cells(other: Other) -> Cells:
    """A process of the instance that is no worker."""
    memory = {"RSS": size_text(other.rss), "AGE": age_text(other.age)}
    return Cells({"PID": str(other.pid), "STATUS": printable(other.what, 16), **memory})


def program_cells(row: ProgramRow) -> Cells:
    """One program."""
    texts = {
        "PROGRAM": printable(row.name, LONGEST),
        "STATE": printable(row.state, 10),
        "PID": NONE if row.pid is None else str(row.pid),
        "PROCS": count_text(row.processes),
        **_sizes(row.sizes),
        "CONN": count_text(row.connections),
        "AGE": age_text(row.age),
        "DIAGNOSIS": ", ".join(row.diagnoses),
    }
    return Cells(texts, bool(row.diagnoses))


def _sizes(sizes: Sizes) -> dict[str, str]:
    return {
        "RSS": size_text(sizes.rss),
        "PSS": size_text(sizes.pss),
        "USS": size_text(sizes.uss),
        "SWAP": size_text(sizes.swap),
        READ_AGO: old_text(sizes.read_age),
        "SLOPE/H": slope_text(sizes.slope),
    }


def table(columns: Sequence[Column], rows: Sequence[Cells], width: int) -> list[tuple[str, bool]]:
    """The head and the rows, each with whether it is bad: columns make room until the rest fits in `width` cells."""
    widths = {one.head: _width(one, rows) for one in columns}
    shown = [one for one in columns if one.needed or any(row.texts.get(one.head) for row in rows)]
    while _total(shown, widths) > width and any(one.yields for one in shown):
        shown.remove(max(shown, key=lambda one: one.yields))
    if not any(one.head in _READ for one in shown):
        shown = [one for one in shown if one.head != READ_AGO]

    def line(texts: Mapping[str, str]) -> str:
        return GAP + GAP.join(padded(texts.get(one.head, ""), widths[one.head], one.is_left) for one in shown)

    return [(line({one.head: one.head for one in shown}), False), *((line(row.texts), row.is_bad) for row in rows)]


def _width(column: Column, rows: Sequence[Cells]) -> int:
    return max(len(column.head), *(cells(row.texts.get(column.head, "")) for row in rows), 0)


def _total(shown: Sequence[Column], widths: Mapping[str, int]) -> int:
    return sum(len(GAP) + widths[one.head] for one in shown)
