"""Who is acted on first when several fire: one at a time, the worst first, and never where it cannot help."""

from __future__ import annotations

from dataclasses import replace

from paramedic.decide import Case, decide
from paramedic.model.facts import Subject, SubjectFacts, Unknown, Value
from paramedic.model.policy import Rung
from paramedic.model.readings import Holding
from paramedic.model.record import Act, Hold, Status
from unit.builders import HOST, MAIN, MIB, WEB, YES, attempt, facts, policy, subject
from unit.deciding import API, GROWN, MINE, only_decision, situation, words


def strays(count: int) -> list[SubjectFacts]:
    """Orphans."""
    return [subject(Subject("orphan", f"main/x@{n}"), {"kind": "program"}) for n in range(count)]


def test_one_action_on_a_target_at_a_time() -> None:
    ready = policy(cooldown_s=0.0)
    open_one = attempt(Status.DONE, incident="other", policy="q")
    held = only_decision(ready, situation(None, open_one))
    assert words(held) == ("in flight", "chain_reload on uwsgi:web is not judged yet", "its outcome", None)
    assert isinstance(only_decision(policy("notify"), situation(None, open_one)), Act)
    notice = attempt(Status.DONE, incident="other", policy="q", action="notify")
    assert isinstance(only_decision(ready, situation(None, notice)), Act), "an open notice holds nothing"
    both = [Case(replace(ready, name=name), WEB, YES, (), MINE) for name in ("p", "q")]
    first, second = decide(both, situation())
    assert isinstance(first, Act)
    assert isinstance(second, Hold)
    assert (second.guard, second.reason, second.way_out) == (
        "in flight",
        "uwsgi:web is acted on in this pass",
        "its outcome",
    )
    watched = [Case(replace(ready, name=name, mode="observe"), WEB, YES, (), MINE) for name in ("p", "q")]
    assert all(isinstance(one, Act) for one in decide(watched, situation())), "observers are not in each other's way"
    told = [Case(replace(policy("notify"), name=name), WEB, YES, (), MINE) for name in ("p", "q")]
    assert all(isinstance(one, Act) for one in decide(told, situation()))


def test_one_memory_action_on_a_host_and_daemons_first() -> None:
    seen = facts(GROWN, subject(API, {"uss": 90 * MIB, "baseline_uss": 9 * MIB, "diagnosis": "ok"}), subject(MAIN, {}))
    elsewhere = attempt(Status.RUNNING, incident="other", policy="q", target=API)
    held = only_decision(policy(cooldown_s=0.0), situation(seen, elsewhere))
    assert words(held) == ("one at a time", "chain_reload on uwsgi:api runs", "its outcome", None)
    for action, is_held in (("restart_supervisord", True), ("restore_socket", False), ("notify", False)):
        other = attempt(Status.RUNNING, incident="other", policy="q", target=MAIN, action=action)
        found = only_decision(policy(cooldown_s=0.0), situation(seen, other))
        assert isinstance(found, Hold) == is_held, action
    restart = policy("restart_supervisord", "supervisor", "running > 0")
    assert isinstance(only_decision(restart, situation(seen, elsewhere), about=MAIN), Act), "a daemon never waits"
    reload_both = [Case(policy(), one, YES, (), MINE) for one in (WEB, API)]
    first, second = decide(reload_both, situation(seen))
    assert isinstance(first, Act)
    assert words(second)[:2] == ("one at a time", "chain_reload on uwsgi:api runs")
    watched = [Case(policy(mode="observe", max_targets=2), one, YES, (), MINE) for one in (WEB, API)]
    assert all(isinstance(one, Act) for one in decide(watched, situation(seen)))


