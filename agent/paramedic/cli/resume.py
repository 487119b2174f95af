"""end a pause, or give an incident back to the agent"""

from __future__ import annotations

import argparse
import json
import sys

from paramedic import orders
from paramedic.cli.common import settings_at
from paramedic.host import clock
from paramedic.host.proc import Proc


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which incident, if one."""
    parser.add_argument("incident", nargs="?", metavar="INCIDENT", help="an acknowledged one; left out: end the pause")


def main(arguments: argparse.Namespace) -> int:
    """0 when the order stands, 2 for an incident that nobody took over."""
    settings = settings_at(arguments.config)
    if arguments.incident:
        taken = orders.read(settings.state_dir, clock.wall(), clock.monotonic(), Proc().boot_id()).acknowledged
        if arguments.incident not in taken:
            known = ", ".join(taken) or "none is"
            print(f"paramedic: cannot give back {arguments.incident}: it is not taken over; {known}", file=sys.stderr)
            return 2
        orders.give_back(settings.state_dir, arguments.incident)
        told = f"{arguments.incident} is the agent's again"
    else:
        orders.resume(settings.state_dir)
        told = "not paused"
    print(json.dumps({"sentence": told}) if arguments.json else told)
    return 0
