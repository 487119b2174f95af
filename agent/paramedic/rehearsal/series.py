"""`70x2 90x11 ?x2 75` -> one value for each step: `?` unreadable, `-` not there, `a..b` a straight line."""

from __future__ import annotations

import re
from dataclasses import dataclass

from paramedic import expect
from paramedic.document import Item
from paramedic.model.facts import Unknown, Value
from paramedic.model.units import DIMENSIONS, units_of
from paramedic.model.vocabulary import Field

MOST_STEPS = 100_000
UNREADABLE = Unknown("the test says it cannot be read")
_SPACED = re.compile(r"([0-9.]+) +(%|(?:[KMGT]iB|B)(?:/[smhd])?|ms|s|m|h|d)(?=$|\s|x[0-9]|\.\.)")
_TIMES = re.compile(r"(.+?)x([0-9]{1,6})")
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z%]*(?:/[a-z])?)")


@dataclass(frozen=True, slots=True)
class Absent:
    """The subject is not there in this step."""


ABSENT = Absent()
Step = Value | Absent


def parse_series(item: Item, path: str, field: Field, errors: expect.Errors) -> list[Step]:
    """The steps of one field; the last one stays to the end. Empty after an error."""
    found: list[Step] = []
    before = len(errors)
    for token in _SPACED.sub(r"\1\2", item.text).split():
        repeated = _TIMES.fullmatch(token)
        word, times = (repeated[1], int(repeated[2])) if repeated else (token, 1)
        found += _steps(word, times, path, field, item, errors)
        if len(found) > MOST_STEPS or times == 0:
            errors.append(item.place.says(f"cannot use {token}: a series has 1 to {MOST_STEPS} steps"))
            break
    if not found and len(errors) == before:
        errors.append(item.place.says(f'cannot read "{item.text}" as a series of {path}: write e.g. 70x2 90x11 ?x2 75'))
    return found if len(errors) == before else []


def _steps(word: str, times: int, path: str, field: Field, item: Item, errors: expect.Errors) -> list[Step]:
    if word == "?":
        return [UNREADABLE] * min(times, MOST_STEPS + 1)
    if word == "-":
        return [ABSENT] * min(times, MOST_STEPS + 1)
    first, dots, last = word.partition("..")
    value = _value(first, path, field, item, errors)
    if not dots or value is None:
        return [] if value is None else [value] * min(times, MOST_STEPS + 1)
    end = _value(last, path, field, item, errors)
    if not isinstance(end, int | float) or not isinstance(value, int | float) or times < 2:
        if end is not None:
            errors.append(item.place.says(f"cannot draw a line from {word}: write two numbers and how often, 1..9x5"))
        return []
    count = min(times, MOST_STEPS + 1)
    return [value + (end - value) * at / (count - 1) for at in range(count)]


def _value(word: str, path: str, field: Field, item: Item, errors: expect.Errors) -> Value | None:
    if field.dimension == "word":
        if field.words and word not in field.words:
            hint = expect.near(word, field.words) or "; known are " + ", ".join(field.words)
            errors.append(item.place.says(f'cannot use "{word}" as {path}: it is never that{hint}'))
            return None
        return word
    number = _NUMBER.fullmatch(word)
    units = DIMENSIONS.get(field.dimension, {})
    if number is None or (number[2] and number[2] not in units):
        errors.append(
            item.place.says(f'cannot read "{word}" as {path}: a number and one of {units_of(field.dimension)}')
        )
        return None
    if not number[2] and field.dimension in ("bytes", "bytes/s", "seconds") and float(number[1]):
        say = f'cannot read "{word}" as {path}: the unit is missing; write one of {units_of(field.dimension)}'
        errors.append(item.place.says(say))
        return None
    return float(number[1]) * units.get(number[2], 1.0)
