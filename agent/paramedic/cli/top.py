"""live workers and programs with their real memory: RSS, PSS, USS and growth, without memory-report

Like uwsgitop, for uWSGI and for supervised programs with their process trees. It reads /proc and the stats sockets by
itself and touches nothing; it works without an agent, and without a configuration on what it finds running. Where an
agent runs, its record gives the growth of the last hour at once, and its open incidents are shown by name.

Keys: r p u sort by RSS, PSS, USS; s by slope; R by requests; i by id; space pauses; arrows and pages scroll; h help;
q quits. Without a terminal that can place the cursor it prints one page after the other until Ctrl-C.

Reading PSS, USS and swap costs the host, so after the first look they are read in turn (2 % of a CPU); READ AGO says
how old they are where that is more than 15 s. Exit 3 (only --once): something could not be told.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import sys
from collections.abc import Mapping
from pathlib import Path

from paramedic.cli.common import NoAgent, published, settings_at
from paramedic.cli.pause import seconds_of
from paramedic.host import clock
from paramedic.host.proc import Proc
from paramedic.model.stack import Settings
from paramedic.settings import DEFAULT_PATH
from paramedic.top.columns import SORTS
from paramedic.top.document import as_document
from paramedic.top.live import show, watch
from paramedic.top.looks import CPU_SHARE, Looks

INTERVAL_S = 2.0
SHORTEST_S = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Once or live, how often, and in which order."""
    parser.add_argument("--once", action="store_true", help="print one table and leave (with --json: one document)")
    parser.add_argument(
        "--interval",
        type=seconds_of,
        metavar="DURATION",
        help="between two looks (default: 2s); with --once it looks twice, so that requests/s can be told",
    )
    parser.add_argument("--sort", choices=("id", *SORTS), default="id", help="the largest first (default: by id)")


def main(arguments: argparse.Namespace) -> int:
    """0; 2 for --json without --once; 3 if --once could not tell something."""
    if arguments.json and not arguments.once:
        print("paramedic: --json prints one document: write top --once --json", file=sys.stderr)
        return 2
    logging.getLogger("paramedic").addHandler(logging.NullHandler())
    is_configured = bool(arguments.config) or Path(DEFAULT_PATH).exists()
    settings = settings_at(arguments.config) if is_configured else None
    interval_s = max(SHORTEST_S, arguments.interval or INTERVAL_S)
    each_look_s = math.inf if arguments.once else interval_s * CPU_SHARE
    looks = Looks(settings, Proc(), each_look_s, lambda: _agent(settings))
    if not arguments.once:
        watch(looks.look, interval_s, arguments.sort, clock.local_zone())
        return 0
    found = looks.look()
    if arguments.interval:
        clock.rest(interval_s)
        found = looks.look()
    print(json.dumps(as_document(found)) if arguments.json else show(found, arguments.sort, clock.local_zone()))
    return 3 if found.unknown else 0


def _agent(settings: Settings | None) -> tuple[str, Mapping[str, tuple[str, ...]]]:
    """One sentence about the agent, and the diagnoses of its open incidents by subject."""
    if settings is None:
        return f"no {DEFAULT_PATH}: looking at what runs here", {}
    try:
        document = published(settings)
        found: dict[str, tuple[str, ...]] = {}
        for incident in document["incidents"]:
            subject = str(incident["subject"])
            found[subject] = (*found.get(subject, ()), str(incident["diagnosis"]))
        return f"agent {document['agent']['pid']}: {document['sentence']}", found
    except NoAgent as none:
        return str(none), {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"cannot read what the agent published: {getattr(error, 'strerror', None) or repr(error)}", {}
