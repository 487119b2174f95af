"""What the agent published, read again outside of it: for `status` and `explain`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from paramedic.model.facts import Facts, Subject, SubjectFacts, Unknown
from paramedic.model.policy import Window
from paramedic.model.units import render
from paramedic.model.vocabulary import KINDS


class Published:
    """The values of `Windows.published` again, for a reader outside the agent."""

    def __init__(self, rows: Iterable[Sequence[str | float]]) -> None:
        self._values = {(row[0], row[1], row[2], row[3]): row[4] for row in rows}

    def value(self, subject: Subject, window: Window, now: float) -> float | Unknown:  # noqa: ARG002
        """What the agent saw through `window` in its last pass."""
        found = self._values.get((str(subject), window.func, window.path, window.window_s))
        if isinstance(found, str):
            return Unknown(found.removeprefix("?"))
        return Unknown(f"{window.path} was not read yet") if found is None else found


def subjects(facts: Facts) -> dict[str, dict[str, str]]:
    """Every subject with its fields as a person reads them."""
    return {str(subject): _fields(found) for subject, found in facts.subjects.items()}


def _fields(found: SubjectFacts) -> dict[str, str]:
    table = KINDS[found.subject.kind]
    return {
        path: f"unknown: {value.reason}" if isinstance(value, Unknown) else render(value, table[path].dimension)
        for path, value in found.fields.items()
    }
