"""What a repair is given: the decision, the facts it was made on, and the tools it may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paramedic.act.spool import Spool
from paramedic.host.proc import Proc
from paramedic.model.facts import Facts, Preflight
from paramedic.model.readings import UwsgiGone, UwsgiReading
from paramedic.model.record import Act, Attempt, Report
from paramedic.model.stack import Settings
from paramedic.model.supervision import ProgramReading, SupervisorReading

HANGS_S = 600.0


class Refused(Exception):
    """The repair must not be done; the message says why and what a person can do. `preflight`: what an import said."""

    def __init__(self, why: object, preflight: Preflight | None = None) -> None:
        super().__init__(why)
        self.preflight = preflight


@dataclass(frozen=True, slots=True)
class Job:
    """One repair to do. `incident` is as `history --json` prints it, `stamp` the wall-clock second of the decision."""

    act: Act
    facts: Facts
    settings: Settings
    proc: Proc
    spool: Spool
    incident: Mapping[str, Any]
    stamp: int

    def supervisor(self) -> SupervisorReading:
        """The daemon the target belongs to; raises Refused without one."""
        facts = self.facts.subjects.get(self.act.target)
        owner = facts.parent if facts and facts.parent else self.act.target
        reading = self.facts.supervisor(owner)
        if reading is None:
            raise Refused(f"{owner} could not be read")
        return reading

    def program(self) -> ProgramReading:
        """The target, a supervised program; raises Refused without one."""
        facts = self.facts.subjects.get(self.act.target)
        if facts is None or not isinstance(facts.reading, ProgramReading):
            raise Refused(f"{self.act.target} could not be read")
        return facts.reading

    def uwsgi(self) -> UwsgiReading:
        """The target's instance, which answers; raises Refused without one."""
        reading = self.facts.uwsgi(self.act.target)
        if reading is None:
            raise Refused(f"{self.act.target} could not be asked")
        return reading

    def uwsgi_gone(self) -> UwsgiGone:
        """What is left of the target, an instance without a master; raises Refused where it runs."""
        facts = self.facts.subjects.get(self.act.target)
        if facts is None or not isinstance(facts.reading, UwsgiGone):
            raise Refused(f"{self.act.target} is not gone")
        return facts.reading


def in_words(why: object) -> str:
    """A reason without an errno, which tells a person nothing."""
    if not isinstance(why, OSError) or not why.strerror:
        return str(why)
    return f"{why.strerror}: {why.filename}" if why.filename else why.strerror


def refused(why: object, preflight: Preflight | None = None) -> Report:
    """A report that nothing was done, and why; with what was learned of the app on the way."""
    return Report(True, in_words(why), why.preflight or preflight if isinstance(why, Refused) else preflight)


def longest_s(attempt: Attempt) -> float:
    """After how many seconds the thread of a repair counts as hung: far beyond the sum of its own deadlines."""
    most, pause_s = int(str(attempt.args.get("most", 1))), float(str(attempt.args.get("pause", 0.0)))
    return most * (attempt.deadline_s + pause_s) + HANGS_S


def stops_s(job: Job) -> float:
    """How many seconds the programs of its Supervisor may take to stop, one after the other, as the conf allows."""
    target = job.facts.subjects.get(job.act.target)
    reading = job.facts.supervisor(target.parent or target.subject) if target else None
    return sum(program.stopwaitsecs for program in reading.conf.programs) if reading else 0.0
