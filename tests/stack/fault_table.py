"""The faults of the table in its order: what is broken, what must come of it, and how it is seen from outside."""

from __future__ import annotations

from stack import daemon_faults, program_faults, socket_faults
from stack.fault_site import MADE

ROWS = [
    row
    for module in (socket_faults, daemon_faults, program_faults)
    for row in MADE
    if row.run.__module__ == module.__name__
]
