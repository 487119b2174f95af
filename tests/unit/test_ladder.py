"""The ladder and the breaker: which rung comes next, when, and in which words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paramedic.model.policy import Limit
from paramedic.model.record import Act, Attempt, Status
from unit.builders import MAIN, WEB, attempt, facts, policy, subject
from unit.deciding import only_decision, situation, words


def met(*times: float) -> list[Attempt]:
    """Attempts that began then."""
    return [attempt(Status.MET, started=at, finished=at + 1, incident=f"i{at}") for at in times]


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


def test_what_was_refused_is_tried_again_later_every_time() -> None:
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
    shown = words(only_decision(patient, situation(), last))[2:]
    assert shown == ("tried again in 5s", 1005.0), "nothing was done that would have to cool"
    assert words(only_decision(policy(cooldown_s=0.0), situation(), *[last] * 40))[3] == 995.0 + 3600.0


def test_the_words_of_the_ladder() -> None:
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


def test_a_memory_rung_that_stays_refused_gives_way_only_to_another_repair() -> None:
    refused = attempt(Status.REFUSED, finished=990.0, detail="its import cannot be tried")
    three = [replace(refused, finished=at) for at in (900.0, 930.0, 990.0)]
    climbs = only_decision(policy("chain_reload reload_uwsgi"), situation(), *three)
    assert isinstance(climbs, Act) and climbs.rung == 1, "the next rung is the last of the ladder"
    assert words(only_decision(policy("chain_reload notify"), situation(), *three))[0] == "refused"
    assert words(only_decision(policy("chain_reload"), situation(), *three))[0] == "refused"
    assert words(only_decision(policy("chain_reload reload_uwsgi"), situation(), *three[1:]))[0] == "refused"


def test_repairing_a_daemon_is_tried_again_within_a_minute_however_often_it_was_refused() -> None:
    last = attempt(Status.REFUSED, action="restore_socket", target=MAIN, subject=MAIN, finished=995.0, detail="no")
    seen = facts(subject(MAIN, {"diagnosis": "socket-missing"}))
    ladder = policy("restore_socket", "supervisor", "running > 0")
    assert words(only_decision(ladder, situation(seen), *[last] * 40, about=MAIN))[3] == 995.0 + 60.0


@pytest.mark.parametrize(
    ("do", "patience_s"), [("restore_socket", 1.0), ("restore_socket notify", 600.0), ("restart_supervisord", 600.0)]
)
def test_only_a_ladder_without_harm_comes_again_soon(do: str, patience_s: float) -> None:
    rungs = do.split()
    seen = facts(subject(MAIN, {"diagnosis": "socket-missing"}))
    tried = [
        attempt(Status.MISSED, action=action, rung=rung, target=MAIN, subject=MAIN, finished=990.0)
        for rung, action in enumerate(rungs)
    ]
    ladder = policy(do, "supervisor", "running > 0", cooldown_s=0.0)
    assert words(only_decision(ladder, situation(seen), *tried, about=MAIN))[3] == 990.0 + patience_s
