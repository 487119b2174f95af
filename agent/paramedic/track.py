"""(RuleState, truth, now) -> RuleState, as a table that can print itself.

`held_s` grows only between two looks that both said yes, `clear_s` only between two that both said no: unknown
freezes them, and a gap in which nobody looked counts as one longest step at most.
"""

from __future__ import annotations

from paramedic.model.record import Phase, RuleState, Truth

LONG_ENOUGH = ", for long enough"
TABLE: dict[tuple[Phase, str], Phase] = {
    (Phase.QUIET, "yes"): Phase.PENDING,
    (Phase.QUIET, f"yes{LONG_ENOUGH}"): Phase.FIRING,
    (Phase.QUIET, "no"): Phase.QUIET,
    (Phase.QUIET, f"no{LONG_ENOUGH}"): Phase.QUIET,
    (Phase.QUIET, "unknown"): Phase.QUIET,
    (Phase.PENDING, "yes"): Phase.PENDING,
    (Phase.PENDING, f"yes{LONG_ENOUGH}"): Phase.FIRING,
    (Phase.PENDING, "no"): Phase.QUIET,
    (Phase.PENDING, f"no{LONG_ENOUGH}"): Phase.QUIET,
    (Phase.PENDING, "unknown"): Phase.PENDING,
    (Phase.FIRING, "yes"): Phase.FIRING,
    (Phase.FIRING, f"yes{LONG_ENOUGH}"): Phase.FIRING,
    (Phase.FIRING, "no"): Phase.RESOLVING,
    (Phase.FIRING, f"no{LONG_ENOUGH}"): Phase.QUIET,
    (Phase.FIRING, "unknown"): Phase.FIRING,
    (Phase.RESOLVING, "yes"): Phase.FIRING,
    (Phase.RESOLVING, f"yes{LONG_ENOUGH}"): Phase.FIRING,
    (Phase.RESOLVING, "no"): Phase.RESOLVING,
    (Phase.RESOLVING, f"no{LONG_ENOUGH}"): Phase.QUIET,
    (Phase.RESOLVING, "unknown"): Phase.RESOLVING,
}


def track(
    state: RuleState, truth: Truth, for_s: float, keep_s: float, now: float, longest_step_s: float = float("inf")
) -> RuleState:
    """The state after a look at monotonic time `now`.

    `for_s` is how long the condition must hold to fire, `keep_s` how long it must stay clear to be quiet.
    """
    step = 0.0
    if state.seen_at is not None and truth is state.last:
        step = min(max(0.0, now - state.seen_at), longest_step_s)
    held = 0.0 if truth is Truth.NO else state.held_s + step if truth is Truth.YES else state.held_s
    clear = 0.0 if truth is Truth.YES else state.clear_s + step if truth is Truth.NO else state.clear_s
    is_long = (truth is Truth.YES and held >= for_s) or (truth is Truth.NO and clear >= keep_s)
    phase = TABLE[state.phase, f"{truth}{LONG_ENOUGH if is_long else ''}"]
    since = now if state.phase is Phase.QUIET and phase is not Phase.QUIET else state.since
    return RuleState(phase, held, now, truth, clear, since)


def diagram() -> str:
    """The table as Mermaid text, for the docs."""
    rows = [f"    {origin} --> {target}: {word}" for (origin, word), target in TABLE.items() if origin != target]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {Phase.QUIET}", *rows])
