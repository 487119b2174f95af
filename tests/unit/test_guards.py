"""decide: the words of every hold, its end, and the case just beside it: what a person reads at night is a promise."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from paramedic.decide import GUARDS, PERSONS, Case, Situation, decide, examine, name_of, root_cause
from paramedic.model.facts import Facts, Subject, SubjectFacts, Unknown, Value
from paramedic.model.policy import Hours, Limit, Policy, Rung
from paramedic.model.record import Act, Attempt, Hold, Incident, Orders, Pause, Phase, RuleState, Status
from paramedic.model.vocabulary import GUARDS as MEANINGS
from unit.builders import HOST, MAIN, MIB, WEB, YES, attempt, facts, policy, subject

NOW = 1000.0
API = Subject("uwsgi", "api")
GROWN = subject(WEB, {"uss": 90 * MIB, "baseline_uss": 40 * MIB, "diagnosis": "ok"})
MINE = Incident("i", WEB, "memory-high", "p", "it is so", 0.0)
ALL_DAYS = frozenset(range(7))


def situation(seen: Facts | None = None, *attempts: Attempt, **more: Any) -> Situation:
    """At NOW, web having grown, unless said otherwise."""
    return Situation(seen or facts(GROWN), NOW, more.pop("observing", False), attempts, **more)


def only_decision(of: Policy, where: Situation, *tried: Attempt, about: Subject = WEB) -> Act | Hold:
    """What is decided about one case."""
    return decide([Case(of, about, YES, tried, MINE)], where)[0]


def words(decision: Act | Hold) -> tuple[str, str, str, float | None]:
    """(guard, reason, way out, until)."""
    assert isinstance(decision, Hold), decision
    assert (decision.policy, decision.guard in MEANINGS, isinstance(decision.subject, Subject)) == ("p", True, True)
    return decision.guard, decision.reason, decision.way_out, decision.until


def test_a_pause_holds_before_everything_else() -> None:
    orders = Orders(Pause("deploying", 0.0, facts().wall + 90.0))
    held = only_decision(policy("notify"), situation(orders=orders), attempt(Status.DONE))
    assert words(held) == ("paused", "paused: deploying", "over in 1m30s, or paramedic resume", None)
    over = Orders(Pause("deploying", 0.0, facts().wall - 5.0))
    assert words(only_decision(policy(), situation(orders=over)))[2] == "over in 0s, or paramedic resume"


def test_an_acknowledged_incident_is_a_persons() -> None:
    held = only_decision(policy("notify"), situation(orders=Orders(None, {"i": "I am on it"})))
    assert words(held) == (
        "acknowledged",
        "a person took it over: I am on it",
        "the condition clears, or paramedic resume i",
        None,
    )
    assert isinstance(only_decision(policy(), situation(orders=Orders(None, {"other": "mine"}))), Act)
    none = Case(policy(), WEB, YES)
    assert isinstance(decide([none], situation(orders=Orders(None, {"i": "mine"})))[0], Act)


def test_an_unknown_target_is_not_acted_on_but_told_of() -> None:
    dark = facts(subject(WEB, {"diagnosis": Unknown("its ini is gone")}))
    held = only_decision(policy(), situation(dark))
    assert words(held) == ("unknown", "the state of uwsgi:web is unknown: its ini is gone", "it is readable", None)
    assert isinstance(only_decision(policy("notify"), situation(dark)), Act)
    silent = facts(subject(WEB, {"diagnosis": "uwsgi-unreachable"}))
    assert words(only_decision(policy(), situation(silent))) == (
        "unknown",
        "uwsgi:web does not answer",
        "its stats socket answers",
        None,
    )


def test_a_chain_of_causes_is_followed_to_its_root() -> None:
    program, orphan = Subject("supervisor.program", "main/daphne"), Subject("orphan", "main/daphne@7")
    seen = facts(
        subject(orphan, {"kind": "program"}, cause=program),
        subject(program, {"diagnosis": "program-fatal"}, cause=MAIN),
        subject(MAIN, {"diagnosis": "daemon-dead"}),
    )
    assert [root_cause(one, seen) for one in (orphan, program, MAIN, HOST)] == [MAIN, MAIN, None, None]
    ending = policy("kill_orphans", "orphan", "kind is program")
    assert words(only_decision(ending, situation(seen), about=orphan)) == (
        "cause present",
        "supervisor:main explains it",
        "supervisor:main is healed first",
        None,
    )
    circle = facts(subject(orphan, {}, cause=program), subject(program, {}, cause=orphan))
    assert root_cause(orphan, circle) == program, "a circle ends where it began"
    elsewhere = facts(
        *(subject(one, {}, cause=cause) for one, cause in ((orphan, program), (program, WEB), (WEB, program)))
    )
    assert root_cause(orphan, elsewhere) == WEB, "also one that does not come back to the start"
    unseen = facts(subject(orphan, {}, cause=MAIN))
    assert root_cause(orphan, unseen) == MAIN, "a cause that cannot be seen explains, too"


def firing(*keys: tuple[str, Subject], phase: Phase = Phase.FIRING) -> dict[tuple[str, Subject], RuleState]:
    """Rules in this phase."""
    return {key: RuleState(phase) for key in keys}


def test_unless_holds_while_the_other_policy_fires_here() -> None:
    careful = policy(unless=("other",))
    worker = subject(Subject("uwsgi.worker", "web/1"), {}, parent=WEB)
    seen = facts(GROWN, worker, subject(API, {}), subject(MAIN, {}))
    for where, held in ((WEB, True), (HOST, True), (worker.subject, True), (API, False), (MAIN, False)):
        decided = only_decision(careful, situation(seen, rules=firing(("other", where))))
        assert isinstance(decided, Hold) == held, where
        if held:
            assert words(decided) == ("unless", f"other fires on {where}", "other is quiet there", None)
    on_worker = policy(watch="uwsgi.worker", unless=("other",))
    found = only_decision(on_worker, situation(seen, rules=firing(("other", WEB))), about=worker.subject)
    assert words(found)[0] == "unless", "what fires on its owner fires here"
    assert isinstance(only_decision(careful, situation(seen, rules=firing(("third", WEB)))), Act)
    for phase, held in ((Phase.PENDING, False), (Phase.RESOLVING, True)):
        found = only_decision(careful, situation(seen, rules=firing(("other", WEB), phase=phase)))
        assert isinstance(found, Hold) == held, phase


def test_unless_holds_also_where_the_other_policy_cannot_be_told() -> None:
    careful = policy(unless=("other",))
    held = only_decision(careful, situation(untold={("other", WEB)}))
    assert words(held) == ("unless", "whether other fires on uwsgi:web cannot be told", "it can be read again", None)
    assert isinstance(only_decision(careful, situation(untold={("other", API), ("third", WEB)})), Act)


def test_between_the_limits_no_ladder_begins_and_one_that_began_goes_on() -> None:
    easing = replace(YES, is_acute=False)
    held = decide([Case(policy(), WEB, easing, (), MINE)], situation())[0]
    reason = "it is not clear yet, but the condition no longer holds"
    assert words(held) == ("between", reason, "it holds again, or clears", None)
    missed = attempt(Status.MISSED, finished=100.0)
    climbing = Case(policy("chain_reload notify"), WEB, easing, (missed,), MINE)
    assert isinstance(decide([climbing], situation(None, missed))[0], Act)
    refused = attempt(Status.REFUSED, finished=100.0)
    again = Case(policy(), WEB, easing, (refused,), MINE)
    assert words(decide([again], situation(None, refused))[0])[0] == "between", "what was refused never began"


def test_a_window_must_have_left_the_last_action_behind() -> None:
    looks_back = policy(when="avg(uss, 10m) > 1 MiB", cooldown_s=0.0)
    done = attempt(Status.MET, incident="other", finished=700.0)
    reason = "its window still looks at the time before the last action"
    assert words(only_decision(looks_back, situation(None, done))) == ("stale sample", reason, "over in 5m", 1300.0)
    assert isinstance(only_decision(looks_back, situation(None, replace(done, finished=400.0))), Act)
    missed = attempt(Status.MISSED, finished=990.0)
    climbing = replace(looks_back, do=policy("chain_reload chain_reload").do)
    assert isinstance(only_decision(climbing, situation(None, missed), missed), Act), "what missed did not happen"
    met = attempt(Status.MET, finished=990.0)
    assert words(only_decision(climbing, situation(None, met), met))[3] == 990.0 + 600.0, "its help is judged later"
    nightly = replace(looks_back, at="30 3 * * *")
    assert isinstance(only_decision(nightly, situation(None, done)), Act)


def test_a_notice_beside_repairs_is_no_attempt_and_does_not_wait_for_the_breaker() -> None:
    ladder = policy("chain_reload notify", cooldown_s=0.0, limit=Limit(1, 3600.0))
    missed = attempt(Status.MISSED, started=900.0, finished=990.0)
    found = only_decision(ladder, situation(None, missed), missed)
    assert isinstance(found, Act)
    assert found.step.action == "notify"
    told = attempt(Status.MET, incident="other", action="notify", started=900.0, finished=901.0)
    assert isinstance(only_decision(ladder, situation(None, told)), Act)
    only_tells = policy("notify", limit=Limit(1, 3600.0))
    assert words(only_decision(only_tells, situation(None, told)))[0] == "limit", "where nothing else is done it counts"


def test_a_refused_repair_that_harms_nothing_waits_for_no_cooldown() -> None:
    ladder = policy("restore_socket restart_supervisord", "supervisor", "running > 0", cooldown_s=300.0)
    last = attempt(Status.REFUSED, action="restore_socket", target=MAIN, subject=MAIN, finished=995.0, detail="no")
    seen = facts(subject(MAIN, {"diagnosis": "socket-missing"}))
    assert words(only_decision(ladder, situation(seen), last, about=MAIN))[3] == 1005.0


@pytest.mark.parametrize(
    ("hours", "at", "inside"),
    [
        ((22, 6), "2026-01-05 22:00", True),
        ((22, 6), "2026-01-05 21:59", False),
        ((22, 6), "2026-01-05 05:59", True),
        ((22, 6), "2026-01-05 06:00", False),
        ((9, 17), "2026-01-05 09:00", True),
        ((9, 17), "2026-01-05 08:59", False),
        ((9, 17), "2026-01-05 16:59", True),
        ((9, 17), "2026-01-05 17:00", False),
        ((0, 24), "2026-01-05 23:59", True),
    ],
)
def test_hours_may_pass_midnight(hours: tuple[int, int], at: str, inside: bool) -> None:
    assert Hours(ALL_DAYS, hours[0] * 60, hours[1] * 60, "").contains(datetime.fromisoformat(at)) is inside


def test_hours_belong_to_the_day_on_which_they_begin() -> None:
    friday_night = Hours(frozenset([4]), 22 * 60, 6 * 60, "fri 22:00-06:00")
    times = ["2026-01-09 23:00", "2026-01-10 05:00", "2026-01-09 05:00", "2026-01-10 23:00", "2026-01-12 05:00"]
    assert [friday_night.contains(datetime.fromisoformat(at)) for at in times] == [True, True, False, False, False]
    monday_night = Hours(frozenset([6]), 22 * 60, 6 * 60, "sun 22:00-06:00")
    assert monday_night.contains(datetime.fromisoformat("2026-01-12 05:00"))
    friday = Hours(frozenset([4]), 9 * 60, 17 * 60, "fri 09:00-17:00")
    assert [friday.contains(datetime.fromisoformat(f"2026-01-{day} 12:00")) for day in ("09", "10")] == [True, False]


def test_only_holds_outside_of_its_hours_in_its_zone() -> None:
    night, noon = Hours(ALL_DAYS, 22 * 60, 6 * 60, "22:00-06:00"), Hours(ALL_DAYS, 720, 780, "12:00-13:00")
    wall = datetime(2026, 1, 5, 20, 30, tzinfo=ZoneInfo("UTC")).timestamp()
    seen = replace(facts(GROWN), wall=wall)
    held = only_decision(policy(only=(night, noon)), situation(seen))
    assert words(held) == (
        "only",
        "it is mon 20:30, and it acts only 22:00-06:00, 12:00-13:00",
        "its hours begin",
        None,
    )
    assert isinstance(only_decision(policy(only=(night,), zone=ZoneInfo("Asia/Tokyo")), situation(seen)), Act)
    assert isinstance(only_decision(policy(only=(night,)), situation(seen, zone=ZoneInfo("Asia/Tokyo"))), Act)
    away = policy(only=(night,), zone=ZoneInfo("UTC"))
    assert words(only_decision(away, situation(seen, zone=ZoneInfo("Asia/Tokyo"))))[0] == "only"


def test_a_stale_sample_is_waited_out() -> None:
    ready = policy(cooldown_s=0.0)
    done = attempt(Status.MET, incident="earlier", finished=NOW)
    held = only_decision(ready, situation(None, done))
    assert words(held) == ("stale sample", "the sample is older than the last action", "the next sample", None)
    began = attempt(Status.REFUSED, incident="earlier", started=NOW, finished=None)
    assert words(only_decision(ready, situation(None, began)))[0] == "stale sample"
    assert isinstance(only_decision(ready, situation(None, replace(done, finished=NOW - 0.01))), Act)
    assert isinstance(only_decision(policy("notify"), situation(None, done)), Act), "a notice is never held for that"
    assert isinstance(only_decision(ready, situation(None, replace(done, target=API))), Act)


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


def test_cooling_says_since_when_and_until() -> None:
    done = attempt(Status.MET, policy="q", incident="other", finished=800.0)
    held = only_decision(policy(), situation(None, done))
    assert words(held) == ("cooling", "uwsgi:web was acted on a moment ago", "over in 1m40s", 1100.0)
    begun = attempt(Status.MISSED, policy="q", incident="other", started=790.0, finished=None)
    assert words(only_decision(policy(), situation(None, begun)))[3] == 1090.0
    restarted = only_decision(policy(), situation(restarts={WEB: 900.0}))
    assert words(restarted) == ("cooling", "uwsgi:web restarted a moment ago", "over in 3m20s", 1200.0)
    both = only_decision(policy(), situation(None, done, restarts={WEB: 700.0}))
    assert words(both)[1] == "uwsgi:web was acted on a moment ago"
    assert isinstance(only_decision(policy(), situation(restarts={WEB: 700.0})), Act), "just over"
    assert isinstance(only_decision(policy(), situation(restarts={API: 999.0})), Act)
    assert isinstance(only_decision(policy("notify", cooldown_s=300.0), situation(None, done)), Act)


def test_climbing_the_ladder_does_not_wait_for_its_own_last_rung() -> None:
    ladder = policy("chain_reload chain_reload")
    missed = attempt(Status.MISSED, finished=990.0)
    found = only_decision(ladder, situation(None, missed, restarts={WEB: 995.0}), missed)
    assert isinstance(found, Act)
    assert found.rung == 1
    other = attempt(Status.MET, policy="q", incident="other", finished=980.0)
    held = only_decision(ladder, situation(None, missed, other), missed)
    assert words(held)[0] == "cooling", "but for what another policy did it does"
    told_first = policy("notify chain_reload")
    told = attempt(Status.MET, action="notify", finished=900.0)
    held = only_decision(told_first, situation(None, told, other), told)
    assert words(held)[0] == "cooling", "a notice begins no ladder"


def test_an_observer_cools_and_counts_as_if_it_had_acted() -> None:
    watched = policy(mode="observe", limit=Limit(1, 3600.0))
    seen = attempt(Status.OBSERVED, incident="other", finished=None, started=800.0)
    assert words(only_decision(watched, situation(None, seen)))[:1] == ("cooling",)
    long_ago = replace(seen, started=600.0)
    assert words(only_decision(watched, situation(None, long_ago)))[:1] == ("limit",)
    assert isinstance(only_decision(replace(watched, mode="act"), situation(None, seen)), Act)
    ladder = policy("notify chain_reload", mode="act")
    told = attempt(Status.MET, action="notify", finished=900.0)
    assert isinstance(only_decision(ladder, situation(None, told, seen), told), Act), "what was only seen does not cool"


def met(*times: float) -> list[Attempt]:
    """Attempts that began then."""
    return [attempt(Status.MET, started=at, finished=at + 1, incident=f"i{at}") for at in times]


def test_an_open_breaker_says_how_often_and_when_it_tries_again() -> None:
    often = policy(cooldown_s=0.0, limit=Limit(3, 600.0))
    held = only_decision(often, situation(None, *met(500, 600, 700)))
    assert words(held) == ("limit", "3 attempts in 10m did not last", "one trial in 5m", 1300.0)
    twice = only_decision(often, situation(None, *met(-900, -800, -700, -50)))
    assert words(twice) == (
        "limit",
        "3 attempts in 10m did not last; 1 trials since did not either",
        "one trial in 2m30s",
        1150.0,
    )
    assert isinstance(only_decision(often, situation(None, *met(200, 300, 400))), Act), "half-open"
    others = [replace(one, policy="q") for one in met(500, 600, 700)]
    assert isinstance(only_decision(often, situation(None, *others)), Act)
    assert isinstance(only_decision(replace(often, limit=Limit(0, 0.0)), situation(None, *met(500, 600, 700))), Act)


def strays(count: int) -> list[SubjectFacts]:
    """Orphans."""
    return [subject(Subject("orphan", f"main/x@{n}"), {"kind": "program"}) for n in range(count)]


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


def test_the_words_of_the_ladder() -> None:
    last = attempt(Status.REFUSED, finished=995.0, detail="the app is broken")
    assert words(only_decision(policy(cooldown_s=0.0), situation(), last)) == (
        "refused",
        "the app is broken",
        "tried again in 5s",
        1005.0,
    )
    assert isinstance(only_decision(policy(cooldown_s=0.0), situation(), replace(last, finished=990.0)), Act)
    mixed = [replace(last, finished=900.0), attempt(Status.MISSED, rung=0, finished=940.0), last]
    assert words(only_decision(policy(cooldown_s=0.0), situation(), *mixed))[3] == 1005.0, "counted since another end"
    thrice = [replace(last, finished=at) for at in (900.0, 920.0, 970.0)]
    assert words(only_decision(policy(cooldown_s=0.0), situation(), *thrice))[3] == 970.0 + 40.0
    patient = policy(cooldown_s=90.0)
    assert words(only_decision(patient, situation(), last))[2:] == ("tried again in 1m25s", 1085.0)
    assert words(only_decision(policy(cooldown_s=0.0), situation(), *[last] * 40))[3] == 995.0 + 3600.0
    settled = attempt(Status.MET, finished=995.0)
    ladder = policy("chain_reload notify")
    assert words(only_decision(ladder, situation(), settled)) == (
        "settling",
        "chain_reload was met",
        "judged in 5s",
        1005.0,
    )
    assert isinstance(only_decision(ladder, situation(), replace(settled, finished=990.0)), Act)
    told = attempt(Status.MET, action="notify", finished=999.0)
    sentence = "a notice was given, and nothing else is to be done"
    assert words(only_decision(policy("notify"), situation(), told)) == ("told", sentence, "the condition clears", None)
    spooled = replace(told, detail="handed to notify.command")
    assert words(only_decision(policy("notify"), situation(), spooled))[1] == (
        "a notice was given (handed to notify.command), and nothing else is to be done"
    )
    waiting = attempt(Status.DONE)
    assert words(only_decision(policy(), situation(), waiting)) == (
        "in flight",
        "chain_reload on uwsgi:web is not judged yet",
        "its outcome",
        None,
    )
    seen = attempt(Status.OBSERVED)
    assert words(only_decision(policy(mode="observe"), situation(), seen)) == (
        "observing",
        "chain_reload would have been done",
        "mode: act",
        None,
    )


def test_what_was_tried_under_another_ladder_is_no_rung_of_this_one() -> None:
    """The policy was changed while no agent ran: a rung that is not there must not be looked up."""
    for status in (Status.INTERRUPTED, Status.REFUSED, Status.MISSED, Status.MET):
        just = only_decision(policy(cooldown_s=0.0), situation(), attempt(status, rung=1, finished=10.0))
        assert isinstance(just, Act)
        beyond = attempt(status, rung=5, finished=10.0)
        found = only_decision(policy(cooldown_s=0.0), situation(), beyond)
        assert isinstance(found, Act)
        assert found.rung == 0
        other = attempt(status, action="notify", finished=10.0)
        assert isinstance(only_decision(policy(cooldown_s=0.0), situation(), other), Act)


def test_giving_up_names_everything_that_was_tried() -> None:
    missed = attempt(Status.MISSED, finished=900.0, detail="worker 3 never came")
    told = attempt(Status.MET, action="notify", rung=1, finished=950.0)
    held = only_decision(policy("chain_reload notify"), situation(), missed, told)
    assert words(held) == (
        "gave up",
        "no rung is left: chain_reload was missed: worker 3 never came",
        "the condition clears, or a new round begins 10m after the last",
        950.0 + 600.0,
    )
    bare = attempt(Status.MET, started=700.0, finished=None)
    assert words(only_decision(policy(cooldown_s=0.0), situation(), bare))[1] == "no rung is left: chain_reload was met"
    assert words(only_decision(policy(cooldown_s=0.0), situation(), bare))[3] == 1300.0
    two = [attempt(Status.MISSED, finished=800.0, detail="a"), attempt(Status.MET, rung=1, finished=900.0, detail="b")]
    held = only_decision(policy("chain_reload chain_reload"), situation(), *two)
    assert words(held)[1] == "no rung is left: chain_reload was missed: a; chain_reload was met: b"


def test_examine_shows_every_guard_by_name_with_its_hold() -> None:
    case = Case(policy(), WEB, YES, (), MINE)
    orders = Orders(Pause("deploying", 0.0, facts().wall + 90.0))
    shown = dict(examine(case, situation(orders=orders, restarts={WEB: 900.0})))
    assert list(shown) == ["paused", "acknowledged", "ladder", *(name_of(guard) for guard in GUARDS)]
    assert [name for name, hold in shown.items() if hold is not None] == ["paused", "cooling"]
    assert "cannot help" in shown
    spent = Case(policy(), WEB, YES, (attempt(Status.MISSED),), MINE)
    shown = dict(examine(spent, situation()))
    assert list(shown) == ["paused", "acknowledged", "ladder", *(name_of(guard) for guard in GUARDS)]
    assert shown["ladder"] is not None
    assert shown["ladder"].guard == "gave up"


def test_every_guard_has_a_meaning_in_the_docs() -> None:
    names = {name_of(guard) for guard in GUARDS} | {name_of(guard) for guard in PERSONS}
    assert names - set(MEANINGS) == set()
