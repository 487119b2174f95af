"""Timeline tests of policies: YAML -> the engine, with samples, clock and outcomes as the test says -> differences."""

from paramedic.rehearsal.case import Rehearsal, load_rehearsals, policies_named
from paramedic.rehearsal.play import Played, play
from paramedic.rehearsal.show import failure

__all__ = ["Played", "Rehearsal", "failure", "load_rehearsals", "play", "policies_named"]