def test_more_targets_than_allowed_are_refused_where_the_policy_says_so() -> None:
    found = strays(3)
    careful = policy("kill_orphans", "orphan", "kind is program", max_targets=2, over="refuse")
    cases = [Case(careful, one.subject, YES, (), MINE) for one in found]
    for decided in decide(cases, situation(facts(*found))):
        reason = "3 fire, more than 2: that is no trouble of single ones"
        assert words(decided) == ("too many", reason, "at most 2 fire", None)
    assert all(isinstance(one, Act) for one in decide(cases[:2], situation(facts(*found))))
    other = attempt(Status.RUNNING, action="kill_orphans", subject=found[2].subject, target=found[2].subject)
    assert words(decide(cases[:2], situation(facts(*found), other))[0])[0] == "too many"


def test_four_workers_that_ask_for_one_reload_are_one_target() -> None:
    workers = [subject(Subject("uwsgi.worker", f"web/{n}"), {"rss": n * MIB}, parent=WEB) for n in range(4)]
    of = policy(watch="uwsgi.worker", over="refuse")
    cases = [Case(of, one.subject, YES, (), MINE) for one in workers]
    larger = subject(API, {"rss": 9000 * MIB})
    found = decide(cases, situation(facts(GROWN, larger, *workers)))[0]
    assert isinstance(found, Act)
    assert (found.target, found.subject in [worker.subject for worker in workers]) == (WEB, True)


def test_over_max_targets_the_others_queue_and_notices_do_not() -> None:
    found = strays(2)
    ending = policy("kill_orphans", "orphan", "kind is program")
    decided = decide([Case(ending, one.subject, YES, (), MINE) for one in found], situation(facts(*found)))
    assert isinstance(decided[0], Act)
    assert words(decided[1]) == ("max_targets", "1 of 1 are acted on", "their outcome", None)
    running = attempt(Status.RUNNING, action="kill_orphans", subject=MAIN, target=MAIN)
    held = only_decision(ending, situation(facts(*found), running), about=found[0].subject)
    assert words(held)[0] == "max_targets"
    told = policy("notify", "orphan", "kind is program")
    decided = decide([Case(told, one.subject, YES, (), MINE) for one in found], situation(facts(*found)))
    assert all(isinstance(one, Act) for one in decided)


def test_a_reload_that_cannot_help_says_who_does_not_hold_the_memory() -> None:
    still = subject(WEB, {"uss": 47 * MIB, "baseline_uss": 40 * MIB, "rss": 60 * MIB})
    host = subject(HOST, {"memory.total": 1000 * MIB})
    held = only_decision(policy(), situation(facts(still, host)))
    because = "uwsgi:web holds 47 MiB and held 40 MiB after its start"
    assert words(held) == ("cannot help", because, "find who holds the memory", None)
    just = subject(WEB, {"uss": 48 * MIB, "baseline_uss": 40 * MIB})
    assert isinstance(only_decision(policy(), situation(facts(just, host))), Act)
    on_host = policy(watch="host", when="memory.used_percent > 85 %")
    small = subject(WEB, {"uss": Unknown("young"), "baseline_uss": 1, "rss": 99 * MIB})
    held = only_decision(on_host, situation(facts(small, host)), about=HOST)
    assert words(held) == ("cannot help", "its workers hold less than a tenth of the memory", "find who holds it", None)
    held_by = (Holding("postgresql.service", 700 * MIB, 12), Holding("backup.sh", MIB, 1))
    told = subject(HOST, {"memory.total": 1000 * MIB}, holders=held_by)
    named = "postgresql.service holds 700 MiB in 12 processes, backup.sh holds 1 MiB in 1 process"
    held = only_decision(policy(), situation(facts(still, told)))
    assert words(held) == ("cannot help", f"{because}; {named}", "they give it back", None)
    held = only_decision(on_host, situation(facts(small, told)), about=HOST)
    assert words(held)[1] == f"its workers hold less than a tenth of the memory; {named}"
    tenth = subject(WEB, {"uss": Unknown("young"), "baseline_uss": 1, "rss": 100 * MIB})
    assert isinstance(only_decision(on_host, situation(facts(tenth, host)), about=HOST), Act)
    for rss, total in ((Unknown("?"), 1000 * MIB), (1 * MIB, Unknown("?"))):
        dark = facts(subject(WEB, {"rss": rss}), subject(HOST, {"memory.total": total}))
        assert isinstance(only_decision(on_host, situation(dark), about=HOST), Act)
    assert isinstance(only_decision(policy(), situation(facts(small, host))), Act), "asked of the instance itself"
    assert isinstance(only_decision(policy(), situation(facts(still))), Act), "without a host nothing is compared"


