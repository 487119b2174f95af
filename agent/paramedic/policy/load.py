"""Texts of policy files -> policies. All errors of all files are found before any is reported. Reads no file itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from paramedic import expect
from paramedic.document import DocumentError, Item, Place, parse, shown
from paramedic.model.actions import DISRUPTIVE_COOLDOWN_S, DISRUPTIVE_LIMIT, NOTIFY
from paramedic.model.policy import (
    Comparison,
    Condition,
    FieldRef,
    IsUnknown,
    Limit,
    Policy,
    Quantity,
    leaves,
    on_children,
)
from paramedic.policy.read import read_field
from paramedic.policy.schema import FIELDS

MOST_ERRORS = 500


class PolicyErrors(ValueError):
    """The policies cannot be used; `errors` holds one positioned sentence per fault."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class _Entry:
    """One item of `policies`, faulty or not: what the checks across policies need of it."""

    name: Item
    unless: tuple[Item, ...]
    policy: Policy | None


def load(texts: Iterable[tuple[str, str]]) -> tuple[Policy, ...]:
    """The policies of all (file name, text), in order; raises PolicyErrors with every fault of every file."""
    errors: dict[str, expect.Errors] = {}
    entries = [entry for file, text in texts for entry in _file(file, text, errors.setdefault(file, []))]
    for place, sentence in [*_same_names(entries), *_unknown_names(entries), *_circles(entries)]:
        errors[place.file].append(place.says(sentence))
    found = [error for file, mine in errors.items() for error in sorted(set(mine), key=lambda e: _position(e, file))]
    if found:
        rest = found[MOST_ERRORS:]
        more = (
            [f"{rest[0].partition(': cannot ')[0]}: cannot show {len(rest)} more errors: mend these first"]
            if rest
            else []
        )
        raise PolicyErrors([*found[:MOST_ERRORS], *more])
    return tuple(entry.policy for entry in entries if entry.policy is not None)


def _position(error: str, file: str) -> tuple[int, int, str]:
    line, col, sentence = error.removeprefix(f"{file}:").split(":", 2)
    return int(line), int(col), sentence


def _file(file: str, text: str, errors: expect.Errors) -> list[_Entry]:
    try:
        document = parse(text, file)
    except DocumentError as error:
        errors.append(str(error))
        return []
    before = len(errors)
    top = expect.mapping(document, ("policies",), "a policy file", errors)
    if "policies" not in top:
        if len(errors) == before or isinstance(document.value, dict):
            errors.append(document.place.says('cannot find any policies: the file starts with "policies:"'))
        return []
    return [_entry(item, errors) for item in expect.items(top["policies"], "policies", errors)]


def _entry(item: Item, errors: expect.Errors) -> _Entry:
    before = len(errors)
    policy = _policy(item, errors)
    keys = item.value if isinstance(item.value, dict) else {}
    waits = keys.get("unless")
    names = tuple(one for one in waits.value if one.text) if waits and isinstance(waits.value, list) else ()
    return _Entry(keys.get("name", Item(None, item.place)), names, policy if len(errors) == before else None)


def _policy(item: Item, errors: expect.Errors) -> Policy | None:
    before = len(errors)
    keys = expect.mapping(item, FIELDS, "a policy", errors)
    if not isinstance(item.value, dict) and len(errors) > before:
        return None
    missing = [key for key, field in FIELDS.items() if field.required and key not in keys]
    if missing:
        errors.append(item.place.says(f"cannot use this policy: {' and '.join(missing)} missing"))
    watch = cast(str | None, read_field("watch", keys["watch"], None, errors)) if "watch" in keys else None
    values: dict[str, Any] = {}
    for key, value in keys.items():
        found = watch if key == "watch" else read_field(key, value, watch, errors)
        if found is not None:
            values[FIELDS[key].attribute] = found
    for check in (_companions, _hysteresis, _acts_on_unknown):
        check(keys, values, errors)
    if any(FIELDS[key].attribute not in values for key, field in FIELDS.items() if field.required):
        return None
    disruptive = any(rung.is_disruptive for rung in values["do"])
    defaults = {
        "cooldown_s": DISRUPTIVE_COOLDOWN_S if disruptive else 0.0,
        "limit": Limit(*DISRUPTIVE_LIMIT) if disruptive else Limit(0, 0.0),
    }
    return Policy(**{**defaults, **values, "source": f"{item.place.file}:{item.place.line}"})


Keys = Mapping[str, Item]
Values = Mapping[str, Any]


