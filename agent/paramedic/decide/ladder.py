"""Which rung comes next: the next one only when the one before missed, did not help, or, of memory, stays refused."""

from __future__ import annotations

from paramedic.decide.case import Case, Situation
from paramedic.model.actions import ACTIONS, NOTIFY, is_disruptive
from paramedic.model.policy import Policy, windows
from paramedic.model.record import Attempt, Hold, Status
from paramedic.model.units import render_seconds

REFUSED_AGAIN_S = 10.0
HARMLESS_AGAIN_S = 1.0
REFUSED_LONGEST_S = 3600.0
REFUSED_DAEMON_S = 60.0
NEXT_ROUND_S = 600.0
NEXT_ROUND_LONGEST_S = 86400.0
SETTLE_S = 10.0
MOST_INTERRUPTED = 3
MOST_REFUSED = 3


def rung_of(case: Case, situation: Situation) -> int | Hold:
    """The rung to take now, or why none is."""
    is_observing = situation.is_observing or case.policy.mode == "observe"
    tried = [a for a in case.tried if _is_of(a, case.policy) and (is_observing or a.status is not Status.OBSERVED)]
    if not tried:
        return 0
    last = tried[-1]
    if last.status.is_open:
        return case.hold("in flight", f"{last.action} on {last.target} is not judged yet", "its outcome")
    if last.status is Status.OBSERVED:
        return case.hold("observing", f"{last.action} would have been done", "mode: act")
    if last.status is Status.INTERRUPTED and _trailing(tried, Status.INTERRUPTED) < MOST_INTERRUPTED:
        return last.rung
    if last.status is Status.REFUSED:
        return last.rung + 1 if _is_barred(case.policy, tried) else _refused(case, tried, situation.now)
    settled = _ended(last) + max(SETTLE_S, looks_back_s(case.policy))
    if last.status is Status.MET and situation.now < settled and is_disruptive(last.action, last.args):
        left = render_seconds(settled - situation.now)
        return case.hold("settling", f"{last.action} was met", f"judged in {left}", settled)
    return last.rung + 1 if last.rung + 1 < len(case.policy.do) else _exhausted(case, tried)


def looks_back_s(policy: Policy) -> float:
    """How far back its condition looks: until then it still sees the time before an action.

    A calendar policy judges at once: what is not better in its night is not done at noon.
    """
    looked = [window.window_s for c in (policy.when, policy.clear) if c is not None for window in windows(c)]
    return 0.0 if policy.at is not None else max((0.0, *looked))


def _is_of(attempt: Attempt, policy: Policy) -> bool:
    """Whether it was a rung of this ladder: the policy may have been another one when an earlier agent took it."""
    return attempt.rung < len(policy.do) and policy.do[attempt.rung].action == attempt.action


def _ended(attempt: Attempt) -> float:
    return attempt.started if attempt.finished is None else attempt.finished


def _is_barred(policy: Policy, tried: list[Attempt]) -> bool:
    """Whether one way to reclaim memory stays refused while the ladder has another: each proves what it may itself."""
    last = tried[-1]
    following = policy.do[last.rung + 1].action if last.rung + 1 < len(policy.do) else NOTIFY
    return ACTIONS[last.action].reclaims_memory and following != NOTIFY and _refusals(tried) >= MOST_REFUSED


def _refused(case: Case, tried: list[Attempt], now: float) -> int | Hold:
    """Nothing was done, so it does not wait for the cooldown: only longer every time."""
    last = tried[-1]
    longest = REFUSED_DAEMON_S if ACTIONS[last.action].repairs_daemon else REFUSED_LONGEST_S
    again = _ended(last) + min(REFUSED_AGAIN_S * 2.0 ** min(_refusals(tried) - 1, 30), longest)
    if now >= again:
        return last.rung
    return case.hold("refused", last.detail, f"tried again in {render_seconds(again - now)}", again)


def _refusals(tried: list[Attempt]) -> int:
    """How often in a row the last rung was refused."""
    same = [attempt for attempt in tried if attempt.rung == tried[-1].rung]
    return _trailing(same, Status.REFUSED)


def _trailing(tried: list[Attempt], status: Status) -> int:
    count = 0
    for attempt in reversed(tried):
        if attempt.status is not status:
            break
        count += 1
    return count


def _is_harmless(policy: Policy) -> bool:
    """Whether its ladder only gives a daemon back what it lost: to try that again soon does no harm, and what undid it,
    e.g. a cleaner that came twice, may be over.
    """
    return all(not ACTIONS[s.action].queues and not s.is_disruptive and s.action != NOTIFY for s in policy.do)


def _exhausted(case: Case, tried: list[Attempt]) -> Hold:
    """No rung is repeated within the incident: the next round is a new one, later every time."""
    last = tried[-1]
    if all(step.action == NOTIFY for step in case.policy.do):
        how = f" ({last.detail})" if last.detail else ""
        return case.hold("told", f"a notice was given{how}, and nothing else is to be done", "the condition clears")
    repairs = [attempt for attempt in tried if attempt.action != NOTIFY] or tried
    reason = "; ".join(
        f"{a.action} was {a.status}: {a.detail}" if a.detail else f"{a.action} was {a.status}" for a in repairs
    )
    number = case.incident.round if case.incident else 1
    first = HARMLESS_AGAIN_S if _is_harmless(case.policy) else NEXT_ROUND_S
    patience = min(first * 2.0 ** min(number - 1, 30), NEXT_ROUND_LONGEST_S)
    again = _ended(last) + max(case.policy.cooldown_s, patience)
    way_out = f"the condition clears, or a new round begins {render_seconds(again - _ended(last))} after the last"
    return case.hold("gave up", f"no rung is left: {reason}", way_out, again)
