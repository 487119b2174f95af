"""Facts as JSON and back: what is recorded for replay, published for explain, and exchanged in sample files.

One document: `{"wall": s, "monotonic": s, "subjects": {"uwsgi:web": {"uss": 123, "rss": {"unknown": "why"}}}}`.
Beside its fields a subject may carry `~id` [pid, start ticks], `~cause`, `~finding` [diagnosis, evidence] and
`~unread` kinds of children; the host `~scope` and `~holders` [[name, bytes, processes, bytes in swap]].
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from paramedic.model.facts import Facts, Finding, Subject, SubjectFacts, Unknown, Value
from paramedic.model.readings import Holding, Identity
from paramedic.model.vocabulary import DIAGNOSES, KINDS

LATEST = 1e11
ID, CAUSE, FINDING, UNREAD = "~id", "~cause", "~finding", "~unread"
SCOPE, HOLDERS = "~scope", "~holders"
_BESIDE = (ID, CAUSE, FINDING, UNREAD, SCOPE, HOLDERS)
Beside = tuple[Identity | None, Subject | None, tuple[Finding, ...], str, tuple[Holding, ...], frozenset[str]]
_PARENTS = {"uwsgi.worker": "uwsgi", "supervisor.program": "supervisor", "orphan": "supervisor"}


def facts_to_json(facts: Facts) -> dict[str, Any]:
    """The document of one pass."""
    subjects = {str(subject): _subject_to_json(found) for subject, found in facts.subjects.items()}
    return {"wall": facts.wall, "monotonic": facts.monotonic, "subjects": subjects}


def facts_from_json(document: Mapping[str, Any]) -> Facts:
    """The facts of a document; `monotonic` left out follows the wall clock. Raises ValueError with the reason."""
    try:
        wall = float(document["wall"])
        monotonic = float(document.get("monotonic", wall))
        subjects = {subject_of(name): fields for name, fields in document["subjects"].items()}
        for subject, fields in subjects.items():
            _refuse_fields(subject, fields)
        found = {subject: subject_from_json(subject, fields) for subject, fields in subjects.items()}
    except OverflowError as error:
        raise ValueError("a number in it is beyond all measure") from error
    except (KeyError, TypeError, AttributeError) as error:
        say = f'it is no sample: write {{"wall": SECONDS, "subjects": {{...}}}} ({type(error).__name__})'
        raise ValueError(say) from error
    if not (0 <= wall < LATEST and 0 <= monotonic < LATEST):
        raise ValueError("its time is not in seconds since 1970")
    return Facts(monotonic, wall, found)


def _refuse_fields(subject: Subject, fields: Mapping[str, Any]) -> None:
    """A misspelt field would be silently unknown."""
    for path, value in fields.items():
        if path not in KINDS[subject.kind] and path not in _BESIDE:
            raise ValueError(f'"{path}" is no field of {subject.kind}')
        is_word = path in KINDS[subject.kind] and KINDS[subject.kind][path].dimension == "word"
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if isinstance(value, bool) or (is_number and not math.isfinite(float(value))):
            raise ValueError(f"{value!r} is no value of {path}")
        if path[0] != "~" and isinstance(value, str) != is_word and isinstance(value, str | int | float):
            raise ValueError(f"{value!r} is no value of {path}: it is a {'word' if is_word else 'number'}")
    if fields.get(CAUSE) == str(subject):
        raise ValueError(f"{subject} cannot be its own cause")


def is_subject(name: str) -> bool:
    """Whether this version knows such subjects."""
    try:
        subject_of(name)
    except ValueError:
        return False
    return True


def subject_of(name: str) -> Subject:
    """`host` or `KIND:NAME`; raises ValueError."""
    kind, colon, own = name.partition(":")
    if kind not in KINDS or (kind == "host") != (not colon) or (colon and not own):
        raise ValueError(f'"{name}" is no subject: write host or KIND:NAME, KIND one of {", ".join(KINDS)}')
    return Subject(kind, own or "host")


def parent_of(subject: Subject) -> Subject | None:
    """What a subject belongs to, by its name: `uwsgi:web` of `uwsgi.worker:web/1`."""
    kind = _PARENTS.get(subject.kind)
    return Subject(kind, subject.name.partition("/")[0]) if kind else None


def subject_from_json(subject: Subject, fields: Mapping[str, Any]) -> SubjectFacts:
    """One subject of a document."""
    finding = fields.get(FINDING)
    cause, identity = fields.get(CAUSE), fields.get(ID)
    return SubjectFacts(
        subject,
        {path: _value(value) for path, value in fields.items() if path[0] != "~"},
        () if finding is None else (_finding(subject, *finding),),
        parent_of(subject),
        subject_of(cause) if cause else None,
        identity=Identity(*identity) if identity else None,
        unread=frozenset(fields.get(UNREAD, ())),
        scope=str(fields.get(SCOPE, "")),
        holders=tuple(Holding(str(name), int(size), int(n), int(s)) for name, size, n, s in fields.get(HOLDERS, ())),
    )


def _finding(subject: Subject, diagnosis: str, evidence: str) -> Finding:
    known = DIAGNOSES.get(diagnosis)
    return Finding(diagnosis, subject, evidence, known.repair if known else "")


def _value(value: object) -> Value:
    if isinstance(value, float | str | int | Unknown):
        return value
    if value is None:
        return Unknown("not read")
    if isinstance(value, dict):
        return Unknown(str(value.get("unknown", "not read")))
    raise ValueError(f'{value!r} is no value: a number, a text or {{"unknown": WHY}}')


def unknown_to_json(value: object) -> dict[str, str]:
    """What json.dumps cannot write by itself: a field without a value; raises TypeError for anything else."""
    if isinstance(value, Unknown):
        return {"unknown": value.reason}
    raise TypeError(f"{value!r} is no value of a field")


def beside_of(found: SubjectFacts) -> Beside:
    """What a subject carries beside its fields."""
    return found.identity, found.cause, found.findings, found.scope, found.holders, found.unread


def beside_to_json(beside: Beside) -> dict[str, Any]:
    """It under its `~` names, what is empty left out."""
    identity, cause, findings, scope, holders, unread = beside
    document: dict[str, Any] = {}
    if identity is not None:
        document[ID] = [identity.pid, identity.start_ticks]
    if cause is not None:
        document[CAUSE] = str(cause)
    if findings:
        document[FINDING] = [findings[0].diagnosis, findings[0].evidence]
    if scope:
        document[SCOPE] = scope
    if holders:
        document[HOLDERS] = [[h.name, h.size_bytes, h.processes, h.swap_bytes] for h in holders]
    if unread:
        document[UNREAD] = sorted(unread)
    return document


def _subject_to_json(found: SubjectFacts) -> dict[str, Any]:
    fields = {
        path: unknown_to_json(value) if isinstance(value, Unknown) else value for path, value in found.fields.items()
    }
    return fields | beside_to_json(beside_of(found))
