"""Sample -> Facts: typed, with units, joined, and with the diagnoses that follow. Unknown is explicit."""

from paramedic.facts.causes import with_causes
from paramedic.facts.join import join
from paramedic.facts.lineage import learn

__all__ = ["join", "learn", "with_causes"]
