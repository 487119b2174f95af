"""`python -m fuzz [SECONDS [SEED]]`: every target for so long; what was read goes into build/figures/fuzz.json."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from fuzz.run import feed
from fuzz.targets import TARGETS

FIGURES = Path(__file__).parent.parent.parent / "build" / "figures" / "fuzz.json"


def main(words: list[str]) -> int:
    """1 with the input that broke something, 0 with the figures of a run in which nothing did."""
    seconds = float(words[0]) if words else 20.0
    seed = int(words[1]) if words[1:] else int(time.time())
    inputs = {}
    for name in TARGETS:
        inputs[name] = feed(name, seed, 10**9, seconds)
        print(f"{name:20} {inputs[name]:9,} inputs, no defect", flush=True)
    FIGURES.parent.mkdir(parents=True, exist_ok=True)
    figures = {"inputs": sum(inputs.values()), "targets": inputs, "seed": seed, "seconds_each": seconds, "defects": 0}
    FIGURES.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
