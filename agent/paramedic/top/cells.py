"""Values and strangers' names as the text of one cell. Pure."""

from __future__ import annotations

from paramedic.model.facts import Unknown
from paramedic.model.units import render_bytes, render_seconds
from paramedic.top.seen import Number

OLD_S = 15.0
NONE = "-"


def cells(text: str) -> int:
    """How many cells of a terminal a text takes (Unicode Standard Annex 11)."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def printable(text: str, width: int) -> str:
    """A text without control characters, cut to `width` cells."""
    clean = "".join(c if c.isprintable() else "?" for c in text[: 2 * max(0, width)])
    while cells(clean) > width:
        clean = clean[:-1]
    return clean


def padded(text: str, width: int, is_left: bool) -> str:
    """Filled up to `width` cells."""
    blank = " " * (width - cells(text))
    return text + blank if is_left else blank + text


def size_text(value: Number) -> str:
    """Bytes as a person reads them."""
    return NONE if isinstance(value, Unknown) else render_bytes(value)


def slope_text(value: Number) -> str:
    """Bytes per second as bytes per hour, with its sign."""
    if isinstance(value, Unknown):
        return NONE
    return f"{'+' if value > 0 else ''}{render_bytes(value * 3600)}"


def rate_text(value: Number) -> str:
    """Per second."""
    return NONE if isinstance(value, Unknown) else f"{value:.1f}"


def count_text(value: Number) -> str:
    """A whole number."""
    return NONE if isinstance(value, Unknown) else f"{value:d}" if isinstance(value, int) else f"{value:.0f}"


def age_text(value: Number) -> str:
    """Seconds in the two units that say most: `3d4h`, `5m2s`."""
    if isinstance(value, Unknown):
        return NONE
    step = 3600 if value >= 86400 else 60 if value >= 3600 else 1
    return render_seconds(float(round(value / step) * step))


def old_text(age_s: float | None) -> str:
    """How old a reading is, where that is worth saying."""
    return "" if age_s is None or age_s <= OLD_S else age_text(age_s)
