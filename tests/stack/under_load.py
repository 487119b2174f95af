"""What the tests under load are made of: the policies, the load, and when it is over."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.front import UWSGIS
from harness.load import Answer, Latency, Load, failures, latency
from harness.stack import EmbeddedStack
from harness.waiting import wait_for

LIMIT_MIB = 100
RATE = 120.0
BEFORE_S = 5.0
ACTIONS = {
    "chain_reload": """
policies:
  - name: worker-over-limit
    watch: uwsgi.worker
    when: rss > {limit}
    do: [chain_reload]
    cooldown: 1h
""",
    "recycle_worker": """
policies:
  - name: worker-over-limit
    watch: uwsgi
    when: rss > 700 MiB
    do:
      - recycle_worker: {{ most: 8, pause: 1s }}
    cooldown: 1h
""",
}
RUNS = [f"{uwsgi}-{action}" for uwsgi in UWSGIS for action in ACTIONS]


def leaking(number: int) -> str:
    """Mostly small requests; one in a hundred leaks a MiB."""
    return "/leak/1" if number % 100 == 50 else "/"


def choose(site: EmbeddedStack, uwsgi: Path, processes: int) -> None:
    """Run this uWSGI with so many workers."""
    site.uwsgi_bin = uwsgi
    text = site.ini.read_text().replace("processes = 4\n", f"processes = {processes}\n")
    site.ini.write_text(text if uwsgi == UWSGIS["wheel"] else f"{text}home = {sys.prefix}\n")


def rss_mib(pid: int) -> int:
    """Resident MiB; 0 of a process that is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 >> 20
    except OSError:
        return 0


def fatten(site: EmbeddedStack) -> dict[int, int]:
    """Leak until every worker is over the limit; worker id -> pid."""
    pids = site.worker_pids()
    load = Load(site.uwsgi_port, 60, lambda _: "/leak/10")
    try:
        wait_for("every worker is fat", lambda: all(rss_mib(pid) > LIMIT_MIB for pid in pids.values()), 40)
    finally:
        assert not failures(load.stop())
    return pids


def summary(load: Sequence[Answer], began: float, acted: float, ended: float) -> dict[str, tuple[Latency, int]]:
    """Before and during: latency, and how many failed."""
    times = {"before": (began, acted), "during": (acted, ended)}
    return {
        when: (latency(load, *span), failures([a for a in load if span[0] <= a.due < span[1]]).total())
        for when, span in times.items()
    }


def await_event(site: EmbeddedStack, event: str) -> None:
    """Wait until somebody is told so, and do not ask uWSGI meanwhile: each connection to its stats socket wakes the
    master, which takes the next step of a chain then, and not up to a second later.
    """
    wait_for(event, lambda: event in [told["event"] for told in site.notified_of("worker-over-limit")], 100)


def attempt(site: EmbeddedStack) -> dict[str, Any]:
    """The first action on a worker over its limit; other workers' incidents end with it, without one of their own."""
    found = [a for i in site.history() if i["policy"] == "worker-over-limit" for a in i["actions"]]
    return dict(found[0])


def tail(site: EmbeddedStack) -> str:
    """The end of uWSGI's log."""
    return (site.folder / "uwsgi.log").read_text()[-3000:]
