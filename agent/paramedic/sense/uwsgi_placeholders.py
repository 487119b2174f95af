"""`$(ENV)`, `@(FILE)` and `%(option)`: three passes over all options, in this order (core/uwsgi.c uwsgi_setup).

They see the first value of a name, while of an option itself the last one counts.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping

from paramedic.host.writers import readable_by
from paramedic.sense.uwsgi_files import Option, read_small
from paramedic.sense.uwsgi_magic import UNKNOWN
from paramedic.sense.uwsgi_options import number

MAX_AT_BYTES = 64 * 1024
MAX_VALUE = 64 * 1024
MAX_STEPS = 1000
MAX_EFFORT = 2_000_000  # characters and options looked at: a quarter of a second
Lookup = Callable[[str], str | None]


def expand(options: list[Option], environ: Mapping[str, str], find: Callable[[str], str], owner: int) -> list[str]:
    """Expands the values in place and gives the files that `@()` read. What cannot be known becomes UNKNOWN.

    `find` resolves a relative path. Only files that the ini's `owner` may read are read.
    Raises ValueError for placeholders that never end: with those uWSGI does not start either.
    """
    read: list[str] = []
    effort = _Effort()

    def content(name: str) -> str:
        path = find(name)
        with contextlib.suppress(OSError, ValueError):
            if readable_by(path, owner):
                text = read_small(path, MAX_AT_BYTES).decode("utf-8", "replace")
                read.append(path)
                return text[:-1] if text.endswith(("\n", "\r")) else text
        return UNKNOWN

    _pass(options, "$", lambda name: environ.get(name, UNKNOWN), effort)
    _pass(options, "@", content, effort)
    _pass(options, "%", lambda key: _reference(key, options), effort)
    return read


class _Effort:
    """What has been looked at: an ini can be written so that its placeholders take hours."""

    def __init__(self) -> None:
        self._left = MAX_EFFORT

    def take(self, amount: int, option: Option) -> None:
        """Raises ValueError when it is too much."""
        self._left -= amount
        if self._left < 0:
            raise ValueError(f"the placeholders of {option.key[:40]} never end")


def _pass(options: list[Option], symbol: str, lookup: Lookup, effort: _Effort) -> None:
    for option in options:
        if option.expands and f"{symbol}(" in option.value:
            _scan(option, symbol, lookup, effort, len(options))


def _scan(option: Option, symbol: str, lookup: Lookup, effort: _Effort, others: int) -> None:
    """core/utils.c uwsgi_apply_config_pass, to the letter: after a replacement it goes on at the second character."""
    at = depth = steps = 0
    start: int | None = None
    seen = False
    effort.take(len(option.value), option)
    while at < len(option.value):
        value = option.value
        char = value[at]
        if char == symbol:
            seen, start = True, None
        elif start is None:
            start, depth = (at + 1, 0) if char == "(" and seen else (None, 0)
            seen = False
        elif char == "(":
            depth += 1
        elif char == ")" and depth:
            depth -= 1
        elif char == ")":
            effort.take(others, option)
            found = lookup(value[start:at]) if at > start else None
            if found is not None:
                effort.take(len(value) + len(found), option)
                option.value, at = value[: start - 2] + found + value[at + 1 :], 0
                steps += 1
            start = None
        if steps > MAX_STEPS or len(option.value) > MAX_VALUE:
            raise ValueError(f"the placeholders of {option.key[:40]} never end")
        at += 1


def _reference(key: str, options: list[Option]) -> str | None:
    """`%(name)`, or the sums uWSGI does there: `%(processes * 2)` (core/config.c uwsgi_manage_placeholder)."""
    return _calculated(key, options) if " " in key else _first(key, options)


def _first(key: str, options: list[Option]) -> str | None:
    for option in options:
        if option.key == key:
            return option.value if option.decided else UNKNOWN
    unread = any(not option.decided and option.key in ("ini", "include") for option in options)
    return UNKNOWN if unread else None


def _calculated(key: str, options: list[Option]) -> str:
    """From left to right, without precedence; words without an operator between them are joined."""
    result, operator = "", ""
    for word in filter(None, key.split(" ")):
        if word in ("+", "-", "*", "/"):
            operator = word
            continue
        if word in ("++", "--"):
            result, operator = str(number(result) + (1 if word == "++" else -1)) if result else result, ""
            continue
        value = word if re.fullmatch(r"\d+", word, re.ASCII) else _first(word, options) or ""
        result = _applied(operator, result, value)
        operator = ""
    return UNKNOWN if UNKNOWN in result else result


def _applied(operator: str, one: str, other: str) -> str:
    if not operator:
        return one + other
    if UNKNOWN in one + other:
        return UNKNOWN
    left, right = number(one), number(other)
    if operator == "/":
        whole = abs(left) // abs(right) if right else 0
        return str(-whole if (left < 0) != (right < 0) else whole)
    return str({"+": left + right, "-": left - right, "*": left * right}[operator])
