"""Run a person's own program: `run: { argv: [/usr/local/bin/free-cache] }`."""

from __future__ import annotations

import json
import os

from paramedic.act.job import Job, Refused
from paramedic.act.spool import told_of
from paramedic.host import launch
from paramedic.host.writers import writable_by_others
from paramedic.model.actions import ACTIONS, EXIT, RUN
from paramedic.model.record import Report
from paramedic.model.units import render_seconds

SHOWN = 200


def run(job: Job) -> Report:
    """Run it to its end, at most as long as its `within`; the exit code is what the judgement asks for."""
    argv = job.act.step.args["argv"]
    if not isinstance(argv, tuple) or not argv:
        raise Refused("no program is named")
    if not os.access(argv[0], os.X_OK):
        raise Refused(f"{argv[0]} is no program that can be run here")
    other = writable_by_others(argv[0], {os.geteuid()})
    if other is not None:
        raise Refused(f"{argv[0]} is not run: others can change {other}, and it would have our rights")
    within_s = job.act.step.within_s or ACTIONS[RUN].deadline_s
    document = told_of("run", job.act.why, job.incident)
    result = launch.attempt(launch.as_ourselves(argv), within_s, json.dumps(document).encode())
    ended = f"it was ended after {render_seconds(within_s)}" if result.code is None else f"exit {result.code}"
    said = f": {result.last_line[:SHOWN]}" if result.last_line else ""
    return Report(False, f"{argv[0]}: {ended}{said}", measured={EXIT: result.code})
