"""A timeline test played through the live agent's engine: only samples, clock and outcomes are made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from paramedic.engine import Stance, Thought, think
from paramedic.evaluate import View
from paramedic.facts import with_causes
from paramedic.incident import Key
from paramedic.journal.readings import parent_of
from paramedic.mind import Book, Mind, book_of, intent
from paramedic.model.facts import Facts, Subject, SubjectFacts, Unknown, Value
from paramedic.model.readings import Identity
from paramedic.model.record import Act, Attempt, Hold, Phase, RuleState, Status
from paramedic.model.units import render, render_seconds
from paramedic.model.vocabulary import DIAGNOSES, KINDS
from paramedic.rehearsal.case import NONE, WOULD, Expected, Outcome, Rehearsal
from paramedic.rehearsal.series import Absent, Step
from paramedic.windows import Windows

BOOT_S = 100_000.0
JUST_BEFORE_S = 0.001


@dataclass(frozen=True, slots=True)
class Row:
    """One policy on one subject at one time, as it was judged and decided."""

    at_s: float
    seen: str
    verdict: str
    state: str
    act: Act | None
    hold: Hold | None

    @property
    def decision(self) -> str:
        """What was done, or the guard that held."""
        if self.act is not None:
            return f"{'would ' if self.act.observe else ''}{self.act.step.action} on {self.act.target}"
        return f"hold: {self.hold.guard}" if self.hold else ""


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a test: every row by (policy, subject), and one sentence for each difference."""

    rehearsal: Rehearsal
    rows: Mapping[Key, Sequence[Row]]
    failures: tuple[str, ...]


def play(rehearsal: Rehearsal) -> Played:
    """Run the test."""
    book = book_of(rehearsal.policies)
    player = _Player(rehearsal, book)
    for step in range(rehearsal.steps):
        player.step(step)
    failures = [sentence for expected in rehearsal.expected for sentence in _compare(expected, player.rows)]
    failures += _unexpected(rehearsal, player.rows)
    return Played(rehearsal, player.rows, tuple(failures))


class _Player:
    def __init__(self, rehearsal: Rehearsal, book: Book) -> None:
        self.rehearsal, self.book = rehearsal, book
        self.mind, self.past = Mind(), Windows(book.needed)
        self.rows: dict[Key, list[Row]] = {key: [] for key in _keys(rehearsal)}
        self.endings: dict[int, tuple[float, Status]] = {}
        self.generations: dict[Subject, int] = {}
        self.ages: dict[Subject, float] = {}
        self.count = 0

    def step(self, step: int) -> None:
        """One pass."""
        at = step * self.rehearsal.interval_s
        facts = self._facts(step, at)
        self._end_actions(facts.monotonic)
        self.past.take(facts)
        stance = Stance(interval_s=self.rehearsal.interval_s, zone=self.rehearsal.zone, host="test")
        thought = think(self.mind, self.book, facts, self.past, stance)
        self.mind = thought.mind
        for act in thought.acts:
            self._begin(act, facts)
        self._note(at, facts, thought)

    def _facts(self, step: int, at: float) -> Facts:
        shift = sum(by for when, by in self.rehearsal.clock if when <= at)
        found = {}
        for subject, series in self.rehearsal.series.items():
            fields = {path: steps[min(step, len(steps) - 1)] for path, steps in series.items()}
            if not any(isinstance(value, Absent) for value in fields.values()):
                found[subject] = self._subject(subject, fields)
        return Facts(BOOT_S + at, self.rehearsal.start.timestamp() + at + shift, with_causes(found))

    def _subject(self, subject: Subject, fields: Mapping[str, Step]) -> SubjectFacts:
        """A subject whose age goes down is a new process."""
        known: dict[str, Value] = {path: value for path, value in fields.items() if not isinstance(value, Absent)}
        age = known.get("age", known.get("uptime"))
        identity = None
        if isinstance(age, int | float):
            self.generations.setdefault(subject, 1)
            self.generations[subject] += age < self.ages.get(subject, 0.0)
            self.ages[subject] = age
            identity = Identity(1, self.generations[subject])
        unread = frozenset(_unread(known.get("diagnosis")))
        return SubjectFacts(subject, known, parent=parent_of(subject), identity=identity, unread=unread)

    def _begin(self, act: Act, facts: Facts) -> None:
        self.count += 1
        made = replace(intent(act, self.mind, facts, facts.monotonic), id=self.count)
        self.mind = replace(self.mind, attempts=(*self.mind.attempts, made))
        outcome = self.rehearsal.outcomes.get(act.step.action, Outcome())
        after_s, status = outcome.after_s, outcome.status
        if act.step.within_s is not None and after_s > act.step.within_s:
            after_s, status = act.step.within_s, Status.MISSED
        if made.status is Status.RUNNING:
            self.endings[made.id] = (facts.monotonic + after_s, status)

    def _end_actions(self, now: float) -> None:
        """Give actions whose time has come the outcome that the test says."""
        self.mind = replace(self.mind, attempts=tuple(self._ended(attempt, now) for attempt in self.mind.attempts))

    def _ended(self, attempt: Attempt, now: float) -> Attempt:
        when, status = self.endings.get(attempt.id, (0.0, attempt.status))
        if not attempt.status.is_open or now <= attempt.started or now < when:
            return attempt
        ended = max(when - JUST_BEFORE_S, attempt.started)
        return replace(attempt, status=status, finished=ended, seconds=ended - attempt.started)

    def _note(self, at: float, facts: Facts, thought: Thought) -> None:
        decided: dict[Key, Act | Hold] = {}
        for made in thought.decisions:
            name = made.policy.name if isinstance(made, Act) else made.policy
            decided[name, made.subject] = made
        view = View(facts, self.past)
        for judge in self.book.judges:
            subjects = {found.subject for found in facts.of_kind(judge.policy.watch)}
            for subject in subjects | {s for name, s in self.rows if name == judge.policy.name}:
                key = (judge.policy.name, subject)
                state = self.mind.rules.get(key, RuleState()).phase
                verdict = thought.verdicts.get(key)
                found = facts.subjects.get(subject)
                if verdict is None and found is not None:
                    verdict = judge.verdict(found, view, state in (Phase.FIRING, Phase.RESOLVING))
                decision: Act | Hold | None = decided.get(key)
                act = decision if isinstance(decision, Act) else None
                hold = decision if isinstance(decision, Hold) else None
                word = verdict.truth.value if verdict else "no"
                row = Row(at, _seen(self.rehearsal, facts, subject), word, state.value, act, hold)
                self.rows.setdefault(key, []).append(row)


