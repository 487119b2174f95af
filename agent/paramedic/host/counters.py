"""Single numbers out of the tables the kernel writes: /proc/meminfo, /proc/vmstat, memory.stat, memory.events, PSI.

One number is looked up, not the whole table parsed: vmstat has two hundred lines and a pass wants three of them.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping

MOST_DIGITS = 20


def counter(table: str, name: str) -> int | None:
    """The whole number behind `name` or `name:` at the start of a line; None where there is none."""
    first, later = _lines(name)
    found = later.search(table) or first.match(table)
    return int(found[1]) if found else None


@functools.lru_cache(maxsize=64)
def _lines(name: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """The line of a name, as the first of a table and as a later one: with a text to begin with the search is quick."""
    line = rf"{re.escape(name)}(?::[ \t]*|[ \t]+)(\d{{1,{MOST_DIGITS}}})(?!\S)"
    return re.compile(line, re.ASCII), re.compile(rf"\n{line}", re.ASCII)


def whole(word: str) -> int | None:
    """A number of the kernel; None for anything else, e.g. `max`."""
    word = word.strip()
    return int(word) if word.isascii() and word.isdigit() and len(word) <= MOST_DIGITS else None


@functools.lru_cache(maxsize=4)
def stalls(text: str) -> Mapping[str, float]:
    """`some avg10` -> percent, of a PSI file (kernel: Documentation/accounting/psi.rst); what cannot be is left out."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        words = line.split()
        for word in words[1:]:
            name, _, value = word.partition("=")
            share = _percent(value) if name.startswith("avg") else None
            if share is not None:
                found[f"{words[0]} {name}"] = share
    return found


def _percent(word: str) -> float | None:
    try:
        value = float(word)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0.0 <= value <= 100.0 else None
