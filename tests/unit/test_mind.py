"""mind.py: what survives a restart of the agent and a change of its policies."""

from __future__ import annotations

from dataclasses import replace

from paramedic.mind import Mind, adopted, book_of, recalled, remembered, reported
from paramedic.model.policy import Limit, Policy
from paramedic.model.record import Hold, Incident, Phase, Report, RuleState, Slot, Status
from unit.builders import MAIN, WEB, attempt, facts, policy

KEY = ("p", WEB)
OPEN = Incident("i", WEB, "memory-high", "p", "it is so", 5.0)
FIRING = RuleState(Phase.FIRING, 60.0, 990.0, since=900.0)
HELD = Hold("p", WEB, "cooling", "a moment ago", "later")
MIND = Mind({KEY: FIRING}, {KEY: OPEN}, (), {KEY: HELD}, 1, slots={"p": Slot("x", 5.0, 4.0)})


def recall(*attempts: object, incident: Incident = OPEN, of: tuple[Policy, ...] = ()) -> tuple[Mind, list[Incident]]:
    """What another agent makes of the journal at monotonic 1000."""
    return recalled([incident], attempts, {"p": Slot("x", 5.0, 4.0)}, of or (policy(),), 1000.0, 7)  # type: ignore[arg-type]


def test_an_open_incident_is_open_again_and_fires_on_if_it_did() -> None:
    mind, left = recall()
    assert (mind.incidents, mind.rules[KEY].phase, left, mind.serial) == ({KEY: OPEN}, Phase.PENDING, [], 7)
    told, _ = recall(incident=replace(OPEN, told=("opened",)))
    assert told.rules[KEY].phase is Phase.FIRING
    tried, _ = recall(attempt(Status.MET))
    assert tried.rules[KEY].phase is Phase.FIRING
    assert tried.slots == {"p": Slot("x", 5.0, 4.0, is_recalled=True)}


def test_an_intent_without_an_outcome_counts_as_done_and_interrupted() -> None:
    mind, _ = recall(attempt(Status.RUNNING, started=990.0, finished=None), attempt(Status.MET))
    first, second = mind.attempts
    assert (first.status, first.interrupted, first.finished) == (Status.DONE, True, 1000.0)
    assert (second.status, second.interrupted) == (Status.MET, False)


def test_times_in_the_future_become_now() -> None:
    mind, _ = recall(attempt(Status.MET, started=5000.0, finished=6000.0))
    assert (mind.attempts[0].started, mind.attempts[0].finished) == (1000.0, 1000.0)


def test_actions_of_another_version_are_left_out() -> None:
    mind, _ = recall(attempt(Status.DONE, action="teleport"))
    assert mind.attempts == ()


def test_incidents_whose_policy_is_gone_or_watches_something_else_are_given_back() -> None:
    mind, left = recall(of=(policy(name="q"),))
    assert (mind.incidents, mind.rules, left) == ({}, {}, [OPEN])
    moved = policy("notify", "supervisor", "running > 0")
    assert recall(of=(moved,))[1] == [OPEN]


def test_a_policy_that_did_not_change_keeps_everything() -> None:
    before, other = policy(), policy(name="q", source="elsewhere:5")
    mind, left = adopted(MIND, [before], [replace(before, source="moved:9"), other], 1000.0)
    assert (mind, left) == (MIND, [])


def test_a_policy_that_changed_keeps_its_incident_and_begins_to_wait_anew() -> None:
    mind, left = adopted(MIND, [policy()], [policy(for_s=5.0)], 1000.0)
    assert (mind.incidents, left, mind.holds) == ({KEY: OPEN}, [], {})
    assert mind.rules == {KEY: RuleState(Phase.PENDING, since=1000.0)}
    quiet = replace(MIND, incidents={})
    assert adopted(quiet, [policy()], [policy(for_s=5.0)], 1000.0)[0].rules == {}


def test_a_policy_that_is_gone_takes_its_states_along() -> None:
    mind, left = adopted(MIND, [policy()], [], 1000.0)
    assert (mind.rules, mind.incidents, mind.holds, mind.slots, left) == ({}, {}, {}, {}, [OPEN])


def test_what_a_limit_a_cooldown_or_an_open_incident_may_ask_about_is_remembered() -> None:
    day = 86400.0
    old = [attempt(Status.MET, started=1000.0 - days * day, policy=name) for days in (1, 3, 10, 30) for name in "pq"]

    def kept(*policies: Policy, opened: tuple[str, ...] = ()) -> list[tuple[str, int]]:
        found = remembered(old, facts(), book_of(policies), opened)
        return [(a.policy, round((1000.0 - a.started) / day)) for a in found]

    free = policy(name="q", limit=Limit(0, 0.0))
    assert kept(policy(limit=Limit(3, 60.0)), free) == [("p", 1), ("q", 1), ("p", 3), ("p", 10)], "a breaker needs them"
    assert kept(replace(free, cooldown_s=4 * day)) == [("p", 1), ("q", 1), ("p", 3), ("q", 3)]
    assert len(kept(free, opened=("i",))) == 8, "a rung that did not help is not repeated, however long it lasts"
    still = attempt(Status.DONE, started=-9e9)
    assert remembered([still], facts(), book_of([]), ()) == (still,)


def test_a_report_is_booked_once() -> None:
    running = attempt(Status.RUNNING, target=MAIN, started=900.0, finished=None)
    mind, ended = reported(Mind(attempts=(running,)), running.id, Report(False, "linked"), 901.5)
    assert ended is not None
    assert (ended.status, ended.finished, ended.detail, ended.seconds) == (Status.DONE, 901.5, "linked", 1.5)
    assert reported(mind, running.id, Report(False, "again"), 950.0) == (mind, None)
    refused = reported(Mind(attempts=(running,)), running.id, Report(True, "no"), 901.5)[1]
    assert refused is not None
    assert refused.status is Status.REFUSED


def test_a_book_knows_the_windows_its_policies_look_through() -> None:
    book = book_of([policy(when="slope(rss, 1h) > 1 MiB/h or max(rss, 5m) > 1 MiB"), policy(name="q")])
    assert [(w.func, w.window_s) for w in book.needed["uwsgi"]] == [("slope", 3600.0), ("max", 300.0)]
    assert [p.name for p in book.policies] == ["p", "q"]
