"""A host that anything may happen to, driven through the engine and a real journal, watched for broken promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC
from pathlib import Path

from paramedic.decide.guards import root_cause
from paramedic.engine import Stance, think
from paramedic.evaluate import View, judge_of
from paramedic.facts import with_causes
from paramedic.journal import Journal
from paramedic.journal.readings import parent_of
from paramedic.mind import Mind, adopted, book_of, intent, recalled
from paramedic.model.actions import ACTIONS, NOTIFY
from paramedic.model.facts import Facts, Subject, SubjectFacts, Unknown, Value
from paramedic.model.policy import Policy
from paramedic.model.readings import Identity
from paramedic.model.record import Act, Attempt, Incident, Orders, Pause, Phase, Status, Truth
from paramedic.policy.load import load
from paramedic.windows import Windows

COUNTED = (Status.RUNNING, Status.DONE, Status.MET, Status.MISSED)
POLICIES = """
policies:
  - name: fat
    watch: uwsgi.worker
    when: rss > 100 MiB
    clear: rss < 80 MiB
    for: 10s
    keep: 10s
    do: [chain_reload, notify]
    cooldown: 1m
    limit: 3 per 10m
  - name: full
    watch: host
    when: memory.used_percent > 85 % and avg(memory.used_percent, 1m) > 80 %
    do: [{ chain_reload: { uwsgi: web } }]
    cooldown: 2m
    limit: 2 per 10m
    unless: [dead]
  - name: dead
    watch: supervisor
    when: diagnosis in [daemon-dead, socket-stale]
    do: [restart_supervisord]
    cooldown: 10s
    limit: 3 per 10m
  - name: lost
    watch: supervisor
    when: diagnosis is socket-missing
    do: [restore_socket]
  - name: stray
    watch: orphan
    when: kind is program
    do: [kill_orphans]
    max_targets: 2
  - name: mass
    watch: supervisor.program
    when: diagnosis is program-fatal
    do: [notify]
    max_targets: 2
    over: refuse
  - name: silent
    watch: supervisor
    when: diagnosis is unknown
    for: 20s
    do: [notify]
  - name: nightly
    watch: uwsgi
    at: "*/7 * * * *"
    when: any(worker.rss > 90 MiB)
    do: [chain_reload]
    only: 00:00-12:00
