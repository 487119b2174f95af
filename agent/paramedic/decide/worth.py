"""What a reload may give back: what the workers hold beyond what they held after their start."""

from __future__ import annotations

from paramedic.model.facts import SubjectFacts

GROWTH = 1.2
OF_HOST = 0.02


def growth_of(instance: SubjectFacts) -> float | None:
    """Bytes; 0 where it is next to nothing, None where it cannot be told."""
    uss, baseline = instance.fields.get("uss"), instance.fields.get("baseline_uss")
    if not isinstance(uss, int | float) or not isinstance(baseline, int | float):
        return None
    return uss - baseline if uss >= GROWTH * baseline else 0.0
