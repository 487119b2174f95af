"""The sides of a comparison: fields, windows over them, and what is gathered from children.

`term` reads one side and tells its dimension; `right_side` reads what it may be compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from paramedic import expect
from paramedic.model.policy import Condition, Count, FieldRef, Gather, Quantity, Term, Window, Words
from paramedic.model.units import DIMENSIONS, RATE, units_of
from paramedic.model.vocabulary import CHILDREN, KINDS, Field
from paramedic.policy.words import KEYWORDS, ConditionError, Token, Tokens

WINDOWS = ("avg", "min", "max", "slope", "forecast")
GATHERS = ("sum", "min", "max")
QUANTIFIERS = ("any", "all")
FUNCTIONS = tuple(dict.fromkeys((*WINDOWS, *GATHERS, "count", *QUANTIFIERS)))
UNKNOWN = "unknown"
SHORTEST_S, LONGEST_S = 30.0, 7 * 86400.0


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose fields may be named: those of `kind`, with `prefix` before each inside a function over children."""

    kind: str
    prefix: str = ""

    @property
    def fields(self) -> Mapping[str, Field]:
        """The fields by the path a person writes."""
        return {f"{self.prefix}{path}": field for path, field in KINDS[self.kind].items()}

    def children(self) -> dict[str, str]:
        """Prefix -> kind of the children this kind has; children have none that a condition can name."""
        return {} if self.prefix else {f"{name}.": kind for name, kind in CHILDREN.get(self.kind, {}).items()}

    def find(self, token: Token) -> tuple[str, Field]:
        """(path, field) of a name; raises ConditionError with the nearest known one."""
        fields = self.fields
        if token.kind != "word" or token.text in KEYWORDS:
            raise ConditionError(f'cannot read "{token.text}": a field of {self.kind} belongs here', token.column)
        if token.text in fields:
            return token.text.removeprefix(self.prefix), fields[token.text]
        for prefix in self.children():
            if token.text.startswith(prefix):
                say = f'cannot use "{token.text}" alone: a {self.kind} has many; write sum({token.text}) or any(...)'
                raise ConditionError(say, token.column)
        hint = expect.near(token.text, fields) or "; known are " + ", ".join(fields)
        raise ConditionError(f'cannot find "{token.text}" in {self.kind}{hint}', token.column)

    def child_of(self, token: Token, func: str) -> Scope:
        """The scope inside a function over children, read off its first field's prefix."""
        for prefix, kind in self.children().items():
            if token.text.startswith(prefix):
                return Scope(kind, prefix)
        if not self.children():
            raise ConditionError(f'cannot use "{func}" here: a {self.kind} has no children', token.column)
        known = " or ".join(f"{prefix}..." for prefix in self.children())
        raise ConditionError(f'cannot read "{token.text}" in {func}(): write {known}', token.column)


def term(at: Tokens, scope: Scope, inner: Callable[[Scope], Condition]) -> tuple[Term, Field, str]:
    """(term, the field as it may be compared, how it was written); `inner` parses a condition on children."""
    factor, start = 1.0, at.here.column
    if at.here.kind == "number":
        token = at.next()
        if token.unit or not at.take("*"):
            say = f'cannot use {token.text} here: write a field first, or "{token.text} * field"'
            raise ConditionError(say, token.column)
        factor = float(token.text)
    token = at.here
    if at.ahead(1).text == "(" and at.ahead(1).kind == "op" and token.kind == "word" and token.text not in KEYWORDS:
        found, field = _function(at, scope, inner, factor)
        return found, field, at.since(start)
    path, field = scope.find(at.next())
    if factor != 1.0 and field.dimension == "word":
        raise ConditionError(f"cannot multiply {token.text}: it is a word", token.column)
    return FieldRef(path, factor), field, token.text


def _function(at: Tokens, scope: Scope, inner: Callable[[Scope], Condition], factor: float) -> tuple[Term, Field]:
    name = at.next()
    if name.text not in FUNCTIONS or name.text in QUANTIFIERS:
        hint = expect.near(name.text, FUNCTIONS) or "; known are " + ", ".join(FUNCTIONS)
        raise ConditionError(f'cannot use "{name.text}(...)" as a value{hint}', name.column)
    at.take("(")
    first = at.here
    over_children = any(first.text.startswith(prefix) for prefix in scope.children())
    if name.text == "count":
        child = scope.child_of(first_word(at), "count")
        found: Term = Count(child.kind, inner(child), factor)
        field = Field("count", "")
    elif name.text in GATHERS and (over_children or name.text not in WINDOWS):
        child = scope.child_of(first, name.text)
        path, field = child.find(at.next())
        _need_number(first, field, name.text)
        found = Gather(name.text, child.kind, path, factor)
    else:
        found, field = _window(at, scope, name, factor)
    at.need(")", f'cannot find the ")" of {name.text}(')
    return found, field


