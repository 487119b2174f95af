"""Under a constant load: leaking workers are replaced, and no request fails. What was measured goes to docs/load.md."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.front import UWSGIS, Front, lacking, version_of
from harness.load import Load, failures
from harness.load_page import note
from harness.stack import EmbeddedStack
from harness.waiting import stays, wait_for
from stack.under_load import (
    ACTIONS,
    BEFORE_S,
    LIMIT_MIB,
    RATE,
    attempt,
    await_event,
    choose,
    fatten,
    leaking,
    summary,
    tail,
)


@pytest.fixture
def site(lone_stack: EmbeddedStack) -> Iterator[EmbeddedStack]:
    """A stack whose uWSGI also listens for nginx."""
    extra = f"socket = {lone_stack.folder}/tmp/app.sock\nlisten = 100\n"
    lone_stack.ini.write_text(lone_stack.ini.read_text() + extra)
    yield lone_stack


def require(uwsgi: Path) -> None:
    """Skip with the reason where something is not installed; in CI that is a failure."""
    reason = lacking(uwsgi)
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("action", sorted(ACTIONS))
@pytest.mark.parametrize("built", sorted(UWSGIS))
def test_no_request_fails_while_eight_leaking_workers_are_replaced(
    built: str, action: str, site: EmbeddedStack
) -> None:
    require(UWSGIS[built])
    choose(site, UWSGIS[built], 8)
    site.start_uwsgi()
    old = fatten(site)
    site.add_policies(ACTIONS[action].format(limit=f"{LIMIT_MIB} MiB"))
    front = Front(site, site.folder / "tmp" / "app.sock")
    front.start()
    loads = {
        "new": Load(site.uwsgi_port, RATE, leaking),
        "kept": Load(front.port, RATE, leaking, kept=True),
        "slow": Load(site.uwsgi_port, 1, lambda _: "/slow/1", clients=3),
    }
    try:
        began = time.monotonic()
        wait_for("the load before", lambda: time.monotonic() - began > BEFORE_S)
        acted = time.monotonic()
        site.start_agent()
        await_event(site, "healed")
        ended = time.monotonic()
    finally:
        answers = {name: load.stop() for name, load in loads.items()}
        front.stop()
    new = site.worker_pids()
    assert not set(new.values()) & set(old.values())
    failed = {name: failures(load) for name, load in answers.items()}
    assert not any(failed.values()), f"{failed}\n{front.complaints()}\n{tail(site)}"
    assert {answer.body for answer in answers["new"]} <= {f"pid {pid}" for pid in (*old.values(), *new.values())}
    done = attempt(site)
    assert (done["action"], done["outcome"]) == (action, "met"), done
    assert done["gained"]["bytes"] > 8 * 20 << 20
    rows = {
        (connections, when): row
        for connections in ("new", "kept")
        for when, row in summary(answers[connections], began, acted, ended).items()
    }
    uwsgi = f"{version_of(UWSGIS[built])} ({built})"
    freed = done["gained"]["bytes"] >> 20
    took = f"{uwsgi}, `{action}`: {done['seconds']:.0f} s for 8 workers, {freed} MiB given back"
    note(f"{built}-{action}", uwsgi, action, took, rows)
    print(*rows.items(), sep="\n")


def test_a_lone_worker_is_not_taken_out_of_service(site: EmbeddedStack) -> None:
    require(UWSGIS["wheel"])
    choose(site, UWSGIS["wheel"], 1)
    site.start_uwsgi()
    old = fatten(site)
    site.add_policies(ACTIONS["chain_reload"].format(limit=f"{LIMIT_MIB} MiB"))
    load = Load(site.uwsgi_port, RATE, leaking)
    try:
        site.start_agent()
        await_event(site, "refused")
        stays("the one worker goes on", lambda: site.worker_pids() == old, 3.0)
    finally:
        answers = load.stop()
    assert not failures(answers)
    assert {answer.body for answer in answers} == {f"pid {old[1]}"}
    refused = attempt(site)
    assert refused["outcome"] == "refused"
    assert "only 1 worker accepts" in refused["detail"]


def test_a_worker_killed_by_hand_fails_the_request_it_was_serving(site: EmbeddedStack) -> None:
    """So the load would tell, if a reload cut anybody off."""
    site.start_uwsgi()
    load = Load(site.uwsgi_port, 2, lambda _: "/slow/1", clients=4)
    try:
        busy = wait_for("a worker is busy", lambda: [w["pid"] for w in site.workers() if w["status"] == "busy"])
        site.end(busy[0])
        wait_for("another takes its place", lambda: busy[0] not in site.worker_pids().values() and load.count >= 4)
    finally:
        answers = load.stop()
    assert failures(answers).total() == 1, failures(answers)
