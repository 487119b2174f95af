"""Verdicts, decisions, attempts, outcomes and incidents: what a pass concludes and the journal keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from paramedic.model.facts import Preflight, Subject
from paramedic.model.policy import Policy, Rung


class Truth(StrEnum):
    """Three-valued truth (Kleene): unknown never acts, never heals, freezes timers."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Verdict:
    """The truth of a condition on one subject, and the values that made it so.

    `is_acute`: `when` itself holds; otherwise the trouble is only not clear yet, between the two limits. `blamed` are
    the fields that made it true.
    """

    truth: Truth
    evidence: str
    weight: float = 0.0
    is_acute: bool = True
    blamed: tuple[str, ...] = ()


class Phase(StrEnum):
    """Where a policy stands on one subject."""

    QUIET = "quiet"
    PENDING = "pending"
    FIRING = "firing"
    RESOLVING = "resolving"


@dataclass(frozen=True, slots=True)
class RuleState:
    """`held_s` is how long the condition was seen true, `clear_s` how long false, without the time it was unknown.

    `since` is when (monotonic) it last left quiet: a ladder begins anew there.
    """

    phase: Phase = Phase.QUIET
    held_s: float = 0.0
    seen_at: float | None = None
    last: Truth = Truth.NO
    clear_s: float = 0.0
    since: float = float("-inf")


class Status(StrEnum):
    """Where an attempt stands. `running` and `done` still wait for a judgement."""

    RUNNING = "running"
    DONE = "done"
    MET = "met"
    MISSED = "missed"
    REFUSED = "refused"
    OBSERVED = "observed"
    INTERRUPTED = "interrupted"

    @property
    def is_open(self) -> bool:
        """True while no later sample has judged it."""
        return self in (Status.RUNNING, Status.DONE)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One action on one target, from intent to judgement.

    `before` is what the judgement compares with (JSON); `started` and `finished` are monotonic.
    `interrupted`: the agent that began it ended without booking what it said.
    """

    id: int
    incident: str
    policy: str
    subject: Subject
    action: str
    target: Subject
    rung: int
    started: float
    started_wall: float
    deadline_s: float
    before: Mapping[str, Any] = field(default_factory=dict)
    args: Mapping[str, Any] = field(default_factory=dict)
    status: Status = Status.RUNNING
    finished: float | None = None
    detail: str = ""
    gained: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Act:
    """Decided: take this rung on this target."""

    policy: Policy
    subject: Subject
    target: Subject
    rung: int
    step: Rung
    why: str
    observe: bool = False


@dataclass(frozen=True, slots=True)
class Hold:
    """Decided not to act: which guard, why, and the way out; `until` (monotonic) where it ends by itself."""

    policy: str
    subject: Subject
    guard: str
    reason: str
    way_out: str
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What an action says of itself. Its success is judged by samples.

    `preflight` is what a reload learned of the app on the way, `measured` what stood at the moment it acted: it takes
    the place of what was expected at the intent.
    """

    refused: bool
    detail: str
    preflight: Preflight | None = None
    measured: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Incident:
    """Everything from first symptom to verified recovery. `opened` and `closed` are epoch seconds.

    `round` counts the incidents in a row of this policy on this subject whose ladder ended without help.
    """

    id: str
    subject: Subject
    diagnosis: str
    policy: str
    evidence: str
    opened: float
    closed: float | None = None
    result: str = "open"
    told: tuple[str, ...] = ()
    round: int = 1


@dataclass(frozen=True, slots=True)
class Pause:
    """A person took over: nothing is done and nobody is told until `until` (epoch seconds)."""

    why: str
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class Orders:
    """What a person ordered: a pause, and incidents (by id, with the reason) that are theirs now."""

    pause: Pause | None = None
    acknowledged: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Slot:
    """When a policy is due next (epoch seconds), what that was reckoned from, and when it was last looked at.

    `is_recalled`: an earlier agent left it, so the time in between was not looked at.
    """

    rule: str
    next_at: float | None
    seen_at: float
    is_recalled: bool = False
