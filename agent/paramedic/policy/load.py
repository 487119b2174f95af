"""Texts of policy files -> policies. All errors of all files are found before any is reported. Reads no file itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, cast

from paramedic import expect
from paramedic.document import DocumentError, Item, Place, parse
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
from paramedic.model.vocabulary import ACTIONS, DISRUPTIVE_COOLDOWN_S, DISRUPTIVE_LIMIT, NOTIFY
from paramedic.policy.read import read_field
from paramedic.policy.schema import FIELDS

MOST_ERRORS = 500


class PolicyErrors(ValueError):
    """The policies cannot be used; `errors` holds one positioned sentence per fault."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


def load(texts: Iterable[tuple[str, str]]) -> tuple[Policy, ...]:
    """The policies of all (file name, text), in order; raises PolicyErrors with every fault of every file."""
    errors: expect.Errors = []
    policies: list[Policy] = []
    named: set[str] = set()
    places: dict[str, Mapping[str, Place]] = {}
    for file, text in texts:
        mine: expect.Errors = []
        for policy, place in _file(file, text, mine, named):
            if policy.name in places:
                other = places[policy.name]["name"]
                say = f'cannot call it "{policy.name}": {other.file}:{other.line} has that name; rename one'
                mine.append(place["name"].says(say))
            places.setdefault(policy.name, place)
            policies.append(policy)
        errors += sorted(mine, key=lambda error: _position(error, file))
    errors += _loops(policies, places, named)
    if errors:
        raise PolicyErrors(errors if len(errors) <= MOST_ERRORS else [*errors[:MOST_ERRORS], _more(len(errors))])
    return tuple(policies)


def _more(count: int) -> str:
    return f"cannot show {count - MOST_ERRORS} more errors: mend these first"


def _position(error: str, file: str) -> tuple[int, int]:
    line, col, _ = error.removeprefix(f"{file}:").split(":", 2)
    return int(line), int(col)


def _file(file: str, text: str, errors: expect.Errors, named: set[str]) -> list[tuple[Policy, Mapping[str, Place]]]:
    try:
        document = parse(text, file)
    except DocumentError as error:
        errors.append(str(error))
        return []
    top = expect.mapping(document, ("policies",), "a policy file", errors)
    if "policies" not in top:
        errors.append(document.place.says('cannot find any policies: the file starts with "policies:"'))
        return []
    found: list[tuple[Policy, Mapping[str, Place]]] = []
    for item in expect.items(top["policies"], "policies", errors):
        before = len(errors)
        policy = _policy(item, errors)
        if isinstance(item.value, dict) and "name" in item.value:
            named.add(item.value["name"].text)
        if policy and len(errors) == before:
            places = {key: value.place for key, value in cast(dict[str, Item], item.value).items()}
            found.append((policy, places))
    return found


def _policy(item: Item, errors: expect.Errors) -> Policy | None:
    keys = expect.mapping(item, FIELDS, "a policy", errors)
    missing = [key for key, field in FIELDS.items() if field.required and key not in keys]
    if missing:
        errors.append(item.place.says(f"cannot use this policy: {' and '.join(missing)} missing"))
        return None
    watch = cast(str | None, read_field("watch", keys["watch"], None, errors))
    values: dict[str, Any] = {}
    for key, value in keys.items():
        found = watch if key == "watch" else read_field(key, value, watch, errors)
        if found is not None:
            values[FIELDS[key].attribute] = found
    for check in (_companions, _hysteresis, _acts_on_unknown, _waits_for_itself):
        check(keys, values, errors)
    if any(FIELDS[key].attribute not in values for key, field in FIELDS.items() if field.required):
        return None
    disruptive = any(ACTIONS[rung.action].is_disruptive for rung in values["do"])
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
    when, clear = _bound(values.get("when")), _bound(values.get("clear"))
    if when is None or clear is None or when[0] != clear[0] or when[1] == clear[1]:
        return
    over = (clear[2] - when[2]) * when[1]
    if over > 0:
        say = f'cannot clear at "{keys["clear"].text}": "{keys["when"].text}" is still true there; let them part'
        errors.append(keys["clear"].place.says(say))


def _bound(condition: Condition | None) -> tuple[str, int, float] | None:
    """(field, 1 for above or -1 for below, limit) of a condition that is one plain comparison."""
    if not isinstance(condition, Comparison) or not isinstance(condition.left, FieldRef):
        return None
    if not isinstance(condition.right, Quantity) or condition.op not in _ORDER or condition.left.factor != 1.0:
        return None
    return condition.left.path, 1 if condition.op.startswith(">") else -1, condition.right.value


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


def _waits_for_itself(keys: Keys, values: Values, errors: expect.Errors) -> None:
    if values.get("name") in values.get("unless", ()):
        errors.append(keys["unless"].place.says("cannot wait for itself: name another policy in unless"))


def _loops(policies: Sequence[Policy], places: Mapping[str, Mapping[str, Place]], named: Collection[str]) -> list[str]:
    """Names in `unless` that no policy has, and policies that would wait for each other for ever.

    `named` has the names of faulty policies too: one error is not told as two.
    """
    found: list[str] = []
    waits = {policy.name: policy.unless for policy in policies}
    for name, others in waits.items():
        for other in others:
            place = places[name]["unless"]
            if other not in named:
                hint = expect.near(other, named) or "; name a policy of these files"
                found.append(place.says(f'cannot find the policy "{other}" of unless{hint}'))
            elif other != name and name in _reachable(other, waits) and name < other:
                found.append(place.says(f'cannot wait for "{other}" while it waits for "{name}": break the circle'))
    return found


def _reachable(start: str, waits: Mapping[str, Sequence[str]]) -> set[str]:
    found: set[str] = set()
    open_names = [start]
    while open_names:
        name = open_names.pop()
        if name not in found:
            found.add(name)
            open_names += waits.get(name, ())
    return found
