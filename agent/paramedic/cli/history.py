"""incidents with what was done about them and how it ended"""

from __future__ import annotations

import argparse
import json
from typing import Any

from paramedic.cli.common import journal_of, settings_at, when
from paramedic.journal import history
from paramedic.model.units import render_bytes, render_seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How many."""
    parser.add_argument("--last", type=_count, default=100, metavar="N", help="the newest N incidents (default: 100)")


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is no number of incidents: write e.g. 10")
    return int(text)


def main(arguments: argparse.Namespace) -> int:
    """0, also where there was never an incident."""
    journal = journal_of(settings_at(arguments.config))
    incidents = history(journal, arguments.last) if journal else []
    if arguments.json:
        print(json.dumps(incidents))
        return 0
    for incident in incidents:
        _print(incident)
        for hold in journal.holds_of(incident["id"]) if journal else ():
            print(f"    held at {when(hold['at'])} ({hold['guard']}): {hold['reason']}")
    if not incidents:
        print("no incidents")
    return 0


def _print(incident: dict[str, Any]) -> None:
    lasted_s = incident["closed"] - incident["opened"] if incident["closed"] else None
    lasted = (
        "" if lasted_s is None else f" ({render_seconds(lasted_s)})" if lasted_s >= 0 else " (the clock was set back)"
    )
    print(f"{when(incident['opened'])}  {incident['diagnosis']} on {incident['subject']}: {incident['result']}{lasted}")
    print(f"    incident {incident['id']} of policy {incident['policy']}")
    print(f"    {incident['evidence']}")
    for action in incident["actions"]:
        gained = ", ".join(f"{_gain(name, value)}" for name, value in action["gained"].items())
        told = " - ".join(filter(None, (action["detail"], gained)))
        print(f"    {action['action']} {action['outcome']} after {render_seconds(action['seconds'])}: {told}")


def _gain(name: str, value: float) -> str:
    if name.endswith("bytes"):
        return f"{'host ' if name.startswith('host') else ''}memory given back {render_bytes(value)}"
    return f"{name.replace('_', ' ')} {value}"
