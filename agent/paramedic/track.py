"""(RuleState, Verdict, now) -> RuleState, as a table that can print itself.

`held_s` grows only between two looks that both said yes: unknown freezes it, no empties it.
"""

from __future__ import annotations

from paramedic.model.record import Phase, RuleState, Truth, Verdict

LONG_ENOUGH = "yes, for long enough"
TABLE: dict[tuple[Phase, str], Phase] = {
    (Phase.QUIET, "yes"): Phase.PENDING,
    (Phase.QUIET, LONG_ENOUGH): Phase.FIRING,
    (Phase.QUIET, "no"): Phase.QUIET,
    (Phase.QUIET, "unknown"): Phase.QUIET,
    (Phase.PENDING, "yes"): Phase.PENDING,
    (Phase.PENDING, LONG_ENOUGH): Phase.FIRING,
    (Phase.PENDING, "no"): Phase.QUIET,
    (Phase.PENDING, "unknown"): Phase.PENDING,
    (Phase.FIRING, "yes"): Phase.FIRING,
    (Phase.FIRING, LONG_ENOUGH): Phase.FIRING,
    (Phase.FIRING, "no"): Phase.QUIET,
    (Phase.FIRING, "unknown"): Phase.FIRING,
}


def track(state: RuleState, verdict: Verdict, for_s: float, now: float) -> RuleState:
    """The state after a look at monotonic time `now`; `for_s` is how long the condition must hold."""
    held = _held(state, verdict.truth, now)
    word = LONG_ENOUGH if verdict.truth is Truth.YES and held >= for_s else verdict.truth.value
    phase = TABLE[state.phase, word]
    return RuleState(phase, held, now, verdict.truth)


def _held(state: RuleState, truth: Truth, now: float) -> float:
    if truth is Truth.NO:
        return 0.0
    if truth is Truth.YES and state.last is Truth.YES and state.seen_at is not None:
        return state.held_s + max(0.0, now - state.seen_at)
    return state.held_s


def diagram() -> str:
    """The table as Mermaid text, for the docs."""
    rows = [f"    {origin} --> {target}: {word}" for (origin, word), target in TABLE.items() if origin != target]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {Phase.QUIET}", *rows])
