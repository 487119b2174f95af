"""track.py: the table, and time that counts only while the condition was seen to hold."""

from __future__ import annotations

import pytest

from paramedic.model.record import Phase, RuleState, Truth
from paramedic.track import LONG_ENOUGH, TABLE, diagram, track

QUIET = RuleState()
WORDS = ("yes", f"yes{LONG_ENOUGH}", "no", f"no{LONG_ENOUGH}", "unknown")


def run(words: str, for_s: float = 10.0, step_s: float = 5.0, keep_s: float = 0.0) -> list[str]:
    """The phases after each word (y, n, ?) at a steady interval."""
    truths = {"y": Truth.YES, "n": Truth.NO, "?": Truth.UNKNOWN}
    state, phases = QUIET, []
    for at, word in enumerate(words):
        state = track(state, truths[word], for_s, keep_s, 100 + at * step_s)
        phases.append(state.phase.value)
    return phases


@pytest.mark.parametrize(
    ("words", "last"),
    [
        ("y", "pending"),
        ("yy", "pending"),
        ("yyy", "firing"),
        ("yny", "pending"),
        ("yyn", "quiet"),
        ("yyyn", "quiet"),
        ("n", "quiet"),
        ("?", "quiet"),
        ("y?", "pending"),
        ("yyy?", "firing"),
        ("yyy??????n", "quiet"),
    ],
)
def test_phases(words: str, last: str) -> None:
    assert run(words)[-1] == last


def test_unknown_freezes_the_timer() -> None:
    assert run("y????????y")[-1] == "pending"
    assert run("yy????yy")[-1] == "firing"
    assert run("yy????y")[-1] == "pending"


def test_without_for_the_first_yes_fires() -> None:
    assert run("y", for_s=0.0) == ["firing"]


def test_a_clock_that_stands_still_or_goes_back_adds_nothing() -> None:
    state = track(QUIET, Truth.YES, 10, 0, 100)
    state = track(state, Truth.YES, 10, 0, 90)
    assert (state.held_s, state.phase) == (0.0, Phase.PENDING)


def test_the_table_answers_every_state_and_word() -> None:
    assert set(TABLE) == {(phase, word) for phase in Phase for word in WORDS}


def test_nothing_fires_or_heals_on_unknown() -> None:
    assert all(TABLE[phase, "unknown"] is phase for phase in Phase)


def test_the_diagram_is_drawn_from_the_table() -> None:
    assert "    pending --> firing: yes, for long enough" in diagram().splitlines()


def test_keep_holds_on_until_it_is_clear_for_long_enough() -> None:
    assert run("yyynnn", keep_s=10.0) == ["pending", "pending", "firing", "resolving", "resolving", "quiet"]
    assert run("yyynny", keep_s=10.0)[-1] == "firing", "without waiting for `for` again"
    assert run("yyynn???nn", keep_s=10.0)[-2:] == ["resolving", "quiet"], "unknown freezes that timer, too"
    assert run("yyyn", keep_s=0.0)[-1] == "quiet"
    assert run("yyn", keep_s=100.0)[-1] == "quiet", "what never fired has nothing to keep"


def look(state: RuleState, truth: Truth, now: float, longest_s: float = 15.0) -> RuleState:
    """One look with `for: 10s` and `keep: 20s`."""
    return track(state, truth, 10.0, 20.0, now, longest_s)


def test_the_whole_state_after_each_look() -> None:
    state = look(QUIET, Truth.YES, 100.0)
    assert state == RuleState(Phase.PENDING, 0.0, 100.0, Truth.YES, 0.0, 100.0)
    state = look(state, Truth.YES, 106.0)
    assert state == RuleState(Phase.PENDING, 6.0, 106.0, Truth.YES, 0.0, 100.0)
    state = look(state, Truth.UNKNOWN, 109.0)
    assert state == RuleState(Phase.PENDING, 6.0, 109.0, Truth.UNKNOWN, 0.0, 100.0)
    state = look(state, Truth.YES, 112.0)
    assert state == RuleState(Phase.PENDING, 6.0, 112.0, Truth.YES, 0.0, 100.0)
    state = look(state, Truth.YES, 116.0)
    assert state == RuleState(Phase.FIRING, 10.0, 116.0, Truth.YES, 0.0, 100.0)
    state = look(state, Truth.NO, 120.0)
    assert state == RuleState(Phase.RESOLVING, 0.0, 120.0, Truth.NO, 0.0, 100.0)
    state = look(state, Truth.NO, 127.0)
    assert state == RuleState(Phase.RESOLVING, 0.0, 127.0, Truth.NO, 7.0, 100.0)
    state = look(state, Truth.UNKNOWN, 130.0)
    assert state == RuleState(Phase.RESOLVING, 0.0, 130.0, Truth.UNKNOWN, 7.0, 100.0)
    state = look(look(state, Truth.NO, 131.0), Truth.NO, 144.0)
    assert state == RuleState(Phase.QUIET, 0.0, 144.0, Truth.NO, 20.0, 100.0)
    state = look(state, Truth.YES, 150.0)
    assert state == RuleState(Phase.PENDING, 0.0, 150.0, Truth.YES, 0.0, 150.0), "a new ladder begins here"


def test_time_that_nobody_looked_at_counts_as_one_longest_step() -> None:
    state = look(look(QUIET, Truth.YES, 100.0, 4.0), Truth.YES, 4000.0, 4.0)
    assert (state.held_s, state.phase) == (4.0, Phase.PENDING)
    firing = RuleState(Phase.FIRING, 10.0, 100.0, Truth.NO)
    assert look(firing, Truth.NO, 9000.0, 4.0).phase is Phase.RESOLVING
    assert track(QUIET, Truth.YES, 0.0, 0.0, 5.0).phase is Phase.FIRING


def test_the_whole_diagram() -> None:
    assert diagram().splitlines() == [
        "stateDiagram-v2",
        "    [*] --> quiet",
        "    quiet --> pending: yes",
        "    quiet --> firing: yes, for long enough",
        "    pending --> firing: yes, for long enough",
        "    pending --> quiet: no",
        "    pending --> quiet: no, for long enough",
        "    firing --> resolving: no",
        "    firing --> quiet: no, for long enough",
        "    resolving --> firing: yes",
        "    resolving --> firing: yes, for long enough",
        "    resolving --> quiet: no, for long enough",
    ]
