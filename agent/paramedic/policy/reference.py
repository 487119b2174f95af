"""docs/policy-reference.md, written from the tables that the loader checks with."""

from __future__ import annotations

from collections.abc import Iterable

from paramedic.model.actions import ACTIONS
from paramedic.model.units import DIMENSIONS, units_of
from paramedic.model.vocabulary import CHILDREN, GUARDS, KINDS, Field
from paramedic.policy.schema import FIELDS, SHAPES, PolicyField
from paramedic.policy.terms import GATHERS, QUANTIFIERS, WINDOWS

_MEANINGS = {
    "avg": "the mean of its readings in the window",
    "min": "the smallest reading in the window",
    "max": "the largest reading in the window; or, over children, the largest of theirs",
    "slope": "how fast it rises, as in `slope(rss, 1h) > 50 MiB/h`; what a recycled worker gave back is no fall",
    "forecast": "what it will be one window from now: `forecast(uss, 24h)` looks a day back and a day ahead",
    "sum": "the sum over its children, e.g. `sum(worker.rss)`",
    "count": "how many children fulfil a condition, e.g. `count(worker.status is busy) >= 14`",
    "any": "whether one child fulfils a condition, e.g. `any(program.state is FATAL)`",
    "all": "whether every child does; unknown where it has none",
}


def reference() -> str:
    """The whole page as Markdown."""
    return "\n".join([*_head(), *_fields(), *_language(), *_kinds(), *_actions(), *_guards()]) + "\n"


def _head() -> list[str]:
    return [
        "# Policy reference",
        "",
        "Written by `paramedic check --reference` from the tables the loader checks with; do not edit. Learn from",
        "[policies.md](policies.md), look up here. `paramedic check --schema` prints the JSON Schema for editors.",
        "",
    ]


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    names = list(header)
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    return [*lines, *(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows), ""]


def _fields() -> list[str]:
    rows = [(f"`{name}`", _shape(field), _default(field), _meaning(field)) for name, field in FIELDS.items()]
    return ["## Fields of a policy", "", *_table(("field", "value", "default", "meaning"), rows)]


def _shape(field: PolicyField) -> str:
    words = SHAPES[field.shape][0]
    return f"{words} {', '.join(f'`{word}`' for word in field.words)}" if field.words else words


def _default(field: PolicyField) -> str:
    return "required" if field.required else field.default


def _meaning(field: PolicyField) -> str:
    needs = f"; needs {' or '.join(f'`{name}`' for name in field.needs)}" if field.needs else ""
    excludes = f"; not with {', '.join(f'`{name}`' for name in field.excludes)}" if field.excludes else ""
    example = f". E.g. `{field.example}`" if field.example else ""
    return f"{field.meaning}{needs}{excludes}{example}"


def _language() -> list[str]:
    functions = list(dict.fromkeys((*WINDOWS, *GATHERS, "count", *QUANTIFIERS)))
    units = [(name, units_of(name)) for name in DIMENSIONS]
    return [
        "## Conditions",
        "",
        "`term op value`, op one of `> >= < <= == !=`, `is`, `in [a, b]`; joined by `and`, `or`, `not`, `( )`. A term",
        "is a field, a window over one, or what is gathered from children; a number may multiply it (`2 * uss`).",
        "A word with blanks or other signs stands in quotes. Quantities carry their unit. `field is unknown` asks",
        "whether it cannot be read, and may only lead to `notify`: unknown never acts.",
        "",
        *_table(("function", "meaning"), [(f"`{name}`", _MEANINGS[name]) for name in functions]),
        "Windows are 30 s to 7 d long and have at most 40 buckets. `avg`, `min` and `max` are unknown unless every",
        "reading of the whole window is there; `slope` needs 8 points over a quarter of it, `forecast` over half. What",
        "is unknown makes the comparison unknown. After an action its help is judged when the window left it behind.",
        "",
        *_table(("of", "units"), units),
    ]


def _kinds() -> list[str]:
    lines = ["## Subjects and their fields", ""]
    for kind, fields in KINDS.items():
        children = ", ".join(f"`{name}.` ({child})" for name, child in CHILDREN.get(kind, {}).items())
        lines += [f"### {kind}", "", *([f"Children: {children}.", ""] if children else [])]
        lines += _table(("field", "kind", "meaning"), [(f"`{n}`", _dimension(f), f.meaning) for n, f in fields.items()])
    return lines


def _dimension(field: Field) -> str:
    return f"word: {', '.join(f'`{word}`' for word in field.words)}" if field.words else field.dimension


def _actions() -> list[str]:
    rows = [
        (
            f"`{name}`",
            ", ".join(kind.fits),
            kind.harm.value,
            "; ".join(f"`{key}`: {arg.meaning}" for key, arg in kind.args.items()),
            kind.met_when,
        )
        for name, kind in ACTIONS.items()
    ]
    note = "Every rung also takes `within`, its own deadline: `- chain_reload: { within: 15m }`."
    return ["## Actions", "", *_table(("action", "on", "harm", "arguments", "met when"), rows), note, ""]


def _guards() -> list[str]:
    rows = [(f"`{name}`", meaning) for name, meaning in GUARDS.items()]
    return [
        "## Guards",
        "",
        "Why a firing policy holds: in `status`, `explain` and `history`.",
        "",
        *_table(("hold", "because"), rows),
    ]
