"""Policies over recorded samples: what would have happened, and the difference to what did.

The engine is the live agent's. An action that did happen keeps its recorded outcome. One that did not is only
observed: nobody can know whether it would have helped, so its ladder goes no further in that incident; cooldowns and
limits count it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from paramedic.engine import Stance, Thought, think
from paramedic.mind import Mind, book_of, intent
from paramedic.model.facts import Facts, Subject
from paramedic.model.policy import Policy
from paramedic.model.record import Act, Attempt, Status
from paramedic.windows import Windows

SAME_S = 120.0
JUST_BEFORE_S = 0.001


@dataclass(frozen=True, slots=True)
class Would:
    """One thing that would have been done; `did` is the attempt that did happen then, if one did."""

    wall: float
    policy: str
    subject: Subject
    target: Subject
    action: str
    why: str
    did: Attempt | None


@dataclass(frozen=True, slots=True)
class Held:
    """One change of mind about not acting."""

    wall: float
    policy: str
    subject: Subject
    guard: str
    reason: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """The outcome of a replay. `missing` did happen in that time, by one of these policies, and would not have."""

    passes: int
    first: float
    last: float
    would: tuple[Would, ...]
    held: tuple[Held, ...]
    missing: tuple[Attempt, ...]
    incidents: int


def replay(
    policies: Sequence[Policy], samples: Iterable[Facts], happened: Sequence[Attempt], stance: Stance
) -> Replayed:
    """Run the policies over the samples, oldest first; `happened` are the recorded attempts."""
    player = _Player(policies, happened, replace(stance, is_observing=True))
    for facts in _in_one_time(samples):
        player.look(facts)
    return player.result()


def _in_one_time(samples: Iterable[Facts]) -> Iterator[Facts]:
    """The samples with a monotonic clock that goes on over reboots: there the wall clock tells how long it was."""
    offset, before = 0.0, None
    for facts in samples:
        if before is not None and facts.monotonic + offset < before.monotonic:
            gap = max(0.0, facts.wall - before.wall)
            offset = before.monotonic + gap - facts.monotonic
        before = replace(facts, monotonic=facts.monotonic + offset)
        yield before


class _Player:
    def __init__(self, policies: Sequence[Policy], happened: Sequence[Attempt], stance: Stance) -> None:
        self.book = book_of(policies)
        self.mind, self.past, self.stance = Mind(), Windows(self.book.needed), stance
        self.left = sorted(happened, key=lambda attempt: attempt.started_wall)
        self.would: list[Would] = []
        self.held: list[Held] = []
        self.ending: dict[int, tuple[float, Attempt]] = {}
        self.passes, self.count = 0, 0
        self.first = self.last = 0.0

    def look(self, facts: Facts) -> None:
        """One pass."""
        self.first = self.first if self.passes else facts.wall
        self.passes, self.last = self.passes + 1, facts.wall
        self.past.take(facts)
        self.mind = replace(self.mind, attempts=tuple(self._ended(a, facts.monotonic) for a in self.mind.attempts))
        thought = think(self.mind, self.book, facts, self.past, self.stance)
        self.mind = thought.mind
        for act in thought.acts:
            self._begin(act, facts)
        self._hold(thought, facts)

    def _begin(self, act: Act, facts: Facts) -> None:
        did = self._recorded(act, facts)
        self.count += 1
        made = replace(intent(act, self.mind, facts, facts.monotonic), id=self.count)
        if did is not None and not did.status.is_open and did.status is not Status.OBSERVED:
            made = replace(made, status=Status.RUNNING)
            self.ending[made.id] = (facts.monotonic + did.seconds, did)
        self.mind = replace(self.mind, attempts=(*self.mind.attempts, made))
        name, why = act.policy.name, act.why
        self.would.append(Would(facts.wall, name, act.subject, act.target, act.step.action, why, did))

    def _ended(self, attempt: Attempt, now: float) -> Attempt:
        """An action that did happen ends as it did, when it did."""
        when, did = self.ending.get(attempt.id, (0.0, attempt))
        if attempt.status is not Status.RUNNING or now <= attempt.started or now < when:
            return attempt
        ended = min(now - JUST_BEFORE_S, max(when, attempt.started))
        return replace(attempt, status=did.status, finished=ended, detail=did.detail, gained=did.gained)

    def _recorded(self, act: Act, facts: Facts) -> Attempt | None:
        """The attempt that did happen here and now; each is found once."""
        wanted = (act.policy.name, act.subject, act.step.action)
        for attempt in self.left:
            is_same = (attempt.policy, attempt.subject, attempt.action) == wanted
            if is_same and abs(attempt.started_wall - facts.wall) <= SAME_S:
                self.left.remove(attempt)
                return attempt
        return None

    def _hold(self, thought: Thought, facts: Facts) -> None:
        for _, hold in thought.held:
            if hold.guard not in ("observing", "in flight", "settling"):
                self.held.append(Held(facts.wall, hold.policy, hold.subject, hold.guard, hold.reason))

    def result(self) -> Replayed:
        """What came of it."""
        in_time = [a for a in self.left if self.first <= a.started_wall <= self.last]
        missing = tuple(a for a in in_time if a.policy in self.book.by_name)
        return Replayed(
            self.passes, self.first, self.last, tuple(self.would), tuple(self.held), missing, self.mind.serial
        )
