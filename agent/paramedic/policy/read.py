"""One function for each shape of the schema: item -> value, or None after adding one error."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo, available_timezones

from paramedic import cron, expect
from paramedic.document import Item, shown
from paramedic.model.actions import ACTIONS
from paramedic.model.policy import Condition, Hours, Limit, Rung
from paramedic.model.units import render_seconds
from paramedic.model.vocabulary import KINDS
from paramedic.policy.language import parse_condition
from paramedic.policy.schema import FIELDS, MAX_LIMIT_S, MAX_TARGETS, PolicyField
from paramedic.policy.words import ConditionError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LIMIT = re.compile(r"([0-9]{1,6}) per (.+)")
_NAMED = re.compile(r"\{([^{}]*)\}")
LONGEST_S, MOST_PAUSE_S = 30 * 86400.0, 3600.0
_HOURS = re.compile(r"(?:([a-z,-]+) )?([0-9]{1,2}):([0-9]{2})-([0-9]{1,2}):([0-9]{2})")


@dataclass(frozen=True, slots=True)
class Context:
    """What a value is read for: the policy's key, its row in the schema, and the watched kind, if that is known."""

    key: str
    field: PolicyField
    watch: str | None
    errors: expect.Errors


Reader = Callable[[Item, Context], object]


def read_field(key: str, item: Item, watch: str | None, errors: expect.Errors) -> object:
    """The value of one key of a policy; None after an error."""
    field = FIELDS[key]
    return READERS[field.shape](item, Context(key, field, watch, errors))


def _name(item: Item, context: Context) -> str | None:
    found = expect.text(item, "a policy's name", context.errors)
    if found is not None and not _NAME.fullmatch(found):
        say = f'cannot use "{shown(found)}" as a policy\'s name: letters, digits, dot, dash and _ only, 64 at most'
        context.errors.append(item.place.says(say))
        return None
    return found


def _text(item: Item, context: Context) -> str | None:
    return expect.text(item, context.key, context.errors)


def _choice(item: Item, context: Context) -> str | None:
    return expect.choice(item, context.field.words, context.key, context.errors)


def _condition(item: Item, context: Context) -> Condition | None:
    words = expect.text(item, "a condition", context.errors)
    if words is None or context.watch is None:
        return None
    try:
        return parse_condition(words, context.watch)
    except ConditionError as error:
        context.errors.append(item.at(error.column).says(str(error)))
        return None


def _duration(item: Item, context: Context) -> float | None:
    return _bounded(item, f'"{context.key}"', context.errors)


def _bounded(item: Item, what: str, errors: expect.Errors, most_s: float = LONGEST_S) -> float | None:
    seconds = expect.duration(item, what, errors)
    if seconds is not None and seconds > most_s:
        errors.append(item.place.says(f"cannot use {shown(item.text)} as {what}: at most {render_seconds(most_s)}"))
        return None
    return seconds


def _cron(item: Item, context: Context) -> str | None:
    words = expect.text(item, '"at"', context.errors)
    why = cron.fault(words) if words is not None else None
    if why:
        say = f'cannot read "{words}" as a time: {why}; write five cron fields, e.g. "30 3 * * *"'
        context.errors.append(item.place.says(say))
        return None
    return words


@functools.cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _zone(item: Item, context: Context) -> ZoneInfo | None:
    name = expect.text(item, '"tz"', context.errors)
    if name is None:
        return None
    if name not in _zones():
        hint = expect.near(name, [zone for zone in _zones() if zone[:2].lower() == name[:2].lower()])
        say = f'cannot find the time zone "{shown(name)}"{hint or "; write e.g. Europe/Berlin"}'
        context.errors.append(item.place.says(say))
        return None
    return ZoneInfo(name)


def _misfire(item: Item, context: Context) -> float | None:
    if item.text == "cron":
        return None
    if item.text == "skip":
        return 0.0
    if not item.text[:1].isdigit():
        got = f'"{shown(item.text)}"' if item.text else item.shape
        context.errors.append(item.place.says(f"cannot use {got} as misfire: it is cron, skip or a duration, e.g. 2h"))
        return None
    return _bounded(item, '"misfire"', context.errors)


def _hours(item: Item, context: Context) -> tuple[Hours, ...]:
    entries = item.value if isinstance(item.value, list) else [item]
    if not entries:
        context.errors.append(item.place.says('cannot use an empty "only": write e.g. 22:00-06:00'))
    return tuple(hours for hours in (_window(entry, context.errors) for entry in entries) if hours)


def _window(item: Item, errors: expect.Errors) -> Hours | None:
    found = _HOURS.fullmatch(item.text)
    days = _days(found[1]) if found else None
    first, last = (int(found[2]) * 60 + int(found[3]), int(found[4]) * 60 + int(found[5])) if found else (0, 0)
    is_time = found is not None and int(found[3]) < 60 and int(found[5]) < 60 and first < 1440 and last <= 1440
    if days is not None and is_time and first == last:
        errors.append(item.place.says(f"cannot use {item.text}: it begins when it ends; all day is 00:00-24:00"))
        return None
    if days is None or not is_time:
        got = f'"{shown(item.text)}"' if item.text else item.shape
        say = f"cannot read {got} as hours: write e.g. 22:00-06:00 or mon-fri 09:00-17:00"
        errors.append(item.place.says(say))
        return None
    return Hours(days, first, last, item.text)


