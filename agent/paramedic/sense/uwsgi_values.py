"""What a list of options comes to: of most settings the last one written counts, others add up (core/config.c)."""

from __future__ import annotations

from collections.abc import Collection

from paramedic.sense.uwsgi_files import Option
from paramedic.sense.uwsgi_options import ALIASES, ENDS, LAST_COUNTS, LOGIC, NEEDS_MASTER, number, truth

_GROUPS = {names[0]: names for names in ALIASES}
MOST_MULES = 1000


class Values:
    """The options of one instance, asked by the first name of a setting (uwsgi_options.ALIASES)."""

    def __init__(self, options: list[Option]) -> None:
        self._options = options
        self._known = [option for option in options if option.is_known]

    def text(self, setting: str) -> str | None:
        """The value that counts; None where it is not set."""
        names = _GROUPS.get(setting, (setting,))
        return next((option.value for option in reversed(self._known) if option.key in names), None)

    def flag(self, setting: str, default: bool = False) -> bool:
        """A switch; naming it is enough."""
        value = self.text(setting)
        return default if value is None else truth(value)

    def count(self, setting: str, default: int = 0) -> int:
        """A number that is not negative: with such a one uWSGI does not start."""
        value = self.text(setting)
        return default if value is None else max(0, number(value))

    def every(self, *names: str) -> tuple[str, ...]:
        """All values of a setting that adds up, in order; empty ones are left out."""
        return tuple(option.value for option in self._known if option.key in names and option.value)

    def of(self, names: Collection[str]) -> list[Option]:
        """Every known option with one of these names."""
        return [option for option in self._known if option.key in names]

    def mules(self) -> int:
        """One for each `mule`, and what each `mules` adds (core/mule.c)."""
        added = sum(max(0, number(value)) for value in self.every("mules"))
        return min(len(self.of(("mule",))) + added, MOST_MULES)

    def undecided(self) -> tuple[str, ...]:
        """The names of what could not be decided, but for what a later plain line settles.

        Among them the master, where only an undecided option would turn it on.
        """
        settled: set[str] = set()
        found: dict[str, None] = {}
        for option in reversed(self._options):
            if option.is_known:
                settled.update(LAST_COUNTS.get(option.key, ()))
            elif option.key not in settled and option.key not in ENDS | LOGIC:
                found[option.key] = None
        names = list(reversed(found))
        if self.text("master") is None and not self.has_master() and not NEEDS_MASTER.isdisjoint(names):
            names.append("master")
        return tuple(dict.fromkeys(names))

    def has_master(self) -> bool:
        """Whether the master is on: as `master` says last, else because an option that needs it is there."""
        return self.flag("master", any(option.key in NEEDS_MASTER for option in self._options if option.decided))
