"""May the conf on disk speak for the daemon that runs? An edit that it never loaded may be anybody's."""

from __future__ import annotations

import os
from dataclasses import replace

from paramedic.host import recipe
from paramedic.host.writers import writable_by_others
from paramedic.model.supervision import SupervisorReading


def doubt_of_conf(reading: SupervisorReading, state_dir: str = "") -> str | None:
    """Why owner, mode and paths in the conf are not carried out, None where only root and the daemon's user can write
    it, or it is the one that the daemon was started with.
    """
    try:
        return _doubt(reading, state_dir)
    except (OSError, ValueError) as error:
        return f"it cannot be read: {getattr(error, 'strerror', None) or error}"


def _doubt(reading: SupervisorReading, state_dir: str) -> str | None:
    conf = reading.conf
    plan = recipe.load(recipe.path_of(state_dir, conf.name)) if state_dir else None
    if plan is not None:
        return recipe.why_untrusted(replace(plan, uid=reading.uid) if reading.uid >= 0 else plan, conf.files)
    trusted = {reading.uid, os.geteuid()}
    writable = next(filter(None, (writable_by_others(path, trusted) for path in conf.files)), None)
    if writable is None:
        return None
    return f"others than its daemon's user can change {writable}, and how it was launched was not recorded"
