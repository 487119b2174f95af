"""A day of leaking under the shipped policies, by an injected clock. Its picture and figures go to docs/day.md."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from harness.host_tree import GIB, MIB
from paramedic.engine import Stance, think
from paramedic.facts import join, learn
from paramedic.mind import Mind, book_of, intent, reported
from paramedic.model.facts import Facts, Known, Subject
from paramedic.model.policy import Policy
from paramedic.model.readings import MACHINE
from paramedic.model.record import Act, Report, Status
from paramedic.model.sample import Sample
from paramedic.rulebook import files_of, load_files
from paramedic.windows import Windows
from simulation.plant import BEGAN_AT, CRON_HOURS, HOUR, Host, Plant, Shape
from simulation.plot import KINDS, Picture

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC).timestamp()
DAPHNE = Subject("supervisor.program", "main/daphne")
DOCS = Path(__file__).parents[2] / "docs"
PAGE = Path(__file__).with_name("day.md")
WHILE_OPEN_S, UNTREATED_STEP_S = 10.0, 1200.0
BOUND, UNTREATED, MOST_OUT = 85.0, 95.0, 2.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """A server, how its host shows its memory, for how long it is looked at, and how often in simulated time."""

    shape: Shape = field(default_factory=Shape)
    kind: str = "machine"
    stalls_from: float | None = None
    hours: float = 24.0
    step_s: float = 240.0


NIGHT = Shape(leak=120 * MIB, begins=17.0)
STALLS_FROM = 72.0
SCENARIOS = {
    "8 GiB, 8 workers": Scenario(step_s=120.0),
    "32 GiB, 16 workers": Scenario(Shape(32 * GIB, 16, 140 * MIB, others=2 * GIB, cron=1280 * MIB)),
    "8 GiB with little room": Scenario(Shape(others=4608 * MIB)),
    "a machine with PSI": Scenario(NIGHT, "machine", STALLS_FROM, 12.0),
    "cgroup v2": Scenario(NIGHT, "v2", None, 12.0),
    "cgroup v2 with PSI": Scenario(NIGHT, "v2", STALLS_FROM, 12.0),
    "cgroup v1": Scenario(NIGHT, "v1", None, 12.0),
    "cgroup v1 with PSI": Scenario(NIGHT, "v1", STALLS_FROM, 12.0),
}
MAIN = next(iter(SCENARIOS))
QUIET = Scenario(Shape(leak=0, daphne_leak=0, others=5 * GIB))


@dataclass
class Day:
    """What came of a scenario: (hour since its begin, used percent) of each look, the acts, the rest."""

    scenario: Scenario
    plant: Plant
    points: list[tuple[float, float]] = field(default_factory=list)
    acts: list[tuple[float, Act]] = field(default_factory=list)
    mind: Mind = field(default_factory=Mind)
    skipped: dict[str, str] = field(default_factory=dict)
    closed: dict[str, str] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    scopes: set[str] = field(default_factory=set)

    @property
    def peak(self) -> float:
        """The highest used percent that was seen."""
        return max(used for _, used in self.points)

    @property
    def out_percent(self) -> float:
        """The share of all worker time in which a worker did not accept because of an act."""
        return 100 * self.plant.out_s / (self.scenario.shape.workers * self.scenario.hours * HOUR)

    @property
    def counts(self) -> dict[str, int]:
        """The acts by kind."""
        return dict(sorted(Counter(act.step.action for _, act in self.acts).items()))


class Agent:
    """The thinking of the agent, in the order of cycle.py, without journal and threads."""

    def __init__(self, day: Day, host: Host, policies: Sequence[Policy]) -> None:
        self.day, self.host, self.step_s = day, host, day.scenario.step_s
        self.book = book_of(policies)
        self.past, self.known = Windows(self.book.needed), Known()
        self.reports: list[tuple[float, int, Report]] = []
        self.stance = Stance(interval_s=self.step_s, zone=UTC, host="shop")
        # The three days before, as an agent that starts recalls them: Daphne was restarted each night.
        before = [(BEGAN_AT - hours * HOUR, (110 + 5 * (hours % 24)) * MIB) for hours in range(72, 0, -1)]
        self.past.recall(DAPHNE, "uss", before)

    def live(self) -> None:
        """Passes at each step, and more often while something is under way: a report wakes the agent."""
        plant, day = self.day.plant, self.day
        while plant.now < BEGAN_AT + day.scenario.hours * HOUR:
            is_open = any(attempt.status.is_open for attempt in day.mind.attempts)
            step_s = self.step_s - (plant.now - BEGAN_AT) % self.step_s
            plant.advance(plant.now + (min(WHILE_OPEN_S, step_s) if is_open else step_s))
            self._look(plant)

    def _look(self, plant: Plant) -> None:
        now, day = plant.now, self.day
        for at, number, report in [one for one in self.reports if one[0] < now]:
            day.mind, _ = reported(day.mind, number, report, at)
        self.reports = [one for one in self.reports if one[0] >= now]
        wall = MIDNIGHT + plant.shape.begins * HOUR + now - BEGAN_AT
        host = self.host.read(plant, any(subject.kind == "host" for _, subject in day.mind.rules))
        sample = Sample(now, wall, host, {"web": plant.uwsgi()}, {"main": plant.supervisor()})
        facts = join(sample, self.known)
        self.past.take(facts)
        self.known = learn(self.known, sample)
        thought = think(day.mind, self.book, facts, self.past, self.stance)
        day.mind = thought.mind
        day.points.append(((now - BEGAN_AT) / HOUR, host.used_percent))
        day.scopes.add(host.scope)
        day.held |= {hold.guard: hold.reason for _, hold in thought.held}
        day.closed |= {one.policy: one.result for one in thought.changed if one.closed is not None}
        for (policy, _), verdict in thought.skipped.items():
            day.skipped[policy] = f"{verdict.truth}: {verdict.evidence}"
        for act in thought.acts:
            self._begin(act, facts)

    def _begin(self, act: Act, facts: Facts) -> None:
        number = len(self.day.acts) + 1
        made = replace(intent(act, self.day.mind, facts, facts.monotonic), id=number)
        self.day.mind = replace(self.day.mind, attempts=(*self.day.mind.attempts, made))
        self.day.acts.append((self.day.points[-1][0], act))
        at, report = self.day.plant.begin(act)
        self.reports.append((at, number, report))


@cache
def shipped() -> tuple[Policy, ...]:
    """All shipped policies."""
    return load_files(files_of(["shipped"]))


@cache
def lived(scenario: Scenario, is_treated: bool = True) -> Day:
    """The scenario with the shipped policies, or without any."""
    found = scenario if is_treated else replace(scenario, step_s=UNTREATED_STEP_S)
    day = Day(found, Plant(found.shape))
    with tempfile.TemporaryDirectory() as root:
        Agent(day, Host(Path(root), found.kind, found.stalls_from), shipped() if is_treated else ()).live()
    return day


def night(day: Day) -> str:
    """What became of nightly-reclaim: done, or told why not."""
    if any(act.policy.name == "nightly-reclaim" for _, act in day.acts):
        return "done"
    return day.skipped.get("nightly-reclaim") or day.closed.get("nightly-reclaim") or ""


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_leaking_day_stays_below_the_bound(name: str) -> None:
    day, untreated = lived(SCENARIOS[name]), lived(SCENARIOS[name], is_treated=False)
    print(f"{name}: at most {day.peak:.1f} %, {day.out_percent:.3f} % of worker-minutes, {day.counts}")
    print(f"nightly-reclaim: {night(day)}")
    assert untreated.peak > UNTREATED, "it would hold the bound by itself"
    assert day.peak < BOUND
    assert 0 < day.out_percent < MOST_OUT
    assert len(day.mind.attempts) == len(day.acts)
    assert {attempt.status for attempt in day.mind.attempts} == {Status.MET}
    assert night(day), "nobody was told of the night"
    assert day.scopes == {MACHINE if day.scenario.kind == "machine" else "cgroup /web.slice"}


@pytest.mark.parametrize("version", ["cgroup v1", "cgroup v2"])
def test_where_tasks_wait_for_memory_it_acts_earlier(version: str) -> None:
    without, stalled = lived(SCENARIOS[version]), lived(SCENARIOS[f"{version} with PSI"])
    assert stalled.peak < without.peak
    assert "memory-pressure" in {act.policy.name for _, act in stalled.acts}
    assert "memory-pressure" not in {act.policy.name for _, act in without.acts}


def test_nothing_acts_when_nothing_leaks() -> None:
    """Not even when the cron job brings the host over the limit: a reload would give nothing back."""
    day = lived(QUIET)
    assert day.peak > 80.0
    assert day.acts == []
    assert "postgresql.service holds 2 GiB" in day.held["cannot help"]
    assert day.plant.out_s == 0
    assert night(day).startswith("no: ")


def test_the_day_is_shown_in_the_docs() -> None:
    day, untreated = lived(SCENARIOS[MAIN]), lived(SCENARIOS[MAIN], is_treated=False)
    begins, (starts, ends) = day.scenario.shape.begins, CRON_HOURS
    cron = (starts - begins) % 24, (ends - begins) % 24
    acts = [(hour, act.step.action) for hour, act in day.acts]
    title = f"A day of leaking: {MAIN}, a Daphne"
    svg = Picture(title, begins, day.scenario.hours, day.points, untreated.points, acts, [(*cron, "cron job")]).svg()
    assert day.peak < BOUND, "as the picture says"
    assert svg.count("<circle") == day.counts["recycle_worker"] + 1, "each act and the legend"
    rows = [row(name, lived(one), lived(one, is_treated=False)) for name, one in SCENARIOS.items()]
    quiet = row("8 GiB, nothing leaks", lived(QUIET), lived(QUIET, is_treated=False))
    (DOCS / "day.svg").write_text(svg)
    (DOCS / "day.md").write_text(PAGE.read_text().format(rows="\n".join([*rows, quiet])))


def row(name: str, day: Day, untreated: Day) -> str:
    """A scenario's line of the table."""
    begins, hours = day.scenario.shape.begins, day.scenario.hours
    span = f"{begins:.0f}:00 to {(begins + hours) % 24:.0f}:00"
    acts = [str(day.counts.get(kind, 0)) for kind in KINDS]
    became = "not needed, and said so" if night(day).startswith("no: ") else night(day)
    cells = (name, span, f"{day.peak:.1f} %", f"{untreated.peak:.1f} %", *acts, f"{day.out_percent:.2f} %", became)
    return f"| {' | '.join(cells)} |"
