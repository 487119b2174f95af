"""What the runs under load measured, gathered over processes, and docs/load.md, which is written of it."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.load import Latency

NOTES = Path(__file__).parents[2] / ".load"
PAGE = Path(__file__).parents[2] / "docs" / "load.md"
HEAD = """# Under load

Eight leaking workers are replaced under a constant load, and every request is counted. Written by `make test` from what
it measured while its other tests kept the same two cores busy: compare the lines with each other, this is no benchmark.

The load is an open loop: requests are due at a fixed rate, and latency runs from that moment, so a stall shows. `new`
is a new connection to uWSGI's `http-socket` for each request. `kept` is a lasting connection to nginx, which asks uWSGI
over a Unix socket, and once more where it gets no answer ([why](background.md#touch-chain-reload)). *Before* is without
paramedic; *during* is from its start, the fat workers being there, to the verified end. Requests that take a second run
beside it. None takes longer than `worker-reload-mercy`: uWSGI cuts those.

| uWSGI | action | connections | when | requests | per s | failed | p50 ms | p90 ms | p99 ms | worst ms |
|---|---|---|---|---|---|---|---|---|---|---|
"""


def note(run: str, uwsgi: str, action: str, took: str, rows: dict[tuple[str, str], tuple[Latency, int]]) -> None:
    """Write down a run: (connections, when) -> latency and failed requests; `took` tells of the repair."""
    NOTES.mkdir(exist_ok=True)
    cells = [[uwsgi, action, *key, asdict(found), failed] for key, (found, failed) in rows.items()]
    (NOTES / f"{run}.json").write_text(json.dumps({"took": took, "rows": cells}))


def forget() -> None:
    """Begin anew."""
    for path in NOTES.glob("*.json"):
        path.unlink()


def write(expected: Collection[str]) -> bool:
    """Write the page if every one of the expected runs was noted; whether it was."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted(NOTES.glob("*.json"))}
    if not set(expected) <= set(found):
        return False
    lines = [_line(*row) for run in found.values() for row in run["rows"]]
    notes = [f"- {run['took']}" for run in found.values()]
    PAGE.write_text(HEAD + "\n".join([*lines, "", *notes]) + "\n")
    return True


def _line(uwsgi: str, action: str, connections: str, when: str, found: dict[str, Any], failed: int) -> str:
    times = (f"{found[name]:.1f}" for name in ("p50", "p90", "p99", "worst"))
    cells = (uwsgi, f"`{action}`", connections, when, found["count"], f"{found['rate']:.0f}", failed, *times)
    return f"| {' | '.join(map(str, cells))} |"
