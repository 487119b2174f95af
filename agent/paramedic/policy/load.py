"""Policy files -> policies. All errors of all files are found before any is reported."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from cronsim import CronSim, CronSimError

from paramedic import expect
from paramedic.document import DocumentError, Item, Place, parse
from paramedic.model.policy import Condition, Limit, Policy, Rung
from paramedic.model.vocabulary import ACTIONS, DISRUPTIVE_COOLDOWN_S, DISRUPTIVE_LIMIT, KINDS
from paramedic.policy.language import ConditionError, parse_condition

FIELDS = ("name", "about", "watch", "when", "for", "clear", "at", "do", "cooldown", "limit", "max_targets", "mode")
_LIMIT = re.compile(r"([0-9]{1,6}) per ([0-9.]+ ?[a-z]+)")


class PolicyErrors(ValueError):
    """The policies cannot be used; `errors` holds one positioned sentence per fault."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


def files_of(paths: Iterable[str], shipped: Path) -> list[Path]:
    """The policy files behind the `policies:` list: files, the *.yaml of folders, and `shipped`."""
    found: list[Path] = []
    for name in paths:
        path = shipped if name == "shipped" else Path(name)
        found += sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    return found


def load(files: Iterable[Path]) -> tuple[Policy, ...]:
    """The policies of all files, in order; raises PolicyErrors with every fault of every file."""
    errors: expect.Errors = []
    policies: list[Policy] = []
    places: dict[str, Place] = {}
    for file in files:
        for policy, place in _read(file, errors):
            if policy.name in places:
                other = places[policy.name]
                errors.append(place.says(f'cannot call it "{policy.name}": {other.file}:{other.line} has that name'))
            places.setdefault(policy.name, place)
            policies.append(policy)
    if errors:
        raise PolicyErrors(errors)
    return tuple(policies)


def _read(file: Path, errors: expect.Errors) -> list[tuple[Policy, Place]]:
    try:
        document = parse(file.read_text("utf-8"), str(file))
    except OSError as error:
        errors.append(f"{file}:1:1: cannot read it: {error.strerror}")
        return []
    except UnicodeDecodeError:
        errors.append(f"{file}:1:1: cannot read it: not UTF-8 text")
        return []
    except DocumentError as error:
        errors.append(str(error))
        return []
    top = expect.mapping(document, ("policies",), "a policy file", errors)
    if "policies" not in top:
        errors.append(document.place.says('cannot find any policies: the file starts with "policies:"'))
        return []
    found = []
    for item in expect.items(top["policies"], "policies", errors):
        before = len(errors)
        policy = _policy(item, errors)
        if policy and len(errors) == before:
            found.append((policy, item.place))
    return found


def _policy(item: Item, errors: expect.Errors) -> Policy | None:
    keys = expect.mapping(item, FIELDS, "a policy", errors)
    missing = [key for key in ("name", "watch", "when", "do") if key not in keys]
    if missing:
        errors.append(item.place.says(f"cannot use this policy: {' and '.join(missing)} missing"))
        return None
    name = expect.text(keys["name"], "a policy's name", errors)
    watch = expect.choice(keys["watch"], KINDS, "watch", errors)
    do = _ladder(keys["do"], watch, errors)
    when = _condition(keys["when"], watch, errors)
    clear = _condition(keys["clear"], watch, errors) if "clear" in keys else None
    disruptive = any(ACTIONS[rung.action].is_disruptive for rung in do)
    about = expect.text(keys["about"], "about", errors) if "about" in keys else None
    mode = expect.choice(keys["mode"], ("act", "observe"), "mode", errors) if "mode" in keys else None
    limit = _limit(keys.get("limit"), disruptive, errors)
    timing = {
        "for_s": _seconds(keys, "for", 0.0, errors),
        "cooldown_s": _seconds(keys, "cooldown", DISRUPTIVE_COOLDOWN_S if disruptive else 0.0, errors),
    }
    most, calendar = _count(keys.get("max_targets"), errors), _calendar(keys, errors)
    if not (name and watch and when and do):
        return None
    return Policy(
        name=name,
        watch=watch,
        when=when,
        do=do,
        about=about or "",
        clear=clear,
        limit=limit,
        max_targets=most,
        mode=mode or "act",
        at=calendar,
        source=f"{item.place.file}:{item.place.line}",
        **timing,
    )


