"""Conditions: `uss > 2 * baseline_uss and not (status is busy)` -> a tree, names and units checked.

Grammar, loosest first: or, and, not, comparison. A comparison has a field (or `number * field`) on its
left and a quantity, a field of the same dimension, a word, or a list of words on its right.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from paramedic import expect
from paramedic.model.policy import All, Any, Comparison, Condition, FieldRef, Not, Quantity, Words
from paramedic.model.units import DIMENSIONS, units_of
from paramedic.model.vocabulary import KINDS, Field

MAX_LENGTH = 2000
MAX_DEPTH = 40
_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>%|[A-Za-z]+\b)?"
    r"|(?P<op>>=|<=|==|!=|>|<|\*|\(|\)|\[|\]|,)"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_.\-]*))"
)
_COMPARE = (">", ">=", "<", "<=", "==", "!=", "is", "in")
_KEYWORDS = ("and", "or", "not", "is", "in")


class ConditionError(ValueError):
    """`cannot ...` and the 0-based column in the condition where it starts."""

    def __init__(self, sentence: str, column: int) -> None:
        super().__init__(sentence)
        self.column = column


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    kind: str
    column: int
    unit: str = ""


def parse_condition(text: str, kind: str) -> Condition:
    """The condition in `text` for subjects of `kind`; raises ConditionError."""
    if len(text) > MAX_LENGTH:
        raise ConditionError(f"cannot read the condition: longer than {MAX_LENGTH} characters", 0)
    parser = _Parser(_tokens(text), text, KINDS[kind], kind)
    condition = parser.any_of(0)
    if not parser.at_end:
        raise ConditionError(
            f'cannot read "{parser.here.text}": "and", "or" or the end belongs here', parser.here.column
        )
    return condition


def _tokens(text: str) -> list[_Token]:
    found, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if not match:
            at += len(text[at:]) - len(text[at:].lstrip())
            raise ConditionError(f'cannot read "{text[at]}" in a condition', at)
        kind = str(match.lastgroup if match.lastgroup != "unit" else "number")
        unit = match["unit"] or ""
        end = match.end()
        if unit in _KEYWORDS:
            unit, end = "", match.end("number")
        found.append(_Token(match[kind], kind, match.start(kind), unit))
        at = end
    return found


class _Parser:
    def __init__(self, tokens: list[_Token], text: str, fields: dict[str, Field], kind: str) -> None:
        self.tokens, self.text, self.fields, self.kind = tokens, text, fields, kind
        self.at = 0

    @property
    def at_end(self) -> bool:
        return self.at >= len(self.tokens)

    @property
    def here(self) -> _Token:
        return self.tokens[self.at] if not self.at_end else _Token("the end", "end", len(self.text))

    def take(self, *words: str) -> bool:
        found = not self.at_end and self.here.kind != "number" and self.here.text in words
        self.at += found
        return found

    def any_of(self, depth: int) -> Condition:
        parts = [self.all_of(depth)]
        while self.take("or"):
            parts.append(self.all_of(depth))
        return Any(tuple(parts)) if len(parts) > 1 else parts[0]

    def all_of(self, depth: int) -> Condition:
        parts = [self.part(depth)]
        while self.take("and"):
            parts.append(self.part(depth))
        return All(tuple(parts)) if len(parts) > 1 else parts[0]

    def part(self, depth: int) -> Condition:
        if depth > MAX_DEPTH:
            raise ConditionError(f"cannot nest conditions deeper than {MAX_DEPTH} levels", self.here.column)
        if self.take("not"):
            return Not(self.part(depth + 1))
        if not self.take("("):
            return self.comparison()
        inner = self.any_of(depth + 1)
        if not self.take(")"):
            raise ConditionError('cannot find the ")" of this "("', self.here.column)
        return inner

    def comparison(self) -> Comparison:
        start = self.here.column
        left = self.field_ref()
        op = self.here
        if not self.take(*_COMPARE):
            raise ConditionError(
                f'cannot read "{op.text}": a comparison ({" ".join(_COMPARE)}) belongs here', op.column
            )
        right = self.right_side(left, op)
        end = self.here.column if not self.at_end else len(self.text)
        return Comparison(left, "==" if op.text == "is" else op.text, right, self.text[start:end].strip(" )("))

    def right_side(self, left: FieldRef, op: _Token) -> Quantity | FieldRef | Words:
        field = self.fields[left.path]
        if field.dimension == "word":
            if op.text not in ("==", "!=", "is", "in"):
                raise ConditionError(
                    f'cannot compare {left.path} with "{op.text}": it is a word; use is, in or !=', op.column
                )
            return self.words(field, left.path) if op.text == "in" else Words((self.word(field, left.path),))
        if op.text in ("in", "is"):
            raise ConditionError(f'cannot use "{op.text}" on {left.path}: it is a number; use == or >', op.column)
        following = self.tokens[self.at + 1 : self.at + 2]
        if self.here.kind == "number" and not (following and following[0].text == "*"):
            return self.quantity(field, left.path)
        column = self.here.column
        right = self.field_ref()
        if self.fields[right.path].dimension != field.dimension:
            ours, theirs = field.dimension, self.fields[right.path].dimension
            raise ConditionError(f"cannot compare {left.path} ({ours}) with {right.path} ({theirs})", column)
        return right

    def quantity(self, field: Field, path: str) -> Quantity:
        token = self.here
        self.at += 1
        if field.dimension == "count":
            if token.unit:
                raise ConditionError(
                    f"cannot compare {path} with {token.text} {token.unit}: it is a plain count", token.column
                )
            return Quantity(float(token.text), "count")
        factor = DIMENSIONS[field.dimension].get(token.unit)
        if factor is None:
            because = f"{token.unit} is no unit of it" if token.unit else "the unit is missing"
            say = f"cannot compare {path} with {token.text}: {because}; write one of {units_of(field.dimension)}"
            raise ConditionError(say, token.column)
        return Quantity(float(token.text) * factor, field.dimension)

    def field_ref(self) -> FieldRef:
        factor = 1.0
        if self.here.kind == "number":
            token, self.at = self.here, self.at + 1
            if token.unit or not self.take("*"):
                raise ConditionError(
                    f'cannot use {token.text} here: write a field first, or "{token.text} * field"', token.column
                )
            factor = float(token.text)
        token = self.here
        if token.kind != "word" or token.text in _KEYWORDS:
            raise ConditionError(f'cannot read "{token.text}": a field of {self.kind} belongs here', token.column)
        if token.text not in self.fields:
            hint = expect.near(token.text, self.fields) or "; known are " + ", ".join(self.fields)
            raise ConditionError(f'cannot find "{token.text}" in {self.kind}{hint}', token.column)
        self.at += 1
        if factor != 1.0 and self.fields[token.text].dimension == "word":
            raise ConditionError(f"cannot multiply {token.text}: it is a word", token.column)
        return FieldRef(token.text, factor)

    def word(self, field: Field, path: str) -> str:
        token = self.here
        if token.kind != "word" or token.text not in field.words:
            hint = expect.near(token.text, field.words) or "; known are " + ", ".join(field.words)
            raise ConditionError(f'cannot compare {path} with "{token.text}": it is never that{hint}', token.column)
        self.at += 1
        return token.text

    def words(self, field: Field, path: str) -> Words:
        if not self.take("[", "("):
            raise ConditionError('cannot read the list behind "in": write [one, other]', self.here.column)
        found = [self.word(field, path)]
        while self.take(","):
            found.append(self.word(field, path))
        if not self.take("]", ")"):
            raise ConditionError('cannot find the end of the list behind "in"', self.here.column)
        return Words(tuple(found))
