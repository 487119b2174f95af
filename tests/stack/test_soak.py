"""Memory and descriptors stay flat: a thousand passes here, a week of them by `make soak`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.figures import note
from harness.stack import EmbeddedStack

PASSES = int(os.environ.get("SOAK", "1000"))
WEEK = 100_000
MIB = 2**20
MOST_GROWTH = 3 * MIB  # of 75,000 passes: a leak of 42 bytes in each would be seen
MOST_JOURNAL = 64 * MIB


@pytest.mark.timeout(3600)
def test_memory_and_descriptors_stay_flat(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    stack.start_uwsgi()
    stack.start_supervisord()
    stack.write_config()
    (stack.folder / "state").chmod(0o755)
    argv = [sys.executable, "-m", "stack.soak", str(stack.config), str(PASSES), str(stack.socket)]
    environment = {**stack.environment(), "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    began = time.monotonic()
    found = subprocess.run(argv, capture_output=True, text=True, timeout=3500, env=environment, cwd=stack.folder)
    took = time.monotonic() - began
    assert found.returncode == 0, f"{found.stderr[-3000:]}\n{found.stdout[-3000:]}"
    rows = [json.loads(line) for line in found.stdout.splitlines()]
    print("\n".join(map(str, rows)))
    quarter = len(rows) // 4
    early, last = rows[quarter], rows[-1]
    fewest = [min(row["descriptors"] for row in part) for part in (rows[:quarter], rows[-quarter:])]
    assert last["pass"] == PASSES and last["healed"] >= PASSES // 1000, "something was healed all along"
    assert last["rss"] - early["rss"] < MOST_GROWTH, rows
    assert fewest[1] <= fewest[0], rows
    assert last["journal"] < MOST_JOURNAL
    if PASSES >= WEEK:
        note("soak", "week", {"passes": PASSES, "seconds": round(took), "early": early, "last": last, "fewest": fewest})
