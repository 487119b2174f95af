"""Typed access to a document's items: each function returns the value, or None after adding one error.

An error is one sentence `file:line:col: cannot ...: because; what to do`; all of them are collected.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from paramedic.document import Item, Place, shown
from paramedic.model import units

Errors = list[str]
MOST_WORD, MOST_NAMES, MOST_TYPED = 64, 1000, 12
SHORTEST_START = 5
_PART = re.compile(r"[0-9]+(?:\.[0-9]+)?[a-z]+")
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z%]*)")


def near(word: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?` for the one known word that goes on like it, or the nearest; else the empty string."""
    import difflib  # only a mistake needs it

    names = {name.lower(): name for name in known if abs(len(name) - len(word)) <= MOST_TYPED}
    close = (
        difflib.get_close_matches(word.lower()[:MOST_WORD], names, n=1, cutoff=0.6) if len(names) < MOST_NAMES else []
    )
    longer = [name for name in names if len(word) >= SHORTEST_START and name.startswith(word.lower())]
    close = longer if len(longer) == 1 else close
    return f'; did you mean "{names[close[0]]}"?' if close else ""


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
            hint = near(key, names) or "; known are " + ", ".join(names)
            say = f'cannot use "{shown(key)}" in {what}: no such key{hint}'
            errors.append((value.key or value.place).says(say))
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
            errors.append(
                (value.key or value.place).says(
                    f'cannot use "{shown(key)}" as a name: letters, digits, dot, dash and _ only'
                )
            )
    return item.value


def items(item: Item, what: str, errors: Errors) -> list[Item]:
    """The items of a list."""
    if not isinstance(item.value, list):
        errors.append(item.place.says(f"cannot use {item.shape} as {what}: it is a list"))
        return []
    return item.value


def text(item: Item, what: str, errors: Errors) -> str | None:
    """A non-empty text; numbers and yes/no are taken as they were written."""
    if isinstance(item.value, dict | list) or item.value is None:
        errors.append(item.place.says(f"cannot use {item.shape} as {what}: it is a text"))
        return None
    if not item.text.strip():
        errors.append(item.place.says(f"cannot use an empty text as {what}: write something"))
        return None
    return item.text


def choice(item: Item, options: Iterable[str], what: str, errors: Errors) -> str | None:
    """One of the options."""
    known = list(options)
    if item.text in known and not isinstance(item.value, dict | list):
        return item.text
    got = item.shape if isinstance(item.value, dict | list) or not item.text else f'"{shown(item.text)}"'
    listed = f"it is one of {', '.join(known)}" if len(known) != 1 else f"write {known[0]}"
    hint = near(item.text, known) if item.text else ""
    errors.append(item.place.says(f"cannot use {got} as {what}: {listed}{hint}"))
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
    if isinstance(item.value, dict | list) or not item.text:
        errors.append(item.place.says(f"cannot use {item.shape} as {what}: write e.g. 30s or 1h30m"))
        return None
    seconds = compound(item.text)
    if seconds is not None:
        return seconds
    return quantity(item.text, "seconds", what, item.place, errors)


def compound(words: str) -> float | None:
    """Seconds from `1h30m`, None where it is not of that form."""
    parts = _PART.findall(words) if len(words) <= MOST_WORD else []
    if len(parts) < 2 or "".join(parts) != words:
        return None
    found = [_NUMBER.fullmatch(part) for part in parts]
    names = [match[2] for match in found if match]
    if names != [unit for unit in reversed(units.SECONDS) if unit in names]:
        return None
    return sum(float(match[1]) * units.SECONDS[match[2]] for match in found if match)


def quantity(words: str, dimension: str, what: str, place: Place, errors: Errors) -> float | None:
    """`600 MiB` in the base unit of `dimension`; a bare number is an error that names the units."""
    found = _NUMBER.fullmatch(words.strip()) if len(words) <= MOST_WORD else None
    if not found:
        listed = units.units_of(dimension)
        more = ", e.g. 30s or 1h30m with the larger unit first" if dimension == "seconds" else ""
        say = f'cannot read "{shown(words)}" as {what}: it is a number and one of {listed}{more}'
        errors.append(place.says(say))
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
