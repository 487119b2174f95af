"""Every policy held against every subject it watches: which are true now, and where each stands. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from paramedic.evaluate import Judge, View, when_gone
from paramedic.incident import Key
from paramedic.mind import Book, Mind
from paramedic.model.facts import Subject
from paramedic.model.record import Attempt, Phase, RuleState, Truth, Verdict
from paramedic.track import track

CARRIED_ON_S = 3 * 3600.0
MOST_ASKED = 64
QUIET = RuleState()
_WAITS = ("in flight", "one at a time", "max_targets", "stale sample", "settling")


def look(
    mind: Mind,
    book: Book,
    view: View,
    longest_step_s: float,
    due: frozenset[str],
    by_incident: Mapping[str, Sequence[Attempt]],
) -> tuple[dict[Key, RuleState], dict[Key, Verdict], set[Key]]:
    """Evaluate and track every policy on every subject it watches, those that vanished included.

    What is quiet and not true stays quiet without a word: that is nearly everything, in nearly every pass.
    """
    states: dict[str, dict[Subject, RuleState]] = {}
    for (name, subject), state in mind.rules.items():
        states.setdefault(name, {})[subject] = state
    rules: dict[Key, RuleState] = {}
    verdicts: dict[Key, Verdict] = {}
    untold: set[Key] = set()
    now = view.facts.monotonic
    maybe = _may_start(book, view)
    for judge in book.judges if states else [judge for judge in book.judges if judge.policy.name in maybe]:
        policy, starts = judge.policy, judge.starts
        mine, is_asked = states.get(policy.name, {}), policy.at is None or policy.name in due
        is_waited_for = policy.name in book.waited_for
        asks = policy.name in maybe and (is_asked or is_waited_for)
        if not (asks or mine):
            continue
        looked = []
        for found in view.facts.of_kind(policy.watch):
            truth = starts(found, view) if asks else False
            if (is_asked and truth is True) or found.subject in mine:
                looked.append(found)
            if is_waited_for and truth is None:
                untold.add((policy.name, found.subject))
        if not (looked or mine):
            continue
        for subject in (*(found.subject for found in looked), *(s for s in mine if s not in view.facts.subjects)):
            key, state = (policy.name, subject), mine.get(subject, QUIET)
            verdict = _verdict(judge, subject, state, view)
            if policy.at is not None and state.phase is not Phase.QUIET:
                verdict = _carried_on(mind, key, verdict, by_incident, view.facts.wall)
            rules[key] = track(state, verdict.truth, policy.for_s, policy.keep_s, now, longest_step_s)
            verdicts[key] = verdict
    return rules, verdicts, untold


def _may_start(book: Book, view: View) -> frozenset[str]:
    """The policies of which the diagnoses alone do not say already that they cannot be true of anything."""
    told = frozenset(view.facts.told)
    maybe = book.asked.get(told)
    if maybe is None:
        if len(book.asked) >= MOST_ASKED:
            book.asked.clear()
        maybe = book.asked[told] = frozenset(_starting(book, told))
    return maybe


def _starting(book: Book, told: Collection[tuple[str, str | None]]) -> Iterator[str]:
    for kind, judges in book.by_kind.items():
        here = {diagnosis for of_kind, diagnosis in told if of_kind == kind}
        for judge in judges:
            if judge.diagnoses is None or None in here or not judge.diagnoses.isdisjoint(here):
                yield judge.policy.name


def skipped_now(book: Book, view: View, due: frozenset[str], rules: Mapping[Key, RuleState]) -> dict[Key, Verdict]:
    """The calendar policies that were asked now and found nothing to do, with what made it so."""
    if not due:
        return {}
    return {
        (judge.policy.name, found.subject): judge.verdict(found, view)
        for judge in book.judges
        if judge.policy.name in due
        for found in view.facts.of_kind(judge.policy.watch)
        if (judge.policy.name, found.subject) not in rules and judge.watches(found, view) is not False
    }


def _verdict(judge: Judge, subject: Subject, state: RuleState, view: View) -> Verdict:
    found = view.facts.subjects.get(subject)
    if found is None:
        return when_gone(subject, view.facts)
    return judge.verdict(found, view, state.phase in (Phase.FIRING, Phase.RESOLVING))


def _carried_on(
    mind: Mind, key: Key, verdict: Verdict, by_incident: Mapping[str, Sequence[Attempt]], wall: float
) -> Verdict:
    """What a calendar policy began goes on while it waits for an outcome or its turn, and climbs while it is needed."""
    mine, hold = mind.incidents.get(key), mind.holds.get(key)
    if mine is not None and any(attempt.status.is_open for attempt in by_incident.get(mine.id, ())):
        return verdict if verdict.truth is Truth.YES else Verdict(Truth.UNKNOWN, verdict.evidence)
    is_its_time = mine is not None and abs(wall - mine.opened) < CARRIED_ON_S
    waits = is_its_time and (hold is None or hold.guard in _WAITS)
    return verdict if waits and verdict.truth is Truth.YES else Verdict(Truth.NO, verdict.evidence)
