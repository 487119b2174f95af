"""a person takes over: do nothing and tell nobody for a while

It survives a restart of the agent and a reboot, and ends by itself. What is still wrong then is told and healed then.
"""

from __future__ import annotations

import argparse
import json
import re
import sys

from paramedic import orders
from paramedic.cli.common import NoAgent, published, settings_at, when
from paramedic.expect import compound
from paramedic.host import clock
from paramedic.host.proc import Proc
from paramedic.model.units import SECONDS, render_seconds

LONGEST_S = 7 * 86400.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How long, and why."""
    parser.add_argument("duration", type=seconds_of, metavar="DURATION", help="e.g. 30m or 2h; 7d at most")
    parser.add_argument("--why", required=True, metavar="TEXT", help="for whoever reads status meanwhile")


def seconds_of(words: str) -> float:
    """A duration on the command line."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(s|m|h|d)", words)
    seconds = float(found[1]) * SECONDS[found[2]] if found else (compound(words) or 0.0)
    if not 0 < seconds <= LONGEST_S:
        raise argparse.ArgumentTypeError(f'cannot read "{words}": write e.g. 30m or 1h30m; 7d at most')
    return seconds


def main(arguments: argparse.Namespace) -> int:
    """0 when the order stands, with or without a running agent."""
    settings = settings_at(arguments.config)
    if not arguments.why.strip():
        print("paramedic: cannot pause without a reason: write --why TEXT for whoever reads status", file=sys.stderr)
        return 2
    wall = clock.wall()
    orders.pause(settings.state_dir, arguments.duration, arguments.why, wall, clock.monotonic(), Proc().boot_id())
    until = wall + arguments.duration
    if arguments.json:
        print(json.dumps({"paused": {"why": arguments.why, "since": wall, "until": until}}))
        return 0
    print(f"paused for {render_seconds(arguments.duration)}, until {when(until)}: {arguments.why}")
    try:
        published(settings)
    except NoAgent as none:
        print(f"{none}; the pause holds for the next one")
    return 0
