"""The page that a whole run of random faults writes: docs/chaos.md."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "chaos.md"
HEAD = """# Chaos

The last `make chaos`: random sequences of two to four faults, some at once, some while the last is being healed, under
one running agent. Each must end with one daemon that answers at its path, one Daphne that serves, and nothing open in
the agent. A second uWSGI, a second supervisord with its program, an editor and a `tail` run beside it and must stay the
processes they were. One end that is not healthy is right: a daemon that was told to restart (SIGHUP) and is killed in
the middle of that reads like one that somebody stopped and then killed. paramedic says so and leaves it; here somebody
then starts it by hand.

"""


def report(
    count: int,
    first: int,
    took: list[float],
    failed: int,
    results: Counter[str],
    refused: Counter[str],
    seen: Counter[str],
    stated: int,
) -> str:
    """What a run saw, as a page."""
    whole = len(took) if not failed else 0
    ordered = sorted(took) or [0.0]
    lines = [
        f"- {len(took)} of {count} sequences ended healthy (seeds {first} to {first + count - 1}); {failed} did not",
        f"- of them told as stopped, left, and started by hand: {stated}",
        f"- from the first fault to health: median {ordered[len(ordered) // 2]:.1f} s, worst {ordered[-1]:.1f} s",
        f"- incidents: {', '.join(f'{n} {result}' for result, n in results.most_common())}",
        f"- refusals on the way: {', '.join(f'{n} {action}' for action, n in refused.most_common()) or 'none'}",
        "- bystanders touched: none; two daemons at once: never" if whole else "- FAILED: see above",
        "",
        "| times | fault |",
        "|---|---|",
        *(f"| {times} | {name} |" for name, times in seen.most_common()),
    ]
    return "\n".join(lines)
