"""decide/target.py: whom a repair of uWSGI is done to, and which guards a recycled worker meets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paramedic.decide import Case, Situation, decide
from paramedic.decide.target import target_of
from paramedic.model.facts import Facts, Subject, SubjectFacts, Unknown, Value
from paramedic.model.policy import Policy, Rung
from paramedic.model.record import Act, Attempt, Hold, Status
from unit.builders import HOST, MAIN, MIB, WEB, YES, attempt, facts, policy, subject

NOW = 1000.0
API, WORKER, OTHER = Subject("uwsgi", "api"), Subject("uwsgi.worker", "web/1"), Subject("uwsgi.worker", "api/1")
PROGRAM = Subject("supervisor.program", "main/daphne")
MEMORY: dict[str, Value] = {"memory.total": 1000 * MIB}


def instance(name: Subject, rss: Value, **more: Value) -> SubjectFacts:
    """An instance that has doubled since its start."""
    grown: dict[str, Value] = {"diagnosis": "ok", "rss": rss, "uss": 200 * MIB, "baseline_uss": 100 * MIB}
    return subject(name, {**grown, **more})


def worker(name: Subject, of: Subject, uss: int = 90) -> SubjectFacts:
    """A worker with this USS in MiB, 20 after its start."""
    return subject(name, {"uss": uss * MIB, "baseline_uss": 20 * MIB}, parent=of)


SEEN = facts(
    subject(HOST, MEMORY),
    instance(WEB, 300 * MIB),
    instance(API, 900 * MIB),
    worker(WORKER, WEB),
    worker(OTHER, API),
    subject(MAIN, {"diagnosis": "ok"}),
    subject(PROGRAM, {"state": "RUNNING"}, parent=MAIN),
)


def target(action: str, about: Subject, seen: Facts = SEEN, **args: str) -> Subject | Hold:
    """Whom this action is done to when a policy fires on `about`."""
    return target_of(Case(replace(policy(action), watch=about.kind), about, YES), Rung(action, args), seen)


@pytest.mark.parametrize(
    ("action", "about", "expected"),
    [
        ("recycle_worker", WORKER, WORKER),
        ("recycle_worker", OTHER, OTHER),
        ("recycle_worker", WEB, WEB),
        ("recycle_worker", HOST, API),
        ("chain_reload", WORKER, WEB),
        ("chain_reload", WEB, WEB),
        ("chain_reload", HOST, API),
        ("reload_uwsgi", WEB, WEB),
        ("reload_uwsgi", HOST, API),
        ("start_uwsgi", WEB, WEB),
        ("notify", WORKER, WORKER),
        ("notify", HOST, HOST),
        ("restart_program", PROGRAM, PROGRAM),
    ],
)
def test_a_worker_is_recycled_itself_and_reloaded_with_its_instance(
    action: str, about: Subject, expected: Subject
) -> None:
    assert target(action, about) == expected


def test_on_a_host_the_instance_is_the_one_that_is_named_or_that_holds_most() -> None:
    assert target("recycle_worker", HOST, uwsgi="web") == WEB
    held = target("recycle_worker", HOST, uwsgi="shop")
    assert isinstance(held, Hold)
    assert (held.guard, held.reason) == ("no target", "no uWSGI instance shop is configured")
    none = target("recycle_worker", HOST, facts(subject(HOST, MEMORY)))
    assert isinstance(none, Hold)
    assert (none.guard, none.way_out) == ("no target", "one in stack.uwsgi")


@pytest.mark.parametrize("api", [instance(API, Unknown("no answer")), subject(API, {"diagnosis": "uwsgi-dead"})])
def test_an_instance_that_nobody_can_measure_is_not_the_largest(api: SubjectFacts) -> None:
    assert target("recycle_worker", HOST, facts(subject(HOST, MEMORY), api, instance(WEB, 1 * MIB))) == WEB


def test_one_that_grew_comes_before_a_larger_one_that_was_large_at_once_or_cannot_be_told() -> None:
    always = instance(API, 5000 * MIB, uss=5000 * MIB, baseline_uss=5000 * MIB)
    grown = instance(WEB, 400 * MIB, uss=300 * MIB, baseline_uss=100 * MIB)
    unknown = instance(API, 5000 * MIB, uss=Unknown("not read"))
    grown_less = instance(API, 5000 * MIB, uss=5000 * MIB, baseline_uss=4900 * MIB)
    for beside in (always, unknown, grown_less):
        assert target("recycle_worker", HOST, facts(subject(HOST, MEMORY), beside, grown)) == WEB
    was_large = instance(WEB, 9000 * MIB, uss=100 * MIB)
    assert target("recycle_worker", HOST, facts(subject(HOST, MEMORY), was_large, unknown)) == API


def test_a_worker_that_vanished_stays_its_own_target() -> None:
    assert target("recycle_worker", WORKER, facts(instance(WEB, 300 * MIB))) == WORKER


def first(of: Policy, about: Subject, seen: Facts = SEEN, *attempts: Attempt) -> Act | Hold:
    """What is decided about one case."""
    return decide([Case(of, about, YES)], Situation(seen, NOW, False, attempts))[0]


def guard(decision: Act | Hold) -> str:
    """The guard that held, or act."""
    return "act" if isinstance(decision, Act) else decision.guard


def test_recycling_is_held_where_it_gives_nothing_back() -> None:
    still = facts(subject(HOST, MEMORY), instance(WEB, 300 * MIB, uss=110 * MIB), worker(WORKER, WEB, uss=22))
    for about, when in ((HOST, "memory.used_percent > 80 %"), (WEB, "uss > 1 MiB"), (WORKER, "uss > 1 MiB")):
        of = policy("recycle_worker", about.kind, when)
        assert guard(first(of, about, still)) == "cannot help", about
        assert guard(first(of, about)) == "act", about


def test_what_is_little_of_a_hosts_memory_is_worth_it_to_a_policy_on_the_instance_only() -> None:
    large = subject(HOST, {"memory.total": 32_000 * MIB})
    little = facts(large, instance(WEB, 300 * MIB, uss=130 * MIB))
    of_host = policy("recycle_worker", "host", "memory.used_percent > 80 %")
    held = first(of_host, HOST, little)
    assert isinstance(held, Hold)
    assert (held.guard, "little of the host's memory" in held.reason) == ("cannot help", True)
    assert guard(first(policy("recycle_worker", "uwsgi", "uss > 1 MiB"), WEB, little)) == "act"
    assert guard(first(of_host, HOST, facts(large, instance(WEB, 900 * MIB, uss=800 * MIB)))) == "act"


def test_a_fat_worker_of_a_small_instance_is_recycled() -> None:
    seen = facts(subject(HOST, MEMORY), instance(WEB, 300 * MIB, uss=110 * MIB), worker(WORKER, WEB))
    assert guard(first(policy("recycle_worker", "uwsgi.worker"), WORKER, seen)) == "act"


def test_what_ends_a_stuck_worker_is_not_done_for_memory() -> None:
    still = facts(subject(HOST, MEMORY), instance(WEB, 300 * MIB, uss=100 * MIB))
    kill = replace(policy(), do=(Rung("recycle_worker", {"stuck": "kill"}),))
    assert guard(first(kill, WEB, still)) == "act"
    assert guard(first(policy("recycle_worker"), WEB, still)) == "cannot help"


@pytest.mark.parametrize("action", ["chain_reload", "reload_uwsgi", "recycle_worker"])
def test_no_worker_is_recycled_beside_another_repair_of_memory(action: str) -> None:
    running = attempt(Status.RUNNING, action=action, policy="q", target=API, finished=None)
    held = first(policy("recycle_worker", "uwsgi.worker"), WORKER, SEEN, running)
    assert isinstance(held, Hold)
    assert (held.guard, held.reason) == ("one at a time", f"{action} on uwsgi:api runs")


def test_of_two_fat_workers_one_goes_and_the_other_waits() -> None:
    of = policy("recycle_worker", "uwsgi.worker", max_targets=2)
    found = decide([Case(of, one, YES) for one in (WORKER, OTHER)], Situation(SEEN, NOW, False, ()))
    assert [guard(one) for one in found] == ["act", "one at a time"]


def test_a_recycled_worker_cools_alone() -> None:
    done = attempt(Status.MET, action="recycle_worker", target=WORKER, finished=NOW - 60.0)
    of = policy("recycle_worker", "uwsgi.worker")
    assert guard(first(of, WORKER, SEEN, done)) == "cooling"
    assert guard(first(of, OTHER, SEEN, done)) == "act"


def test_memory_of_a_silent_instance_is_not_repaired() -> None:
    silent = facts(subject(HOST, MEMORY), instance(WEB, 300 * MIB, diagnosis="uwsgi-unreachable"))
    assert guard(first(policy("recycle_worker", "host", "memory.used_percent > 80 %"), HOST, silent)) == "unknown"
