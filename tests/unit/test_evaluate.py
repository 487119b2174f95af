"""evaluate.py: three-valued truth, evidence, and what a vanished subject means."""

from __future__ import annotations

import pytest

from paramedic.evaluate import when_gone
from paramedic.model.facts import Finding, Subject, Unknown
from paramedic.model.record import Truth
from unit.builders import HOST, MAIN, MIB, WEB, facts, policy, subject, verdict

NOT_READ = Unknown("nobody could read it")


@pytest.mark.parametrize(
    ("when", "truth"),
    [
        ("busy > 2", "yes"),
        ("busy > 3", "no"),
        ("busy >= 3", "yes"),
        ("busy == 3 and idle == 1", "yes"),
        ("busy != 3", "no"),
        ("rss > 1 MiB", "unknown"),
        ("rss > 1 MiB and busy > 3", "no"),
        ("rss > 1 MiB and busy > 2", "unknown"),
        ("rss > 1 MiB or busy > 2", "yes"),
        ("rss > 1 MiB or busy > 3", "unknown"),
        ("not rss > 1 MiB", "unknown"),
        ("not busy > 3", "yes"),
        ("uss > 2 * baseline_uss", "yes"),
        ("uss > 3 * baseline_uss", "no"),
        ("uss > rss", "unknown"),
        ("diagnosis is ok", "yes"),
        ("diagnosis != ok", "no"),
        ("pss > 1 MiB", "unknown"),
    ],
)
def test_truth_is_kleenes(when: str, truth: str) -> None:
    web = subject(
        WEB, {"busy": 3, "idle": 1, "rss": NOT_READ, "uss": 50 * MIB, "baseline_uss": 20 * MIB, "diagnosis": "ok"}
    )
    assert verdict(policy(when=when), web).truth.value == truth


def test_clear_is_asked_only_while_it_fires() -> None:
    bounded = policy(watch="host", when="memory.used_percent > 85 %", do="notify")
    bounded = policy(
        watch="host",
        when="memory.used_percent > 85 %",
        do="notify",
        clear=policy(watch="host", when="memory.used_percent < 80 %", do="notify").when,
    )
    between = subject(HOST, {"memory.used_percent": 82.0})
    assert verdict(bounded, between).truth is Truth.NO
    assert verdict(bounded, between, firing=True).truth is Truth.YES
    below = subject(HOST, {"memory.used_percent": 79.0})
    assert verdict(bounded, below, firing=True).truth is Truth.NO
    assert verdict(bounded, subject(HOST, {}), firing=True).truth is Truth.UNKNOWN


def test_evidence_names_every_value_once_and_why_one_is_unknown() -> None:
    web = subject(WEB, {"busy": 3, "rss": NOT_READ})
    found = verdict(policy(when="busy > 1 and busy < 9 and rss > 1 MiB"), web)
    assert found.evidence == "busy is 3; rss is unknown (nobody could read it)"


def test_a_finding_speaks_for_its_diagnosis() -> None:
    finding = Finding("socket-missing", MAIN, "the path is gone", "link it back")
    main = subject(MAIN, {"diagnosis": "socket-missing"}, findings=(finding,))
    assert (
        verdict(policy("restore_socket", "supervisor", "diagnosis is socket-missing"), main).evidence
        == "the path is gone"
    )


def test_weight_puts_the_worst_first_in_either_direction() -> None:
    high = policy(when="busy > 1")
    low = policy(when="idle < 5")
    assert verdict(high, subject(WEB, {"busy": 9})).weight > verdict(high, subject(WEB, {"busy": 3})).weight
    assert verdict(low, subject(WEB, {"idle": 0})).weight > verdict(low, subject(WEB, {"idle": 4})).weight


def test_a_vanished_subject_is_gone_only_where_its_owner_was_read() -> None:
    orphan, program = Subject("orphan", "main/daphne@7"), Subject("supervisor.program", "main/daphne")
    read = facts(subject(MAIN))
    silent = facts(subject(MAIN, unread=frozenset(["supervisor.program"])))
    unread = facts(subject(MAIN, unread=frozenset(["supervisor.program", "orphan"])))
    assert [when_gone(orphan, seen).truth for seen in (read, silent, unread)] == [Truth.NO, Truth.NO, Truth.UNKNOWN]
    assert [when_gone(program, seen).truth for seen in (read, silent)] == [Truth.NO, Truth.UNKNOWN]
    worker = Subject("uwsgi.worker", "web/1")
    assert when_gone(worker, facts(subject(WEB, unread=frozenset(["uwsgi.worker"])))).truth is Truth.UNKNOWN
    assert when_gone(worker, read).truth is Truth.NO, "an instance that is no longer configured has no workers"
