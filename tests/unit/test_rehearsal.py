"""rehearsal: a timeline test that should fail does, at its line, with what was expected against what was got."""

from __future__ import annotations

from pathlib import Path

import pytest

from paramedic.cli.test import read_tests
from paramedic.document import Item, Place
from paramedic.model.facts import Unknown
from paramedic.model.vocabulary import KINDS
from paramedic.rehearsal import failure, play
from paramedic.rehearsal.series import ABSENT, parse_series

POLICIES = """
policies:
  - name: fat
    watch: uwsgi
    when: uss > 100 MiB
    for: 10s
    do: [chain_reload, notify]
    cooldown: 1m
  - name: told
    watch: host
    when: memory.used_percent > 90 %
    do: [notify]
"""
HEAD = "policies: policies.yaml\ntests:\n  - name: t\n"
SERIES = '    series: { uwsgi:web: { uss: "50MiBx2 150MiBx6 50MiB", baseline_uss: 10 MiB, diagnosis: ok } }\n'


def outcome(tmp_path: Path, body: str, policies: str = POLICIES) -> tuple[list[str], str]:
    """(errors, or the failures of the only test; what is printed)."""
    (tmp_path / "policies.yaml").write_text(policies)
    (tmp_path / "t.yaml").write_text(HEAD + body)
    found, errors = read_tests(tmp_path / "t.yaml")
    if errors:
        return [error.removeprefix(f"{tmp_path}/") for error in errors], ""
    played = play(found[0])
    return list(played.failures), failure(played)


def series(text: str, kind: str = "uwsgi", path: str = "uss") -> tuple[list[object], list[str]]:
    """(steps, errors) of a series."""
    errors: list[str] = []
    steps = parse_series(Item(text, Place("f", 1, 1), text), path, KINDS[kind][path], errors)
    return list(steps), errors


def test_the_notation_of_series() -> None:
    unreadable = Unknown("the test says it cannot be read")
    assert series("1KiBx2 ? 2 KiB")[0] == [1024.0, 1024.0, unreadable, 2048.0]
    assert series("0x5 95x3 ?x2 60", "host", "memory.used_percent")[0] == [0.0] * 5 + [95.0] * 3 + [unreadable] * 2 + [
        60.0
    ]
    assert series("0 3MiB/sx2 2 KiB/s 1KiB/s..3KiB/sx3", "host", "swap.in")[0] == [
        *(0.0, 3.0 * 2**20, 3.0 * 2**20, 2048.0),
        *(1024.0, 2048.0, 3072.0),
    ]
    assert "the unit is missing" in series("5", "host", "swap.in")[1][0]
    assert "a number and one of KiB/s" in series("5MiB", "host", "swap.in")[1][0]
    assert series("okx2 -", path="diagnosis")[0] == ["ok", "ok", ABSENT]
    assert series("1KiB..3KiBx3")[0] == [1024.0, 2048.0, 3072.0]
    assert series("5", path="busy")[0] == [5.0]
    assert series("1.5 h", "uwsgi", "uptime")[0] == [5400.0]
    assert series("0")[0] == [0.0]


@pytest.mark.parametrize(
    ("text", "path", "said"),
    [
        ("", "uss", 'cannot read "" as a series of uss'),
        ("5", "uss", "the unit is missing"),
        ("5 parsecs", "uss", 'cannot read "5" as uss: the unit is missing'),
        ("okay", "diagnosis", 'cannot use "okay" as diagnosis: it is never that; did you mean "ok"?'),
        ("1MiBx0", "uss", "a series has 1 to 100000 steps"),
        ("1MiBx999999", "uss", "a series has 1 to 100000 steps"),
        ("1MiB..x3", "uss", 'cannot read "" as uss'),
        ("1MiB..2MiB", "uss", "cannot draw a line"),
        ("1..2x0", "busy", "cannot draw a line"),
    ],
)
def test_a_series_that_cannot_be_read_says_why(text: str, path: str, said: str) -> None:
    steps, errors = series(text, path=path)
    assert (steps, said in errors[0]) == ([], True), errors


def test_a_right_expectation_passes(tmp_path: Path) -> None:
    body = SERIES + (
        "    policies: [fat]\n    outcome: { chain_reload: met after 10s }\n    expect:\n"
        "      - { at: 5s, verdict: 'no', state: quiet, act: none, hold: none }\n"
        "      - { at: 10s, verdict: 'yes', state: pending }\n"
        "      - { at: 20s, act: chain_reload, on: uwsgi:web }\n"
        "      - { at: 25s, hold: in flight }\n"
        "      - { at: 30s, hold: settling }\n"
        "      - { at: 40s, state: quiet }\n"
    )
    assert outcome(tmp_path, body)[0] == []


WRONG = [
    ("{ at: 5s, verdict: 'yes' }", "expected verdict yes, got no"),
    ("{ at: 10s, state: firing }", "expected state firing, got pending"),
    ("{ at: 15s, act: chain_reload }", "expected act chain_reload, got none"),
    ("{ at: 20s, act: notify }", "expected act notify, got chain_reload"),
    ("{ at: 20s, act: none }", "expected act none, got chain_reload"),
    ("{ at: 25s, hold: cooling }", "expected hold cooling, got in flight"),
    ("{ at: 25s, hold: none }", "expected hold none, got in flight"),
    ("{ at: 20s, act: chain_reload, on: uwsgi:api }", "expected it done to uwsgi:api, got uwsgi:web"),
]


