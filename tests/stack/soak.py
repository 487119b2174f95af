"""A week in minutes: the agent's own pass on a real stack, as often as asked, its clock put on by six seconds each.

`python -m stack.soak CONFIG PASSES SOCKET` prints one JSON line for each fortieth part of it. Now and then the socket
is deleted, so that incidents open, repairs run and incidents close all along.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import time
from pathlib import Path

from paramedic.daemon import Daemon
from paramedic.host import clock, lean
from paramedic.rulebook import Rulebook
from paramedic.settings import load

STEP_S = 6.0
PARTS = 40
FAULTS = 200
HEALED_S = 20.0


class FastClock:
    """The host's clock, put on."""

    def __init__(self) -> None:
        self.ahead_s = 0.0
        self._monotonic, self._wall = clock.monotonic, clock.wall
        clock.monotonic, clock.wall = self.monotonic, self.wall

    def monotonic(self) -> float:
        """Seconds."""
        return self._monotonic() + self.ahead_s

    def wall(self) -> float:
        """Seconds since 1970."""
        return self._wall() + self.ahead_s


def weigh(state: Path) -> dict[str, int]:
    """What the agent holds now."""
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    size = sum(path.stat().st_size for path in state.glob("journal.db*"))
    return {"rss": resident, "descriptors": len(os.listdir("/proc/self/fd")), "journal": size}


def main(config: str, passes: int, socket: str) -> None:
    """Run it."""
    settings = load(config)
    fast = FastClock()
    daemon = Daemon(settings, Rulebook(settings.policies))
    with daemon._alive():
        daemon._pass()
        lean.settle()
        healed = 0
        for number in range(1, passes + 1):
            fast.ahead_s += STEP_S
            daemon._pass()
            if number % max(FAULTS, passes // 1000) == 0:
                healed += heal(daemon, socket)
            if number % (passes // PARTS) == 0:
                gc.collect()
                print(json.dumps({"pass": number, "healed": healed, **weigh(Path(settings.state_dir))}), flush=True)


def heal(daemon: Daemon, socket: str) -> int:
    """Delete the socket and look, at the host's own pace, until the incident is closed; 1 when it is."""
    inode = os.stat(socket).st_ino
    os.unlink(socket)
    until = time.monotonic() + HEALED_S
    while time.monotonic() < until:
        daemon._pass()
        with contextlib.suppress(OSError):
            mine = [subject for _, subject in daemon.cycle.mind.incidents if subject.kind == "supervisor"]
            if os.stat(socket).st_ino == inode and not mine:
                return 1
        time.sleep(0.002)
    raise SystemExit(f"not healed: {daemon.cycle.mind.incidents}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
