"""A failed timeline test as a person reads it: what was seen, judged and decided, against what was expected."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from paramedic.model.units import render_seconds
from paramedic.rehearsal.play import Played, Row

MOST_RUNS = 6
HEADINGS = ("time", "seen", "verdict", "state", "decision")


def failure(played: Played) -> str:
    """The differences first, then the timeline of every policy and subject they are about; `>` marks their times."""
    lines = [f"FAIL {played.rehearsal.file}:{played.rehearsal.line}: {played.rehearsal.name}"]
    lines += [f"    {sentence}" for sentence in played.failures]
    for (policy, subject), rows in played.rows.items():
        about = f"{policy} on {subject}"
        if any(about in sentence for sentence in played.failures):
            lines += ["", f"    {about}", *(f"    {line}" for line in _timeline(rows, _wrong(played, about)))]
    return "\n".join(lines)


def _wrong(played: Played, about: str) -> set[str]:
    """The times at which this policy and subject differ."""
    told = (sentence.partition(f"{about} at ")[2] for sentence in played.failures)
    return {words.partition(":")[0] for words in told if words}


def _timeline(rows: Sequence[Row], wrong: set[str]) -> list[str]:
    table = [HEADINGS]
    marks = [" "]
    for alike in _alike(rows, wrong):
        first, last = render_seconds(alike[0].at_s), render_seconds(alike[-1].at_s)
        seen = alike[0].seen if alike[0].seen == alike[-1].seen else f"{alike[0].seen} -> {alike[-1].seen}"
        table.append((first if first == last else f"{first} - {last}", seen, *_judged(alike[0])))
        marks.append(">" if first in wrong else " ")
    widths = [max(len(row[at]) for row in table) for at in range(len(HEADINGS))]
    return [
        f"{mark} {'  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))}".rstrip()
        for mark, row in zip(marks, table, strict=True)
    ]


def _alike(rows: Sequence[Row], wrong: set[str]) -> list[list[Row]]:
    """Rows that are told in one line: judged alike, and seen alike or ever changing."""
    found: list[list[Row]] = []
    for _, judged in groupby(rows, key=lambda row: (_judged(row), render_seconds(row.at_s) in wrong)):
        alike = list(judged)
        runs = [list(run) for _, run in groupby(alike, key=lambda row: row.seen)]
        found += [alike] if len(runs) > MOST_RUNS else runs
    return found


def _judged(row: Row) -> tuple[str, str, str]:
    return row.verdict, row.state, row.decision