def _condition(item: Item, watch: str | None, errors: expect.Errors) -> Condition | None:
    words = expect.text(item, "a condition", errors)
    if words is None or watch is None:
        return None
    try:
        return parse_condition(words, watch)
    except ConditionError as error:
        at = Place(item.place.file, item.place.line, item.place.col + error.column)
        errors.append(at.says(str(error)))
        return None


def _seconds(keys: dict[str, Item], key: str, default: float, errors: expect.Errors) -> float:
    found = expect.duration(keys[key], f'"{key}"', errors) if key in keys else None
    return default if found is None else found


def _ladder(item: Item, watch: str | None, errors: expect.Errors) -> tuple[Rung, ...]:
    found = expect.items(item, '"do"', errors)
    if not found and isinstance(item.value, list):
        errors.append(item.place.says('cannot use an empty "do": name at least one action, e.g. notify'))
    return tuple(rung for rung in (_rung(step, watch, errors) for step in found) if rung)


def _rung(step: Item, watch: str | None, errors: expect.Errors) -> Rung | None:
    name, arguments = step, Item({}, step.place)
    if isinstance(step.value, dict):
        if len(step.value) != 1:
            errors.append(
                step.place.says("cannot read this step: it is one action, e.g. - chain_reload: { within: 15m }")
            )
            return None
        key, arguments = next(iter(step.value.items()))
        name = Item(key, step.place, key)
    action = expect.choice(name, ACTIONS, "an action", errors)
    if not action:
        return None
    if watch and watch not in ACTIONS[action].fits:
        fits = ", ".join(ACTIONS[action].fits)
        errors.append(step.place.says(f"cannot {action} a {watch}: it works on {fits}"))
    keys = expect.mapping(arguments, (*ACTIONS[action].args, "within"), action, errors)
    within = expect.duration(keys.pop("within"), "within", errors) if "within" in keys else None
    args = {key: expect.text(value, f"{action}.{key}", errors) or "" for key, value in keys.items()}
    return Rung(action, args, within)


def _limit(item: Item | None, disruptive: bool, errors: expect.Errors) -> Limit:
    if item is None:
        return Limit(*DISRUPTIVE_LIMIT) if disruptive else Limit(0, 0.0)
    if item.text == "none":
        return Limit(0, 0.0)
    found = _LIMIT.fullmatch(item.text)
    if not found or int(found[1]) == 0:
        errors.append(item.place.says(f'cannot read "{item.text}" as a limit: write e.g. "6 per 1h", or none'))
        return Limit(0, 0.0)
    per = expect.quantity(found[2], "seconds", "a limit", item.place, errors)
    return Limit(int(found[1]), per or 0.0)


def _count(item: Item | None, errors: expect.Errors) -> int:
    if item is None:
        return 1
    if isinstance(item.value, bool) or not isinstance(item.value, int) or not 1 <= item.value <= 1000:
        errors.append(item.place.says(f'cannot use "{item.text}" as max_targets: it is a count from 1 to 1000'))
        return 1
    return item.value


def _calendar(keys: dict[str, Item], errors: expect.Errors) -> str | None:
    item = keys.get("at")
    words = expect.text(item, '"at"', errors) if item else None
    if item is None or words is None:
        return None
    if "for" in keys or "clear" in keys:
        errors.append(item.place.says('cannot use "for" or "clear" with "at": it looks once, at that time'))
    try:
        _check_cron(words)
    except CronSimError as error:
        errors.append(
            item.place.says(f'cannot read "{words}" as a time: {error}; write five cron fields, e.g. "30 3 * * *"')
        )
    return words


def _check_cron(words: str) -> None:
    if len(words.split()) != 5:
        raise CronSimError("it has not five fields")
    CronSim(words, datetime(2026, 1, 1, tzinfo=UTC))
