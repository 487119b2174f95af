"""Typed access to a document's items: each function returns the value, or None after adding one error.

An error is one sentence `file:line:col: cannot ...: because; what to do`; all of them are collected.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from paramedic.document import Item, Place
from paramedic.model import units

Errors = list[str]
_PART = re.compile(r"[0-9]+(?:\.[0-9]+)?[a-z]+")
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z%]*)")


def near(word: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?` for the nearest known word, else the empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""


def mapping(item: Item, known: Iterable[str], what: str, errors: Errors) -> dict[str, Item]:
    """The keys and values of a mapping; unknown keys are errors."""
    if item.value is None:
        return {}
    if not isinstance(item.value, dict):
        errors.append(item.place.says(f"cannot use {item.shape} as {what}: it is a mapping"))
        return {}
    names = list(known)
    for key, value in item.value.items():
        if key not in names:
            say = f'cannot use "{key}" in {what}: no such key{near(key, names) or "; known are " + ", ".join(names)}'
            errors.append(value.place.says(say))
    return {key: value for key, value in item.value.items() if key in names}


def entries(item: Item | None, what: str, errors: Errors) -> dict[str, Item]:
    """The items of a mapping whose keys are names the user chose."""
    if item is None or item.value is None:
        return {}
    if not isinstance(item.value, dict):
        errors.append(item.place.says(f"cannot use {item.shape} as {what}: it is a mapping of names"))
        return {}
    for key, value in item.value.items():
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", key):
            errors.append(value.place.says(f'cannot use "{key}" as a name: letters, digits, dot, dash and _ only'))
    return item.value


def items(item: Item, what: str, errors: Errors) -> list[Item]:
    """The items of a list."""
    if not isinstance(item.value, list):
        errors.append(item.place.says(f"cannot use {item.shape} as {what}: it is a list"))
        return []
    return item.value


def text(item: Item, what: str, errors: Errors) -> str | None:
    """A non-empty text; numbers and yes/no are taken as they were written."""
    if isinstance(item.value, dict | list) or item.text == "":
        errors.append(item.place.says(f"cannot use {item.shape} as {what}: it is a text"))
        return None
    return item.text


def choice(item: Item, options: Iterable[str], what: str, errors: Errors) -> str | None:
    """One of the options."""
    known = list(options)
    if item.text in known:
        return item.text
    say = f'cannot use "{item.text}" as {what}{near(item.text, known)}: it is one of {", ".join(known)}'
    errors.append(item.place.says(say))
    return None


def argv(item: Item, what: str, errors: Errors) -> tuple[str, ...] | None:
    """A command as a list of words, its program an absolute path: there is no shell and no PATH here."""
    words = [text(word, f"a word of {what}", errors) for word in items(item, what, errors)]
    if not words or None in words:
        if not words and isinstance(item.value, list):
            errors.append(item.place.says(f"cannot use an empty list as {what}"))
        return None
    if not str(words[0]).startswith("/"):
        say = f'cannot run "{words[0]}" as {what}: its path is not absolute; write it out'
        errors.append(item.place.says(say))
        return None
    return tuple(str(word) for word in words)


def texts(item: Item, what: str, errors: Errors) -> Mapping[str, str]:
    """A mapping of names to texts, e.g. an environment."""
    found = entries(item, what, errors)
    values = {key: text(value, f"{what}.{key}", errors) for key, value in found.items()}
    return {key: value for key, value in values.items() if value is not None}


def duration(item: Item, what: str, errors: Errors) -> float | None:
    """Seconds from `5s`, or from `1h30m` as durations are printed: the larger unit first, each once."""
    parts = _PART.findall(item.text)
    if len(parts) > 1 and "".join(parts) == item.text:
        found = [_NUMBER.fullmatch(part) for part in parts]
        names = [match[2] for match in found if match]
        order = [unit for unit in reversed(units.SECONDS) if unit in names]
        if len(names) == len(parts) and names == order:
            return sum(float(match[1]) * units.SECONDS[match[2]] for match in found if match)
    return quantity(item.text, "seconds", what, item.place, errors)


def quantity(words: str, dimension: str, what: str, place: Place, errors: Errors) -> float | None:
    """`600 MiB` in the base unit of `dimension`; a bare number is an error that names the units."""
    found = _NUMBER.fullmatch(words.strip())
    if not found:
        errors.append(
            place.says(f'cannot read "{words}" as {what}: it is a number and one of {units.units_of(dimension)}')
        )
        return None
    number, unit = float(found[1]), found[2]
    factor = units.DIMENSIONS[dimension].get(unit)
    if factor is None:
        because = f"{unit} is no unit of {dimension}" if unit else "the unit is missing"
        errors.append(
            place.says(f'cannot read "{words}" as {what}: {because}; write one of {units.units_of(dimension)}')
        )
        return None
    return number * factor
