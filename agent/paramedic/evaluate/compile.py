"""Conditions -> functions of (facts of one subject, view). True, False or None for unknown: Kleene's three values.

A policy is compiled once and asked for every subject in every pass, so what runs here is small and allocates nothing.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from paramedic.model.facts import Facts, Subject, SubjectFacts, Unknown, Value
from paramedic.model.policy import (
    All,
    Any,
    Comparison,
    Condition,
    Count,
    FieldRef,
    Gather,
    IsUnknown,
    Not,
    Quantifier,
    Quantity,
    Term,
    Window,
    Words,
)
from paramedic.model.vocabulary import NAME, OWNER


class Past(Protocol):
    """The recent past of fields."""

    def value(self, subject: Subject, window: Window, now: float) -> float | Unknown:
        """What a condition sees through `window` at monotonic `now`."""


@dataclass(frozen=True, slots=True)
class View:
    """What a condition may look at beside its own subject: the other facts of the pass, and the recent past."""

    facts: Facts
    past: Past


Test = Callable[[SubjectFacts, View], bool | None]
Read = Callable[[SubjectFacts, View], Value]
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_GATHER: dict[str, Callable[[list[float]], float]] = {"sum": sum, "min": min, "max": max}


def compile_condition(condition: Condition) -> Test:
    """The condition as one function."""
    match condition:
        case Not(part):
            return _not(compile_condition(part))
        case All(parts):
            return _all([compile_condition(part) for part in parts])
        case Any(parts):
            return _not(_all([_not(compile_condition(part)) for part in parts]))
        case IsUnknown(left):
            read = reader(left)
            return lambda found, view: isinstance(read(found, view), Unknown)
        case Quantifier():
            return _quantifier(condition)
        case Comparison():
            return _comparison(condition)


def reader(term: Term) -> Read:
    """The value of a term, its factor applied."""
    match term:
        case FieldRef(path, factor):
            return _scaled(_field(path), factor)
        case Window(_, _, _, factor):
            return _scaled(lambda found, view: view.past.value(found.subject, term, view.facts.monotonic), factor)
        case Gather():
            return _scaled(_gather(term), term.factor)
        case Count():
            return _scaled(_count(term), term.factor)


def own_name(found: SubjectFacts) -> str:
    """`web` of `uwsgi:web`, `3` of `uwsgi.worker:web/3`, `daphne` of `orphan:main/daphne@77`."""
    name = found.subject.name.partition("/")[2] or found.subject.name
    return name.rpartition("@")[0] if found.subject.kind == "orphan" else name


def owner_name(found: SubjectFacts) -> str:
    """`web` of `uwsgi.worker:web/3`."""
    return found.subject.name.partition("/")[0]


def _field(path: str) -> Read:
    if path == NAME:
        return lambda found, _view: own_name(found)
    if path == OWNER:
        return lambda found, _view: owner_name(found)
    unread = Unknown(f"{path} was not read")
    return lambda found, _view: found.fields.get(path, unread)


def _scaled(read: Read, factor: float) -> Read:
    if factor == 1.0:
        return read

    def scaled(found: SubjectFacts, view: View) -> Value:
        value = read(found, view)
        return value if isinstance(value, Unknown | str) else factor * value

    return scaled


def _gather(term: Gather) -> Read:
    read, func = _field(term.path), _GATHER[term.func]

    def gathered(found: SubjectFacts, view: View) -> Value:
        children = view.facts.children(found.subject, term.kind)
        if term.kind in found.unread:
            return Unknown(f"its {term.kind}s could not be read")
        if not children:
            return 0.0 if term.func == "sum" else Unknown(f"it has no {term.kind}")
        values: list[float] = []
        for child in children:
            value = read(child, view)
            if isinstance(value, Unknown | str):
                return Unknown(f"{child.subject}: {value.reason if isinstance(value, Unknown) else value}")
            values.append(value)
        return func(values)

    return gathered


def _count(term: Count) -> Read:
    test = compile_condition(term.part)

    def counted(found: SubjectFacts, view: View) -> Value:
        if term.kind in found.unread:
            return Unknown(f"its {term.kind}s could not be read")
        truths = [(child, test(child, view)) for child in view.facts.children(found.subject, term.kind)]
        unknown = next((child for child, truth in truths if truth is None), None)
        if unknown is not None:
            return Unknown(f"it cannot be told for {unknown.subject}")
        return sum(truth is True for _, truth in truths)

    return counted


def _quantifier(condition: Quantifier) -> Test:
    """any() is their `or`, all() their `and`; over no children both are unknown: nothing was seen."""
    test, kind = compile_condition(condition.part), condition.kind
    decisive = condition.func == "any"

    def quantified(found: SubjectFacts, view: View) -> bool | None:
        children = view.facts.children(found.subject, kind)
        if kind in found.unread or not children:
            return None
        truths = [test(child, view) for child in children]
        if decisive in truths:
            return decisive
        return None if None in truths else not decisive

    return quantified


def _comparison(condition: Comparison) -> Test:
    if isinstance(condition.right, Words):
        return _worded(reader(condition.left), condition.right.words, condition.op == "!=")
    compare = _COMPARE[condition.op]
    if isinstance(condition.left, FieldRef) and condition.left.factor == 1.0 and isinstance(condition.right, Quantity):
        return _plain(condition.left.path, compare, condition.right.value)
    mine, theirs = condition.left, condition.right
    if isinstance(mine, FieldRef) and mine.factor == 1.0 and isinstance(theirs, FieldRef):
        return _beside(mine.path, compare, theirs.path, theirs.factor)
    left = reader(condition.left)
    right = _constant(condition.right.value) if isinstance(condition.right, Quantity) else reader(condition.right)

    def test(found: SubjectFacts, view: View) -> bool | None:
        mine, theirs = left(found, view), right(found, view)
        if isinstance(mine, Unknown | str) or isinstance(theirs, Unknown | str):
            return None
        return compare(mine, theirs)

    return test


def _plain(path: str, compare: Callable[[float, float], bool], limit: float) -> Test:
    """The commonest comparison, without a call more than it needs."""

    def test(found: SubjectFacts, _view: View) -> bool | None:
        value = found.fields.get(path)
        if value is None or isinstance(value, Unknown | str):
            return None
        return compare(value, limit)

    return test


def _beside(path: str, compare: Callable[[float, float], bool], other: str, factor: float) -> Test:
    """The next commonest: of two fields of one subject."""

    def test(found: SubjectFacts, _view: View) -> bool | None:
        mine, theirs = found.fields.get(path), found.fields.get(other)
        if mine is None or isinstance(mine, Unknown | str) or theirs is None or isinstance(theirs, Unknown | str):
            return None
        return compare(mine, theirs if factor == 1.0 else factor * theirs)

    return test


def _worded(read: Read, words: tuple[str, ...], negated: bool) -> Test:
    def test(found: SubjectFacts, view: View) -> bool | None:
        value = read(found, view)
        return None if isinstance(value, Unknown) else (value in words) is not negated

    return test


def _constant(value: float) -> Read:
    return lambda _found, _view: value


def _not(test: Test) -> Test:
    def negated(found: SubjectFacts, view: View) -> bool | None:
        truth = test(found, view)
        return None if truth is None else not truth

    return negated


def _all(tests: list[Test]) -> Test:
    def every(found: SubjectFacts, view: View) -> bool | None:
        result: bool | None = True
        for test in tests:
            truth = test(found, view)
            if truth is False:
                return False
            if truth is None:
                result = None
        return result

    return every
