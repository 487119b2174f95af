"""what the agent sees now: one sentence, every subject with its values, and why it holds back

Asks the agent itself: root and members of the group paramedic may. Without a running agent it says so and leaves
with 3; `paramedic doctor` looks without one.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from paramedic import orders
from paramedic.cli.common import NoAgent, published, settings_at, when
from paramedic.host import clock
from paramedic.host.proc import Proc
from paramedic.model.units import render_seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing of its own."""


def main(arguments: argparse.Namespace) -> int:
    """0 all well, 1 an incident is open, 3 no agent runs."""
    settings = settings_at(arguments.config)
    try:
        document = published(settings)
    except NoAgent as none:
        pause = orders.read(settings.state_dir, clock.wall(), clock.monotonic(), Proc().boot_id()).pause
        paused = {"why": pause.why, "since": pause.since, "until": pause.until} if pause else None
        waits = f"; the next one will be paused until {when(pause.until)}: {pause.why}" if pause else ""
        told = {"agent": None, "sentence": f"{none}{waits}", "paused": paused}
        print(json.dumps(told) if arguments.json else told["sentence"])
        return 3
    if arguments.json:
        print(json.dumps(document))
    else:
        _print(document)
    return 1 if document["incidents"] or document["findings"] else 0


def _print(document: dict[str, Any]) -> None:
    agent = document["agent"]
    print(document["sentence"])
    print(f"agent {agent['pid']}, mode {agent['mode']}, looked at {when(agent['at'])}")
    if document["paused"]:
        pause = document["paused"]
        print(f"paused since {when(pause['since'])} until {when(pause['until'])}: {pause['why']}")
    for finding in document["findings"]:
        if finding["subject"] == "policies":
            print(f"\n{finding['diagnosis']}: {finding['evidence']}\n    {finding['repair']}")
    _print_incidents(document)
    for policy, why in document["skipped"].items():
        print(f"\n{policy}: {why}")
    for what, why in document["troubles"].items():
        print(f"\n{what}: {why}")
    print()
    for subject, fields in document["subjects"].items():
        values = (f"{name} {'?' if value.startswith('unknown:') else value}" for name, value in fields.items())
        ago = document["read_ago"].get(subject)
        print(f"{subject}: {', '.join(values)}" + ("" if ago is None else f" (PSS and USS {render_seconds(ago)} ago)"))


def _print_incidents(document: dict[str, Any]) -> None:
    for incident in document["incidents"]:
        print(f"\n{incident['id']} {incident['diagnosis']} on {incident['subject']} since {when(incident['opened'])}")
        print(f"    policy {incident['policy']}; it began with: {incident['evidence']}")
        for action in incident["actions"]:
            print(f"    {action['action']} {action['outcome']}: {action['detail']}")
    for repair, how in document["progress"].items():
        print(f"\nunder way: {repair}: {how}")
    for hold in document["holds"]:
        print(f"\n{hold['policy']} holds on {hold['subject']} ({hold['guard']}): {hold['reason']}")
        print(f"    way out: {hold['way_out']}")