def _companions(keys: Keys, _values: Values, errors: expect.Errors) -> None:
    """What needs another key, and what contradicts one."""
    for key, item in keys.items():
        field = FIELDS[key]
        if field.needs and not any(other in keys for other in field.needs):
            needed = " or ".join(f'"{other}"' for other in field.needs)
            errors.append(item.place.says(f'cannot use "{key}" without {needed}: remove it or add that'))
        for other in field.excludes:
            if other in keys:
                errors.append(item.place.says(f'cannot use "{key}" with "{other}": it looks once, at that time'))


def _hysteresis(keys: Keys, values: Values, errors: expect.Errors) -> None:
    """`clear` must not be true where `when` is: it would fire and clear in turn, for ever."""
    when, clear = values.get("when"), values.get("clear")
    if clear is None or when is None:
        return
    place = keys["clear"].place
    if _asks_for_unknown(clear):
        errors.append(place.says('cannot clear on "is unknown": what cannot be read is never taken for healed'))
    bounds = _bound(when), _bound(clear)
    if clear == when or (bounds[0] and bounds[1] and _overlap(bounds[0], bounds[1])):
        told = f'cannot clear at "{shown(keys["clear"].text)}": "{shown(keys["when"].text)}" can be true there too'
        errors.append(place.says(f"{told}; let them part"))


def _overlap(when: Bound, clear: Bound) -> bool:
    """Whether some value fulfils both; two bounds in one direction always do."""
    if when.path != clear.path:
        return False
    between = (clear.value - when.value) * when.sign
    return when.sign == clear.sign or between > 0 or (between == 0 and when.is_closed and clear.is_closed)


@dataclass(frozen=True, slots=True)
class Bound:
    """A condition that is one plain comparison: above (`sign` 1) or below (-1) a value, with it or not."""

    path: str
    sign: int
    value: float
    is_closed: bool


def _bound(condition: Condition) -> Bound | None:
    if not isinstance(condition, Comparison) or not isinstance(condition.left, FieldRef):
        return None
    if not isinstance(condition.right, Quantity) or condition.op not in _ORDER or condition.left.factor != 1.0:
        return None
    sign = 1 if condition.op.startswith(">") else -1
    return Bound(condition.left.path, sign, condition.right.value, condition.op.endswith("="))


_ORDER = (">", ">=", "<", "<=")


def _acts_on_unknown(keys: Keys, values: Values, errors: expect.Errors) -> None:
    """Unknown never acts: a condition that asks for it may only tell."""
    asks = any(_asks_for_unknown(values[part]) for part in ("when", "where") if part in values)
    acting = [rung.action for rung in values.get("do", ()) if rung.action != NOTIFY]
    if asks and acting:
        say = f'cannot {acting[0]} on "is unknown": what cannot be read is never acted on; use notify'
        errors.append(keys["do"].place.says(say))


def _asks_for_unknown(condition: Condition) -> bool:
    is_asked = any(isinstance(leaf, IsUnknown) for leaf in leaves(condition))
    return is_asked or any(map(_asks_for_unknown, on_children(condition)))


Fault = tuple[Place, str]


def _same_names(entries: Sequence[_Entry]) -> list[Fault]:
    first: dict[str, Item] = {}
    found: list[Fault] = []
    for name in [entry.name for entry in entries if entry.name.text]:
        if name.text in first:
            other = first[name.text].place
            say = f'cannot call it "{shown(name.text)}": {other.file}:{other.line} has that name; rename one'
            found.append((name.place, say))
        first.setdefault(name.text, name)
    return found


def _unknown_names(entries: Sequence[_Entry]) -> list[Fault]:
    known = {entry.name.text for entry in entries if entry.name.text}
    found: list[Fault] = []
    for one in [one for entry in entries for one in entry.unless if one.text not in known]:
        hint = expect.near(one.text, known) or "; name a policy of these files"
        found.append((one.place, f'cannot find the policy "{shown(one.text)}" of unless{hint}'))
    return found


def _circles(entries: Sequence[_Entry]) -> list[Fault]:
    """Policies that would wait for each other for ever, each circle once, at the name that closes it."""
    waits = {entry.name.text: entry.unless for entry in entries if entry.name.text}
    found: list[Fault] = []
    done: set[str] = set()
    for start in waits:
        path: list[str] = []
        pending = [(start, iter(waits[start]))] if start not in done else []
        while pending:
            name, rest = pending[-1]
            path[len(pending) - 1 :] = [name]
            following = next((one for one in rest if one.text in waits and one.text not in done), None)
            if following is None:
                done.add(name)
                pending.pop()
            elif following.text in path:
                circle = " -> ".join([*path[path.index(following.text) :], following.text])
                found.append((following.place, f"cannot wait in a circle: {shown(circle)}; break it"))
            else:
                pending.append((following.text, iter(waits[following.text])))
    return found
