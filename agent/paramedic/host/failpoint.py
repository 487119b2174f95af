"""Where a repair has just changed something: a test has the agent killed right there, and looks what the next one does.

`PARAMEDIC_FAILPOINT=ACTION:STEP` in the agent's environment; without it a step costs one comparison. `:` alone kills
nowhere, and has every step logged. Whoever can set the agent's environment can kill it anyway.
"""

from __future__ import annotations

import logging
import os
import signal
import threading

_WANTED = os.environ.get("PARAMEDIC_FAILPOINT", "")
log = logging.getLogger(__name__)


def reached(step: str, action: str = "") -> None:
    """The action, by default the one whose name this thread bears, has done `step`."""
    if not _WANTED:
        return
    here = f"{action or threading.current_thread().name}:{step}"
    log.info("reached %s", here)
    if here == _WANTED:
        os.kill(os.getpid(), signal.SIGKILL)
