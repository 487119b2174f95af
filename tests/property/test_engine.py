"""No sequence of samples, clock steps, restarts and reloads breaks what the engine promises (hypothesis)."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from paramedic.model.facts import Subject, Unknown, Value
from paramedic.model.policy import Policy
from paramedic.model.record import Pause, Status
from property.world import HOST, MAIN, SETS, SUBJECTS, World

MIB = 2**20
SILENT = Unknown("nobody could read it")
EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", "60"))
sizes: st.SearchStrategy[Value] = st.sampled_from(
    [50.0 * MIB, 85.0 * MIB, 95.0 * MIB, 110.0 * MIB, 500.0 * MIB, SILENT]
)
used: st.SearchStrategy[Value] = st.sampled_from([40.0, 81.0, 86.0, 95.0, SILENT])
daemons: st.SearchStrategy[Value] = st.sampled_from(
    ["ok", "ok", "daemon-dead", "socket-missing", "socket-stale", "daemon-stopped", SILENT]
)
steps = st.sampled_from([0.02, 0.5, 5.0, 5.0, 30.0, 61.0, 300.0, 4000.0])
clocks = st.sampled_from([-90_000.0, -3600.0, -5.0, 5.0, 3600.0, 90_000.0])
outcomes = st.sampled_from([Status.MET, Status.MISSED, Status.REFUSED])
FAT: dict[str, Value] = {"rss": 500.0 * MIB}
FULL: dict[str, Value] = {"memory.used_percent": 95.0, "memory.total": 1000.0 * MIB}
WELL: dict[str, dict[str, Value]] = {
    "host": {"memory.used_percent": 40.0, "memory.total": 1000.0 * MIB},
    "uwsgi": {"diagnosis": "ok", "rss": 50.0 * MIB},
    "uwsgi.worker": {"rss": 50.0 * MIB},
    "supervisor": {"diagnosis": "ok"},
    "supervisor.program": {"diagnosis": "ok"},
    "orphan": {"kind": SILENT},
}
WEB, API = Subject("uwsgi", "web"), Subject("uwsgi", "api")
WORKERS = {Subject("uwsgi.worker", f"{name}/{n}"): FAT for name in ("web", "api") for n in (1, 2)}
STRAYS = [Subject("orphan", f"main/daphne@{n}") for n in (7, 8, 9)]
ORPHANS: dict[Subject, dict[str, Value]] = {stray: {"kind": "program"} for stray in STRAYS}
SILENT_WEB: dict[Subject, dict[str, Value]] = {WEB: {"diagnosis": SILENT}, API: {"diagnosis": "uwsgi-unreachable"}}
BIG: dict[str, Value] = {"diagnosis": "ok", "rss": 500.0 * MIB}
TROUBLES: dict[str, dict[Subject, dict[str, Value]]] = {
    "workers are fat": {WEB: BIG, API: BIG, **WORKERS},
    "workers are fat and uWSGI is silent": {**SILENT_WEB, **WORKERS},
    "the host is full": {HOST: FULL, WEB: BIG},
    "the host is full and uWSGI is silent": {HOST: FULL, WEB: {"diagnosis": SILENT}},
    "the daemon is dead": {MAIN: {"diagnosis": "daemon-dead"}},
    "the daemon is dead and left orphans": {MAIN: {"diagnosis": "daemon-dead"}, **ORPHANS},
    "orphans": {MAIN: {"diagnosis": "ok"}, **ORPHANS},
    "programs fail": {Subject("supervisor.program", f"main/{n}"): {"diagnosis": "program-fatal"} for n in "abc"},
}


def fields_of(subject: Subject) -> st.SearchStrategy[dict[str, Value] | None]:
    """Anything a subject can look like, None where it is not there."""
    lives: st.SearchStrategy[Value] = st.sampled_from([1, 2, 3])
    if subject.kind == "host":
        total: st.SearchStrategy[Value] = st.just(1000.0 * MIB)
        return st.fixed_dictionaries({"memory.used_percent": used, "memory.total": total})
    if subject.kind == "supervisor":
        return st.fixed_dictionaries(dict[str, st.SearchStrategy[Value]](diagnosis=daemons, life=lives))
    if subject.kind == "uwsgi":
        diagnosis: st.SearchStrategy[Value] = st.sampled_from(["ok", "ok", "uwsgi-unreachable", SILENT])
        return st.fixed_dictionaries({"diagnosis": diagnosis, "rss": sizes, "life": lives})
    if subject.kind == "uwsgi.worker":
        return st.none() | st.fixed_dictionaries({"rss": sizes, "life": lives})
    if subject.kind == "supervisor.program":
        return st.none() | st.fixed_dictionaries({"diagnosis": st.sampled_from(["ok", "program-fatal", SILENT])})
    return st.none() | st.fixed_dictionaries({"kind": st.sampled_from(["program", SILENT])})


class Nights(RuleBasedStateMachine):
    """Each rule is something that happens to the host or the agent; the promises are checked in every pass."""

    @initialize()
    def begin(self) -> None:
        """A healthy host."""
        self.folder = tempfile.TemporaryDirectory(prefix="paramedic-property-")
        self.world = World(Path(self.folder.name) / "journal.db")
        self.world.look()

    @rule(data=st.data(), subject=st.sampled_from(SUBJECTS))
    def change(self, data: st.DataObject, subject: Subject) -> None:
        """One subject looks different from now on."""
        found = data.draw(fields_of(subject))
        if found is None:
            self.world.fields.pop(subject, None)
        else:
            self.world.fields[subject] = dict(found)

    @rule(trouble=st.sampled_from(sorted(TROUBLES)), times=st.integers(1, 6), status=outcomes, calm=st.booleans())
    def flap(self, trouble: str, times: int, status: Status, calm: bool) -> None:
        """The same trouble comes, is acted on and goes, again and again."""
        for _ in range(times):
            self.world.fields |= {subject: dict(fields) for subject, fields in TROUBLES[trouble].items()}
            self._looks(4)
            self.world.settle(status)
            if calm:
                self.world.fields |= {subject: dict(WELL[subject.kind]) for subject in TROUBLES[trouble]}
            self._looks(4)

    def _looks(self, times: int) -> None:
        for _ in range(times):
            self.world.now += 5.0
            self.world.look()

    @rule(step=steps, times=st.integers(1, 8))
    def look(self, step: float, times: int) -> None:
        """Time passes, with looks."""
        for _ in range(times):
            self.world.now += step
            self.world.look()

    @rule(seconds=clocks)
    def set_clock(self, seconds: float) -> None:
        """Somebody sets the wall clock; monotonic time does not care."""
        self.world.shift += seconds

    @rule(status=outcomes)
    def end_actions(self, status: Status) -> None:
        """What is under way ends."""
        self.world.settle(status)

    @rule(status=outcomes)
    def look_late(self, status: Status) -> None:
        """An action ends after the sample was read and before it is thought about."""
        self.world.now += 5.0
        self.world.settle(status)
        self.world.look(late_s=0.5)

    @rule()
    def kill_the_agent(self) -> None:
        """And start it again."""
        self.world.restart()

    @rule(policies=st.sampled_from(SETS))
    def change_policies(self, policies: tuple[Policy, ...]) -> None:
        """Hot reload."""
        self.world.reload(policies)

    @rule(is_on=st.booleans())
    def pause(self, is_on: bool) -> None:
        """A person takes over, or gives back."""
        wall = self.world.now + self.world.shift
        self.world.pause = Pause("a person works", wall, wall + 600.0) if is_on else None

    @rule()
    def acknowledge(self) -> None:
        """A person takes every open incident over."""
        self.world.acknowledged = {incident.id: "mine" for incident in self.world.mind.incidents.values()}

    def teardown(self) -> None:
        """Give the folder back."""
        if hasattr(self, "world"):
            self.world.journal.close()
            self.folder.cleanup()


def test_nothing_that_happens_breaks_a_promise() -> None:
    quick = settings(
        max_examples=EXAMPLES,
        stateful_step_count=40,
        deadline=None,
        derandomize="PROPERTY_EXAMPLES" not in os.environ,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    run_state_machine_as_test(Nights, settings=quick)


def test_the_promises_are_worth_something(tmp_path: Path) -> None:
    """The world is one in which the engine does act, on every rung and in every policy that may."""
    world = World(tmp_path / "journal.db")
    web = Subject("uwsgi", "web")
    world.fields = {
        web: {"diagnosis": "ok", "rss": 500.0 * MIB},
        Subject("uwsgi.worker", "web/1"): {"rss": 500.0 * MIB},
        Subject("supervisor", "main"): {"diagnosis": "daemon-dead"},
        Subject("host", "host"): {"memory.used_percent": 95.0, "memory.total": 1000.0 * MIB},
    }
    for step in range(400):
        world.now += 5.0
        world.look()
        if step % 7 == 3:
            world.settle(Status.MISSED)
        if step == 200:
            world.fields[Subject("supervisor", "main")] = {"diagnosis": "ok"}
            world.fields[Subject("orphan", "main/daphne@7")] = {"kind": "program"}
    done = {(act.policy.name, act.rung) for act, _ in world.acts}
    assert {("fat", 0), ("fat", 1), ("dead", 0), ("stray", 0), ("nightly", 0)} <= done
