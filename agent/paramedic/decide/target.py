"""Whom an action is done to: the subject itself, or for what is done to uWSGI the instance behind it."""

from __future__ import annotations

from paramedic.decide.case import Case
from paramedic.decide.worth import growth_of
from paramedic.model.facts import Facts, Subject, SubjectFacts
from paramedic.model.policy import Rung
from paramedic.model.record import Hold
from paramedic.model.vocabulary import OK

_INSTANCES = ("chain_reload", "reload_uwsgi")
_ON_UWSGI = (*_INSTANCES, "recycle_worker")


def target_of(case: Case, step: Rung, facts: Facts) -> Subject | Hold:
    """The target, or why there is none."""
    subject = facts.subjects.get(case.subject)
    if step.action not in _ON_UWSGI or subject is None or case.subject.kind == "uwsgi":
        return case.subject
    if subject.parent is not None and subject.parent.kind == "uwsgi":
        return subject.parent if step.action in _INSTANCES else case.subject
    named = step.args.get("uwsgi")
    instances = [s for s in facts.of_kind("uwsgi") if named in (None, s.subject.name)]
    if not instances:
        which = f"no uWSGI instance {named} is configured" if named else "no uWSGI instance is configured"
        return case.hold("no target", which, "one in stack.uwsgi")
    return max(instances, key=_promise).subject


def _promise(instance: SubjectFacts) -> tuple[int, float, float]:
    """The one that grew most; else the largest whose growth cannot be told. A large one may have been large at once."""
    growth, rss = growth_of(instance), instance.fields.get("rss")
    rank = 2 if growth else 1 if growth is None and instance.fields.get("diagnosis") == OK else 0
    return rank, growth or 0.0, float(rss) if isinstance(rss, int | float) else -1.0
