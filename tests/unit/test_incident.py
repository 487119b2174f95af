"""incident.py: opened at the first symptom, closed when it is gone and all that was done is judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from paramedic.incident import Course, Key, diagnosis_of, farewell, news, open_and_close, told
from paramedic.model.facts import Facts, Finding, Subject
from paramedic.model.record import Attempt, Hold, Incident, Phase, RuleState, Status, Truth, Verdict
from unit.builders import MAIN, WEB, YES, attempt, facts, subject

KEY: Key = ("p", WEB)
FIRING, PENDING = RuleState(Phase.FIRING), RuleState(Phase.PENDING)
SEEN = facts(subject(WEB, {}))


def course(
    rules: Mapping[Key, RuleState], verdicts: Mapping[Key, Verdict], seen: Facts = SEEN, *attempts: Attempt, **more: Any
) -> Course:
    """What a pass knows."""
    by_incident: dict[str, list[Attempt]] = {}
    for one in attempts:
        by_incident.setdefault(one.incident, []).append(one)
    return Course(rules, verdicts, by_incident, seen, 1, **more)


def opened() -> Incident:
    """An open incident of policy p on web."""
    found, _ = open_and_close({}, course({KEY: PENDING}, {KEY: YES}))
    return found[KEY]


def close(*attempts: Attempt) -> Incident | None:
    """The incident after its symptom went away; None while it stays open."""
    incident = opened()
    mine = [replace(a, incident=incident.id) for a in attempts]
    _, closed = open_and_close({KEY: incident}, course({}, {}, SEEN, *mine))
    return closed[0] if closed else None


def test_it_opens_at_the_first_symptom_with_its_evidence() -> None:
    incident = opened()
    assert (incident.policy, incident.subject, incident.evidence, incident.result) == ("p", WEB, "it is so", "open")


def test_what_cannot_be_seen_now_opens_nothing() -> None:
    unseen = replace(YES, truth=Truth.UNKNOWN)
    assert open_and_close({}, course({KEY: PENDING}, {KEY: unseen})) == ({}, [])
    assert open_and_close({}, course({KEY: PENDING}, {KEY: YES}, facts())) == ({}, [])


def test_it_is_named_after_the_finding() -> None:
    finding = Finding("socket-missing", MAIN, "gone", "link")
    main = facts(subject(MAIN, {}, findings=(finding,)))
    found, _ = open_and_close({}, course({("p", MAIN): PENDING}, {("p", MAIN): YES}, main))
    assert found["p", MAIN].diagnosis == "socket-missing"


def test_a_symptom_with_a_cause_opens_no_incident_of_its_own() -> None:
    orphan = Subject("orphan", "main/x@1")
    explained = facts(subject(orphan, {}, cause=MAIN))
    assert open_and_close({}, course({("p", orphan): FIRING}, {("p", orphan): YES}, explained)) == ({}, [])


def test_it_stays_open_until_everything_done_is_judged() -> None:
    assert close(attempt(Status.DONE)) is None
    assert close(attempt(Status.RUNNING)) is None


def test_its_result_says_who_healed_it() -> None:
    results = {
        "healed": (attempt(Status.MISSED), attempt(Status.MET)),
        "cleared": (attempt(Status.MET, action="notify"),),
        "observed": (attempt(Status.OBSERVED),),
    }
    for result, attempts in results.items():
        closed = close(*attempts)
        assert closed is not None
        assert closed.result == result
        assert closed.closed == SEEN.wall


def test_a_calendar_policy_that_did_not_succeed_does_not_call_itself_cleared() -> None:
    for status, result in ((Status.REFUSED, "refused"), (Status.MISSED, "gave up"), (Status.MET, "healed")):
        incident = replace(opened(), told=("opened",))
        last = attempt(status, incident=incident.id, detail="the app is broken")
        _, closed = open_and_close({KEY: incident}, course({}, {}, SEEN, last, calendars={"p"}))
        assert closed[0].result == result
        event = farewell(closed[0], [last])
        assert event is not None
        assert (event.name, "the app is broken" in event.sentence) == (result, True)


def test_a_finding_that_is_not_about_memory_has_the_policys_name() -> None:
    queue = replace(YES, blamed=("listen_queue",))
    found, _ = open_and_close({}, course({KEY: PENDING}, {KEY: queue}))
    assert found[KEY].diagnosis == "p"
    found, _ = open_and_close({}, course({KEY: PENDING}, {KEY: replace(YES, blamed=("uss",))}))
    assert found[KEY].diagnosis == "memory-high"


@pytest.mark.parametrize(
    ("kind", "fields", "name"),
    [
        ("host", ("memory.used_percent",), "memory-high"),
        ("host", ("memory.available", "memory.total"), "memory-high"),
        ("host", ("pressure.memory.some_avg60", "memory.used_percent"), "memory-pressure"),
        ("host", ("memory.used_percent", "swap.in", "swap.out", "pressure.memory.full_avg10"), "swap-thrash"),
        ("host", ("swap.used_percent",), "swap-thrash"),
        ("host", ("oom_kills", "memory.used_percent"), "oom-killed"),
        ("host", (), "p"),
        ("uwsgi", ("uss", "baseline_uss"), "memory-high"),
        ("uwsgi", ("uptime",), "p"),
        ("uwsgi.worker", ("rss", "requests"), "worker-memory"),
        ("supervisor", ("memory.used_percent",), "p"),
    ],
)
def test_memory_is_named_by_the_fields_that_made_it_true(kind: str, fields: tuple[str, ...], name: str) -> None:
    about = Subject(kind, "x")
    assert diagnosis_of("p", subject(about, {}), replace(YES, blamed=fields)) == name
    finding = Finding("socket-missing", about, "gone", "link")
    assert diagnosis_of("p", subject(about, {}, findings=(finding,)), replace(YES, blamed=fields)) == "socket-missing"
    assert diagnosis_of("p", None, replace(YES, blamed=fields)) == "p"


def test_a_person_hears_of_it_when_it_fires_and_once() -> None:
    incident = opened()
    assert news([incident], {KEY: PENDING}, {}, {}) == []
    event = news([incident], {KEY: FIRING}, {}, {})[0]
    assert (event.name, event.sentence) == ("opened", "it is so")
    assert news([told(incident, event)], {KEY: FIRING}, {}, {}) == []


def test_a_refusal_and_giving_up_are_told_with_their_reason() -> None:
    incident = replace(opened(), told=("opened",))
    refusal = attempt(Status.REFUSED, incident=incident.id, detail="the app is broken")
    event = news([incident], {KEY: FIRING}, {incident.id: [refusal]}, {})[0]
    assert (event.name, event.sentence) == ("refused", "chain_reload was refused: the app is broken")
    assert told(incident, event).result == "refused"
    hold = Hold("p", WEB, "gave up", "no rung is left", "later")
    assert [e.name for e in news([incident], {KEY: FIRING}, {}, {KEY: hold})] == ["gave up"]


def test_a_night_that_was_met_gives_up_nothing_though_its_condition_holds_on() -> None:
    """`rss > 1 MiB` is how one writes "every night"."""
    incident = replace(opened(), told=("opened",))
    hold = Hold("p", WEB, "gave up", "no rung is left", "later")
    met, missed = (attempt(status, incident=incident.id) for status in (Status.MET, Status.MISSED))
    assert news([incident], {KEY: FIRING}, {incident.id: [met]}, {KEY: hold}, {incident.policy}) == []
    assert news([incident], {KEY: FIRING}, {incident.id: [missed]}, {KEY: hold}, {incident.policy}) != []
    assert news([incident], {KEY: FIRING}, {incident.id: [met]}, {KEY: hold}) != [], "no night, and it is still so"


def test_the_end_is_told_to_who_heard_of_the_beginning() -> None:
    incident = opened()
    assert farewell(incident, ()) is None
    heard = replace(incident, told=("opened",), result="healed")
    event = farewell(heard, (attempt(Status.MET, incident=incident.id, detail="4 workers are new"),))
    assert event is not None
    assert (event.name, event.sentence) == ("healed", "chain_reload: 4 workers are new")
    cleared = farewell(replace(heard, result="cleared"), ())
    assert cleared is not None
    assert cleared.name == "cleared"


def test_the_next_round_is_an_incident_of_its_own() -> None:
    first = opened()
    later = replace(course({KEY: FIRING}, {KEY: YES}, spent={KEY}), serial=2)
    found, closed = open_and_close({KEY: first}, later)
    assert [(one.id, one.result) for one in closed] == [(first.id, "gave up")]
    assert (found[KEY].id != first.id, found[KEY].round) == (True, 2)
    again, _ = open_and_close({}, course({KEY: FIRING}, {KEY: YES}))
    assert again[KEY].round == 1, "a new trouble begins with patience anew"


def test_nobody_hears_of_what_is_a_persons() -> None:
    incident = opened()
    for guard in ("paused", "acknowledged"):
        assert news([incident], {KEY: FIRING}, {}, {KEY: Hold("p", WEB, guard, "mine", "resume")}) == []
