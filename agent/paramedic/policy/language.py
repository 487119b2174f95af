"""Conditions: `uss > 2 * baseline_uss and not (status is busy)` -> a tree, names and units checked.

Grammar, loosest first: or, and, not, then a comparison, `field is unknown`, or any()/all() over children.
A comparison has a term on its left and a quantity, a term of the same dimension, a word or words on its right; a term
is a field, a window over one (`slope(rss, 1h)`) or what is gathered from children (`sum(worker.rss)`),
and a number may multiply it.
"""

from __future__ import annotations

from paramedic.model.policy import All, Any, Comparison, Condition, FieldRef, IsUnknown, Not, Quantifier
from paramedic.policy.terms import QUANTIFIERS, UNKNOWN, Scope, first_word, right_side, term
from paramedic.policy.words import COMPARE, ConditionError, Tokens

MAX_LENGTH = 2000
MAX_DEPTH = 40


def parse_condition(text: str, kind: str) -> Condition:
    """The condition in `text` for subjects of `kind`; raises ConditionError."""
    if len(text) > MAX_LENGTH:
        raise ConditionError(f"cannot read the condition: longer than {MAX_LENGTH} characters", 0)
    at = Tokens(text)
    condition = _any_of(at, Scope(kind), 0)
    if not at.at_end:
        raise ConditionError(f'cannot read "{at.here.text}": "and", "or" or the end belongs here', at.here.column)
    return condition


def _any_of(at: Tokens, scope: Scope, depth: int) -> Condition:
    parts = [_all_of(at, scope, depth)]
    while at.take("or"):
        parts.append(_all_of(at, scope, depth))
    return Any(tuple(parts)) if len(parts) > 1 else parts[0]


def _all_of(at: Tokens, scope: Scope, depth: int) -> Condition:
    parts = [_part(at, scope, depth)]
    while at.take("and"):
        parts.append(_part(at, scope, depth))
    return All(tuple(parts)) if len(parts) > 1 else parts[0]


def _part(at: Tokens, scope: Scope, depth: int) -> Condition:
    if depth > MAX_DEPTH:
        raise ConditionError(f"cannot nest conditions deeper than {MAX_DEPTH} levels", at.here.column)
    if at.take("not"):
        return Not(_part(at, scope, depth + 1))
    if at.take("("):
        inner = _any_of(at, scope, depth + 1)
        at.need(")", 'cannot find the ")" of this "("')
        return inner
    if at.here.text in QUANTIFIERS and at.ahead(1).text == "(":
        return _quantifier(at, scope, depth)
    return _comparison(at, scope, depth)


def _quantifier(at: Tokens, scope: Scope, depth: int) -> Quantifier:
    name = at.next()
    at.take("(")
    child = scope.child_of(first_word(at), name.text)
    inner = _any_of(at, child, depth + 1)
    at.need(")", f'cannot find the ")" of {name.text}(')
    return Quantifier(name.text, child.kind, inner, at.since(name.column))


def _comparison(at: Tokens, scope: Scope, depth: int) -> Comparison | IsUnknown:
    def inner(child: Scope) -> Condition:
        return _any_of(at, child, depth + 1)

    start = at.here.column
    left, field, path = term(at, scope, inner)
    op = at.here
    if not at.take(*COMPARE):
        raise ConditionError(f'cannot read "{op.text}": a comparison ({" ".join(COMPARE)}) belongs here', op.column)
    if op.text == "is" and at.here.text == UNKNOWN and isinstance(left, FieldRef):
        at.next()
        return IsUnknown(left, at.since(start))
    right = right_side(at, scope, inner, field, path, op)
    return Comparison(left, "==" if op.text == "is" else op.text, right, at.since(start))
