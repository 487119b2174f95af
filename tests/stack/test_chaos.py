"""Twenty seeded sequences of faults; `make chaos` runs two hundred."""

from __future__ import annotations

import pytest

from harness.stack import EmbeddedStack
from stack.chaos import Chaos

SEQUENCES = 5


@pytest.mark.timeout(400)
@pytest.mark.parametrize("first", range(0, 20, SEQUENCES))
def test_sequences_of_faults_end_healthy_with_nobody_harmed(lone_stack: EmbeddedStack, first: int) -> None:
    chaos = Chaos(lone_stack)
    try:
        for seed in range(first, first + SEQUENCES):
            assert len(chaos.run(seed)) >= 2, "run raises where a sequence does not end healthy"
    finally:
        chaos.close()
