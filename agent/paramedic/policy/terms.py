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
        for prefix, kind in self.children().items():
            if token.text.startswith(prefix):
                raise ConditionError(
                    self._alone(token.text, KINDS[kind].get(token.text.removeprefix(prefix))), token.column
                )
        hint = expect.near(token.text, fields) or "; known are " + ", ".join(fields)
        raise ConditionError(f'cannot find "{token.text}" in {self.kind}{hint}', token.column)

    def _alone(self, name: str, field: Field | None) -> str:
        how = f"any({name} is ...) or count(...)" if field and field.dimension == "word" else f"sum({name}) or any(...)"
        return f'cannot use "{name}" here: a {self.kind} has many; write {how}'

    def child_of(self, token: Token, func: str) -> Scope:
        """The scope inside a function over children, read off its first field's prefix."""
        for prefix, kind in self.children().items():
            if token.text.startswith(prefix):
                return Scope(kind, prefix)
        if self.prefix:
            raise ConditionError(f"cannot use {func}() inside a function over children", token.column)
        if not self.children():
            raise ConditionError(f'cannot use "{func}" here: a {self.kind} has no children', token.column)
        if token.text in FUNCTIONS:
            why = "children have no windows" if token.text in WINDOWS else f"{func}() asks fields of children"
            raise ConditionError(f"cannot use {token.text}() inside {func}(): {why}", token.column)
        known = " or ".join(f"{prefix}{next(iter(KINDS[kind]))}" for prefix, kind in self.children().items())
        raise ConditionError(
            f'cannot read "{token.text}" in {func}(): name a field of a child, e.g. {known}', token.column
        )


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
    if name.text in QUANTIFIERS:
        say = f"cannot use {name.text}() as a value: it is true or not; write it alone, or compare count(...)"
        raise ConditionError(say, name.column)
    values = [func for func in FUNCTIONS if func not in QUANTIFIERS]
    if name.text not in values:
        hint = expect.near(name.text, values) or "; known are " + ", ".join(values)
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
    if isinstance(found, Gather) and at.here.text == ",":
        raise ConditionError(
            f"cannot look through a window over children: write {name.text}({first.text})", at.here.column
        )
    at.need(")", f'cannot find the ")" of {name.text}(')
    return found, field


def first_word(at: Tokens) -> Token:
    """The first token ahead that is no bracket, factor or "not": it names the children a function is over."""
    steps = 0
    while at.ahead(steps).text in ("(", "not", "*") or at.ahead(steps).kind == "number":
        steps += 1
    return at.ahead(steps)


def _window(at: Tokens, scope: Scope, name: Token, factor: float) -> tuple[Window, Field]:
    if scope.prefix:
        raise ConditionError(f"cannot look through a window inside a function over children: {name.text}", name.column)
    token = at.here
    if any(token.text.startswith(prefix) for prefix in scope.children()):
        say = f"cannot look through a window over children: {name.text} takes a field of the {scope.kind} itself"
        raise ConditionError(say, token.column)
    path, field = scope.find(at.next())
    _need_number(token, field, name.text)
    if not field.has_history:
        raise ConditionError(
            f"cannot use {name.text} on {path}: it does not go up and down, so a window says nothing", token.column
        )
    if name.text == "slope" and field.dimension.endswith(RATE):
        raise ConditionError(f"cannot use slope on {path}: it is a rate already; write avg or max", token.column)
    at.need(",", f"cannot find the window of {name.text}: write {name.text}({path}, 1h)")
    length = at.next()
    window_s = _seconds(length)
    if window_s is None:
        say = f'cannot read "{length.written}" as a window: it is a number and one of {units_of("seconds")}'
        raise ConditionError(say, length.column)
    if not SHORTEST_S <= window_s <= LONGEST_S:
        raise ConditionError(f"cannot use a window of {length.written}: it is between 30s and 7d", length.column)
    dimension = field.dimension + RATE if name.text == "slope" else field.dimension
    return Window(name.text, path, window_s, factor), Field(dimension, field.meaning)


def _seconds(token: Token) -> float | None:
    if token.kind == "duration":
        return expect.compound(token.text)
    factor = DIMENSIONS["seconds"].get(token.unit)
    return None if token.kind != "number" or factor is None else float(token.text) * factor


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
        fields_only = "; only a field can be unknown" if at.here.text == UNKNOWN else ""
        raise ConditionError(f'cannot use "{op.text}" on {path}: it is a number; use == or >{fields_only}', op.column)
    if at.here.text == UNKNOWN and op.text in ("==", "!="):
        raise ConditionError(
            f'cannot compare with "unknown": write {path} is unknown, or not ({path} is unknown)', op.column
        )
    if at.here.kind in ("number", "duration") and at.ahead(1).text != "*":
        return _quantity(at.next(), field, path)
    column = at.here.column
    right, other, written = term(at, scope, inner)
    if other.dimension != field.dimension:
        say = f"cannot compare {path} ({field.dimension}) with {written} ({other.dimension})"
        raise ConditionError(say, column)
    return right


def _quantity(token: Token, field: Field, path: str) -> Quantity:
    if field.dimension == "count":
        if token.unit or token.kind == "duration":
            raise ConditionError(f"cannot compare {path} with {token.written}: it is a plain count", token.column)
        return Quantity(float(token.text), "count")
    value = _seconds(token) if field.dimension == "seconds" else None
    factor = DIMENSIONS[field.dimension].get(token.unit) if token.kind == "number" else None
    if value is None and factor is None:
        because = (
            f"{token.unit or token.text} is no unit of it"
            if token.unit or token.kind == "duration"
            else "the unit is missing"
        )
        say = f"cannot compare {path} with {token.written}: {because}; write one of {units_of(field.dimension)}"
        raise ConditionError(say, token.column)
    found = value if value is not None else float(token.text) * (factor or 0.0)
    if field.dimension == "percent" and found > 100:
        raise ConditionError(f"cannot compare {path} with {token.written}: it is never more than 100 %", token.column)
    return Quantity(found, field.dimension)


def _word(at: Tokens, field: Field, path: str) -> str:
    token = at.next()
    if token.text == "not" and token.kind == "word":
        raise ConditionError(f"cannot read is not: write {path} != ..., or not ({path} is ...)", token.column)
    is_any = not field.words and token.kind in ("word", "quoted", "number") and token.text not in KEYWORDS
    if is_any or (token.kind in ("word", "quoted") and token.text in field.words):
        return token.text
    if not field.words:
        raise ConditionError(f'cannot compare {path} with "{token.text}": a name belongs here', token.column)
    hint = expect.near(token.text, field.words) or "; known are " + ", ".join(field.words)
    raise ConditionError(f'cannot compare {path} with "{token.text}": it is never that{hint}', token.column)


def _words(at: Tokens, field: Field, path: str) -> Words:
    closing = {"[": "]", "(": ")"}.get(at.here.text, "")
    if not at.take("[", "("):
        raise ConditionError('cannot read the list behind "in": write [one, other]', at.here.column)
    found = [_word(at, field, path)]
    while at.take(","):
        found.append(_word(at, field, path))
    at.need(closing, f'cannot find the "{closing}" of the list behind "in"')
    return Words(tuple(found))
