"""policy/language.py: what a condition may say, and the sentence for what it may not."""

from __future__ import annotations

import pytest

from paramedic.model.policy import All, Any, Comparison, FieldRef, Not, Quantity, Words
from paramedic.policy.language import parse_condition
from paramedic.policy.words import ConditionError


def test_a_quantity_becomes_its_base_unit() -> None:
    found = parse_condition("uss > 600 MiB", "uwsgi.worker")
    assert found == Comparison(FieldRef("uss"), ">", Quantity(600 * 2**20, "bytes"), "uss > 600 MiB")


def test_or_binds_looser_than_and_and_not_binds_tightest() -> None:
    found = parse_condition("requests > 1 or requests > 2 and not requests > 3", "uwsgi")
    assert isinstance(found, Any)
    assert isinstance(found.parts[1], All)
    assert isinstance(found.parts[1].parts[1], Not)


def test_parentheses_group() -> None:
    found = parse_condition("(requests > 1 or requests > 2) and busy < 3", "uwsgi")
    assert isinstance(found, All)
    assert isinstance(found.parts[0], Any)


def test_a_number_multiplies_a_field_on_either_side() -> None:
    found = parse_condition("0.5 * uss >= 2 * baseline_uss", "uwsgi")
    assert isinstance(found, Comparison)
    assert (found.left, found.right) == (FieldRef("uss", 0.5), FieldRef("baseline_uss", 2.0))


def test_words_compare_with_is_and_in() -> None:
    one = parse_condition("diagnosis is socket-missing", "supervisor")
    some = parse_condition("diagnosis in [socket-missing, daemon-dead]", "supervisor")
    assert isinstance(one, Comparison)
    assert (one.op, one.right) == ("==", Words(("socket-missing",)))
    assert isinstance(some, Comparison)
    assert some.right == Words(("socket-missing", "daemon-dead"))


def test_rates_of_a_worker_are_slopes() -> None:
    found = parse_condition("slope(running, 10m) > 0.9 /s or slope(respawns, 1h) > 3 /h", "uwsgi.worker")
    assert "running" in str(found)


@pytest.mark.parametrize(
    ("text", "kind", "sentence", "column"),
    [
        ("uss > 600", "uwsgi", "cannot compare uss with 600: the unit is missing; write one of B, KiB, MiB", 6),
        ("uss > 600 s", "uwsgi", "cannot compare uss with 600 s: s is no unit of it", 6),
        ("busy > 3 MiB", "uwsgi", "cannot compare busy with 3 MiB: it is a plain count", 7),
        ("us > 1 MiB", "uwsgi", 'cannot find "us" in uwsgi; did you mean "uss"?', 0),
        ("memory.used_percent > 85", "host", "the unit is missing; write one of %", 22),
        ("diagnosis is socket-mising", "supervisor", 'it is never that; did you mean "socket-missing"?', 13),
        ("diagnosis > socket-missing", "supervisor", 'cannot compare diagnosis with ">"', 10),
        ("uss is 5 MiB", "uwsgi", 'cannot use "is" on uss: it is a number', 4),
        ("uss > requests", "uwsgi", "cannot compare uss (bytes) with requests (count)", 6),
        ("uss", "uwsgi", "a comparison (> >= < <= == != is in) belongs here", 3),
        ("uss > 1 MiB busy > 2", "uwsgi", '"and", "or" or the end belongs here', 12),
        ("(uss > 1 MiB", "uwsgi", 'cannot find the ")"', 12),
        ("5 > uss", "uwsgi", 'cannot use 5 here: write a field first, or "5 * field"', 0),
        ("uss > 1 MiB and", "uwsgi", "a field of uwsgi belongs here", 15),
        ("uss > $x", "uwsgi", 'cannot read "$" in a condition', 6),
        ("2 * diagnosis is ok", "uwsgi", "cannot multiply diagnosis: it is a word", 4),
        ("status in idle", "uwsgi.worker", 'cannot read the list behind "in"', 10),
        ("not " * 50 + "busy > 1", "uwsgi", "cannot nest conditions deeper than 40 levels", 164),
    ],
)
def test_every_mistake_is_one_sentence_at_its_place(text: str, kind: str, sentence: str, column: int) -> None:
    with pytest.raises(ConditionError) as caught:
        parse_condition(text, kind)
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("cannot ")
    assert caught.value.column == column
