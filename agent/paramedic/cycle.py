"""ONE PASS: sense, join, think, record, act, tell, prepare. The only place that knows the order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from paramedic.act.job import Job
from paramedic.act.prepare import Preparation
from paramedic.act.spool import Spool
from paramedic.engine import Mind, Thought, intent, recalled, reported, think
from paramedic.facts import join, learn
from paramedic.host import clock
from paramedic.host.proc import Proc
from paramedic.journal import Journal, as_json
from paramedic.model.facts import Facts, Known
from paramedic.model.policy import Policy
from paramedic.model.record import Act, Attempt, Report, Status
from paramedic.model.stack import Mode, Settings
from paramedic.sense.host import Sensors

Begin = Callable[[Attempt, Job], None]


@dataclass(frozen=True, slots=True)
class Passed:
    """What a pass saw and thought, for status and for choosing when to look again."""

    facts: Facts
    thought: Thought


class Cycle:
    """Runs passes over one stack. `begin` starts a repair off the thread; its report comes with a later pass."""

    def __init__(
        self, settings: Settings, policies: tuple[Policy, ...], journal: Journal, spool: Spool, begin: Begin
    ) -> None:
        self.settings = settings
        self.policies = policies
        self.journal = journal
        self.spool = spool
        self.proc = Proc()
        self.sensors = Sensors(settings.stack, self.proc, settings.state_dir)
        self.preparation = Preparation(settings, self.proc)
        self._begin = begin
        self.known = _known(journal, self.proc.boot_id())
        self.mind = self._recall()

    def run_pass(self, due: frozenset[str] = frozenset()) -> Passed:
        """One pass; `due` names the calendar policies whose time has come."""
        sample = self.sensors.read(self.known)
        facts = join(sample, self.known)
        self._remember(learn(self.known, sample))
        thought = think(self.mind, self.policies, facts, self.settings.mode is Mode.OBSERVE, due)
        begun = self._record(thought, facts)
        self.mind = replace(thought.mind, attempts=(*thought.mind.attempts, *(attempt for _, attempt in begun)))
        for act, attempt in begun:
            if attempt.status is Status.RUNNING:
                self._begin(attempt, self._job(act, facts))
        for event in thought.events:
            mine = [attempt for attempt in self.mind.attempts if attempt.incident == event.incident.id]
            self.spool.tell(event.name, event.sentence, as_json(event.incident, mine))
        self.preparation.refresh(sample)
        return Passed(facts, thought)

    def take_report(self, attempt_id: int, report: Report) -> None:
        """Book what a repair says of itself, on disk first."""
        mind, ended = reported(self.mind, attempt_id, report, clock.monotonic())
        if ended is None:
            return
        self.journal.settle(ended, clock.wall())
        self.mind = mind
        if report.preflight is not None:
            preflights = {**self.known.preflights, ended.target.name: report.preflight}
            self._remember(replace(self.known, preflights=preflights))

    def _record(self, thought: Thought, facts: Facts) -> list[tuple[Act, Attempt]]:
        """All of it in one transaction, intents before anything is begun; where it fails nothing was thought."""
        with self.journal.batch():
            for attempt in thought.judged:
                self.journal.settle(attempt, facts.wall)
            for incident in thought.changed:
                self.journal.save_incident(incident)
            for incident_id, hold in thought.held:
                self.journal.hold(incident_id, hold, facts.wall)
            now = clock.monotonic()
            return [(act, self.journal.intend(intent(act, thought.mind, facts, now))) for act in thought.acts]

    def _job(self, act: Act, facts: Facts) -> Job:
        incident = as_json(self.mind.incidents[act.policy.name, act.subject], [])
        return Job(act, facts, self.settings, self.proc, self.spool, incident, int(facts.wall))

    def _remember(self, known: Known) -> None:
        if known != self.known:
            self.journal.save_known(known)
            self.known = known

    def _recall(self) -> Mind:
        """What an earlier agent left; incidents of policies that are no more are closed."""
        now, wall = clock.monotonic(), clock.wall()
        attempts = self.journal.recent_attempts(wall, now)
        mind, left = recalled(self.journal.open_incidents(), attempts, self.policies, now, self.journal.count())
        for incident in left:
            self.journal.save_incident(replace(incident, closed=wall, result="policy removed"))
        return mind


def _known(journal: Journal, boot_id: str) -> Known:
    """Identities of another boot mean nothing; what the app's last import said still does."""
    known = journal.load_known()
    return known if known.boot_id == boot_id else Known(boot_id=boot_id, preflights=known.preflights)
