"""(calendar policies, where they stood, wall time) -> which are due now, and where they stand. Pure.

A moment is due once. What a clock step or suspend under three hours skipped is made up for as cron does, other lateness
as `misfire` says; a clock set back by more than three hours begins a new time (cron(8)).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from datetime import tzinfo

from paramedic import cron
from paramedic.model.policy import Policy
from paramedic.model.record import Slot

AFTER_START_S = 300.0
SOON_S = 60.0


def shift_s(policy: Policy, host: str) -> float:
    """The part of `splay` that this policy waits on this host: always the same."""
    share = zlib.crc32(f"{host}/{policy.name}".encode("utf-8", "surrogatepass")) / 2**32
    return policy.splay_s * share


def step(
    policies: Iterable[Policy], slots: Mapping[str, Slot], wall: float, local: tzinfo, host: str
) -> tuple[dict[str, Slot], frozenset[str]]:
    """(where each calendar policy stands, the names of those that are due)."""
    found: dict[str, Slot] = {}
    due: set[str] = set()
    for policy in policies:
        if policy.at is None:
            continue
        shift = shift_s(policy, host)
        rule = f"{policy.at} {policy.zone or local} {shift}"
        slot = slots.get(policy.name)
        if slot is not None and slot.rule == rule and _is_soon(slot, wall):
            found[policy.name] = slot
            continue
        is_new_time = slot is not None and wall < slot.seen_at - cron.CORRECTION_S
        if slot is None or slot.rule != rule or is_new_time:
            found[policy.name] = Slot(rule, _next(policy, local, wall, shift), wall)
            continue
        if slot.next_at is None or wall < slot.next_at:
            found[policy.name] = Slot(rule, slot.next_at, wall, slot.is_recalled)
            continue
        last = _last_before(policy, local, slot.next_at, wall, shift)
        if wall - last <= _patience_s(policy, slot):
            due.add(policy.name)
        found[policy.name] = Slot(rule, _next(policy, local, wall, shift), wall)
    return found, frozenset(due)


def _is_soon(slot: Slot, wall: float) -> bool:
    """Whether it was looked at a moment ago and its time has not come: then it stays as it is."""
    return slot.seen_at <= wall < slot.seen_at + SOON_S and (slot.next_at is None or wall < slot.next_at)


def _patience_s(policy: Policy, slot: Slot) -> float:
    """How late a moment may be noticed and still count. A pass may always be some minutes late."""
    if policy.misfire_s is not None:
        return max(policy.misfire_s, AFTER_START_S)
    return AFTER_START_S if slot.is_recalled else cron.CORRECTION_S


def _next(policy: Policy, local: tzinfo, wall: float, shift: float) -> float | None:
    found = cron.next_after(policy.at or "", policy.zone or local, wall - shift)
    return None if found is None else found + shift


def _last_before(policy: Policy, local: tzinfo, first: float, wall: float, shift: float) -> float:
    """The latest moment that has passed: many missed ones are made up for once."""
    start = max(first, wall - 2 * max(cron.CORRECTION_S, policy.misfire_s or 0.0))
    last = first
    at: float | None = first if start == first else _next(policy, local, start, shift)
    while at is not None and at <= wall:
        last = at
        at = _next(policy, local, at, shift)
    return last
