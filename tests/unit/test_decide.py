"""decide.py: every guard holds when it must and only then, and says the way out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from paramedic.decide import Case, Situation, decide
from paramedic.model.facts import Subject, SubjectFacts, Unknown
from paramedic.model.policy import Policy
from paramedic.model.record import Act, Attempt, Hold, Incident, Status
from unit.builders import HOST, MAIN, MIB, WEB, YES, attempt, facts, policy, subject

NOW = 1000.0
OTHER = Subject("uwsgi", "other")


def one(case_policy: Policy, *subjects: SubjectFacts, tried: tuple[Attempt, ...] = (), **more: Any) -> Act | Hold:
    """The decision about one case, on WEB unless the first of `subjects` says otherwise."""
    seen = subjects or (subject(WEB, {"uss": 90 * MIB, "baseline_uss": 40 * MIB, "diagnosis": "ok"}),)
    about = more.pop("about", seen[0].subject)
    situation = Situation(
        facts(*seen, at=more.pop("at", NOW)), NOW, more.pop("observing", False), more.pop("attempts", tried)
    )
    return decide([Case(case_policy, about, YES, tried)], situation)[0]


def guard(decision: Act | Hold) -> str:
    """The name of the guard that held, `act` when none did; every hold gives a reason and a way out."""
    if isinstance(decision, Act):
        return "act"
    assert decision.reason
    assert decision.way_out
    return decision.guard


def test_it_acts_on_the_first_rung() -> None:
    found = one(policy("chain_reload notify"))
    assert isinstance(found, Act)
    assert (found.step.action, found.rung, found.target, found.observe) == ("chain_reload", 0, WEB, False)


@pytest.mark.parametrize(("how", "observing"), [({"mode": "observe"}, False), ({}, True)])
def test_an_observer_decides_but_does_not_act(how: dict[str, str], observing: bool) -> None:
    found = one(policy(**how), observing=observing)
    assert isinstance(found, Act)
    assert found.observe
    assert guard(one(policy(**how), tried=(attempt(Status.OBSERVED),), observing=observing)) == "observing"


def test_what_was_only_observed_does_not_hold_an_agent_that_may_act() -> None:
    assert guard(one(policy(), tried=(attempt(Status.OBSERVED, finished=None),))) == "act"


def test_what_a_killed_agent_began_is_tried_again_at_once_and_not_counted() -> None:
    left = attempt(Status.INTERRUPTED, finished=999.0)
    assert guard(one(policy(), tried=(left,), at=999.5)) == "act"
    assert guard(one(policy(), tried=(left, left), at=999.5)) == "act"


def test_what_kills_the_agent_three_times_is_not_tried_a_fourth_time() -> None:
    thrice = tuple(attempt(Status.INTERRUPTED, finished=990.0 + n) for n in range(3))
    assert guard(one(policy(), tried=thrice)) == "gave up"
    found = one(policy("chain_reload notify"), tried=thrice)
    assert isinstance(found, Act)
    assert found.step.action == "notify"


@pytest.mark.parametrize("status", [Status.RUNNING, Status.DONE])
def test_it_waits_for_the_outcome_of_what_it_began(status: Status) -> None:
    assert guard(one(policy(), tried=(attempt(status),))) == "in flight"


def test_another_policys_attempt_on_the_same_target_is_in_flight_too() -> None:
    other = attempt(Status.RUNNING, policy="q", incident="j", action="restart_supervisord", target=MAIN)
    main = subject(MAIN, {"diagnosis": "socket-missing"})
    heals = policy("restore_socket", "supervisor", "running > 0")
    assert guard(one(heals, main, attempts=(other,))) == "in flight"
    judged_later = replace(other, status=Status.DONE, finished=990.0)
    assert isinstance(one(heals, main, attempts=(judged_later,)), Act), "its judgement may wait for this very repair"
    slow = policy("restart_supervisord", "supervisor", "running > 0")
    assert guard(one(slow, main, attempts=(judged_later,))) == "in flight"


def test_a_missed_rung_leads_to_the_next() -> None:
    found = one(policy("chain_reload notify"), tried=(attempt(Status.MISSED),))
    assert isinstance(found, Act)
    assert found.step.action == "notify"


def test_a_rung_that_was_met_without_helping_settles_then_leads_to_the_next() -> None:
    ladder = policy("chain_reload notify")
    assert guard(one(ladder, tried=(attempt(Status.MET, finished=995.0),))) == "settling"
    found = one(ladder, tried=(attempt(Status.MET, finished=980.0),))
    assert isinstance(found, Act)
    assert found.rung == 1


def test_a_refused_rung_is_tried_again_with_patience() -> None:
    patient = policy(cooldown_s=0.0)
    refused = attempt(Status.REFUSED, finished=995.0, detail="the app is broken")
    held = one(patient, tried=(refused,))
    assert guard(held) == "refused"
    assert isinstance(held, Hold)
    assert held.reason == "the app is broken"
    assert guard(one(patient, tried=(replace(refused, finished=989.0),))) == "act"
    thrice = tuple(replace(refused, finished=at) for at in (900.0, 920.0, 970.0))
    assert guard(one(patient, tried=thrice)) == "refused"


def test_when_no_rung_is_left_it_gives_up_and_no_rung_is_repeated_within_the_incident() -> None:
    single = policy(cooldown_s=0.0)
    missed = attempt(Status.MISSED, finished=990.0, detail="worker 3 never came")
    held = one(single, tried=(missed,))
    assert guard(held) == "gave up"
    assert isinstance(held, Hold)
    assert "worker 3 never came" in held.reason
    assert held.until == 990.0 + 600.0, "then a new round begins, as an incident of its own"
    assert guard(one(single, tried=(replace(missed, finished=-90000.0),))) == "gave up"
    patient = one(policy(cooldown_s=3600.0), tried=(missed,))
    assert isinstance(patient, Hold)
    assert patient.until == 990.0 + 3600.0


def test_of_memory_a_rung_that_stays_refused_gives_way_to_the_next_one() -> None:
    ladder = policy("recycle_worker chain_reload notify")
    refused = attempt(Status.REFUSED, action="recycle_worker", detail="a worker is being started")
    twice = tuple(replace(refused, finished=at) for at in (900.0, 970.0))
    thrice = (*twice, replace(refused, finished=985.0))
    assert [found.rung for found in (one(ladder, tried=twice),) if isinstance(found, Act)] == [0]
    climbed = one(ladder, tried=thrice)
    assert isinstance(climbed, Act)
    assert climbed.step.action == "chain_reload"
    both = tuple(replace(one, action="chain_reload", rung=1) for one in thrice)
    assert guard(one(ladder, tried=(*thrice, *both))) == "refused", "a notice is no way to give memory back: it waits"


def test_what_harms_nobody_is_tried_again_soon() -> None:
    single = policy("restore_socket", "supervisor", "diagnosis is socket-missing", cooldown_s=0.0)
    missed = attempt(Status.MISSED, action="restore_socket", target=MAIN, finished=999.5)
    held = one(single, subject(MAIN, {"diagnosis": "socket-missing"}), tried=(missed,))
    assert isinstance(held, Hold)
    assert (held.guard, held.until) == ("gave up", 1000.5), "a cleaner may have come twice"


def test_every_round_waits_twice_as_long_a_day_at_most() -> None:
    missed = attempt(Status.MISSED, finished=990.0)
    for number, patience in ((1, 600.0), (2, 1200.0), (3, 2400.0), (20, 86400.0), (2000, 86400.0)):
        mine = Incident("i", WEB, "memory-high", "p", "it is so", 0.0, round=number)
        held = decide([Case(policy(cooldown_s=0.0), WEB, YES, (missed,), mine)], Situation(facts(), NOW, False, ()))[0]
        assert isinstance(held, Hold)
        assert held.until == 990.0 + patience


def test_a_person_who_was_told_is_not_told_again() -> None:
    told = attempt(Status.MET, action="notify", finished=10.0)
    assert guard(one(policy("notify"), tried=(told,))) == "told"


def test_a_symptom_with_a_cause_waits_for_the_cause() -> None:
    orphan = Subject("orphan", "main/daphne@7")
    ending = policy("kill_orphans", "orphan", "kind is program")
    explained = one(ending, subject(orphan, {"kind": "program"}, cause=MAIN))
    assert guard(explained) == "cause present"
    assert guard(one(ending, subject(orphan, {"kind": "program"}))) == "act"


def test_a_sample_older_than_the_last_action_is_not_acted_on() -> None:
    done = attempt(Status.MET, incident="earlier", finished=999.5)
    ready = policy(cooldown_s=0.0)
    assert guard(one(ready, attempts=(done,), at=999.0)) == "stale sample"
    assert guard(one(ready, attempts=(done,), at=999.9)) == "act"


def test_cooling_runs_from_the_last_action_on_the_target_by_any_policy() -> None:
    done = attempt(Status.MET, policy="q", incident="j", finished=800.0)
    assert guard(one(policy(), attempts=(done,))) == "cooling"
    assert guard(one(policy(), attempts=(replace(done, finished=699.0),))) == "act"
    assert guard(one(policy(), attempts=(replace(done, target=OTHER),))) == "act"
    assert guard(one(policy(), attempts=(replace(done, status=Status.REFUSED),))) == "act"
    assert guard(one(policy(), attempts=(replace(done, action="notify"),))) == "act"


def test_the_limit_counts_real_attempts_of_the_policy_on_the_target() -> None:
    often = policy(cooldown_s=0.0)
    three = tuple(attempt(Status.MET, incident=f"i{n}", finished=900.0 + n) for n in range(3))
    assert guard(one(often, attempts=three)) == "limit"
    assert guard(one(often, attempts=three[:2])) == "act"
    assert guard(one(often, attempts=tuple(replace(a, status=Status.REFUSED) for a in three))) == "act"
    assert guard(one(often, attempts=tuple(replace(a, started=-3000.0) for a in three))) == "act"


def test_one_memory_action_on_a_host_at_a_time_and_daemons_before_memory() -> None:
    reload_elsewhere = attempt(Status.DONE, policy="q", incident="j", target=OTHER)
    assert guard(one(policy(), attempts=(reload_elsewhere,))) == "one at a time"
    restart = attempt(Status.RUNNING, policy="q", incident="j", target=MAIN, action="restart_supervisord")
    assert guard(one(policy(), attempts=(restart,))) == "one at a time"


def test_of_many_subjects_the_worst_goes_first_and_the_others_wait() -> None:
    workers = [subject(Subject("uwsgi.worker", f"web/{n}"), {"rss": n * MIB}, parent=WEB) for n in (1, 2, 3)]
    web = subject(WEB, {"diagnosis": "ok"})
    cases = [Case(policy(watch="uwsgi.worker"), w.subject, replace(YES, weight=w.fields["rss"])) for w in workers]  # type: ignore[arg-type]
    found = decide(cases, Situation(facts(web, *workers), NOW, False, ()))
    assert isinstance(found[0], Act)
    assert (found[0].subject.name, found[0].target) == ("web/3", WEB)
    assert [guard(other) for other in found[1:]] == ["in flight", "in flight"]


def test_max_targets_counts_the_targets_of_the_action() -> None:
    orphans = [subject(Subject("orphan", f"main/x@{n}"), {"kind": "program"}) for n in (1, 2, 3)]
    two = policy("kill_orphans", "orphan", "kind is program", max_targets=2)
    found = decide([Case(two, o.subject, YES) for o in orphans], Situation(facts(*orphans), NOW, False, ()))
    assert [guard(decision) for decision in found] == ["act", "act", "max_targets"]


def test_a_reload_that_cannot_help_is_not_done() -> None:
    at_rest = subject(WEB, {"uss": 41 * MIB, "baseline_uss": 40 * MIB, "rss": 60 * MIB})
    host = subject(HOST, {"memory.total": 100 * MIB})
    on_host = policy(watch="host", when="memory.used_percent > 85 %")
    assert guard(one(on_host, host, at_rest)) == "cannot help"
    grown = subject(WEB, {"uss": 60 * MIB, "baseline_uss": 40 * MIB, "rss": 80 * MIB})
    found = one(on_host, host, grown)
    assert isinstance(found, Act)
    assert found.target == WEB
    unknown_but_small = subject(WEB, {"uss": 5 * MIB, "baseline_uss": Unknown("young"), "rss": 9 * MIB})
    assert guard(one(on_host, host, unknown_but_small)) == "cannot help"
    unknown_and_large = subject(WEB, {"uss": 50 * MIB, "baseline_uss": Unknown("old"), "rss": 60 * MIB})
    assert guard(one(on_host, host, unknown_and_large)) == "act"


def test_one_worker_that_grew_is_not_judged_by_its_small_siblings() -> None:
    web = subject(WEB, {"uss": 210 * MIB, "baseline_uss": 200 * MIB, "diagnosis": "ok"})
    grown = subject(Subject("uwsgi.worker", "web/1"), {"uss": 42 * MIB, "baseline_uss": 10 * MIB}, parent=WEB)
    still = subject(Subject("uwsgi.worker", "web/2"), {"uss": 10 * MIB, "baseline_uss": 10 * MIB}, parent=WEB)
    host = subject(HOST, {"memory.total": 1000 * MIB})
    assert guard(one(policy(watch="uwsgi.worker"), grown, web, host)) == "act"
    assert guard(one(policy(watch="uwsgi.worker"), still, web, host)) == "cannot help"


def test_an_instance_that_does_not_answer_is_not_acted_on() -> None:
    silent = subject(WEB, {"diagnosis": "uwsgi-unreachable"})
    host = subject(HOST, {"memory.total": 100 * MIB})
    assert guard(one(policy(watch="host", when="memory.used_percent > 85 %"), host, silent)) == "unknown"


def test_a_host_policy_without_any_uwsgi_has_no_target() -> None:
    on_host = policy(watch="host", when="memory.used_percent > 85 %")
    assert guard(one(on_host, subject(HOST, {"memory.total": 100 * MIB}))) == "no target"


def test_a_target_whose_state_is_unknown_is_not_acted_on() -> None:
    unreadable = subject(WEB, {"diagnosis": Unknown("its ini is gone"), "rss": 90 * MIB})
    host = subject(HOST, {"memory.total": 100 * MIB})
    assert guard(one(policy(watch="host", when="memory.used_percent > 85 %"), host, unreadable)) == "unknown"
