"""facts/uwsgi.py: dead, stopped, or nobody can tell; silent but measured; a start that hangs, alone or in a chain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from paramedic.facts import join, learn
from paramedic.facts.uwsgi import WORKERS, uwsgi_subjects
from paramedic.model.facts import Known, Preflight, SubjectFacts, Unknown, UwsgiKnown
from paramedic.model.readings import (
    HostReading,
    Identity,
    MemoryReading,
    Unreadable,
    UwsgiBlind,
    UwsgiGone,
    UwsgiReading,
    WorkerReading,
)
from paramedic.model.sample import Sample
from paramedic.model.vocabulary import DIAGNOSES
from unit.builders import MIB, WEB, uwsgi, worker

WALL = 1_700_000_100.0
CONF = uwsgi().conf
GOODBYE = 'its log /srv/log says "goodbye to uWSGI."'
SILENT = "the stats socket /srv/stats of /srv/uwsgi.ini does not answer: Connection refused"
MASTER, TREE = Identity(50, 500), (Identity(50, 500), Identity(51, 510))
ALWAYS = replace(CONF, restart="always")


def dead(**more: Any) -> UwsgiGone:
    """An instance that was seen alive and left no word, some of it replaced."""
    return replace(UwsgiGone(CONF, seen_alive=True), **more)


def blind(**more: Any) -> UwsgiBlind:
    """An instance whose master runs and whose stats socket does not answer."""
    memory = MemoryReading(90 * MIB, 70 * MIB, 5 * MIB, 1000.0)
    return UwsgiBlind(CONF, MASTER, SILENT, TREE, 120 * MIB, memory)._replace(**more)


def booting(number: int, **more: Any) -> WorkerReading:
    """A worker that has been loading its app for two minutes."""
    about = {"accepting": False, "apps": 0, "age_s": 120.0, "spawned_at": WALL - 120.0} | more
    return worker(number, 10 + number, **about)


def instance(*workers: WorkerReading, touched_ago_s: float | None = None, known: Known | None = None) -> SubjectFacts:
    """The facts of an instance that answers; its touch file is as old as said, None without one."""
    touched = None if touched_ago_s is None else WALL - touched_ago_s
    return uwsgi_subjects("web", uwsgi(*workers)._replace(touched_at=touched), known or Known(), WALL)[0]


def told(found: SubjectFacts) -> str:
    """The diagnosis and its evidence as one line."""
    (finding,) = found.findings
    assert found.fields["diagnosis"] == finding.diagnosis
    assert finding.repair == DIAGNOSES[finding.diagnosis].repair
    return f"{finding.diagnosis}: {finding.evidence}"


NOTHING = "uwsgi-dead: no uWSGI runs /srv/uwsgi.ini"


@pytest.mark.parametrize(
    ("gone", "expected"),
    [
        (dead(), NOTHING),
        (dead(last_words="web.service is failed (oom-kill)"), f"{NOTHING}; web.service is failed (oom-kill)"),
        (dead(keeper="a vassal of an Emperor"), f"{NOTHING}; it is a vassal of an Emperor"),
        (dead(keeper="program web of a supervisord"), f"{NOTHING}; it is program web of a supervisord"),
        (dead(survivors=(Identity(51, 510), Identity(52, 520))), f"{NOTHING}; workers that outlived it: 51, 52"),
        (dead(farewell=GOODBYE), f"uwsgi-stopped: no uWSGI runs /srv/uwsgi.ini, and {GOODBYE}"),
        (
            dead(farewell=GOODBYE, keeper="a vassal of an Emperor"),
            f"uwsgi-stopped: no uWSGI runs {CONF.ini}, and {GOODBYE}",
        ),
        (
            dead(seen_alive=False),
            "uwsgi-stopped: no uWSGI runs /srv/uwsgi.ini, and there is no trace that it ever ran",
        ),
        (dead(seen_alive=False, farewell=GOODBYE), f"uwsgi-stopped: no uWSGI runs {CONF.ini}, and {GOODBYE}"),
        (dead(conf=ALWAYS, farewell=GOODBYE), NOTHING),
        (dead(conf=ALWAYS, seen_alive=False), NOTHING),
        (dead(conf=ALWAYS, untold="it has no log of its own"), NOTHING),
    ],
)
def test_what_is_gone_is_dead_unless_something_says_that_it_was_stopped(gone: UwsgiGone, expected: str) -> None:
    (found,) = uwsgi_subjects("web", gone, Known(), WALL)
    assert told(found) == expected
    assert found.reading is gone, "the repair needs to know what is left of it"
    assert found.identity is None


@pytest.mark.parametrize("why", ["it has no log of its own (logto)", "systemd is at it: web.service is activating"])
def test_nobody_who_could_say_how_it_ended_is_no_diagnosis(why: str) -> None:
    (found,) = uwsgi_subjects("web", dead(untold=why), Known(), WALL)
    assert found.fields == {"diagnosis": Unknown(f"no uWSGI runs /srv/uwsgi.ini: {why}")}
    assert (found.findings, found.unread) == ((), WORKERS)


def test_what_is_gone_has_no_workers_and_its_numbers_are_not_zero() -> None:
    subjects = uwsgi_subjects("web", dead(survivors=(Identity(51, 510),)), Known(), WALL)
    assert [set(one.fields) for one in subjects] == [{"diagnosis"}]


def test_one_that_does_not_answer_is_measured_by_its_process_tree() -> None:
    (found,) = uwsgi_subjects("web", blind(), Known(), WALL)
    assert told(found) == f"uwsgi-unreachable: {SILENT}"
    sizes = {name: value for name, value in found.fields.items() if name != "diagnosis"}
    assert sizes == {"rss": 120 * MIB, "pss": 90 * MIB, "uss": 70 * MIB}
    assert (found.identity, found.unread) == (MASTER, WORKERS)
    unread = uwsgi_subjects("web", blind(memory=Unreadable("not read yet")), Known(), WALL)[0].fields
    assert (unread["pss"], unread["uss"]) == (Unknown("not read yet"), Unknown("not read yet"))
    assert unread["rss"] == 120 * MIB


@pytest.mark.parametrize("reading", [blind(why="not allowed to connect"), Unreadable("not allowed to read the ini")])
def test_what_may_not_be_read_is_unknown_and_nothing_is_wrong_with_it(reading: UwsgiBlind | Unreadable) -> None:
    (found,) = uwsgi_subjects("web", reading, Known(), WALL)
    assert isinstance(found.fields["diagnosis"], Unknown)
    assert (found.findings, found.unread) == ((), WORKERS)


def test_an_ini_that_cannot_be_read_is_unreachable_without_any_number() -> None:
    (found,) = uwsgi_subjects("web", Unreadable("cannot read /srv/uwsgi.ini: gone"), Known(), WALL)
    assert told(found) == "uwsgi-unreachable: cannot read /srv/uwsgi.ini: gone"
    assert set(found.fields) == {"diagnosis"}


def test_a_start_that_hangs_without_a_chain_is_a_stuck_worker() -> None:
    evidence = "worker 2 (process 12) has been loading its app for 2m"
    assert told(instance(worker(1, 11), booting(2))) == f"worker-stuck: {evidence}"
    everybody_newer = instance(worker(1, 11, spawned_at=WALL - 50.0), booting(2), touched_ago_s=300.0)
    assert told(everybody_newer) == f"worker-stuck: {evidence}", "that chain is over: it died afterwards"


def test_a_start_that_hangs_while_older_workers_wait_their_turn_is_a_stalled_chain() -> None:
    waiting = [worker(3, 13, spawned_at=WALL - 9000.0), worker(4, 14, spawned_at=WALL - 9000.0)]
    new = worker(1, 11, spawned_at=WALL - 125.0)
    found = instance(new, booting(2), *waiting, touched_ago_s=130.0)
    assert told(found) == (
        "chain-stalled: worker 2 (process 12) has been loading its app for 2m; "
        "of the chain reload that began 2m10s ago 1 of 4 are done"
    )
    leaving = waiting[0]._replace(accepting=False, status="pause")
    assert "0 of 3 are done" in told(instance(booting(2), leaving, waiting[1], touched_ago_s=130.0))


def test_the_one_that_hangs_longest_is_named() -> None:
    found = instance(booting(1, age_s=100.0), booting(2, age_s=3700.0), worker(3, 13))
    assert "worker 2 (process 12) has been loading its app for 1h" in told(found)


@pytest.mark.parametrize(
    "other",
    [
        booting(2, age_s=60.0),
        booting(2, age_s=None),
        booting(2, identity=None),
        booting(2, status="cheap"),
        booting(2, accepting=True),
        booting(2, apps=1),
    ],
    ids=["young", "of no age", "not spawned", "cheaped", "accepting", "loaded"],
)
def test_what_is_only_slow_or_something_else_is_not_stuck(other: WorkerReading) -> None:
    assert instance(worker(1, 11), other).fields["diagnosis"] == "ok"


def test_an_app_that_always_needs_long_gets_five_times_its_slowest_start() -> None:
    slow = worker(1, 11, startup_s=30.0)
    assert instance(slow, booting(2, age_s=150.0)).fields["diagnosis"] == "ok"
    assert instance(slow, booting(2, age_s=151.0)).fields["diagnosis"] == "worker-stuck"


def test_a_hanging_start_comes_before_a_broken_app() -> None:
    known = Known(preflights={"web": Preflight("broken", "no module named x", WALL + 1.0)})
    assert instance(worker(1, 11), known=known).fields["diagnosis"] == "app-broken"
    assert instance(worker(1, 11), booting(2), known=known).fields["diagnosis"] == "worker-stuck"


def sample(reading: UwsgiReading | UwsgiBlind | UwsgiGone | Unreadable) -> Sample:
    """A sample with this instance alone."""
    return Sample(1000.0, WALL, HostReading(1000 * MIB, 100 * MIB, 0, 0, 0, 0.0, 0.0, 0.0), {"web": reading})


def test_who_ran_when_it_last_answered_stays_known_when_it_is_gone() -> None:
    seen = learn(Known(), sample(uwsgi(worker(1, 11), worker(2, 12, identity=None))))
    assert seen.uwsgis == {"web": UwsgiKnown(Identity(50, 500), (Identity(11, 110),))}
    for silent in (dead(), blind(), Unreadable("no answer")):
        assert learn(seen, sample(silent)).uwsgis == seen.uwsgis
    assert join(sample(dead()), seen).subjects[WEB].fields["diagnosis"] == "uwsgi-dead"
