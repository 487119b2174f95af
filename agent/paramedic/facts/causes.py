"""Whose trouble explains whose: an owner in a state that explains what belongs to it is the cause of its children's."""

from __future__ import annotations

from collections.abc import Mapping

from paramedic.model.facts import Subject, SubjectFacts
from paramedic.model.vocabulary import DIAGNOSES


def with_causes(found: Mapping[Subject, SubjectFacts]) -> dict[Subject, SubjectFacts]:
    """The subjects, each with its cause; a cause may have one of its own, so they form chains."""
    return {subject: _with_cause(one, found) for subject, one in found.items()}


def _with_cause(one: SubjectFacts, found: Mapping[Subject, SubjectFacts]) -> SubjectFacts:
    owner = found.get(one.parent) if one.parent is not None else None
    diagnosis = owner.fields.get("diagnosis") if owner is not None else None
    if one.cause is not None or not isinstance(diagnosis, str):
        return one
    known = DIAGNOSES.get(diagnosis)
    return one._replace(cause=one.parent) if known is not None and known.explains else one
