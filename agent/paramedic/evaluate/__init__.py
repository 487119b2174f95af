"""(Policy, facts of one subject) -> verdict with evidence. Kleene's three values, no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from paramedic.evaluate.compile import Test, View, compile_condition
from paramedic.evaluate.evidence import Node, blamed, evidence, tree, truth_of, weight
from paramedic.model.facts import Facts, Subject, SubjectFacts
from paramedic.model.policy import All, Comparison, Condition, FieldRef, Not, Policy, Words
from paramedic.model.record import Truth, Verdict

__all__ = ["Judge", "Node", "Test", "View", "judge_of", "tree", "when_gone"]


@dataclass(frozen=True, slots=True)
class Judge:
    """One policy, compiled. `starts` says whether the trouble is there, `stays` whether it still is while it fires,
    `watches` whether the subject is one of those that the policy looks at. `diagnoses` are those it starts with only.
    """

    policy: Policy
    starts: Test
    stays: Test
    watches: Test
    diagnoses: frozenset[str] | None = None

    def verdict(self, found: SubjectFacts, view: View, is_firing: bool = False) -> Verdict:
        """Whether the policy's condition holds for this subject, with the values that made it so.

        What is not clear yet is still trouble, but not where `when` itself cannot be told: unknown never acts.
        """
        acute = self.starts(found, view)
        truth = self.stays(found, view) if is_firing else acute
        if truth is True and acute is None:
            truth = None
        told = asked(self.policy, is_firing)
        return Seen(truth_of(truth), acute is True, told, self.policy.when, found, view)


class Seen(Verdict):
    """A verdict that puts its evidence into words only when somebody asks: in most passes nobody does."""

    def __init__(
        self, truth: Truth, is_acute: bool, told: Condition, when: Condition, found: SubjectFacts, view: View
    ) -> None:
        object.__setattr__(self, "truth", truth)
        object.__setattr__(self, "is_acute", is_acute)
        object.__setattr__(self, "_source", (told, when, found, view))

    @cached_property
    def evidence(self) -> str:
        """Every value that was compared."""
        told, _, found, view = self.__dict__["_source"]
        return evidence(told, found, view)

    @cached_property
    def blamed(self) -> tuple[str, ...]:
        """The fields that made `when` true."""
        _, when, found, view = self.__dict__["_source"]
        return blamed(when, found, view)

    @cached_property
    def weight(self) -> float:
        """How bad, for choosing the worst first."""
        _, when, found, view = self.__dict__["_source"]
        return weight(when, found, view)


def judge_of(policy: Policy) -> Judge:
    """The policy compiled; `where` belongs to both questions: what is not watched has no trouble."""
    when = compile_condition(_within(policy, policy.when))
    stays = when if policy.clear is None else compile_condition(_within(policy, Not(policy.clear)))
    return Judge(policy, when, stays, compile_condition(policy.where or All(())), _diagnoses(policy.when))


def _diagnoses(condition: Condition) -> frozenset[str] | None:
    """Those that must be the subject's own for the condition to be true; None where it may be another."""
    match condition:
        case Comparison(FieldRef("diagnosis"), op, Words(words)) if op != "!=":
            return frozenset(words)
        case All(parts):
            return next((found for part in parts if (found := _diagnoses(part)) is not None), None)
    return None


def asked(policy: Policy, is_firing: bool) -> Condition:
    """The condition that decides now: while it fires the question is whether `clear` is true yet."""
    return policy.clear if is_firing and policy.clear is not None else policy.when


def _within(policy: Policy, condition: Condition) -> Condition:
    return condition if policy.where is None else All((policy.where, condition))


def when_gone(subject: Subject, facts: Facts) -> Verdict:
    """The verdict on a subject that is not in the facts: no where its owner was read, unknown where it was not."""
    owner = Subject(_OWNERS.get(subject.kind, subject.kind), subject.name.partition("/")[0])
    found = facts.subjects.get(owner)
    if found is None or subject.kind not in found.unread:
        return Verdict(Truth.NO, f"{subject} is gone")
    return Verdict(Truth.UNKNOWN, f"{subject} cannot be seen")


_OWNERS = {"uwsgi.worker": "uwsgi", "supervisor.program": "supervisor", "orphan": "supervisor"}
