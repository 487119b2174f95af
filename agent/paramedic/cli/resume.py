"""end a pause, or give an incident back to the agent"""

from __future__ import annotations

import argparse
import json

from paramedic import orders
from paramedic.cli.common import settings_at


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which incident, if one."""
    parser.add_argument("incident", nargs="?", metavar="INCIDENT", help="an acknowledged one; left out: end the pause")


def main(arguments: argparse.Namespace) -> int:
    """0 when the order stands."""
    settings = settings_at(arguments.config)
    if arguments.incident:
        orders.give_back(settings.state_dir, arguments.incident)
        told = f"{arguments.incident} is the agent's again"
    else:
        orders.resume(settings.state_dir)
        told = "not paused"
    print(json.dumps({"sentence": told}) if arguments.json else told)
    return 0
