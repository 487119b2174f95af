"""run the agent in the foreground, for systemd or a terminal

It looks at the stack every interval, and at once when a guarded socket is deleted or a daemon ends; it
heals what its policies say and verifies that it worked. SIGTERM and SIGINT end it; what it started lives on.
SIGHUP, or a changed file, makes it take over its policies anew: all if all are valid, else the old ones stay.
"""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import replace

from paramedic.cli.common import settings_at
from paramedic.host import journald
from paramedic.host.lock import Locked
from paramedic.model.stack import Mode
from paramedic.rulebook import Rulebook


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--observe and --once."""
    parser.add_argument(
        "--observe", action="store_true", help="decide, record and say what would be done; touch nothing"
    )
    parser.add_argument("--once", action="store_true", help="one look, with the repairs it leads to; 1 if not healed")


def main(arguments: argparse.Namespace) -> int:
    """Run until a signal, or once."""
    from paramedic.daemon import Daemon

    if journald.is_there():
        logging.basicConfig(handlers=[journald.JournalHandler()], level=logging.INFO, format="%(message)s")
    else:
        logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    settings = settings_at(arguments.config)
    if arguments.observe:
        settings = replace(settings, mode=Mode.OBSERVE)
    try:
        return Daemon(settings, Rulebook(settings.policies)).run(arguments.once)
    except Locked as locked:
        print(f"paramedic: {locked}", file=sys.stderr)
        return 1
