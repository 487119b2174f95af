"""evaluate.py: three-valued truth, evidence, and what a vanished subject means."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paramedic.evaluate import Node, View, judge_of, tree, when_gone
from paramedic.model.facts import Finding, Subject, SubjectFacts, Unknown, Value
from paramedic.model.policy import Window
from paramedic.model.readings import Holding
from paramedic.model.record import Truth, Verdict
from paramedic.model.vocabulary import DIAGNOSES, KINDS
from paramedic.policy.language import parse_condition
from paramedic.rulebook import files_of, load_files
from paramedic.windows import Windows
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


def test_evidence_of_the_host_says_of_what_and_who_holds_the_rest() -> None:
    held = (Holding("postgresql.service", 5 * 1024 * MIB, 12), Holding("shmem (tmpfs or shared memory)", 3 * MIB))
    about: dict[str, Value] = {"memory.used_percent": 93.0, "memory.total": 4096 * MIB, "swap.in": 4.0 * MIB}
    host = subject(HOST, about, scope="cgroup /web.slice", holders=held)
    full = policy(watch="host", when="memory.used_percent > 85 % and swap.in > 1 MiB/s", do="notify")
    assert verdict(full, host).evidence == (
        "memory.used_percent is 93 %; swap.in is 4 MiB/s (cgroup /web.slice, 4 GiB); "
        "postgresql.service holds 5 GiB in 12 processes; shmem (tmpfs or shared memory) holds 3 MiB"
    )
    assert verdict(full, subject(HOST, about)).evidence == "memory.used_percent is 93 %; swap.in is 4 MiB/s"


@pytest.mark.parametrize(
    ("when", "fields"),
    [
        ("memory.used_percent > 85 %", ("memory.used_percent",)),
        ("memory.used_percent > 95 %", ()),
        ("memory.used_percent > 95 % or swap.in > 1 MiB/s", ("swap.in",)),
        ("memory.used_percent > 95 % or swap.in > 1 MiB/s and oom_kills > 0", ("swap.in", "oom_kills")),
        ("memory.used_percent > 85 % and not swap.in > 9 MiB/s", ("memory.used_percent", "swap.in")),
        ("memory.used_percent > 85 % and swap.out > 1 MiB/s", ()),
        ("swap.out is unknown", ()),
        ("swap.out is unknown or oom_kills > 0", ("oom_kills",)),
    ],
)
def test_the_fields_that_made_it_true_are_blamed(when: str, fields: tuple[str, ...]) -> None:
    about: dict[str, Value] = {"memory.used_percent": 93.0, "swap.in": 4.0 * MIB, "swap.out": NOT_READ, "oom_kills": 3}
    assert verdict(policy(watch="host", when=when, do="notify"), subject(HOST, about)).blamed == fields


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


WORKERS = [Subject("uwsgi.worker", f"web/{n}") for n in (1, 2, 3)]


def with_workers(*fields: dict[str, Value], unread: bool = False) -> list[SubjectFacts]:
    """Web and its workers with these fields."""
    about = frozenset(["uwsgi.worker"]) if unread else frozenset[str]()
    web = subject(WEB, {"busy": 1, "diagnosis": "ok"}, unread=about)
    return [web, *(subject(WORKERS[n], one, parent=WEB) for n, one in enumerate(fields))]


BUSY: dict[str, Value] = {"status": "busy", "rss": 30 * MIB, "age": 50.0}
IDLE: dict[str, Value] = {"status": "idle", "rss": 10 * MIB, "age": 5.0}
DARK: dict[str, Value] = {"status": NOT_READ, "rss": NOT_READ, "age": 7.0}


@pytest.mark.parametrize(
    ("when", "workers", "truth"),
    [
        ("sum(worker.rss) > 49 MiB", (BUSY, IDLE, IDLE), "yes"),
        ("sum(worker.rss) > 50 MiB", (BUSY, IDLE, IDLE), "no"),
        ("0.5 * sum(worker.rss) >= 25 MiB", (BUSY, IDLE, IDLE), "yes"),
        ("sum(worker.rss) > 1 MiB", (BUSY, DARK), "unknown"),
        ("sum(worker.rss) == 0 B", (), "yes"),
        ("max(worker.rss) == 30 MiB", (IDLE, BUSY, IDLE), "yes"),
        ("min(worker.rss) == 10 MiB", (BUSY, IDLE, BUSY), "yes"),
        ("max(worker.rss) > 1 MiB", (), "unknown"),
        ("min(worker.rss) > 1 MiB", (DARK, BUSY), "unknown"),
        ("count(worker.status is busy) == 2", (BUSY, IDLE, BUSY), "yes"),
        ("count(worker.status is busy) == 0", (IDLE,), "yes"),
        ("count(worker.status is busy) == 0", (), "yes"),
        ("count(worker.status is busy) > 0", (BUSY, DARK), "unknown"),
        ("2 * count(worker.status is busy) == 4", (BUSY, BUSY), "yes"),
        ("count(worker.age > 10 s and worker.status is busy) == 1", (BUSY, IDLE), "yes"),
        ("any(worker.status is busy)", (IDLE, BUSY), "yes"),
        ("any(worker.status is busy)", (IDLE, IDLE), "no"),
        ("any(worker.status is busy)", (BUSY, DARK), "yes"),
        ("any(worker.status is busy)", (IDLE, DARK), "unknown"),
        ("any(worker.status is busy)", (), "unknown"),
        ("all(worker.status is busy)", (BUSY, BUSY), "yes"),
        ("all(worker.status is busy)", (BUSY, IDLE), "no"),
        ("all(worker.status is busy)", (BUSY, DARK), "unknown"),
        ("all(worker.status is busy)", (IDLE, DARK), "no"),
        ("all(worker.status is busy)", (), "unknown"),
        ("any(2 * worker.rss > 59 MiB)", (BUSY,), "yes"),
        ("max(worker.rss) > 2 * min(worker.rss)", (BUSY, IDLE), "yes"),
        ("any(worker.name is 2)", (IDLE, IDLE), "yes"),
    ],
)
def test_children_are_gathered(when: str, workers: tuple[dict[str, Value], ...], truth: str) -> None:
    assert verdict(policy(when=when), *with_workers(*workers)).truth.value == truth


@pytest.mark.parametrize("when", ["sum(worker.rss) < 1 MiB", "count(worker.rss > 1 B) == 0", "any(worker.rss > 1 B)"])
def test_children_that_could_not_be_read_are_unknown_and_not_none(when: str) -> None:
    assert verdict(policy(when=when), *with_workers(unread=True)).truth is Truth.UNKNOWN
    assert verdict(policy(when=when), *with_workers(BUSY, unread=True)).truth is Truth.UNKNOWN


def test_is_unknown_is_the_only_question_that_unknown_answers() -> None:
    dark, clear = subject(MAIN, {"diagnosis": NOT_READ}), subject(MAIN, {"diagnosis": "ok"})
    telling = policy("notify", "supervisor", "diagnosis is unknown")
    assert [verdict(telling, one).truth for one in (dark, clear)] == [Truth.YES, Truth.NO]
    assert verdict(telling, subject(MAIN)).truth is Truth.YES, "what was never read is unknown, too"
    assert verdict(telling, dark).evidence == "diagnosis is unknown (nobody could read it)"


@pytest.mark.parametrize(
    ("watch", "about", "where", "truth"),
    [
        ("uwsgi", WEB, "name is web", "yes"),
        ("uwsgi", WEB, "name is api", "no"),
        ("uwsgi", WEB, "name in [api, web]", "yes"),
        ("uwsgi.worker", Subject("uwsgi.worker", "web/3"), "name is 3 and owner is web", "yes"),
        ("supervisor.program", Subject("supervisor.program", "main/a:b"), 'name is "a:b" and owner is main', "yes"),
        ("orphan", Subject("orphan", "main/daphne@7"), "name is daphne and owner is main", "yes"),
        ("orphan", Subject("orphan", "main/odd@name@7"), 'name is "odd@name"', "yes"),
        ("supervisor.program", Subject("supervisor.program", "main/a/b"), 'name is "a/b" and owner is main', "yes"),
        ("supervisor", MAIN, "name != main", "no"),
    ],
)
def test_where_filters_by_name_and_owner(watch: str, about: Subject, where: str, truth: str) -> None:
    of = policy("notify", watch, "name != nobody", where=parse_condition(where, watch))
    assert verdict(of, subject(about)).truth.value == truth


def test_what_is_not_watched_has_no_trouble_and_an_unknown_filter_is_unknown() -> None:
    of = policy(when="busy > 1", where=parse_condition("rss > 1 MiB", "uwsgi"))
    assert verdict(of, subject(WEB, {"busy": 9, "rss": 5})).truth is Truth.NO
    assert verdict(of, subject(WEB, {"busy": 9, "rss": NOT_READ})).truth is Truth.UNKNOWN
    assert verdict(of, subject(WEB, {"busy": 0, "rss": NOT_READ})).truth is Truth.NO
    cleared = replace(of, clear=parse_condition("busy < 1", "uwsgi"))
    assert verdict(cleared, subject(WEB, {"busy": 9, "rss": 5}), firing=True).truth is Truth.NO
    assert verdict(cleared, subject(WEB, {"busy": 9, "rss": 5 * MIB}), firing=True).truth is Truth.YES


class Memory:
    """A past that answers with one value and keeps what it was asked."""

    def __init__(self, value: float | Unknown) -> None:
        self.found, self.asked = value, list[tuple[Subject, Window, float]]()

    def value(self, subject: Subject, window: Window, now: float) -> float | Unknown:
        """The value, whatever is asked."""
        self.asked.append((subject, window, now))
        return self.found


def test_a_window_is_asked_of_the_past_at_the_time_of_the_facts() -> None:
    of = policy(when="2 * slope(rss, 1h) > 50 MiB/h")
    for value, truth in ((26 * MIB / 3600, "yes"), (24 * MIB / 3600, "no"), (NOT_READ, "unknown")):
        past = Memory(value)
        found = subject(WEB, {"rss": 1})
        seen = judge_of(of).verdict(found, View(facts(found, at=77.0), past))
        assert seen.truth.value == truth
        assert past.asked[0] == (WEB, Window("slope", "rss", 3600.0, 2.0), 77.0)


def test_two_words_or_a_word_and_a_number_do_not_compare() -> None:
    odd = subject(WEB, {"busy": "many", "idle": 2, "uss": "much", "baseline_uss": 3})
    assert verdict(policy(when="busy > 1"), odd).truth is Truth.UNKNOWN
    assert verdict(policy(when="idle < busy"), odd).truth is Truth.UNKNOWN
    assert verdict(policy(when="2 * busy > idle"), odd).truth is Truth.UNKNOWN


SAID = [
    ("busy > 1 and busy < 9", "busy is 3"),
    ("uss > 2 * baseline_uss", "uss is 50 MiB, 2 * baseline_uss is 40 MiB"),
    ("3 * uss > baseline_uss", "3 * uss is 150 MiB, baseline_uss is 20 MiB"),
    ("uptime > 1 h", "uptime is 1m30s"),
    ("slope(rss, 10m) > 1 MiB/h", "slope(rss, 10m) is 36 MiB/h"),
    ("0.5 * avg(rss, 1h30m) > 1 KiB", "0.5 * avg(rss, 1h30m) is 5.12 KiB"),
    ("sum(worker.rss) > 1 GiB", "sum(worker.rss) is 40 MiB"),
    ("max(worker.age) > 1 s", "max(worker.age) is 50s"),
    ("count(worker.status is busy) > 5", "count(workers) is 1"),
    ("any(worker.rss > 5 GiB)", "any(worker.rss > 5 GiB) is no"),
    ("diagnosis is ok", "diagnosis is ok"),
    ("pss > 1 MiB", "pss is unknown (pss was not read)"),
]


@pytest.mark.parametrize(("when", "said"), SAID)
def test_evidence_says_every_value_in_its_unit(when: str, said: str) -> None:
    fields: dict[str, Value] = {"busy": 3, "uss": 50 * MIB, "baseline_uss": 20 * MIB, "uptime": 90.0, "diagnosis": "ok"}
    web = subject(WEB, fields)
    seen = facts(web, *(subject(WORKERS[n], one, parent=WEB) for n, one in enumerate((BUSY, IDLE))))
    past = Memory(0.01 * MIB)
    assert judge_of(policy(when=when)).verdict(web, View(seen, past)).evidence == said


def test_evidence_of_a_firing_policy_is_about_what_would_clear_it() -> None:
    of = policy(when="busy > 5", clear=parse_condition("idle > 2", "uwsgi"))
    web = subject(WEB, {"busy": 3, "idle": 1})
    assert verdict(of, web).evidence == "busy is 3"
    assert verdict(of, web, firing=True).evidence == "idle is 1"
    assert verdict(policy(when="busy > 5"), web, firing=True).evidence == "busy is 3"


def test_evidence_begins_with_what_was_found_and_ends_with_the_numbers() -> None:
    finding = Finding("socket-missing", MAIN, "the path is gone", "link it back")
    main = subject(MAIN, {"diagnosis": "socket-missing", "running": 2}, findings=(finding,))
    of = policy("restore_socket", "supervisor", "diagnosis is socket-missing and running > 1")
    assert verdict(of, main).evidence == "the path is gone; running is 2"
    asked = policy("notify", "supervisor", "diagnosis is unknown")
    assert verdict(asked, main).evidence == "the path is gone; diagnosis is socket-missing"


def test_weight_is_the_first_number_in_the_direction_that_hurts() -> None:
    web = subject(WEB, {"busy": 3, "idle": 4, "diagnosis": "ok", "rss": NOT_READ})
    weights = {"busy > 1": 3.0, "busy >= 1": 3.0, "idle < 9": -4.0, "idle <= 9": -4.0, "busy == 3": -3.0}
    weights |= {"diagnosis is ok and idle > 1": 4.0, "diagnosis is ok": 0.0, "rss > 1 MiB and busy > 1": 3.0}
    for when, weight in weights.items():
        assert verdict(policy(when=when), web).weight == weight, when


def test_the_tree_has_every_value_at_its_leaf() -> None:
    web, *workers = with_workers(BUSY, DARK)
    seen = View(facts(web, *workers), Memory(NOT_READ))
    condition = parse_condition(
        "busy > 5 and (not diagnosis is ok or any(worker.status is busy)) and count(worker.rss > 1 MiB) > 1", "uwsgi"
    )
    yes, no, unknown = Truth.YES, Truth.NO, Truth.UNKNOWN
    assert tree(condition, web, seen) == Node(
        "and",
        no,
        parts=(
            Node("busy > 5", no, "busy is 1"),
            Node(
                "or",
                yes,
                parts=(
                    Node("not", no, parts=(Node("diagnosis is ok", yes, "diagnosis is ok"),)),
                    Node(
                        "any(worker.status is busy)",
                        yes,
                        parts=(
                            Node("uwsgi.worker:web/1", yes, "status is busy"),
                            Node("uwsgi.worker:web/2", unknown, "status is unknown (nobody could read it)"),
                        ),
                    ),
                ),
            ),
            Node(
                "count(worker.rss > 1 MiB) > 1",
                unknown,
                "count(workers) is unknown (it cannot be told for uwsgi.worker:web/2)",
                (
                    Node("uwsgi.worker:web/1", yes, "rss is 30 MiB"),
                    Node("uwsgi.worker:web/2", unknown, "rss is unknown (nobody could read it)"),
                ),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("when", "workers", "unread", "reason"),
    [
        ("sum(worker.rss) > 1 B", (BUSY, DARK), False, "uwsgi.worker:web/2: nobody could read it"),
        ("sum(worker.rss) > 1 B", (BUSY,), True, "its uwsgi.workers could not be read"),
        ("max(worker.rss) > 1 B", (), False, "it has no uwsgi.worker"),
        ("count(worker.rss > 1 B) > 1", (BUSY, DARK), False, "it cannot be told for uwsgi.worker:web/2"),
        ("count(worker.rss > 1 B) > 1", (BUSY,), True, "its uwsgi.workers could not be read"),
        ("max(worker.rss) > 1 B", ({"rss": "much"},), False, "uwsgi.worker:web/1: much"),
    ],
)
def test_what_is_gathered_says_why_it_is_unknown(
    when: str, workers: tuple[dict[str, Value], ...], unread: bool, reason: str
) -> None:
    assert verdict(policy(when=when), *with_workers(*workers, unread=unread)).evidence.endswith(f"unknown ({reason})")


def test_when_gone_says_what_is_so() -> None:
    worker = Subject("uwsgi.worker", "web/1")
    assert when_gone(worker, facts(subject(WEB))) == Verdict(Truth.NO, "uwsgi.worker:web/1 is gone")
    dark = facts(subject(WEB, unread=frozenset(["uwsgi.worker"])))
    assert when_gone(worker, dark) == Verdict(Truth.UNKNOWN, "uwsgi.worker:web/1 cannot be seen")
    slashed = Subject("supervisor.program", "main/a/b")
    assert when_gone(slashed, facts(subject(MAIN, unread=frozenset(["supervisor.program"])))).truth is Truth.UNKNOWN
    assert when_gone(MAIN, facts()) == Verdict(Truth.NO, "supervisor:main is gone")


@pytest.mark.parametrize(
    ("busy", "idle", "firing", "truth", "is_acute"),
    [
        (9, 0, True, "yes", True),
        (3, 0, True, "yes", False),
        (NOT_READ, 0, True, "unknown", False),
        (NOT_READ, 5, True, "no", False),
        (9, 5, True, "no", True),
        (9, NOT_READ, True, "unknown", True),
        (NOT_READ, 0, False, "unknown", False),
        (3, 0, False, "no", False),
        (9, 0, False, "yes", True),
    ],
)
def test_what_is_not_clear_is_trouble_only_where_the_condition_can_be_told(
    busy: Value, idle: Value, firing: bool, truth: str, is_acute: bool
) -> None:
    of = policy(when="busy > 5", clear=parse_condition("idle > 2", "uwsgi"))
    found = verdict(of, subject(WEB, {"busy": busy, "idle": idle}), firing=firing)
    assert (found.truth.value, found.is_acute) == (truth, is_acute)


def test_what_would_clear_may_look_through_a_window() -> None:
    of = policy(when="busy > 5", clear=parse_condition("avg(idle, 1m) > 2", "uwsgi"))
    found = judge_of(of).verdict(web := subject(WEB, {"busy": 9}), View(facts(web), Memory(3.0)), True)
    assert found.truth is Truth.NO


def test_a_policy_that_a_diagnosis_excludes_would_not_start_with_it() -> None:
    shipped = load_files(files_of(["shipped"]))
    written = [
        policy(when=when)
        for when in (
            "diagnosis is uwsgi-dead",
            "diagnosis in (uwsgi-dead, app-broken) and busy > 3",
            "busy > 3 and (diagnosis is uwsgi-dead and idle > 1)",
            "diagnosis is uwsgi-dead or busy > 3",
            "not diagnosis is uwsgi-dead",
            "diagnosis != ok",
        )
    ]
    told: list[Value] = [*DIAGNOSES, "ok", NOT_READ]
    excluded = 0
    for judge in map(judge_of, (*shipped, *written)):
        about = Subject(judge.policy.watch, "main")
        for diagnosis in told:
            fields: dict[str, Value] = dict.fromkeys(KINDS[about.kind], 1.0)
            fields["diagnosis"] = diagnosis
            found = subject(about, fields)
            is_excluded = judge.diagnoses is not None and diagnosis != NOT_READ and diagnosis not in judge.diagnoses
            excluded += is_excluded
            if is_excluded:
                assert judge.starts(found, View(facts(found), Windows())) is False, (judge.policy.name, diagnosis)
    assert excluded > 100
    assert [judge_of(one).diagnoses for one in written[3:]] == [None] * 3
