"""The one table of what a policy may say: behind the loader, the JSON Schema and docs/policy-reference.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from paramedic.model.actions import ACTIONS, Arg
from paramedic.model.vocabulary import KINDS

MAX_NAME = 64
MAX_TARGETS = 1000
MAX_LIMIT_S = 7 * 86400.0
DURATION = r"^([0-9]+(\.[0-9]+)? ?(ms|s|m|h|d))+$"
HOURS = r"^([a-z]{3}([-,][a-z]{3})* )?[0-2]?[0-9]:[0-5][0-9]-[0-2]?[0-9]:[0-5][0-9]$"
_ONE_HOURS = {"type": "string", "pattern": HOURS}
_ONE_OR_MORE_HOURS = {"anyOf": [_ONE_HOURS, {"type": "array", "items": _ONE_HOURS, "minItems": 1}]}


@dataclass(frozen=True, slots=True)
class PolicyField:
    """One key of a policy. `shape` names how it is read and checked, `attribute` where it goes in model.Policy."""

    shape: str
    attribute: str
    meaning: str
    default: str = ""
    example: str = ""
    words: tuple[str, ...] = ()
    required: bool = False
    needs: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()


FIELDS: dict[str, PolicyField] = {
    "name": PolicyField("name", "name", "unique over all files", example="worker-too-big", required=True),
    "about": PolicyField("text", "about", "one sentence for the reader", example="One worker outgrew its share."),
    "watch": PolicyField(
        "choice",
        "watch",
        "the kind of subject; the policy holds one state for each",
        "",
        "uwsgi.worker",
        tuple(KINDS),
        required=True,
    ),
    "where": PolicyField("condition", "where", "which subjects of the kind", "all", "owner is web"),
    "when": PolicyField("condition", "when", "the condition", example="uss > 600 MiB and requests > 50", required=True),
    "for": PolicyField(
        "duration",
        "for_s",
        "how long it must hold; time in which it is unknown does not count",
        "0s",
        "1m",
        excludes=("at",),
    ),
    "clear": PolicyField(
        "condition",
        "clear",
        "what ends it, once it fires: hysteresis",
        "not `when`",
        "uss < 400 MiB",
        excludes=("at",),
    ),
    "keep": PolicyField(
        "duration", "keep_s", "how long it must stay clear before the incident may close", "0s", "2m", excludes=("at",)
    ),
    "at": PolicyField("cron", "at", "five cron fields: look only then", "every pass", "30 3 * * *"),
    "tz": PolicyField(
        "zone", "zone", "the time zone of `at` and `only`", "the host's", "Europe/Berlin", needs=("at", "only")
    ),
    "misfire": PolicyField(
        "misfire",
        "misfire_s",
        "a missed time: `cron` makes up once for what a clock step or suspend under three hours "
        "skipped, `skip` never does, a duration does if it is at most that late",
        "cron",
        "2h",
        needs=("at",),
    ),
    "splay": PolicyField(
        "duration",
        "splay_s",
        "shift `at` by up to this, by the same amount every time on one host",
        "0s",
        "20m",
        needs=("at",),
    ),
    "only": PolicyField(
        "hours", "only", "act only within these hours; what fires outside waits", "always", "mon-fri 22:00-06:00"
    ),
    "unless": PolicyField(
        "names",
        "unless",
        "hold while one of these fires, or cannot be told, on the subject, its owner, its children or the host",
        "",
        "[daemon-dead]",
    ),
    "do": PolicyField(
        "ladder",
        "do",
        "the ladder, least harm first: the next rung only when the one before missed its deadline or did "
        "not help; a rung that did not help is not repeated within the incident",
        "",
        "[chain_reload, notify]",
        required=True,
    ),
    "cooldown": PolicyField(
        "duration",
        "cooldown_s",
        "from the last disruptive action on the target, or a later restart of it that was seen, "
        "until a ladder may begin",
        "5m where a rung is disruptive, else 0s",
        "15m",
    ),
    "limit": PolicyField(
        "limit",
        "limit",
        "attempts on one target; then the breaker opens, tells, and half-opens by itself with backoff",
        "3 per 1h where a rung is disruptive, else none",
        "6 per 1h",
    ),
    "max_targets": PolicyField("count", "max_targets", "targets at a time, the worst first", "1", "2"),
    "over": PolicyField(
        "choice",
        "over",
        "when more targets fire than max_targets: `queue` them, or `refuse` all",
        "queue",
        "refuse",
        ("queue", "refuse"),
    ),
    "mode": PolicyField(
        "choice",
        "mode",
        "`observe`: this policy only says what it would do",
        "the agent's",
        "observe",
        ("act", "observe"),
    ),
}
SHAPES: dict[str, tuple[str, Mapping[str, Any]]] = {
    "name": ("letters, digits, `.`, `-`, `_`", {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"}),
    "text": ("text", {"type": ["string", "number", "boolean"], "minLength": 1}),
    "choice": ("one of", {"type": "string"}),
    "condition": ("condition", {"type": "string", "minLength": 1, "maxLength": 2000}),
    "duration": ("a number and `ms s m h d`", {"type": "string", "pattern": DURATION}),
    "cron": ("five cron fields", {"type": "string", "pattern": r"^\S+ +\S+ +\S+ +\S+ +\S+$"}),
    "zone": ("a name of the tz database", {"type": "string"}),
    "misfire": ("`cron`, `skip` or a duration", {"type": "string", "pattern": f"^(cron|skip|{DURATION[1:-1]})$"}),
    "hours": ("`[days ]HH:MM-HH:MM`, or a list of these", _ONE_OR_MORE_HOURS),
    "names": ("a list of policies", {"type": "array", "items": {"type": "string"}, "minItems": 1}),
    "ladder": ("a list of actions", {}),
    "limit": ("`N per DURATION`, or `none`", {"type": "string", "pattern": r"^([1-9][0-9]{0,5} per \S.*|none)$"}),
    "count": (f"1 to {MAX_TARGETS}", {"type": "integer", "minimum": 1, "maximum": MAX_TARGETS}),
}


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a policy file, for editors; it cannot look inside conditions."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "paramedic policies",
        "type": "object",
        "required": ["policies"],
        "additionalProperties": False,
        "properties": {"policies": {"type": "array", "items": _policy_schema()}},
    }


def _policy_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "required": [name for name, field in FIELDS.items() if field.required],
        "additionalProperties": False,
        "properties": {name: _field_schema(field) for name, field in FIELDS.items()},
        "allOf": [*_companions()],
    }


def _companions() -> Iterator[dict[str, Any]]:
    """What needs one of other keys, and what stands with none of them."""
    for name, field in FIELDS.items():
        if field.needs:
            needed = {"anyOf": [{"required": [other]} for other in field.needs]}
            yield {"if": {"required": [name]}, "then": needed}
        for other in field.excludes:
            yield {"not": {"required": [name, other]}}


def _field_schema(field: PolicyField) -> dict[str, Any]:
    found: dict[str, Any] = {"description": field.meaning, **SHAPES[field.shape][1]}
    if field.words:
        found["enum"] = list(field.words)
    if field.shape == "ladder":
        found |= {"type": "array", "minItems": 1, "items": {"anyOf": [_bare_action(), *_actions()]}}
    return found


def _bare_action() -> dict[str, Any]:
    return {"enum": list(ACTIONS)}


def _argument(arg: Arg) -> dict[str, Any]:
    if arg.is_argv:
        return {"type": "array", "minItems": 1, "items": {"type": ["string", "number"]}}
    if arg.is_count:
        return {"type": "integer", "minimum": 1, "maximum": MAX_TARGETS}
    if arg.is_duration:
        return {"type": "string", "pattern": DURATION}
    return {"type": ["string", "number"]} | ({"enum": list(arg.words)} if arg.words else {})


def _actions() -> list[dict[str, Any]]:
    found = []
    for name, action in ACTIONS.items():
        args: dict[str, Any] = {"within": {"type": "string", "pattern": DURATION}}
        for key, arg in action.args.items():
            args[key] = {"description": arg.meaning} | _argument(arg)
        body = {"type": ["object", "null"], "additionalProperties": False, "properties": args}
        found.append({"type": "object", "required": [name], "additionalProperties": False, "properties": {name: body}})
    return found