def first_word(at: Tokens) -> Token:
    """The first token ahead that is neither "(" nor "not": it names the children a function is over."""
    steps = 0
    while at.ahead(steps).text in ("(", "not"):
        steps += 1
    return at.ahead(steps)


def _window(at: Tokens, scope: Scope, name: Token, factor: float) -> tuple[Window, Field]:
    if scope.prefix:
        raise ConditionError(f"cannot look through a window inside a function over children: {name.text}", name.column)
    token = at.here
    path, field = scope.find(at.next())
    _need_number(token, field, name.text)
    if not field.has_history:
        raise ConditionError(f"cannot use {name.text} on {path}: it only grows, so it has no history", token.column)
    at.need(",", f"cannot find the window of {name.text}: write {name.text}({path}, 1h)")
    length = at.next()
    factor_s = DIMENSIONS["seconds"].get(length.unit)
    if length.kind != "number" or factor_s is None:
        say = f'cannot read "{length.text}" as a window: it is a number and one of {units_of("seconds")}'
        raise ConditionError(say, length.column)
    window_s = float(length.text) * factor_s
    if not SHORTEST_S <= window_s <= LONGEST_S:
        raise ConditionError(f"cannot use a window of {length.text}{length.unit}: 30s to 7d", length.column)
    dimension = field.dimension + RATE if name.text == "slope" else field.dimension
    return Window(name.text, path, window_s, factor), Field(dimension, field.meaning)


def _need_number(token: Token, field: Field, func: str) -> None:
    if field.dimension == "word":
        raise ConditionError(f"cannot use {func} on {token.text}: it is a word", token.column)


def right_side(
    at: Tokens, scope: Scope, inner: Callable[[Scope], Condition], field: Field, path: str, op: Token
) -> Quantity | Term | Words:
    """What stands behind the operator: a word or words, a quantity, or another term of the same dimension."""
    if field.dimension == "word":
        if op.text not in ("==", "!=", "is", "in"):
            say = f'cannot compare {path} with "{op.text}": it is a word; use is, in or !='
            raise ConditionError(say, op.column)
        return _words(at, field, path) if op.text == "in" else Words((_word(at, field, path),))
    if op.text in ("in", "is"):
        raise ConditionError(f'cannot use "{op.text}" on {path}: it is a number; use == or >', op.column)
    if at.here.kind == "number" and at.ahead(1).text != "*":
        return _quantity(at.next(), field, path)
    column = at.here.column
    right, other, written = term(at, scope, inner)
    if other.dimension != field.dimension:
        say = f"cannot compare {path} ({field.dimension}) with {written} ({other.dimension})"
        raise ConditionError(say, column)
    return right


def _quantity(token: Token, field: Field, path: str) -> Quantity:
    if field.dimension == "count":
        if token.unit:
            say = f"cannot compare {path} with {token.text} {token.unit}: it is a plain count"
            raise ConditionError(say, token.column)
        return Quantity(float(token.text), "count")
    factor = DIMENSIONS[field.dimension].get(token.unit)
    if factor is None:
        because = f"{token.unit} is no unit of it" if token.unit else "the unit is missing"
        say = f"cannot compare {path} with {token.text}: {because}; write one of {units_of(field.dimension)}"
        raise ConditionError(say, token.column)
    return Quantity(float(token.text) * factor, field.dimension)


def _word(at: Tokens, field: Field, path: str) -> str:
    token = at.next()
    is_any = not field.words and token.kind in ("word", "quoted", "number") and token.text not in KEYWORDS
    if is_any or (token.kind in ("word", "quoted") and token.text in field.words):
        return token.text
    if not field.words:
        raise ConditionError(f'cannot compare {path} with "{token.text}": a name belongs here', token.column)
    hint = expect.near(token.text, field.words) or "; known are " + ", ".join(field.words)
    raise ConditionError(f'cannot compare {path} with "{token.text}": it is never that{hint}', token.column)


def _words(at: Tokens, field: Field, path: str) -> Words:
    if not at.take("[", "("):
        raise ConditionError('cannot read the list behind "in": write [one, other]', at.here.column)
    found = [_word(at, field, path)]
    while at.take(","):
        found.append(_word(at, field, path))
    if not at.take("]", ")"):
        raise ConditionError('cannot find the end of the list behind "in"', at.here.column)
    return Words(tuple(found))
