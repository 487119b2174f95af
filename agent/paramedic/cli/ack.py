"""take an incident over: the agent does nothing about it and tells nobody, until it is over or given back

It still watches, and closes the incident when its symptom is gone. `paramedic resume INCIDENT` gives it back.
"""

from __future__ import annotations

import argparse
import json
import sys

from paramedic import orders
from paramedic.cli.common import journal_of, settings_at


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which, and why."""
    parser.add_argument("incident", metavar="INCIDENT", help="its id, from status or history")
    parser.add_argument("--why", default="no reason given", metavar="TEXT", help="for whoever reads status meanwhile")


def main(arguments: argparse.Namespace) -> int:
    """0 when the order stands, 2 where no such incident is open."""
    settings = settings_at(arguments.config)
    journal = journal_of(settings)
    found = {incident.id: incident for incident in journal.open_incidents()} if journal else {}
    if arguments.incident not in found:
        known = ", ".join(found) or "none is open"
        print(f"paramedic: cannot take over {arguments.incident}: no such open incident; {known}", file=sys.stderr)
        return 2
    orders.keep_only(settings.state_dir, set(found))
    orders.acknowledge(settings.state_dir, arguments.incident, arguments.why)
    mine = found[arguments.incident]
    told = f"{mine.id} ({mine.diagnosis} on {mine.subject}) is yours: {arguments.why}"
    print(json.dumps({"sentence": told}) if arguments.json else told)
    return 0
