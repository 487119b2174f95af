"""What deciding is about: the firing policies with what was tried, and everything a guard may look at."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo

from paramedic.model.facts import Facts, Subject
from paramedic.model.policy import Policy
from paramedic.model.record import Act, Attempt, Hold, Incident, Orders, Phase, RuleState, Status, Verdict


@dataclass(frozen=True, slots=True)
class Case:
    """One policy firing on one subject; `tried` are its attempts since it began to fire, oldest first."""

    policy: Policy
    subject: Subject
    verdict: Verdict
    tried: tuple[Attempt, ...] = ()
    incident: Incident | None = None

    def hold(self, guard: str, reason: str, way_out: str, until: float | None = None) -> Hold:
        """A hold of this case."""
        return Hold(self.policy.name, self.subject, guard, reason, way_out, until)


@dataclass(slots=True)
class Situation:
    """All that a guard may look at. `attempts` are those of every policy, oldest first, open ones included.

    `wanted` has the targets of all firing cases by policy, `restarts` the moments (monotonic) at which a later
    process of a subject was seen to have started, `untold` what policies named in `unless` cannot be told about.
    """

    facts: Facts
    now: float
    is_observing: bool
    attempts: Sequence[Attempt]
    orders: Orders = field(default_factory=Orders)
    rules: Mapping[tuple[str, Subject], RuleState] = field(default_factory=dict)
    restarts: Mapping[Subject, float] = field(default_factory=dict)
    zone: tzinfo = UTC
    untold: Collection[tuple[str, Subject]] = ()
    chosen: list[Act] = field(default_factory=list)
    wanted: dict[str, set[Subject]] = field(default_factory=dict)
    firing: dict[str, list[Subject]] = field(init=False)
    open_attempts: list[Attempt] = field(init=False)
    _by_target: dict[Subject, list[Attempt]] = field(init=False)

    def __post_init__(self) -> None:
        """Index once for all cases."""
        self.open_attempts = [attempt for attempt in self.attempts if attempt.status.is_open]
        self.firing, self._by_target = {}, {}
        for (policy, subject), rule in self.rules.items():
            if rule.phase in (Phase.FIRING, Phase.RESOLVING):
                self.firing.setdefault(policy, []).append(subject)
        for attempt in self.attempts:
            self._by_target.setdefault(attempt.target, []).append(attempt)

    def attempts_on(self, target: Subject, observed: bool = False) -> list[Attempt]:
        """The attempts on a target, by any policy, oldest first; those only observed where asked for.

        An observer counts them as if it had acted, so that it says what it would do and not more.
        """
        found = self._by_target.get(target, [])
        return found if observed else [attempt for attempt in found if attempt.status is not Status.OBSERVED]

    def local(self, zone: tzinfo | None) -> datetime:
        """The time of day at `zone`, or the host's own."""
        return datetime.fromtimestamp(self.facts.wall, zone or self.zone)
