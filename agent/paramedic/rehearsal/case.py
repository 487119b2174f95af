"""Timeline tests as data, and their YAML: what is read when, and what must be judged, held and done at which time."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from typing import Any

from paramedic import expect
from paramedic.document import DocumentError, Item, parse
from paramedic.model.actions import ACTIONS
from paramedic.model.facts import Subject
from paramedic.model.policy import Policy, own_fields
from paramedic.model.record import Phase, Status, Truth
from paramedic.model.vocabulary import GUARDS, KINDS, NAME, OWNER
from paramedic.policy.read import read_field
from paramedic.rehearsal.series import MOST_STEPS, Step, parse_series

START = datetime(2026, 1, 5, tzinfo=UTC)
TEST_KEYS = ("name", "policies", "interval", "start", "tz", "series", "clock", "outcome", "expect")
EXPECT_KEYS = ("at", "policy", "subject", "verdict", "state", "act", "on", "hold")
OUTCOMES = {"met": Status.MET, "missed": Status.MISSED, "refused": Status.REFUSED}
NONE, WOULD = "none", "would "


@dataclass(frozen=True, slots=True)
class Expected:
    """What must be so at one time; None is not asked."""

    at_s: float
    policy: str
    subject: Subject
    verdict: str | None = None
    state: str | None = None
    act: str | None = None
    target: Subject | None = None
    hold: str | None = None
    line: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How actions of one kind end in a test, and how long they take."""

    status: Status = Status.MET
    after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """One timeline test. `clock` has (time, seconds) by which the wall clock is set forward, or back."""

    name: str
    file: str
    line: int
    policies: tuple[Policy, ...]
    interval_s: float
    start: datetime
    zone: tzinfo
    series: Mapping[Subject, Mapping[str, Sequence[Step]]]
    clock: tuple[tuple[float, float], ...]
    outcomes: Mapping[str, Outcome]
    expected: tuple[Expected, ...]
    errors: tuple[str, ...] = field(default=())

    @property
    def steps(self) -> int:
        """As many as the longest series, or the last expectation, needs."""
        longest = max((len(steps) for fields in self.series.values() for steps in fields.values()), default=1)
        last = max((one.at_s for one in self.expected), default=0.0)
        return max(longest, math.floor(last / self.interval_s) + 1)


def policies_named(text: str, file: str) -> tuple[Item | None, list[str]]:
    """(the `policies` of a test file, errors): read before the tests, which are checked against these policies."""
    errors: expect.Errors = []
    try:
        top = expect.mapping(parse(text, file), ("policies", "tests"), "a test file", errors)
    except DocumentError as error:
        return None, [str(error)]
    missing = [key for key in ("policies", "tests") if key not in top]
    if missing:
        errors.append(f'{file}:1:1: cannot use this test file: it begins with "policies:" and "tests:"')
    return top.get("policies"), errors


def load_rehearsals(text: str, file: str, policies: Sequence[Policy]) -> tuple[list[Rehearsal], list[str]]:
    """(the tests of a file, errors)."""
    errors: expect.Errors = []
    top = expect.mapping(parse(text, file), ("policies", "tests"), "a test file", errors)
    items = expect.items(top["tests"], "tests", errors) if "tests" in top else []
    found = [_rehearsal(item, file, policies, errors) for item in items]
    return [one for one in found if one is not None], errors


