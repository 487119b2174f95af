"""docs/reliability.md: one line for each kind of proof, from what the runs wrote down last.

`python -m harness.reliability` writes it anew. A line whose run was not made here since the last `make clean` stays as
it stands in the page.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness.figures import FIGURES
from stack.crash_table import CRASHES

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "reliability.md"
MIB = 2**20
HEAD = """# Reliability

What was tried on paramedic itself, and what came of it. Every figure was written by a run of the command beside it, on
the day beside it; nothing here is typed by hand. What fails writes nothing.

| what was tried | what came of it | by | on |
|---|---|---|---|
"""
FOOT = """
- **Faults.** Each row of [the fault table](fault-table.md) is made on real supervisord and Daphne processes, on three
  versions of supervisor, as root and as an ordinary user. [Chaos](chaos.md) mixes them at random.
- **kill -9.** The agent kills itself after a step of a repair: the intent is on disk and nothing done, a file is moved,
  a signal sent, the daemon launched, the outcome booked. The next agent must end it well: everything serves, nothing is
  open, nothing was started twice, what must not restart is the same process. A test fails for a step in the source
  that the table (`tests/stack/crash_table.py`) does not have. `PARAMEDIC_FAILPOINT` is for these tests; unset, as in
  the unit, a step costs one comparison.
- **The journal** is torn at random bytes of its log, has bits flipped and is cut off. It opens with a whole beginning
  of what was written, or is set aside and begun anew. For full and read-only disks see
  [ADR 23](adr/0023-a-journal-that-cannot-be-written.md).
- **The week** is the agent's own pass on a real stack, its clock put on by six seconds each time; sockets are deleted
  and restored all along.
"""
Cells = tuple[str, str, str]


def _note(name: str) -> dict[str, Any] | None:
    path = FIGURES / f"{name}.json"
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text())
    return {"day": time.strftime("%Y-%m-%d", time.gmtime(path.stat().st_mtime))} | found


def _parts(run: str) -> list[dict[str, Any]]:
    return [found for path in sorted(FIGURES.glob(f"{run}.*.json")) if (found := _note(path.stem))]


def _faults() -> Cells | None:
    count = len(re.findall(r"^\| `", (DOCS / "fault-table.md").read_text(), re.MULTILINE))
    return (
        f"{count} faults, each named and healed or refused as the table says",
        "make test",
        "[its page](fault-table.md)",
    )


def _chaos() -> Cells | None:
    said = re.search(r"^- (\d+ of \d+ sequences ended healthy)", (DOCS / "chaos.md").read_text(), re.MULTILINE)
    return (said[1], "make chaos", "[its page](chaos.md)") if said else None


def _crash() -> Cells | None:
    parts = _parts("crash")
    points = [(point, took) for part in parts for point, took in part["points"].items()]
    if len(parts) < len(CRASHES):
        return None
    actions = {point.partition(":")[0] for point, _ in points} - {"MainThread"}
    took = sorted(seconds for _, seconds in points)
    ends = f"each ended healthy, in {statistics.median(took):.0f} s in the middle, {took[-1]:.0f} s at worst"
    said = f"{len(points)} deaths after a step of {len(actions)} actions: {ends}"
    return said, "make crash", max(part["day"] for part in parts)


def _journal() -> Cells | None:
    torn, flipped = _note("journal.torn"), _note("journal.flipped")
    if torn is None or flipped is None:
        return None
    said = f"{torn['torn']} torn and {flipped['flipped']} damaged: none kept the agent from starting or half a record"
    return said, "make test", torn["day"]


def _soak() -> Cells | None:
    found = _note("soak.week")
    if found is None:
        return None
    early, last, few = found["early"], found["last"], found["fewest"]
    grew = (last["rss"] - early["rss"]) / MIB
    said = (
        f"{found['passes']:,} passes with {last['healed']} repairs in {found['seconds'] // 60} min: "
        f"{last['rss'] / MIB:.1f} MiB, {grew:+.1f} MiB since the first quarter; descriptors {few[0]}, then {few[1]}; "
        f"journal {last['journal'] / MIB:.0f} MiB"
    )
    return said, "make soak", found["day"]


def _fuzz() -> Cells | None:
    found = _note("fuzz")
    if found is None:
        return None
    said = f"{found['inputs']:,} inputs to {len(found['targets'])} readers: no crash, no hang, no action"
    return said, "make fuzz", found["day"]


def _exposure() -> Cells | None:
    found = _note("system")
    return (f"{found['exposure']} (0 is best, 10 worst)", "make test-system", found["day"]) if found else None


ROWS: dict[str, Callable[[], Cells | None]] = {
    "faults of the table": _faults,
    "random sequences of faults": _chaos,
    "kill -9 of the agent": _crash,
    "torn and damaged journals": _journal,
    "a compressed week": _soak,
    "fuzzed input": _fuzz,
    "exposure of the unit (`systemd-analyze security`)": _exposure,
}


def _stands() -> Iterator[tuple[str, str]]:
    """The lines of the page as it is, by what was tried."""
    if PAGE.exists():
        for line in PAGE.read_text().splitlines():
            if line.startswith("| ") and line.count("|") == 5:
                yield line.split("|")[1].strip(), line


def write() -> None:
    """Write the page, whole at once: another run may read it."""
    before = dict(_stands())
    lines = []
    for name, read in ROWS.items():
        cells = read()
        old = before.get(name, "")
        if cells and old.split("|")[2:4] == [f" {cells[0]} ", f" `{cells[1]}` "]:
            lines.append(old)
        elif cells:
            lines.append(f"| {name} | {cells[0]} | `{cells[1]}` | {cells[2]} |")
        elif old:
            lines.append(old)
    fresh = PAGE.with_name(f".{PAGE.name}.{os.getpid()}")
    fresh.write_text(HEAD + "\n".join(lines) + "\n" + FOOT)
    fresh.replace(PAGE)


if __name__ == "__main__":
    write()
