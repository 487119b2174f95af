"""Rows as the lines of a terminal: aligned, cut to its width, with nothing in them but what can be printed. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import Enum

from paramedic.model.facts import Unknown, Value
from paramedic.model.units import render_bytes
from paramedic.top.cells import cells, old_text, printable, rate_text, size_text, slope_text
from paramedic.top.columns import (
    PROGRAM_COLUMNS,
    WORKER_COLUMNS,
    Cells,
    Column,
    in_order,
    other_cells,
    program_cells,
    table,
    worker_cells,
)
from paramedic.top.keys import HELP
from paramedic.top.seen import Daemon, Instance, Seen, Sizes

INDENT = "  "
MOST_SAID = 1000


class Kind(Enum):
    """What a line is, for how it looks."""

    PLAIN = "plain"
    TITLE = "title"
    HEAD = "head"


@dataclass(frozen=True, slots=True)
class Line:
    """One line, which fits; `is_bad`: it tells of something that is not well."""

    text: str
    kind: Kind = Kind.PLAIN
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """The lines that stay on top, those that scroll, and those that stay at the foot."""

    top: tuple[Line, ...]
    body: tuple[Line, ...]
    foot: tuple[Line, ...]


def page(seen: Seen, by: str, width: int, zone: tzinfo) -> Page:
    """Everything one look shows, sorted by `by`, in lines of at most `width` cells."""
    body: list[Line] = []
    for instance in seen.uwsgi:
        body += [*_instance(instance, by, width), Line("")]
    for daemon in seen.supervisor:
        body += [*_daemon(daemon, by, width), Line("")]
    body += [Line(f"{subject}: {diagnosis}", is_bad=True) for subject, diagnosis in seen.elsewhere]
    top = [Line(_fitting(_host(seen, zone), width), Kind.TITLE), Line(seen.agent)]
    return Page(_cut(top, width), _cut(body, width), _cut(_notes(seen, width), width))


def helping(width: int) -> tuple[Line, ...]:
    """The help, wrapped: it is read, not scanned."""
    lines: list[Line] = []
    for text in HELP.splitlines():
        lines += [Line(part) for part in textwrap.wrap(text, max(20, width), subsequent_indent="   ") or [""]]
    return _cut(lines, width)


def window(body: Sequence[Line], offset: int, height: int) -> list[Line]:
    """The `height` lines from `offset` on; the head of a table that is scrolled into stays in sight."""
    shown = list(body[offset : offset + height])
    above = next((line for line in reversed(body[:offset]) if line.kind is not Kind.PLAIN), None)
    if len(shown) > 1 and above is not None and above.kind is Kind.HEAD and shown[0].kind is Kind.PLAIN:
        shown[0] = above
    return shown


def _cut(lines: Iterable[Line], width: int) -> tuple[Line, ...]:
    return tuple(Line(printable(line.text, width).rstrip(), line.kind, line.is_bad) for line in lines)


def _fitting(parts: Sequence[str], width: int) -> str:
    """As many of the parts as fit, the first ones first."""
    text = parts[0]
    for part in parts[1:]:
        if cells(text) + 2 + cells(part) > width:
            break
        text = f"{text}  {part}"
    return text


def _host(seen: Seen, zone: tzinfo) -> list[str]:
    host = seen.host
    total, available = host.get("memory.total"), host.get("memory.available")
    used = host.get("memory.used_percent")
    if isinstance(total, int) and isinstance(available, int) and isinstance(used, float):
        parts = [f"memory {render_bytes(total - available)} of {render_bytes(total)} used ({used:.1f} %)"]
    else:
        parts = [f"memory: cannot tell: {total.reason if isinstance(total, Unknown) else 'it was not read'}"]
    parts += [_swap(seen), _pressure(host.get("pressure.memory.some_avg10"), host.get("pressure.memory.full_avg10"))]
    parts.append("load " + " ".join(f"{one:.2f}" for one in seen.load) if seen.load else "load -")
    return [*parts, datetime.fromtimestamp(seen.wall, zone).strftime("%H:%M:%S")]


def _swap(seen: Seen) -> str:
    total, free = seen.swap_total, seen.host.get("swap.free")
    if isinstance(total, Unknown) or not isinstance(free, int):
        return "swap -"
    return f"swap {render_bytes(total - free)} of {render_bytes(total)} used" if total else "no swap"


def _pressure(some: Value | None, full: Value | None) -> str:
    if not isinstance(some, float) or not isinstance(full, float):
        return "PSI -"
    return f"PSI some {some:.1f} % full {full:.1f} %"


def _instance(one: Instance, by: str, width: int) -> list[Line]:
    named = f"uwsgi {one.name}"
    if one.sizes is None:
        return _troubled(named, one.diagnoses, one.trouble, width)
    counts = one.counts
    parts = [
        _with_diagnoses(named, one.diagnoses),
        f"version {one.version}",
        f"master {one.master}",
        one.mode,
        f"workers {counts['workers']}: {counts['accepting']} accepting",
        *(f"{counts[state]} {state}" for state in ("busy", "idle", "booting") if counts[state] or state != "booting"),
        f"queue {counts['listen_queue']}",
        f"requests/s {rate_text(one.rate)}",
        f"respawns {counts['respawns']}",
        f"harakiris {counts['harakiris']}",
    ]
    rows = [*map(worker_cells, in_order(one.workers, by)), *map(other_cells, one.others)]
    return [
        *_title(parts, bool(one.diagnoses), width),
        *_title(_sums(one.sizes), False, width, Kind.PLAIN),
        *_table(WORKER_COLUMNS, rows, width),
    ]


def _table(columns: Sequence[Column], rows: Sequence[Cells], width: int) -> list[Line]:
    found = table(columns, rows, width)
    return [Line(text, Kind.PLAIN if at else Kind.HEAD, is_bad) for at, (text, is_bad) in enumerate(found)]


def _sums(sizes: Sizes) -> list[str]:
    parts = [f"{INDENT}workers' RSS {size_text(sizes.rss)}", f"PSS {size_text(sizes.pss)}"]
    old = old_text(sizes.read_age)
    read = f" (read up to {old} ago)" if old else ""
    return [*parts, f"USS {size_text(sizes.uss)}{read}", f"slope/h {slope_text(sizes.slope)}"]


def _daemon(one: Daemon, by: str, width: int) -> list[Line]:
    named = f"supervisor {one.name}"
    if one.trouble:
        return _troubled(named, one.diagnoses, one.trouble, width)
    running, fatal = one.fields.get("running"), one.fields.get("fatal")
    parts = [_with_diagnoses(named, one.diagnoses), f"pid {one.pid}" if one.pid else "no daemon"]
    if isinstance(running, int) and isinstance(fatal, int):
        known = [row for row in one.programs if row.state != "orphan"]
        parts.append(f"programs {len(known)}: {running} running, {fatal} fatal")
    lines = _title(parts, bool(one.diagnoses), width)
    if one.programs:
        lines += _table(PROGRAM_COLUMNS, [program_cells(row) for row in in_order(one.programs, by)], width)
    return lines


def _with_diagnoses(named: str, diagnoses: Sequence[str]) -> str:
    return f"{named}: {', '.join(diagnoses)}" if diagnoses else named


def _title(parts: Sequence[str], is_bad: bool, width: int, kind: Kind = Kind.TITLE) -> list[Line]:
    """The parts in as many lines as they need."""
    lines: list[Line] = []
    left = list(parts)
    while left:
        text = _fitting(left, width - len(INDENT) * bool(lines))
        taken = next(n for n in range(len(left), 0, -1) if "  ".join(left[:n]) == text)
        lines.append(Line(INDENT * bool(lines) + text, kind, is_bad and not lines))
        left = left[taken:]
    return lines


def _troubled(named: str, diagnoses: Sequence[str], trouble: str, width: int) -> list[Line]:
    """Why nothing else can be shown of it, in full: the reason is all there is."""
    why = printable(_with_way_out(trouble if diagnoses else f"cannot tell: {trouble}"), MOST_SAID)
    wrapped = textwrap.wrap(why, max(20, width - len(INDENT)))
    return [Line(_with_diagnoses(named, diagnoses), Kind.TITLE, True), *(Line(f"{INDENT}{text}") for text in wrapped)]


def _notes(seen: Seen, width: int) -> list[Line]:
    """Why something is missing, each reason once, with the number of those it holds for."""
    shown = {f"uwsgi:{one.name}" for one in seen.uwsgi} | {f"supervisor:{one.name}" for one in seen.supervisor}
    by_reason: dict[str, list[str]] = {}
    for subject, reason in seen.unknown.items():
        if subject not in shown:
            by_reason.setdefault(reason, []).append(subject)
    notes = []
    for reason, subjects in by_reason.items():
        more = f" and {len(subjects) - 1} more" if len(subjects) > 1 else ""
        about = "" if subjects == ["stack"] else f"{subjects[0]}{more}: "
        said = printable(_with_way_out(f"{about}{reason}"), MOST_SAID)
        notes += [Line(text) for text in textwrap.wrap(said, max(20, width))]
    return notes


def _with_way_out(reason: str) -> str:
    return f"{reason}: run it as root" if "not allowed to read" in reason else reason
