"""What the agent published of its windows, read again outside of it: for `explain`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from paramedic.model.facts import Subject, Unknown
from paramedic.model.policy import Window


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
