"""What a condition saw: one sentence for a verdict, or the whole tree with the value at each leaf for `explain`."""

from __future__ import annotations

from dataclasses import dataclass

from paramedic.evaluate.compile import View, compile_condition, reader
from paramedic.model.facts import SubjectFacts, Unknown, Value
from paramedic.model.policy import (
    All,
    Any,
    Comparison,
    Condition,
    Count,
    FieldRef,
    Gather,
    IsUnknown,
    Leaf,
    Not,
    Quantifier,
    Quantity,
    Term,
    Window,
    Words,
    leaves,
    own_fields,
)
from paramedic.model.record import Truth
from paramedic.model.units import TREND, render, render_bytes, render_seconds
from paramedic.model.vocabulary import CHILDREN, KINDS


@dataclass(frozen=True, slots=True)
class Node:
    """One line of an explanation: what was asked, what is so, and the parts it follows from."""

    asked: str
    truth: Truth
    seen: str = ""
    parts: tuple[Node, ...] = ()


def truth_of(value: bool | None) -> Truth:
    """Kleene's value as a word."""
    return Truth.UNKNOWN if value is None else Truth.YES if value else Truth.NO


def evidence(condition: Condition, found: SubjectFacts, view: View) -> str:
    """The sentence of findings where the facts have one, every value that was compared, and who holds the memory."""
    told = [finding.evidence for finding in found.findings]
    shown = [leaf for leaf in leaves(condition) if not (told and _is_worded(leaf))]
    said = "; ".join([*told, *dict.fromkeys(_say(leaf, found, view) for leaf in shown)])
    return "; ".join([f"{said}{_of(found)}", *(str(holding) for holding in found.holders)])


def blamed(condition: Condition, found: SubjectFacts, view: View) -> tuple[str, ...]:
    """The fields of the subject's own that make the condition true, as they were written; none where it is not."""
    match condition:
        case All(parts) | Any(parts):
            truths = [(part, compile_condition(part)(found, view)) for part in parts]
            true = [part for part, truth in truths if truth is True]
            if isinstance(condition, All) and len(true) < len(parts):
                return ()
            return tuple(dict.fromkeys(path for part in true for path in blamed(part, found, view)))
        case IsUnknown():
            return ()
        case other:
            is_true = compile_condition(other)(found, view) is True
            return tuple(sorted(own_fields(other))) if is_true else ()


def weight(condition: Condition, found: SubjectFacts, view: View) -> float:
    """How bad, for choosing the worst first: the first number the condition looks at."""
    for leaf in leaves(condition):
        value = reader(leaf.left)(found, view) if isinstance(leaf, Comparison) else None
        if isinstance(value, int | float) and isinstance(leaf, Comparison):
            return float(value) if leaf.op in (">", ">=") else -float(value)
    return 0.0


def tree(condition: Condition, found: SubjectFacts, view: View) -> Node:
    """The condition with the current value at each leaf."""
    truth = truth_of(compile_condition(condition)(found, view))
    match condition:
        case Not(part):
            return Node("not", truth, parts=(tree(part, found, view),))
        case All(parts):
            return Node("and", truth, parts=tuple(tree(part, found, view) for part in parts))
        case Any(parts):
            return Node("or", truth, parts=tuple(tree(part, found, view) for part in parts))
        case Quantifier():
            return Node(condition.text, truth, parts=_by_child(condition.kind, condition.part, found, view))
        case Comparison(Count() as count):
            counted = _by_child(count.kind, count.part, found, view)
            return Node(condition.text, truth, _say(condition, found, view), counted)
        case leaf:
            return Node(leaf.text, truth, _say(leaf, found, view))


def name_of(term: Term) -> str:
    """A term as a person writes it, without its factor."""
    match term:
        case FieldRef(path):
            return path
        case Window(func, path, window_s):
            return f"{func}({path}, {render_seconds(window_s)})"
        case Gather(func, kind, path):
            return f"{func}({_prefix(kind)}.{path})"
        case Count(kind):
            return f"count({_prefix(kind)}s)"


def _prefix(kind: str) -> str:
    return next(name for found in CHILDREN.values() for name, child in found.items() if child == kind)


def _by_child(kind: str, part: Condition, found: SubjectFacts, view: View) -> tuple[Node, ...]:
    test = compile_condition(part)
    return tuple(
        Node(str(child.subject), truth_of(test(child, view)), evidence(part, child, view))
        for child in view.facts.children(found.subject, kind)
    )


def _of(found: SubjectFacts) -> str:
    """What the host's numbers are of."""
    total = found.fields.get("memory.total")
    return f" ({found.scope}, {render_bytes(total)})" if found.scope and isinstance(total, int | float) else ""


def _is_worded(leaf: Leaf) -> bool:
    return isinstance(leaf, Comparison) and isinstance(leaf.right, Words)


def _say(leaf: Leaf, found: SubjectFacts, view: View) -> str:
    """`uss is 240 MiB`, and the other side where it is no constant."""
    if isinstance(leaf, Quantifier):
        return f"{leaf.text} is {truth_of(compile_condition(leaf)(found, view))}"
    said = _said(leaf.left, found, view)
    if isinstance(leaf, IsUnknown) or isinstance(leaf.right, Quantity | Words):
        return said
    return f"{said}, {_said(leaf.right, found, view)}"


def _said(term: Term, found: SubjectFacts, view: View) -> str:
    value: Value = reader(term)(found, view)
    factor = "" if term.factor == 1.0 else f"{term.factor:g} * "
    shown = f"unknown ({value.reason})" if isinstance(value, Unknown) else render(value, _dimension(term, found))
    return f"{factor}{name_of(term)} is {shown}"


def _dimension(term: Term, found: SubjectFacts) -> str:
    if isinstance(term, Count):
        return "count"
    kind = term.kind if isinstance(term, Gather) else found.subject.kind
    dimension = KINDS[kind][term.path].dimension
    return dimension + TREND if isinstance(term, Window) and term.func == "slope" else dimension
