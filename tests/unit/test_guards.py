"""decide: the words of every hold, its end, and the case just beside it: what a person reads at night is a promise."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from paramedic.decide import GUARDS, PERSONS, Case, decide, examine, name_of, root_cause
from paramedic.model.facts import Subject, Unknown
from paramedic.model.policy import Hours
from paramedic.model.record import Act, Hold, Orders, Pause, Phase, Status
from paramedic.model.vocabulary import GUARDS as MEANINGS
from unit.builders import HOST, MAIN, WEB, YES, attempt, facts, policy, subject
from unit.deciding import ALL_DAYS, API, GROWN, MINE, NOW, firing, only_decision, situation, words


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
