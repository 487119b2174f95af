"""Whose trouble explains whose: an owner in a state that explains what belongs to it is the cause of its children's."""

from __future__ import annotations

from paramedic.model.facts import Subject, SubjectFacts
from paramedic.model.vocabulary import DIAGNOSES

EXPLAINING = frozenset(name for name, one in DIAGNOSES.items() if one.explains)


def with_causes(found: dict[Subject, SubjectFacts]) -> dict[Subject, SubjectFacts]:
    """The subjects, each with its cause; a cause may have one of its own, so they form chains."""
    owners = {subject for subject, one in found.items() if one.fields.get("diagnosis") in EXPLAINING}
    if not owners:
        return found
    return {
        subject: one._replace(cause=one.parent) if one.cause is None and one.parent in owners else one
        for subject, one in found.items()
    }
