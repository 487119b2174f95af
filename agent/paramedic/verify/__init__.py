"""(open attempts, Facts) -> met, waiting or missed. An action is judged by later samples, never by itself.

`expect` writes down at the time of the intent what the judgement will compare with, so that a new agent
can judge the attempt of one that was killed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from paramedic.model.actions import ACTIONS, EXIT, NOTIFY, RUN
from paramedic.model.facts import Facts, Subject
from paramedic.model.policy import Rung
from paramedic.model.record import Attempt, Status
from paramedic.model.supervision import ProgramReading
from paramedic.model.units import render_seconds
from paramedic.verify import supervision, workers
from paramedic.verify.judgement import Judgement

_ON_THE_WAY = ("STOPPING", "STOPPED", "STARTING")
INTERRUPTED_S, HARMLESS_INTERRUPTED_S = 15.0, 2.0


def expect(target: Subject, facts: Facts) -> dict[str, Any]:
    """What stands now and the judgement of an action on `target` needs later, as JSON."""
    return supervision.expect(target, facts) or workers.expect(target, facts)


def deadline(step: Rung, target: Subject, facts: Facts) -> float:
    """Seconds until the attempt counts as missed: what the slowest worker or program may take, else the action's."""
    own = workers.deadline_s(step, target, facts)
    if own is not None:
        return own
    supervisor = facts.supervisor(target)
    if step.action == "restart_program":
        owner = facts.supervisor(Subject("supervisor", target.name.partition("/")[0]))
        section = owner.conf.program(target.name.partition("/")[2]) if owner else None
        return ACTIONS[step.action].deadline_s + (section.stopwaitsecs + section.startsecs if section else 0.0)
    if step.action == "restart_supervisord" and supervisor is not None:
        longest = max((program.startsecs for program in supervisor.conf.programs), default=0.0)
        return ACTIONS[step.action].deadline_s + longest
    if step.action == "restore_socket" and step.is_disruptive and supervisor is not None:
        return 60.0 + max((program.stopwaitsecs for program in supervisor.conf.programs), default=0.0)
    return ACTIONS[step.action].deadline_s


def judge(attempt: Attempt, facts: Facts) -> Attempt:
    """The attempt after looking at `facts`: unchanged while it runs or waits, else judged, with what it gained.

    One that an earlier agent left without an outcome is met by what stands now, or soon free to be tried again.
    """
    since = attempt.started if attempt.finished is None else attempt.finished
    if attempt.status is not Status.DONE or facts.monotonic <= since:
        return attempt
    is_met, why, gained = JUDGES[attempt.action](attempt, facts)
    seconds = facts.monotonic - attempt.started
    if is_met:
        told = "; ".join(filter(None, (attempt.detail, why)))
        gains = {**attempt.gained, **gained}
        return replace(attempt, status=Status.MET, detail=told, gained=gains, seconds=seconds, finished=facts.monotonic)
    if attempt.interrupted and not _is_under_way(attempt, facts, since):
        return replace(attempt, status=Status.INTERRUPTED, detail=f"the agent ended during it: {why}", seconds=seconds)
    if is_met is None:
        return replace(attempt, status=Status.MISSED, detail=why, seconds=seconds, finished=facts.monotonic)
    if facts.monotonic - since > attempt.deadline_s:
        late = f"not met within {render_seconds(attempt.deadline_s)}: {why}"
        return replace(attempt, status=Status.MISSED, detail=late, seconds=seconds, finished=facts.monotonic)
    return attempt


def progress(attempt: Attempt, facts: Facts) -> str:
    """How far an open attempt has come, in a few words; empty where it is not open."""
    if not attempt.status.is_open:
        return ""
    is_met, why, _ = JUDGES[attempt.action](attempt, facts)
    return "" if is_met else why


def _is_under_way(attempt: Attempt, facts: Facts, since: float) -> bool:
    """Whether what an earlier agent began may still come true by itself."""
    if attempt.action == NOTIFY:
        return False
    if facts.uwsgi(attempt.target) is not None:
        return workers.is_under_way(attempt, facts, since)
    found = facts.subjects.get(attempt.target)
    if found is not None and isinstance(found.reading, ProgramReading) and found.reading.state in _ON_THE_WAY:
        return facts.monotonic - since <= attempt.deadline_s
    patience_s = INTERRUPTED_S if ACTIONS[attempt.action].queues else HARMLESS_INTERRUPTED_S
    return facts.monotonic - since <= min(patience_s, attempt.deadline_s)


def _told(attempt: Attempt, _: Facts) -> Judgement:
    """A notice that an agent was killed over may never have been handed over: it is told again."""
    return not attempt.interrupted, "whether it was told is not known" if attempt.interrupted else "", {}


def _ended(attempt: Attempt, facts: Facts) -> Judgement:
    if EXIT not in attempt.before:
        return False, "how it ended is not known", {}
    return attempt.before[EXIT] == 0 or None, attempt.detail, {}


JUDGES: dict[str, Callable[[Attempt, Facts], Judgement]] = {
    NOTIFY: _told,
    RUN: _ended,
    **supervision.JUDGES,
    **workers.JUDGES,
}
