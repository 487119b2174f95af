"""XML-RPC (xmlrpc.com/spec.md) as far as supervisord speaks it, without the HTTP, TLS and mail of xmlrpc.client.

Numbers, booleans, texts, lists and dicts. A document type is refused: entities could make a small answer large. So are
more values, deeper lists and larger numbers than supervisord ever sends.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from xml.parsers import expat


class Fault(Exception):
    """The method failed; the message is its faultString."""

    def __init__(self, code: object, text: object) -> None:
        super().__init__(str(text))
        self.code = code


MOST_VALUES = 100_000
MOST_DEEP = 10
MOST_WHOLE = 1 << 63


def _whole(text: str) -> int:
    found = int(text[:64])
    if not -MOST_WHOLE <= found < MOST_WHOLE:
        raise ValueError("a number of the answer is impossible")
    return found


def _finite(text: str) -> float:
    found = float(text)
    if not math.isfinite(found):
        raise ValueError("a number of the answer is impossible")
    return found


def _boolean(text: str) -> bool:
    return text.strip() == "1"


_SCALARS: dict[str, Callable[[str], Any]] = {
    "string": str,
    "int": _whole,
    "i4": _whole,
    "i8": _whole,
    "boolean": _boolean,
    "double": _finite,
    "nil": lambda _: None,
    "dateTime.iso8601": str,
    "base64": str,
}


def request(method: str, *params: object) -> str:
    """The document that asks for `method`."""
    values = "".join(f"<param>{_written(value)}</param>" for value in params)
    return f"<?xml version='1.0'?><methodCall><methodName>{method}</methodName><params>{values}</params></methodCall>"


def _written(value: object) -> str:
    if isinstance(value, bool):
        return f"<value><boolean>{int(value)}</boolean></value>"
    if isinstance(value, int):
        return f"<value><int>{value}</int></value>"
    if isinstance(value, list):
        return f"<value><array><data>{''.join(map(_written, value))}</data></array></value>"
    if isinstance(value, dict):
        members = (f"<member><name>{name}</name>{_written(one)}</member>" for name, one in value.items())
        return f"<value><struct>{''.join(members)}</struct></value>"
    text = str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"<value><string>{text}</string></value>"


def value_of(answer: bytes) -> object:
    """What a methodResponse holds; raises Fault, or ValueError or ExpatError where it is none."""
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text.append
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.Parse(answer, True)
    if len(reader.values) != 1:
        raise ValueError("the answer is not of XML-RPC")
    found = reader.values[0]
    if reader.is_fault:
        told = found if isinstance(found, dict) else {}
        raise Fault(told.get("faultCode"), told.get("faultString", found))
    return found


class _Reader:
    """Values are collected in one list; what a list or a dict holds is cut off its end when it closes."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.text: list[str] = []
        self.is_fault = False
        self._opened: list[int] = []
        self._is_bare = False
        self._count = 0

    def start(self, tag: str, _attributes: object) -> None:
        if tag in ("array", "struct"):
            self._opened.append(len(self.values))
            if len(self._opened) > MOST_DEEP:
                raise ValueError("the answer is nested too deeply")
        elif tag == "fault":
            self.is_fault = True
        self.text.clear()
        self._is_bare = tag == "value"

    def end(self, tag: str) -> None:
        scalar = _SCALARS.get(tag)
        if scalar is not None:
            self.values.append(scalar("".join(self.text)))
        elif tag == "name" or (tag == "value" and self._is_bare):
            self.values.append("".join(self.text))
        elif tag in ("array", "struct"):
            at = self._opened.pop()
            inside = self.values[at:]
            self.values[at:] = [inside if tag == "array" else dict(zip(inside[::2], inside[1::2], strict=True))]
        self._is_bare = False
        self._count += 1
        if self._count > MOST_VALUES:
            raise ValueError("the answer holds too many values")

    def refuse(self, *_what: object) -> None:
        raise ValueError("the answer declares a document type")
