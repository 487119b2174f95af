"""Policies as data: what `paramedic.policy` loads from YAML and `paramedic.evaluate` reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from paramedic.model.facts import Scalar


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number in the base unit of its dimension: bytes, %, seconds, count."""

    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class FieldRef:
    """`factor * path`, e.g. `2 * baseline_uss`."""

    path: str
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Words:
    """One word, or the list of words behind `in`."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left op right`; op is one of > >= < <= == != is in. `text` is what the user wrote."""

    left: FieldRef
    op: str
    right: Quantity | FieldRef | Words
    text: str


@dataclass(frozen=True, slots=True)
class All:
    """`a and b`."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """`a or b`."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """`not a`."""

    part: Condition


Condition = Comparison | All | Any | Not


@dataclass(frozen=True, slots=True)
class Rung:
    """One action of a ladder, its arguments and, if the policy says so, its own deadline."""

    action: str
    args: Mapping[str, Scalar | tuple[str, ...] | bool] = field(default_factory=dict)
    within_s: float | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` attempts in `per_s` seconds; count 0 means without limit."""

    count: int
    per_s: float


@dataclass(frozen=True, slots=True)
class Policy:
    """What to watch, the condition, for how long, and a ladder of actions."""

    name: str
    watch: str
    when: Condition
    do: tuple[Rung, ...]
    about: str = ""
    for_s: float = 0.0
    clear: Condition | None = None
    cooldown_s: float = 0.0
    limit: Limit = field(default_factory=lambda: Limit(0, 0.0))
    max_targets: int = 1
    mode: str = "act"
    at: str | None = None
    source: str = ""
