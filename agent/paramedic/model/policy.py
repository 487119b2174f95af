"""Policies as data: what `paramedic.policy` loads from YAML and `paramedic.evaluate` reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from paramedic.model.actions import is_disruptive
from paramedic.model.facts import Scalar


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number in the base unit of its dimension: bytes, %, seconds, count, or one of these per second."""

    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class FieldRef:
    """`factor * path`, e.g. `2 * baseline_uss`."""

    path: str
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Window:
    """`factor * func(path, window)`: func is one of avg min max slope forecast."""

    func: str
    path: str
    window_s: float
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Gather:
    """`factor * func(child.path)`: func is one of sum min max, over the subject's children of `kind`."""

    func: str
    kind: str
    path: str
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Count:
    """`factor * count(condition)` over the subject's children of `kind`."""

    kind: str
    part: Condition
    factor: float = 1.0


Term = FieldRef | Window | Gather | Count


@dataclass(frozen=True, slots=True)
class Words:
    """One word, or the list of words behind `in`."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left op right`; op is one of > >= < <= == != . `text` is what the user wrote."""

    left: Term
    op: str
    right: Quantity | Term | Words
    text: str


@dataclass(frozen=True, slots=True)
class IsUnknown:
    """`field is unknown`: the only question that unknown answers with yes, so only notices may follow from it."""

    left: FieldRef
    text: str


@dataclass(frozen=True, slots=True)
class Quantifier:
    """`any(condition)` or `all(condition)` over the subject's children of `kind`."""

    func: str
    kind: str
    part: Condition
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


Leaf = Comparison | IsUnknown | Quantifier
Condition = Leaf | All | Any | Not


@dataclass(frozen=True, slots=True)
class Rung:
    """One action of a ladder, its arguments and, if the policy says so, its own deadline."""

    action: str
    args: Mapping[str, Scalar | tuple[str, ...] | bool] = field(default_factory=dict)
    within_s: float | None = None

    @property
    def is_disruptive(self) -> bool:
        """True where a wrong or repeated call costs the site something."""
        return is_disruptive(self.action, self.args)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` attempts on one target in `per_s` seconds; count 0 means without limit."""

    count: int
    per_s: float


@dataclass(frozen=True, slots=True)
class Hours:
    """One window of `only`: days (0 Monday) on which it begins, and minutes of the day; it may pass midnight."""

    days: frozenset[int]
    first: int
    last: int
    text: str

    def contains(self, local: datetime) -> bool:
        """Whether this local time is inside; the first minute is, the last is not."""
        minute = local.hour * 60 + local.minute
        if self.first < self.last:
            return local.weekday() in self.days and self.first <= minute < self.last
        if minute >= self.first:
            return local.weekday() in self.days
        return minute < self.last and (local.weekday() - 1) % 7 in self.days


@dataclass(frozen=True, slots=True)
class Policy:
    """What to watch, the condition, for how long, and a ladder of actions.

    `zone` None is the host's own. `misfire_s` None follows cron: what was missed by a clock step or suspend of less
    than three hours is made up for once, what was missed while the agent was down is not.
    """

    name: str
    watch: str
    when: Condition
    do: tuple[Rung, ...]
    about: str = ""
    where: Condition | None = None
    for_s: float = 0.0
    clear: Condition | None = None
    keep_s: float = 0.0
    at: str | None = None
    zone: tzinfo | None = None
    misfire_s: float | None = None
    splay_s: float = 0.0
    only: tuple[Hours, ...] = ()
    unless: tuple[str, ...] = ()
    cooldown_s: float = 0.0
    limit: Limit = field(default_factory=lambda: Limit(0, 0.0))
    max_targets: int = 1
    over: str = "queue"
    mode: str = "act"
    source: str = field(default="", compare=False)


def leaves(condition: Condition) -> list[Leaf]:
    """Every comparison of a condition on the subject itself, in the order they were written."""
    match condition:
        case Not(part):
            return leaves(part)
        case All(parts) | Any(parts):
            return [leaf for part in parts for leaf in leaves(part)]
        case leaf:
            return [leaf]


def on_children(condition: Condition) -> list[Condition]:
    """The conditions inside any(), all() and count()."""
    found = [leaf.part for leaf in leaves(condition) if isinstance(leaf, Quantifier)]
    sides = [side for leaf in leaves(condition) if isinstance(leaf, Comparison) for side in (leaf.left, leaf.right)]
    return [*found, *(side.part for side in sides if isinstance(side, Count))]


def windows(condition: Condition) -> list[Window]:
    """Every window a condition looks through."""
    found = [side for leaf in leaves(condition) if isinstance(leaf, Comparison) for side in (leaf.left, leaf.right)]
    return [side for side in found if isinstance(side, Window)]


def own_fields(condition: Condition) -> set[str]:
    """The fields of the subject itself that a condition asks for."""
    sides = [leaf.left for leaf in leaves(condition) if not isinstance(leaf, Quantifier)]
    sides += [leaf.right for leaf in leaves(condition) if isinstance(leaf, Comparison)]  # type: ignore[misc]
    return {side.path for side in sides if isinstance(side, FieldRef | Window)}