def _rehearsal(item: Item, file: str, known: Sequence[Policy], errors: expect.Errors) -> Rehearsal | None:
    before = len(errors)
    keys = expect.mapping(item, TEST_KEYS, "a test", errors)
    missing = [key for key in ("name", "series", "expect") if key not in keys]
    if missing:
        errors.append(item.place.says(f"cannot use this test: {' and '.join(missing)} missing"))
        return None
    policies = _policies(keys.get("policies"), known, errors)
    zone = read_field("tz", keys["tz"], None, errors) if "tz" in keys else UTC
    interval = expect.duration(keys["interval"], "interval", errors) if "interval" in keys else 5.0
    if interval is not None and interval <= 0:
        errors.append(keys["interval"].place.says("cannot use this interval: it is longer than nothing"))
    series = _series(keys["series"], errors)
    context = _Context(policies, series, interval or 5.0, errors)
    made = Rehearsal(
        name=expect.text(keys["name"], "a test's name", errors) or "",
        file=file,
        line=item.place.line,
        policies=tuple(policies),
        interval_s=interval or 5.0,
        start=_start(keys.get("start"), zone if isinstance(zone, tzinfo) else UTC, errors),
        zone=zone if isinstance(zone, tzinfo) else UTC,
        series=series,
        clock=_clock(keys.get("clock"), errors),
        outcomes=_outcomes(keys.get("outcome"), errors),
        expected=tuple(filter(None, (context.expected(one) for one in expect.items(keys["expect"], "expect", errors)))),
    )
    if len(errors) == before:
        errors += _faults(made, keys)
    return made if len(errors) == before else None


def _faults(made: Rehearsal, keys: Mapping[str, Item]) -> list[str]:
    """What would make a test that tests nothing, or that never ends."""
    found = []
    if not made.policies:
        found.append(keys["policies"].place.says("cannot test no policy: name at least one"))
    if not made.expected:
        found.append(keys["expect"].place.says("cannot expect nothing: write e.g. - { at: 5m, act: none }"))
    if made.steps > MOST_STEPS:
        found.append(keys["expect"].place.says(f"cannot run {made.steps} looks: at most {MOST_STEPS}"))
    for policy in made.policies:
        asked = [c for c in (policy.where, policy.when, policy.clear) if c is not None]
        for path in sorted({path for condition in asked for path in own_fields(condition)} - {NAME, OWNER}):
            lacking = [s for s, series in made.series.items() if s.kind == policy.watch and path not in series]
            if lacking:
                say = f"cannot test {policy.name} on {lacking[0]}: it asks for {path}, which has no series"
                found.append(keys["series"].place.says(say))
    return found


def _policies(item: Item | None, known: Sequence[Policy], errors: expect.Errors) -> list[Policy]:
    if item is None:
        return list(known)
    by_name = {policy.name: policy for policy in known}
    names = [expect.choice(one, by_name, "a policy", errors) for one in expect.items(item, "policies", errors)]
    return [by_name[name] for name in names if name]


def _start(item: Item | None, zone: tzinfo, errors: expect.Errors) -> datetime:
    if item is None:
        return START.replace(tzinfo=zone)
    try:
        return datetime.fromisoformat(item.text).replace(tzinfo=zone)
    except ValueError:
        errors.append(item.place.says(f'cannot read "{item.text}" as a time: write e.g. "2026-03-29 01:55"'))
        return START


def _subject(item: Item, what: str, errors: expect.Errors) -> Subject | None:
    kind, colon, name = item.text.partition(":")
    if kind not in KINDS or (kind == "host") == bool(colon) or (colon and not name):
        say = f'cannot use "{item.text}" as {what}: write host, or KIND:NAME with KIND one of {", ".join(KINDS)}'
        errors.append(item.place.says(say))
        return None
    return Subject(kind, name or "host")


def _series(item: Item, errors: expect.Errors) -> dict[Subject, dict[str, list[Step]]]:
    found: dict[Subject, dict[str, list[Step]]] = {}
    for name, fields in (item.value if isinstance(item.value, dict) else {}).items():
        subject = _subject(Item(name, fields.place, name), "a subject", errors)
        if subject is not None:
            known = KINDS[subject.kind]
            mine = expect.mapping(fields, known, str(subject), errors)
            found[subject] = {path: parse_series(one, path, known[path], errors) for path, one in mine.items()}
    if not isinstance(item.value, dict) or not item.value:
        errors.append(
            item.place.says('cannot use this as series: write subjects, e.g. host: { memory.used_percent: "90" }')
        )
    return found