@pytest.mark.parametrize(("expectation", "said"), WRONG)
def test_a_wrong_expectation_fails_with_what_was_got(tmp_path: Path, expectation: str, said: str) -> None:
    right = "" if "at: 20s" in expectation else "      - { at: 20s, act: chain_reload }\n"
    head = f"{SERIES}    policies: [fat]\n    outcome: {{ chain_reload: met after 1m }}\n    expect:\n"
    body = f"{head}{right}      - {expectation}\n"
    found, printed = outcome(tmp_path, body)
    assert any(said in one for one in found), found
    assert said in printed
    at = expectation.partition("at: ")[2].partition(",")[0]
    assert any(line.strip().startswith(f"> {at}") for line in printed.splitlines()), printed


def test_an_action_that_nobody_expects_fails_the_test(tmp_path: Path) -> None:
    body = SERIES + "    policies: [fat]\n    expect:\n      - { at: 5s, state: quiet }\n"
    found, printed = outcome(tmp_path, body)
    assert found == [
        "fat on uwsgi:web at 20s: nobody expects chain_reload on uwsgi:web",
        "fat on uwsgi:web at 30s: nobody expects notify on uwsgi:web",
    ]
    assert "FAIL " in printed
    assert "uss 150 MiB" in printed


def test_a_rung_that_takes_longer_than_its_within_is_missed(tmp_path: Path) -> None:
    body = SERIES.replace("150MiBx6", "150MiBx20") + (
        "    policies: [fat]\n    outcome: { chain_reload: met after 1h30m }\n    expect:\n"
        "      - { at: 20s, act: chain_reload }\n      - { at: 55s, act: notify }\n"
    )
    bounded = POLICIES.replace("do: [chain_reload, notify]", "do: [{ chain_reload: { within: 30s } }, notify]")
    assert outcome(tmp_path, body.replace("{ at: 55s", "{ at: 50s"), bounded)[0] == []


def test_a_test_that_tests_nothing_is_refused(tmp_path: Path) -> None:
    assert "cannot expect nothing" in outcome(tmp_path, SERIES + "    policies: [fat]\n    expect: []\n")[0][0]
    nobody = SERIES + "    policies: []\n    expect: []\n"
    assert any("cannot test no policy" in one for one in outcome(tmp_path, nobody)[0])
    line = "    policies: [fat]\n    expect:\n      - { at: 5s, act: none }\n"
    blind = "    series: { uwsgi:web: { diagnosis: ok } }\n" + line
    assert "it asks for uss, which has no series" in outcome(tmp_path, blind)[0][0]
    endless = SERIES + "    policies: [fat]\n    expect:\n      - { at: 365d, act: none }\n"
    assert any("looks: at most 100000" in one for one in outcome(tmp_path, endless)[0])


def test_a_clock_step_in_a_test_moves_the_calendar_and_no_timer(tmp_path: Path) -> None:
    body = SERIES + (
        "    policies: [fat]\n    clock: [{ at: 15s, forward: 1h }]\n    expect:\n"
        "      - { at: 15s, state: pending }\n      - { at: 20s, act: chain_reload }\n"
        "      - { at: 30s, act: notify }\n"
    )
    assert outcome(tmp_path, body)[0] == []


FAT, LOOK = f"{SERIES}    policies: [fat]\n", "    expect:\n      - "
BROKEN = [
    ("    expect: []\n", "t.yaml:3:5: cannot use this test: series missing"),
    (f"{SERIES}{LOOK}{{ at: 5s }}\n", "cannot expect nothing"),
    (f"{SERIES}{LOOK}{{ at: 5s, verdict: 'no' }}\n", "cannot tell which policy: name one of fat, told"),
    (f"{SERIES}    policies: [fit]\n    expect: []\n", 'cannot use "fit" as a policy: it is one of fat, told'),
    (f"{FAT}{LOOK}{{ at: 7s, verdict: 'no' }}\n", "cannot look at 7s"),
    (f"{FAT}{LOOK}{{ at: 5s, verdict: maybe }}\n", 'cannot use "maybe" as verdict'),
    (f"{FAT}    outcome: {{ chain_reload: fine }}\n    expect: []\n", 'cannot read "fine" as an outcome'),
    (f"{FAT}    clock: [{{ at: 5s }}]\n    expect: []\n", "cannot set the clock"),
    (f"{SERIES}    policies: [told]\n{LOOK}{{ at: 5s, act: none }}\n", "no host has a series"),
    ("    series: { web: { uss: 5 } }\n    expect: []\n", 'cannot use "web" as a subject'),
    ("    series: { uwsgi:web: { us: 5 } }\n    expect: []\n", 'cannot use "us" in uwsgi:web: no such key'),
]


@pytest.mark.parametrize(("body", "said"), BROKEN)
def test_a_test_that_cannot_be_used_is_an_error_at_its_place(tmp_path: Path, body: str, said: str) -> None:
    found, _ = outcome(tmp_path, body)
    assert any(said in one for one in found), found
    assert all(one.startswith("t.yaml:") for one in found), found


def test_a_test_file_needs_its_policies(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("tests: []\n")
    assert read_tests(tmp_path / "t.yaml")[1] == [
        f'{tmp_path}/t.yaml:1:1: cannot use this test file: it begins with "policies:" and "tests:"'
    ]
    (tmp_path / "t.yaml").write_text("policies: gone.yaml\ntests: []\n")
    assert "gone.yaml:1:1: cannot read it" in read_tests(tmp_path / "t.yaml")[1][0]
