"""What a judgement is: whether it is met (None: it cannot be any more), why or why not yet, what was gained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Judgement = tuple[bool | None, str, Mapping[str, Any]]
