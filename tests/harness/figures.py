"""What the long runs saw, each in a file of its own below build/figures: docs/reliability.md is written of them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

FIGURES = Path(__file__).parents[2] / "build" / "figures"


def note(run: str, part: str, figures: dict[str, Any]) -> None:
    """Keep what a part of a run saw, for the page and with the day; the parts of a run may be of several processes."""
    FIGURES.mkdir(parents=True, exist_ok=True)
    name = "".join(letter if letter.isalnum() else "-" for letter in part)
    day = time.strftime("%Y-%m-%d", time.gmtime())
    (FIGURES / f"{run}.{name}.json").write_text(json.dumps({"part": part, "day": day, **figures}, indent=1) + "\n")