def _clock(item: Item | None, errors: expect.Errors) -> tuple[tuple[float, float], ...]:
    found = []
    for one in expect.items(item, "clock", errors) if item else []:
        keys = expect.mapping(one, ("at", "forward", "back"), "a step of the clock", errors)
        at = expect.duration(keys["at"], "at", errors) if "at" in keys else None
        by = [(sign, keys[name]) for sign, name in ((1, "forward"), (-1, "back")) if name in keys]
        seconds = expect.duration(by[0][1], "a step of the clock", errors) if len(by) == 1 else None
        if at is None or seconds is None:
            errors.append(one.place.says("cannot set the clock: write { at: 5m, forward: 1h }, or back"))
        else:
            found.append((at, by[0][0] * seconds))
    return tuple(found)


def _outcomes(item: Item | None, errors: expect.Errors) -> dict[str, Outcome]:
    keys = expect.mapping(item, ACTIONS, "outcome", errors) if item else {}
    found = {}
    for action, one in keys.items():
        word, _, after = one.text.partition(" after ")
        time = replace(one, value=after, text=after)
        seconds = expect.duration(time, "an outcome's time", errors) if after else 0.0
        if word not in OUTCOMES:
            errors.append(one.place.says(f'cannot read "{one.text}" as an outcome: write e.g. met after 1m, or missed'))
        elif seconds is not None:
            found[action] = Outcome(OUTCOMES[word], seconds)
    return found


@dataclass(frozen=True, slots=True)
class _Context:
    policies: Sequence[Policy]
    series: Mapping[Subject, object]
    interval_s: float
    errors: expect.Errors

    def expected(self, item: Item) -> Expected | None:
        """One expectation; the policy and subject may be left out where there is only one."""
        before = len(self.errors)
        keys = expect.mapping(item, EXPECT_KEYS, "an expectation", self.errors)
        at = expect.duration(keys["at"], "at", self.errors) if "at" in keys else None
        policy = self._policy(item, keys)
        subject = self._subject(item, keys, policy)
        if "at" not in keys or not set(keys) & {"verdict", "state", "act", "hold"}:
            self.errors.append(item.place.says("cannot expect nothing: write at, and verdict, state, act or hold"))
        if at is not None and abs(at / self.interval_s - round(at / self.interval_s)) > 1e-6:
            self.errors.append(
                keys["at"].place.says(f"cannot look at {keys['at'].text}: no look of the interval is then")
            )
        values: dict[str, Any] = {
            "verdict": self._word(keys, "verdict", [*Truth]),
            "state": self._word(keys, "state", [*Phase]),
            "act": self._word(keys, "act", [*ACTIONS, *(f"{WOULD}{action}" for action in ACTIONS), NONE]),
            "hold": self._word(keys, "hold", [*GUARDS, NONE]),
            "target": _subject(keys["on"], "a target", self.errors) if "on" in keys else None,
        }
        if len(self.errors) > before or policy is None or subject is None or at is None:
            return None
        return Expected(at, policy.name, subject, line=item.place.line, **values)

    def _policy(self, item: Item, keys: Mapping[str, Item]) -> Policy | None:
        by_name = {policy.name: policy for policy in self.policies}
        if "policy" in keys:
            name = expect.choice(keys["policy"], by_name, "a policy", self.errors)
            return by_name.get(name or "")
        if len(by_name) != 1:
            self.errors.append(item.place.says(f"cannot tell which policy: name one of {', '.join(by_name) or 'none'}"))
        return next(iter(by_name.values()), None)

    def _subject(self, item: Item, keys: Mapping[str, Item], policy: Policy | None) -> Subject | None:
        if "subject" in keys:
            return _subject(keys["subject"], "a subject", self.errors)
        kind = policy.watch if policy else ""
        mine = [subject for subject in self.series if subject.kind == kind]
        if len(mine) != 1 and policy is not None:
            found = ", ".join(map(str, mine)) or f"no {kind} has a series"
            self.errors.append(item.place.says(f"cannot tell which subject: {found}; write subject:"))
        return mine[0] if mine else None

    def _word(self, keys: Mapping[str, Item], key: str, known: Collection[str]) -> str | None:
        return expect.choice(keys[key], known, key, self.errors) if key in keys else None