def test_a_named_instance_is_the_target_of_a_host_policy() -> None:
    big: dict[str, Value] = {"rss": 900 * MIB, "diagnosis": "ok"}
    small: dict[str, Value] = {"rss": 300 * MIB, "diagnosis": "ok"}
    host = subject(HOST, {"memory.total": 1000 * MIB})
    seen = facts(subject(WEB, small), subject(API, big), host)
    on_host = policy(watch="host", when="memory.used_percent > 85 %")
    largest = only_decision(on_host, situation(seen), about=HOST)
    named = replace(on_host, do=(Rung("chain_reload", {"uwsgi": "web"}),))
    chosen = only_decision(named, situation(seen), about=HOST)
    assert isinstance(largest, Act)
    assert isinstance(chosen, Act)
    assert (largest.target, chosen.target, largest.subject, largest.why) == (API, WEB, HOST, "it is so")
    turned = facts(subject(WEB, big), subject(API, small), host)
    found = only_decision(on_host, situation(turned), about=HOST)
    assert isinstance(found, Act)
    assert found.target == WEB
    none = only_decision(on_host, situation(facts(host)), about=HOST)
    assert words(none) == ("no target", "no uWSGI instance is configured", "one in stack.uwsgi", None)
    missing = replace(on_host, do=(Rung("chain_reload", {"uwsgi": "gone"}),))
    held = only_decision(missing, situation(seen), about=HOST)
    assert words(held) == ("no target", "no uWSGI instance gone is configured", "one in stack.uwsgi", None)
    dark = facts(subject(WEB, {"rss": Unknown("?"), "diagnosis": "ok"}), subject(API, small), host)
    found = only_decision(on_host, situation(dark), about=HOST)
    assert isinstance(found, Act)
    assert found.target == API, "what is not read is not the largest"


def test_memory_is_decided_after_everything_else() -> None:
    restart = replace(policy("restart_supervisord", "supervisor", "running > 0"), name="q")
    seen = facts(GROWN, subject(MAIN, {"diagnosis": "daemon-dead"}))
    cases = [Case(policy(), WEB, replace(YES, weight=9e9), (), MINE), Case(restart, MAIN, YES, (), MINE)]
    first, second = decide(cases, situation(seen))
    assert isinstance(first, Act)
    assert first.target == MAIN
    assert words(second)[:2] == ("one at a time", "restart_supervisord on supervisor:main runs")


def test_a_worker_that_hangs_in_its_start_is_ended_whatever_it_holds() -> None:
    one = Subject("uwsgi.worker", "web/1")
    still: dict[str, Value] = {"uss": 47 * MIB, "baseline_uss": 40 * MIB, "rss": 60 * MIB, "diagnosis": "ok"}
    host, web = subject(HOST, {"memory.total": 1000 * MIB}), subject(WEB, still)
    seen = facts(host, web, subject(one, still, parent=WEB))
    plain = policy("recycle_worker", "uwsgi.worker", "uss > 1 MiB")
    assert words(only_decision(plain, situation(seen), about=one))[0] == "cannot help"
    kills = replace(plain, do=(Rung("recycle_worker", {"stuck": "kill"}),))
    assert isinstance(only_decision(kills, situation(seen), about=one), Act)
    assert isinstance(only_decision(policy("notify"), situation(facts(host, web))), Act), "telling always helps"
