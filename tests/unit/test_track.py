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
