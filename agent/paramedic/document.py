"""YAML text as nodes with positions, free of the traps of YAML 1.1.

PyYAML's parser gives events with line and column and executes nothing; scalars are typed here, so
`on`, `off` and `22:22` stay the strings a person wrote, duplicate keys are errors, and aliases, tags,
huge files and deep nesting are refused in bounded time (https://yaml.org/spec/1.1/#id858600).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import yaml

MAX_BYTES = 128 * 1024
MAX_DEPTH = 24
MOST_SHOWN = 80
MOST_SAID = 700
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,18}\.[0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: 1-based line and column."""

    file: str
    line: int
    col: int

    def says(self, sentence: str) -> str:
        """`file:line:col: sentence`, the form of every configuration error: one line, whatever a value holds."""
        line = " ".join(sentence.split())
        if len(line) > MOST_SAID:
            line = f"{line[: MOST_SAID // 2]} ... {line[-MOST_SAID // 2 :]}"
        return f"{self.file}:{self.line}:{self.col}: {line}"


@dataclass(frozen=True, slots=True)
class Item:
    """A YAML value: `value` is str, int, float, bool, None, list[Item] or dict[str, Item].

    `key` is where its key stands in a mapping, `style` how a text was quoted.
    """

    value: object
    place: Place
    text: str = ""
    key: Place | None = None
    style: str | None = None

    def at(self, column: int) -> Place:
        """Where the character `column` of its text stands; the start of the value where that cannot be told."""
        written = self.text[:column]
        if self.style in ("|", ">") or "\n" in self.text or (self.style == '"' and not written.isprintable()):
            return self.place
        quote = 1 if self.style else 0
        doubled = written.count("'") if self.style == "'" else 0
        return replace(self.place, col=self.place.col + quote + doubled + column)

    @property
    def shape(self) -> str:
        """The word a person uses for this kind of value."""
        names = {dict: "a mapping", list: "a list", bool: "yes or no", type(None): "nothing"}
        return names.get(type(self.value), "text" if isinstance(self.value, str) else "a number")


class DocumentError(ValueError):
    """The text is not a document paramedic reads; the message is one positioned sentence."""


def parse(text: str, file: str) -> Item:
    """The document in `text`; raises DocumentError with one sentence that names the place."""
    start = Place(file, 1, 1)
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise DocumentError(start.says(f"cannot read it: larger than {MAX_BYTES // 1024} KiB"))
    try:
        return _Builder(yaml.parse(text, Loader=yaml.SafeLoader), file).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else start
        raise DocumentError(place.says(f"cannot read it as YAML: {error.problem or error.context}")) from error
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        place = Place(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
        sign = f"U+{error.character:04X}" if isinstance(error.character, int) else "this byte"
        raise DocumentError(place.says(f"cannot read it as YAML: {sign} is no text; remove it")) from error


class _Builder:
    """Items from the parser's events, which come one by one: what is refused is refused before it is built."""

    def __init__(self, events: Iterator[yaml.Event], file: str) -> None:
        self._events = (event for event in events if not isinstance(event, yaml.StreamStartEvent))
        self._file = file

    def document(self) -> Item:
        """The only document of the stream; a stream without any is an empty item."""
        first = next(self._events)
        if isinstance(first, yaml.StreamEndEvent):
            return Item(None, Place(self._file, 1, 1))
        item = self._item(next(self._events), 0)
        next(self._events)
        following = next(self._events)
        if not isinstance(following, yaml.StreamEndEvent):
            raise DocumentError(self._place(following).says("cannot read a second document (---): make it one"))
        return item

    def _place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        return Place(self._file, mark.line + 1, mark.column + 1) if mark else Place(self._file, 1, 1)

    def _item(self, event: yaml.Event, depth: int) -> Item:
        place = self._place(event)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise DocumentError(place.says("cannot use anchors and aliases: write the value out"))
        if getattr(event, "tag", None):
            raise DocumentError(place.says("cannot use tags (!...): write the plain value"))
        if depth > MAX_DEPTH:
            raise DocumentError(place.says(f"cannot nest deeper than {MAX_DEPTH} levels"))
        if isinstance(event, yaml.SequenceStartEvent):
            return Item([self._item(child, depth + 1) for child in self._until(yaml.SequenceEndEvent)], place)
        if isinstance(event, yaml.MappingStartEvent):
            return Item(self._mapping(depth), place)
        if not isinstance(event, yaml.ScalarEvent):
            raise DocumentError(place.says("cannot read it as YAML: a value belongs here"))
        _refuse_characters(event.value, place)
        is_one_line = event.start_mark is None or event.end_mark is None or event.start_mark.line == event.end_mark.line
        return Item(_scalar(event), place, str(event.value), style=event.style if is_one_line else ">")

    def _until(self, end: type[yaml.Event]) -> Iterator[yaml.Event]:
        while not isinstance(event := next(self._events), end):
            yield event

    def _mapping(self, depth: int) -> dict[str, Item]:
        found: dict[str, Item] = {}
        for key in self._until(yaml.MappingEndEvent):
            place = self._place(key)
            if not isinstance(key, yaml.ScalarEvent):
                raise DocumentError(place.says("cannot use a list or mapping as a key: write a plain word"))
            name = str(self._item(key, depth).text)
            if name in found:
                raise DocumentError(place.says(f'cannot set "{shown(name)}" twice: remove one of them'))
            found[name] = replace(self._item(next(self._events), depth + 1), key=place)
        return found


def shown(text: str) -> str:
    """A text as an error repeats it: on one line, and not longer than a person wants to read."""
    line = " ".join(text.split())
    return line if len(line) <= MOST_SHOWN else f"{line[:MOST_SHOWN]}..."


def _refuse_characters(text: str, place: Place) -> None:
    """Escapes can write what plain text cannot: half characters, terminal codes, line ends that are none."""
    for letter in text:
        if not letter.isprintable() and letter not in "\n\t ":
            raise DocumentError(place.says(f"cannot use the character U+{ord(letter):04X} in a text: remove it"))


def _scalar(event: yaml.ScalarEvent) -> object:
    text = str(event.value)
    if event.style is not None:
        return text
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text