def _unread(diagnosis: Value | None) -> tuple[str, ...]:
    """The children that an owner in this state does not tell about: what the sensors of the live agent would say."""
    if isinstance(diagnosis, Unknown):
        return ("uwsgi.worker", "supervisor.program", "orphan")
    is_silent = diagnosis in DIAGNOSES and DIAGNOSES[str(diagnosis)].explains
    return ("uwsgi.worker", "supervisor.program") if is_silent else ()


def _keys(rehearsal: Rehearsal) -> list[Key]:
    return [
        (policy.name, subject)
        for policy in rehearsal.policies
        for subject in rehearsal.series
        if subject.kind == policy.watch
    ]


def _seen(rehearsal: Rehearsal, facts: Facts, subject: Subject) -> str:
    found = facts.subjects.get(subject)
    if found is None:
        return "not there"
    shown = []
    for path in rehearsal.series[subject]:
        value = found.fields[path]
        text = "?" if isinstance(value, Unknown) else render(value, KINDS[subject.kind][path].dimension)
        shown.append(f"{path} {text}")
    return ", ".join(shown)


def _compare(expected: Expected, rows: Mapping[Key, Sequence[Row]]) -> list[str]:
    mine = rows.get((expected.policy, expected.subject), ())
    row = next((one for one in mine if abs(one.at_s - expected.at_s) < 1e-6), None)
    place = f"line {expected.line}: {expected.policy} on {expected.subject} at {render_seconds(expected.at_s)}"
    if row is None:
        return [f"{place}: the policy does not watch it"]
    got = {
        "verdict": row.verdict,
        "state": row.state,
        "act": f"{WOULD if row.act.observe else ''}{row.act.step.action}" if row.act else NONE,
        "hold": row.hold.guard if row.hold else NONE,
    }
    wanted = {"verdict": expected.verdict, "state": expected.state, "act": expected.act, "hold": expected.hold}
    found = [f"{place}: expected {k} {w}, got {got[k]}" for k, w in wanted.items() if w is not None and w != got[k]]
    target = row.act.target if row.act else None
    if expected.target is not None and expected.target != target:
        found.append(f"{place}: expected it done to {expected.target}, got {target or NONE}")
    return found


def _unexpected(rehearsal: Rehearsal, rows: Mapping[Key, Sequence[Row]]) -> list[str]:
    """An action that nobody expects fails the test: that is what it is for."""
    wanted = {
        (one.policy, one.subject, round(one.at_s, 3)) for one in rehearsal.expected if one.act not in (None, NONE)
    }
    return [
        f"{name} on {subject} at {render_seconds(row.at_s)}: nobody expects {row.decision}"
        for (name, subject), mine in rows.items()
        for row in mine
        if row.act is not None and (name, subject, round(row.at_s, 3)) not in wanted
    ]
