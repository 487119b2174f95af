"""Seeded mutations of real examples: bytes and lines lost, doubled, swapped, spliced, and words made extreme."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

MOST_BYTES = 64 * 1024
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
EXTREMES = (
    *(b"0", b"-1", b"1e999", b"NaN", b"9" * 30, b"9" * 5000, b"18446744073709551616", b"1e308", b"true", b"null"),
    *(b"\0", b"\n", b"\r\n", b"\xff\xfe", b"\xed\xa0\x80", b"\x1b[2J", b" ", b"\t", b"\xe2\x80\xae", b"'", b'"', b"\\"),
    *(b"%(", b"%(x)s", b"$(HOME)", b"@(/etc/shadow)", b"%", b"{" * 300, b"[" * 300, b"<array><data><value>" * 50),
    *(
        b"<!DOCTYPE a>",
        b"&amp;&#0;",
        b") R 1 (",
        b"../" * 20,
        b"*a",
        b"&a [*a]",
        b"!!python/object:os.system x",
        b"---\n",
    ),
    *(b"A" * 4096, b"e\xcc\x81" * 50, b"kB", b"unknown", b"=", b":", b",", b";", b"#"),
)
Mutation = Callable[[random.Random, bytes, Sequence[bytes]], bytes]


def _cut(dice: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = sorted((dice.randint(0, len(data)), dice.randint(0, len(data))))
    return data[:start] + data[min(end, start + dice.choice((1, 3, 10, 10_000))) :]


def _double(dice: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start = dice.randint(0, len(data))
    part = data[start : start + dice.choice((1, 5, 50, 500))]
    return data[:start] + part * dice.choice((2, 2, 3, 100)) + data[start:]


def _flip(dice: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    changed = bytearray(data)
    for _time in range(dice.choice((1, 1, 2, 8)) if data else 0):
        changed[dice.randrange(len(changed))] = dice.randrange(256)
    return bytes(changed)


def _insert(dice: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    at = dice.randint(0, len(data))
    return data[:at] + dice.choice(EXTREMES) + data[at:]


def _number(dice: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    found = list(_NUMBER.finditer(data))
    one = dice.choice(found) if found else None
    return data[: one.start()] + dice.choice(EXTREMES) + data[one.end() :] if one else data


def _word(dice: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    words, others = data.split(b" "), dice.choice(corpus).split()
    words[dice.randrange(len(words))] = dice.choice(others) if others and dice.random() < 0.6 else dice.choice(EXTREMES)
    return b" ".join(words)


def _lines(dice: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    lines, others = data.split(b"\n"), dice.choice(corpus).split(b"\n")
    at = dice.randrange(len(lines))
    how = dice.randrange(4)
    if how == 0:
        del lines[at]
    elif how == 1:
        lines.insert(at, dice.choice(others))
    elif how == 2:
        lines[at] = dice.choice(others)
    else:
        dice.shuffle(lines)
    return b"\n".join(lines)


MUTATIONS: tuple[Mutation, ...] = (
    _cut,
    _double,
    _flip,
    _insert,
    _insert,
    _number,
    _number,
    _word,
    _word,
    _lines,
    _lines,
)


def mutated(dice: random.Random, corpus: Sequence[bytes]) -> bytes:
    """One example with one to five mutations."""
    data = dice.choice(corpus)
    for _ in range(dice.choice((1, 1, 1, 2, 2, 3, 5))):
        data = dice.choice(MUTATIONS)(dice, data, corpus)[:MOST_BYTES]
    return data
