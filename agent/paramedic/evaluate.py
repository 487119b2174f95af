"""(Policy, facts of one subject) -> verdict with evidence. Kleene's three values, no I/O, no clock."""

from __future__ import annotations

import operator
from collections.abc import Callable

from paramedic.model.facts import Facts, Subject, SubjectFacts, Unknown, Value
from paramedic.model.policy import All, Any, Comparison, Condition, FieldRef, Not, Policy, Quantity, Words
from paramedic.model.readings import RpcReading
from paramedic.model.record import Truth, Verdict
from paramedic.model.units import render
from paramedic.model.vocabulary import KINDS

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_NEGATED = {Truth.YES: Truth.NO, Truth.NO: Truth.YES, Truth.UNKNOWN: Truth.UNKNOWN}


def evaluate(policy: Policy, facts: SubjectFacts, firing: bool = False) -> Verdict:
    """Whether the policy's condition holds for this subject.

    While it fires, the question is whether `clear` is true yet: yes means that the trouble is still there.
    """
    if firing and policy.clear is not None:
        cleared = _truth(policy.clear, facts)
        return Verdict(_NEGATED[cleared], _evidence(policy.clear, facts), _weight(policy.when, facts))
    return Verdict(_truth(policy.when, facts), _evidence(policy.when, facts), _weight(policy.when, facts))


def when_gone(subject: Subject, facts: Facts) -> Verdict:
    """The verdict on a subject that is not in the facts: no where its owner was read, unknown where it was not."""
    name = subject.name.partition("/")[0]
    parent = Subject(subject.kind.partition(".")[0].replace("orphan", "supervisor"), name)
    if parent not in facts.subjects:
        is_read = True
    elif subject.kind in ("orphan", "supervisor.program"):
        owner = facts.supervisor(parent)
        is_read = owner is not None and (subject.kind == "orphan" or isinstance(owner.rpc, RpcReading))
    elif subject.kind == "uwsgi.worker":
        is_read = facts.uwsgi(parent) is not None
    else:
        is_read = True
    return Verdict(Truth.NO, f"{subject} is gone") if is_read else Verdict(Truth.UNKNOWN, f"{subject} cannot be seen")


def _truth(condition: Condition, facts: SubjectFacts) -> Truth:
    match condition:
        case Not(part):
            return _NEGATED[_truth(part, facts)]
        case All(parts):
            return _all([_truth(part, facts) for part in parts])
        case Any(parts):
            return _NEGATED[_all([_NEGATED[_truth(part, facts)] for part in parts])]
        case Comparison():
            return _compare(condition, facts)


def _all(truths: list[Truth]) -> Truth:
    if Truth.NO in truths:
        return Truth.NO
    return Truth.UNKNOWN if Truth.UNKNOWN in truths else Truth.YES


def _compare(condition: Comparison, facts: SubjectFacts) -> Truth:
    left = _value(condition.left, facts)
    if isinstance(left, Unknown):
        return Truth.UNKNOWN
    if isinstance(condition.right, Words):
        holds = (left in condition.right.words) != (condition.op == "!=")
        return Truth.YES if holds else Truth.NO
    right = condition.right.value if isinstance(condition.right, Quantity) else _value(condition.right, facts)
    if isinstance(right, Unknown):
        return Truth.UNKNOWN
    if isinstance(left, str) or isinstance(right, str):
        return Truth.UNKNOWN
    return Truth.YES if _COMPARE[condition.op](left, right) else Truth.NO


def _value(ref: FieldRef, facts: SubjectFacts) -> Value:
    value = facts.fields.get(ref.path, Unknown(f"{ref.path} was not read"))
    if isinstance(value, Unknown | str) or ref.factor == 1.0:
        return value
    return ref.factor * value


def _comparisons(condition: Condition) -> list[Comparison]:
    match condition:
        case Not(part):
            return _comparisons(part)
        case All(parts) | Any(parts):
            return [leaf for part in parts for leaf in _comparisons(part)]
        case Comparison():
            return [condition]


def _evidence(condition: Condition, facts: SubjectFacts) -> str:
    """The sentence of findings where the facts have one, and every value that was compared."""
    told = [finding.evidence for finding in facts.findings]
    leaves = [leaf for leaf in _comparisons(condition) if not (told and isinstance(leaf.right, Words))]
    return "; ".join([*told, *dict.fromkeys(_say(leaf, facts) for leaf in leaves)])


def _say(leaf: Comparison, facts: SubjectFacts) -> str:
    dimension = KINDS[facts.subject.kind][leaf.left.path].dimension
    value = _value(FieldRef(leaf.left.path), facts)
    shown = f"unknown ({value.reason})" if isinstance(value, Unknown) else render(value, dimension)
    return f"{leaf.left.path} is {shown}"


def _weight(condition: Condition, facts: SubjectFacts) -> float:
    """How bad, for choosing the worst first: the first number the condition looks at."""
    for leaf in _comparisons(condition):
        value = _value(FieldRef(leaf.left.path), facts)
        if isinstance(value, int | float):
            return float(value) if leaf.op in (">", ">=") else -float(value)
    return 0.0