def _days(words: str | None) -> frozenset[int] | None:
    if words is None:
        return frozenset(range(7))
    found: set[int] = set()
    for part in words.split(","):
        first, dash, last = part.partition("-")
        last = last if dash else first
        if first not in DAYS or last not in DAYS:
            return None
        start, end = DAYS.index(first), DAYS.index(last)
        found |= {day % 7 for day in range(start, end + 1 if end >= start else end + 8)}
    return frozenset(found)


def _names(item: Item, context: Context) -> tuple[str, ...]:
    found = [expect.text(one, f'a name in "{context.key}"', context.errors) for one in _list(item, context)]
    return tuple(name for name in found if name)


def _list(item: Item, context: Context) -> list[Item]:
    found = expect.items(item, f'"{context.key}"', context.errors)
    if not found and isinstance(item.value, list):
        example = FIELDS[context.key].example
        context.errors.append(item.place.says(f'cannot use an empty "{context.key}": write e.g. {example}'))
    return found


def _ladder(item: Item, context: Context) -> tuple[Rung, ...]:
    return tuple(rung for rung in (_rung(step, context) for step in _list(item, context)) if rung)


def _rung(step: Item, context: Context) -> Rung | None:
    errors = context.errors
    name, arguments = step, Item({}, step.place)
    if isinstance(step.value, dict):
        if len(step.value) != 1:
            say = "cannot read this step: it is one action, e.g. - chain_reload: { within: 15m }"
            errors.append(step.place.says(say))
            return None
        key, arguments = next(iter(step.value.items()))
        name = Item(key, step.place, key)
    action = expect.choice(name, ACTIONS, "an action", errors)
    if not action:
        return None
    kind = ACTIONS[action]
    if context.watch and context.watch not in kind.fits:
        errors.append(step.place.says(f"cannot {action} a {context.watch}: it works on {', '.join(kind.fits)}"))
    keys = expect.mapping(arguments, (*kind.args, "within"), action, errors)
    if "uwsgi" in keys and context.watch not in (None, "host"):
        say = f"cannot name the instance of a {context.watch}: it is the subject's own; only a policy on host may"
        errors.append((keys["uwsgi"].key or keys["uwsgi"].place).says(say))
    for key in keys:
        on = kind.args[key].on if key in kind.args else ()
        if on and context.watch not in (None, *on):
            say = f"cannot use {action}.{key} on a {context.watch}: there is only one; it works on {', '.join(on)}"
            errors.append((keys[key].key or keys[key].place).says(say))
    within = _bounded(keys.pop("within"), "within", errors) if "within" in keys else None
    for key in (key for key, arg in kind.args.items() if arg.is_argv and key not in keys):
        errors.append(step.place.says(f"cannot {action} nothing: write {key}: [/path/of/a/program, and, its, words]"))
    args = {key: _argument(action, key, value, context.watch, errors) for key, value in keys.items()}
    return Rung(action, args, within)


def _argument(action: str, key: str, value: Item, watch: str | None, errors: expect.Errors) -> str | tuple[str, ...]:
    arg, what = ACTIONS[action].args[key], f"{action}.{key}"
    if arg.is_argv:
        return expect.argv(value, what, errors) or ()
    if arg.is_count:
        return str(_number(value, what, errors) or "")
    if arg.is_duration:
        seconds = _bounded(value, what, errors, MOST_PAUSE_S)
        return "" if seconds is None else f"{seconds:g}"
    found = expect.choice(value, arg.words, what, errors) if arg.words else expect.text(value, what, errors)
    known = ("subject", *KINDS[watch]) if watch else ()
    for name in _NAMED.findall(found or "") if arg.is_template and known else ():
        if name not in known:
            hint = expect.near(name, known) or f"; a {watch} has {', '.join(known)}"
            errors.append(value.place.says(f'cannot put "{{{shown(name)}}}" into {what}: no such field{hint}'))
    return found or ""


def _limit(item: Item, context: Context) -> Limit | None:
    if item.text == "none":
        return Limit(0, 0.0)
    found = _LIMIT.fullmatch(item.text)
    if not found or int(found[1]) == 0:
        got = f'"{shown(item.text)}"' if item.text else item.shape
        say = f'cannot read {got} as a limit: write e.g. "6 per 1h", or none'
        context.errors.append(item.place.says(say))
        return None
    per = expect.duration(replace(item, value=found[2], text=found[2]), "a limit", context.errors)
    if per is not None and not 1.0 <= per <= MAX_LIMIT_S:
        context.errors.append(item.place.says("cannot use this limit: its period is between 1s and 7d"))
    return None if per is None else Limit(int(found[1]), per)


def _count(item: Item, context: Context) -> int | None:
    return _number(item, context.key, context.errors)


def _number(item: Item, what: str, errors: expect.Errors) -> int | None:
    if isinstance(item.value, bool) or not isinstance(item.value, int) or not 1 <= item.value <= MAX_TARGETS:
        got = f'"{shown(item.text)}"' if item.text else item.shape
        quoted = "; write it without quotes" if item.style and item.text.isdigit() else ""
        errors.append(item.place.says(f"cannot use {got} as {what}: it is a count from 1 to {MAX_TARGETS}{quoted}"))
        return None
    return item.value


READERS: dict[str, Reader] = {
    "name": _name,
    "text": _text,
    "choice": _choice,
    "condition": _condition,
    "duration": _duration,
    "cron": _cron,
    "zone": _zone,
    "misfire": _misfire,
    "hours": _hours,
    "names": _names,
    "ladder": _ladder,
    "limit": _limit,
    "count": _count,
}
