"""The words of a condition: text -> tokens with their columns."""

from __future__ import annotations

import re
from dataclasses import dataclass

from paramedic.document import shown

COMPARE = (">", ">=", "<", "<=", "==", "!=", "is", "in")
KEYWORDS = ("and", "or", "not", "is", "in")
_HINTS = {
    "=": "write ==, or is for a word",
    "&": "write and",
    "|": "write or",
    "!": "write not",
    "-": "numbers are not negative here; turn the comparison around",
    "≥": "write >=",
    "≤": "write <=",
    "/": "a rate has no blanks: 50 MiB/h",
    ";": "write and",
}
_TOKEN = re.compile(
    r"\s*(?:(?P<duration>[0-9]+(?:\.[0-9]+)?[a-z]+(?:[0-9]+(?:\.[0-9]+)?[a-z]+)+)\b"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?)(?![0-9.]|,[0-9])\s*(?P<unit>(?:%|[A-Za-z]+\b)?(?:/[A-Za-z]+\b)?)"
    r"|(?P<op>>=|<=|==|!=|>|<|\*|\(|\)|\[|\]|,)"
    r"|(?P<quoted>\"[^\"]*\"|'[^']*')"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_.:\-]*))"
)


class ConditionError(ValueError):
    """`cannot ...` and the 0-based column in the condition where it starts."""

    def __init__(self, sentence: str, column: int) -> None:
        super().__init__(sentence)
        self.column = column


@dataclass(frozen=True, slots=True)
class Token:
    """One word: `kind` is number, duration (`1h30m`), op, quoted, word or end; a number may carry a unit."""

    text: str
    kind: str
    column: int
    unit: str = ""

    @property
    def written(self) -> str:
        """With its unit."""
        return f"{self.text} {self.unit}".rstrip()


def tokens(text: str) -> list[Token]:
    """All tokens of a condition; raises ConditionError at the first character that begins none."""
    found, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if not match:
            at += len(text[at:]) - len(text[at:].lstrip())
            raise ConditionError(_unreadable(text, at), at)
        kind = next(name for name in ("duration", "number", "op", "quoted", "word") if match[name] is not None)
        unit, end = match["unit"] or "", match.end()
        if unit in KEYWORDS:
            unit, end = "", match.end("number")
        word = unit if kind == "number" else match[kind]
        if word.lower() in KEYWORDS and word not in KEYWORDS and kind in ("number", "word"):
            column = match.start("unit") if kind == "number" else match.start(kind)
            raise ConditionError(f'cannot read "{word}": write {word.lower()}', column)
        words = match[kind][1:-1] if kind == "quoted" else match[kind]
        found.append(Token(words, kind, match.start(kind), unit))
        at = end
    return found


def _unreadable(text: str, at: int) -> str:
    """What a person probably meant by the character that begins no token."""
    rest = text[at:]
    if rest[0] in "\"'":
        return "cannot find the end of this quote"
    if rest[0].isdigit():
        return f'cannot read "{shown(rest.split()[0])}" as a number: write digits, and a point for fractions'
    hint = _HINTS.get(rest[0], "words, numbers, quotes and > >= < <= == != ( ) [ ] , * belong there")
    return f'cannot read "{rest[0]}" in a condition: {hint}'


class Tokens:
    """A cursor over tokens: what is `here`, and whether it can be taken."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._all = tokens(text)
        self._at = 0

    @property
    def at_end(self) -> bool:
        """Whether all tokens were taken."""
        return self._at >= len(self._all)

    def ahead(self, steps: int = 0) -> Token:
        """The token `steps` after the next one."""
        at = self._at + steps
        return self._all[at] if at < len(self._all) else Token("the end", "end", len(self.text))

    @property
    def here(self) -> Token:
        """The next token."""
        return self.ahead()

    def next(self) -> Token:
        """Take the next token."""
        token = self.here
        self._at += 1
        return token

    def take(self, *words: str) -> bool:
        """Take the next token if it is one of these words."""
        found = self.here.kind in ("op", "word") and self.here.text in words
        self._at += found
        return found

    def need(self, word: str, sentence: str) -> None:
        """Take `word`; raises ConditionError with the sentence where something else stands."""
        if not self.take(word):
            raise ConditionError(sentence, self.here.column)

    def since(self, column: int) -> str:
        """What was written from `column` to the next token."""
        return self.text[column : self.here.column].strip()