"""
OTHER = POLICIES.replace("rss > 100 MiB", "rss > 120 MiB").replace("limit: 3 per 10m", "limit: 4 per 10m", 1)
FEWER = POLICIES[: POLICIES.index("  - name: nightly")]
SETS: tuple[tuple[Policy, ...], ...] = tuple(load([("p.yaml", text)]) for text in (POLICIES, OTHER, FEWER))
HOST, MAIN = Subject("host", "host"), Subject("supervisor", "main")
SUBJECTS = (
    HOST,
    MAIN,
    Subject("uwsgi", "web"),
    Subject("uwsgi", "api"),
    *(Subject("uwsgi.worker", f"{name}/{n}") for name in ("web", "api") for n in (1, 2)),
    *(Subject("supervisor.program", f"main/{name}") for name in ("daphne", "celery", "beat")),
    *(Subject("orphan", f"main/daphne@{n}") for n in (7, 8, 9)),
)


@dataclass
class World:
    """The state of things; `settled` ends actions, `restart` loses everything that is not in the journal."""

    path: Path
    policies: Sequence[Policy] = SETS[0]
    now: float = 5000.0
    shift: float = 1_780_020_000.0
    fields: dict[Subject, dict[str, Value]] = field(default_factory=dict)
    pause: Pause | None = None
    acknowledged: dict[str, str] = field(default_factory=dict)
    acts: list[tuple[Act, Attempt]] = field(default_factory=list)
    mind: Mind = field(default_factory=Mind)
    open_before: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)
    age_at_restart: Mapping[Subject, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.journal = Journal(str(self.path), boot_id="this boot")
        self.journal._db.execute("pragma synchronous = off")
        self.book = book_of(self.policies)
        self.past = Windows(self.book.needed)

    def look(self, late_s: float = 0.0) -> None:
        """One pass over a sample that is `late_s` old, with every promise checked on what it decides."""
        read_at = self.now - late_s
        facts = Facts(read_at, read_at + self.shift, with_causes(self._subjects()))
        self.past.take(facts)
        stance = Stance(interval_s=5.0, zone=UTC, host="h", orders=Orders(self.pause, dict(self.acknowledged)))
        thought = think(self.mind, self.book, facts, self.past, stance)
        begun: list[Attempt] = []
        for attempt in thought.judged:
            self.journal.settle(attempt, facts.wall)
        for incident in thought.changed:
            self.journal.save_incident(incident)
        self.journal.save_slots(thought.mind.slots)
        before, self.mind = self.mind, thought.mind
        for act in thought.acts:
            self.keep_promises(act, facts, before, begun)
            made = self.journal.intend(intent(act, thought.mind, facts, self.now))
            begun.append(made)
            self.acts.append((act, made))
        self.mind = replace(thought.mind, attempts=(*thought.mind.attempts, *begun))
        self.no_incident_is_lost({one.id for one in thought.changed if one.closed is not None})

    def _subjects(self) -> dict[Subject, SubjectFacts]:
        found = {}
        for subject, fields in self.fields.items():
            identity = None if isinstance(fields.get("life"), Unknown) else Identity(1, int(str(fields.get("life", 1))))
            shown = {path: value for path, value in fields.items() if path != "life"}
            is_silent = isinstance(fields.get("diagnosis"), Unknown)
            unread = frozenset(("uwsgi.worker", "supervisor.program", "orphan") if is_silent else ())
            found[subject] = SubjectFacts(subject, shown, parent=parent_of(subject), identity=identity, unread=unread)
        return found

    def keep_promises(self, act: Act, facts: Facts, before: Mind, begun: Sequence[Attempt]) -> None:
        """What must hold of every single act, reckoned here from the whole past and not by the engine."""
        policy, name = act.policy, act.policy.name
        real = [made for _, made in self.acts if made.status is not Status.OBSERVED]
        assert self.pause is None, "it acted in a pause"
        judge = judge_of(policy)
        state = before.rules.get((name, act.subject))
        is_firing = state is not None and state.phase in (Phase.FIRING, Phase.RESOLVING)
        found = facts.subjects.get(act.subject)
        assert found is not None, "it acted on what is not there"
        if policy.at is None:
            truth = judge.verdict(found, View(facts, self.past), is_firing).truth
            assert truth is Truth.YES, f"it acted on {truth}"
        target = facts.subjects.get(act.target)
        diagnosis = target.fields.get("diagnosis") if target else None
        assert act.step.action == NOTIFY or not isinstance(diagnosis, Unknown), "it acted on an unknown target"
        assert root_cause(act.subject, facts) is None, "it acted on a symptom"
        open_now = [a for a in (*self.mind.attempts, *begun) if a.status.is_open]
        if act.step.action != NOTIFY:
            ends = [self._latest(a) for a in real if a.target == act.target]
            assert all((a.started if a.finished is None else a.finished) < facts.monotonic for a in ends), (
                "a stale sample"
            )
            assert not [a for a in open_now if a.target == act.target and a.action != NOTIFY], "two at once on a target"
        if ACTIONS[act.step.action].reclaims_memory:
            assert not [a for a in open_now if ACTIONS[a.action].reclaims_memory], "two memory actions at once"
        if act.rung == 0 and ACTIONS[act.step.action].is_disruptive:
            self.keep_cooldown(act, [a for a in real if a.target == act.target])
        self.keep_limit(act, [a for a in real if a.target == act.target and a.policy == name])
        targets = {a.target for a in open_now if a.policy == name} | {act.target}
        if ACTIONS[act.step.action].queues:
            assert len(targets) <= policy.max_targets, "more targets than max_targets"
        assert act.rung not in self._rungs_without_help(act), "a rung that did not help was repeated"

    def keep_cooldown(self, act: Act, on_target: Sequence[Attempt]) -> None:
        """No ladder begins within a cooldown of the last disruptive action on the target."""
        for attempt in on_target:
            latest = self._latest(attempt)
            if latest.status in COUNTED and ACTIONS[attempt.action].is_disruptive:
                ended = latest.started if latest.finished is None else latest.finished
                assert self.now - ended >= act.policy.cooldown_s - 1e-6, "twice within a cooldown"

    def keep_limit(self, act: Act, mine: Sequence[Attempt]) -> None:
        """No more attempts within any period than the limit."""
        limit = act.policy.limit
        recent = [a for a in mine if self._latest(a).status in COUNTED and self.now - a.started < limit.per_s - 1e-6]
        assert not limit.count or len(recent) < limit.count, "beyond the limit"

    def no_incident_is_lost(self, closed: set[str]) -> None:
        """Every incident is open, or was closed with a result, or its policy is gone; over restarts, too."""
        open_now = {incident.id for incident in self.mind.incidents.values()}
        lost = self.open_before - open_now - closed - self.removed
        assert not lost, f"incidents were lost: {lost}"
        on_disk = {incident.id for incident in self.journal.open_incidents()}
        assert on_disk == open_now, "the journal knows other open incidents than the mind"
        self.open_before = open_now

    def settle(self, status: Status) -> None:
        """Every action under way ends like this."""
        self.mind = replace(self.mind, attempts=tuple(self._ended(a, status) for a in self.mind.attempts))

    def _ended(self, attempt: Attempt, status: Status) -> Attempt:
        if not attempt.status.is_open or self.now <= attempt.started:
            return attempt
        ended = replace(attempt, status=status, finished=self.now, seconds=self.now - attempt.started)
        self.journal.settle(ended, self.now + self.shift)
        return ended

    def restart(self) -> None:
        """The agent is killed and started again: only the journal is left."""
        incidents, slots = self.journal.open_incidents(), self.journal.load_slots()
        attempts = self.journal.recent_attempts(self.now + self.shift, self.now)
        self.mind, left = recalled(incidents, attempts, slots, self.policies, self.now, self.journal.count())
        self._remove(left)
        self.past = Windows(self.book.needed)

    def reload(self, policies: Sequence[Policy]) -> None:
        """Other policy files."""
        self.mind, left = adopted(self.mind, self.policies, policies, self.now)
        self._remove(left)
        self.policies, self.book = policies, book_of(policies)
        self.past.need(self.book.needed)

    def _remove(self, left: Sequence[Incident]) -> None:
        wall = self.now + self.shift
        for incident in left:
            self.journal.save_incident(replace(incident, closed=wall, result="policy removed"))
            self.removed.add(incident.id)

    def _latest(self, attempt: Attempt) -> Attempt:
        return next((a for a in self.mind.attempts if a.id == attempt.id), attempt)

    def _rungs_without_help(self, act: Act) -> list[int]:
        """Those taken in this incident since it was last quiet or its policy changed: then it is another ladder."""
        key = (act.policy.name, act.subject)
        incident, since = self.mind.incidents[key].id, self.mind.rules[key].since
        mine = [a for _, a in self.acts if a.incident == incident and a.started >= since]
        return [a.rung for a in mine if self._latest(a).status in (Status.MISSED, Status.MET)]
