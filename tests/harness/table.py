"""What the runs of the fault table saw, gathered over processes, and the page that is written of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NOTES = Path(__file__).parents[2] / ".fault-table"
PAGE = Path(__file__).parents[2] / "docs" / "fault-table.md"
HEAD = """# The fault table

Every row was run against real supervisord and Daphne processes: the fault made, named by `paramedic`, repaired or
refused, and the result looked at from outside with supervisorctl, /proc and HTTP. Written by `make test` from what it
saw, on supervisor {versions}: with agent and daemon as root (its socket given to a user by `chown=`), with the agent as
root and the daemon as an ordinary user, and with both as that user.

| diagnosis | the fault | what paramedic does | the programs | both root | agent root | both a user |
|---|---|---|---|---|---|---|
"""
USERS = ("both root", "root", "user")


def note(version: str, user: str, number: int, programs: str) -> None:
    """Write down that a row held for a version and a user, and what became of the programs."""
    NOTES.mkdir(exist_ok=True)
    path = NOTES / f"{version}-{user}.jsonl"
    with path.open("a") as file:
        file.write(json.dumps([number, programs]) + "\n")


def forget() -> None:
    """Begin anew."""
    for path in NOTES.glob("*.jsonl"):
        path.unlink()


def write(rows: Sequence[Any]) -> bool:
    """Write the page if every row was seen with at least three versions and all users; whether it was."""
    seen: dict[tuple[str, str], dict[int, str]] = {}
    for path in NOTES.glob("*.jsonl"):
        version, _, user = path.stem.partition("-")
        seen[version, user] = dict(json.loads(line) for line in path.read_text().splitlines())
    versions = sorted({version for version, _ in seen})
    if len(versions) < 3 or any(len(seen.get((v, u), {})) < len(rows) for v in versions for u in USERS):
        return False
    lines = []
    for number, row in enumerate(rows):
        programs = {found[number] for found in seen.values()}
        ticks = [" ".join(v for v in versions if number in seen[v, user]) for user in USERS]
        done = row.done + (f"; as an ordinary user: {row.as_user}" if row.as_user else "")
        cells = (f"`{row.diagnosis}`", row.fault, done, ", ".join(sorted(programs)), *ticks)
        lines.append(f"| {' | '.join(cells)} |")
    PAGE.write_text(HEAD.format(versions=", ".join(versions)) + "\n".join(lines) + "\n")
    return True
