"""Quantities as people write them: 600 MiB, 85 %, 5m, 50 MiB/h. Pure parsing and rendering."""

from __future__ import annotations

import re

BYTES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PER = {name: size for name, size in SECONDS.items() if name != "ms"}
RATE, TREND = "/s", "/h"
DIMENSIONS: dict[str, dict[str, float]] = {
    "bytes": {name: float(size) for name, size in BYTES.items()},
    "seconds": SECONDS,
    "percent": {"%": 1.0},
    "bytes/s": {f"{name}/{per}": size / s for name, size in BYTES.items() for per, s in _PER.items()},
    "percent/s": {f"%/{per}": 1 / s for per, s in _PER.items()},
    "count/s": {f"/{per}": 1 / s for per, s in _PER.items()},
}


def units_of(dimension: str) -> str:
    """The units of a dimension as a person would list them; of the rates of bytes only the usual ones."""
    if dimension == "bytes/s":
        return "KiB/s, MiB/m, MiB/h, GiB/d"
    return ", ".join(DIMENSIONS.get(dimension, {})) or "no unit"


def render_bytes(value: float) -> str:
    """`1536` -> `1.5 KiB`."""
    sign, size = ("-" if value < 0 else ""), abs(value)
    for unit, factor in reversed(BYTES.items()):
        if size >= factor and unit != "B":
            return f"{sign}{size / factor:.4g} {unit}"
    return f"{sign}{size:.0f} B"


def render_seconds(value: float) -> str:
    """`90` -> `1m30s`; below ten seconds with decimals, below one in milliseconds."""
    if value < 0:
        return f"-{render_seconds(-value)}"
    if 0 < value < 1:
        return f"{value * 1000:.0f}ms"
    if value < 10:
        return f"{value:.3g}s"
    days, rest = divmod(round(value), 86400)
    hours, rest = divmod(rest, 3600)
    minutes, seconds = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")]
    return "".join(f"{n}{unit}" for n, unit in parts if n) or "0s"


def render(value: float | int | str, dimension: str) -> str:
    """A value in the unit a person reads best. Rates are per second; a TREND dimension shows one per hour."""
    if isinstance(value, str):
        return value
    if dimension.endswith(TREND):
        return f"{render(value * 3600, dimension.removesuffix(TREND))}/h"
    if dimension.endswith(RATE):
        return f"{render(value, dimension.removesuffix(RATE))}/s"
    if dimension == "bytes":
        return render_bytes(value)
    if dimension == "seconds":
        return render_seconds(value)
    return f"{value:.4g} %" if dimension == "percent" else f"{value:g}"


def numbers_of(version: str) -> tuple[int, ...]:
    """`2.0.21-debian` as (2, 0, 21)."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(number) for number in found[0].split(".")[:4]) if found else ()
