"""YAML text as nodes with positions, free of the traps of YAML 1.1.

PyYAML's composer gives nodes with line and column and executes nothing; scalars are typed here, so
`on`, `off` and `22:22` stay the strings a person wrote, duplicate keys are errors, and aliases, tags,
huge files and deep nesting are refused in bounded time (https://yaml.org/spec/1.1/#id858600).
"""

from __future__ import annotations

from dataclasses import dataclass

import yaml

MAX_BYTES = 256 * 1024
MAX_DEPTH = 24


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: 1-based line and column."""

    file: str
    line: int
    col: int

    def says(self, sentence: str) -> str:
        """`file:line:col: sentence`, the form of every configuration error."""
        return f"{self.file}:{self.line}:{self.col}: {sentence}"


@dataclass(frozen=True, slots=True)
class Item:
    """A YAML value: `value` is str, int, float, bool, None, list[Item] or dict[str, Item]."""

    value: object
    place: Place
    text: str = ""

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
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            _refuse_magic(event, file)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else start
        raise DocumentError(place.says(f"cannot read it as YAML: {error.problem or error.context}")) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DocumentError(start.says(f"cannot read it as YAML: {first}")) from error
    return _item(node, file, 0) if node is not None else Item(None, start)


def _refuse_magic(event: yaml.Event, file: str) -> None:
    mark = event.start_mark
    place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file, 1, 1)
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
        raise DocumentError(place.says("cannot use anchors and aliases: write the value out"))
    if getattr(event, "tag", None):
        raise DocumentError(place.says("cannot use tags (!...): write the plain value"))


def _item(node: yaml.Node, file: str, depth: int) -> Item:
    place = Place(file, node.start_mark.line + 1, node.start_mark.column + 1)
    if depth > MAX_DEPTH:
        raise DocumentError(place.says(f"cannot nest deeper than {MAX_DEPTH} levels"))
    if isinstance(node, yaml.SequenceNode):
        return Item([_item(child, file, depth + 1) for child in node.value], place)
    if isinstance(node, yaml.MappingNode):
        return Item(_mapping(node, file, depth), place)
    return Item(_scalar(node), place, str(node.value))


def _mapping(node: yaml.MappingNode, file: str, depth: int) -> dict[str, Item]:
    found: dict[str, Item] = {}
    for key, value in node.value:
        place = Place(file, key.start_mark.line + 1, key.start_mark.column + 1)
        if not isinstance(key, yaml.ScalarNode):
            raise DocumentError(place.says("cannot use a list or mapping as a key"))
        if key.value in found:
            raise DocumentError(place.says(f"cannot set {key.value!r} twice: remove one of them"))
        found[key.value] = _item(value, file, depth + 1)
    return found


def _scalar(node: yaml.Node) -> object:
    text = str(node.value)
    if getattr(node, "style", None) is not None:
        return text
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if text.isascii() and text.lstrip("+-").isdigit() and len(text) < 20:
        return int(text)
    return _float(text)


def _float(text: str) -> object:
    plain = text.lstrip("+-").replace(".", "", 1)
    return float(text) if plain.isascii() and plain.isdigit() and "." in text else text
