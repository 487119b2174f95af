"""what the agent sees now: one sentence, every subject with its values, and why it holds back

Without a running agent it says so and leaves with 3; `paramedic doctor` looks without one.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from paramedic.cli.common import settings_at, when
from paramedic.host import clock, lock
from paramedic.model.units import render_seconds

STALE_S = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing of its own."""


def main(arguments: argparse.Namespace) -> int:
    """0 all well, 1 an incident is open, 3 no agent runs."""
    settings = settings_at(arguments.config)
    pid = lock.holder(f"{settings.state_dir}/lock")
    path = Path(settings.runtime_dir) / "status.json"
    if pid is None or not path.exists():
        why = f"no paramedic runs with {settings.state_dir}; start it, or ask `paramedic doctor`"
        print(json.dumps({"agent": None, "sentence": why}) if arguments.json else why)
        return 3
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    age_s = clock.wall() - document["agent"]["at"]
    if document["agent"]["pid"] != pid or age_s > max(STALE_S, 3 * settings.interval_s):
        why = f"agent {pid} runs, but its last finished look is {render_seconds(age_s)} old: see its log"
        print(json.dumps({"agent": {"pid": pid}, "sentence": why}) if arguments.json else why)
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
    for incident in document["incidents"]:
        print(f"\n{incident['id']} {incident['diagnosis']} on {incident['subject']} since {when(incident['opened'])}")
        print(f"    {incident['evidence']}")
        for action in incident["actions"]:
            print(f"    {action['action']} {action['outcome']}: {action['detail']}")
    for hold in document["holds"]:
        print(f"\n{hold['policy']} holds on {hold['subject']} ({hold['guard']}): {hold['reason']}")
        print(f"    way out: {hold['way_out']}")
    for what, why in document["troubles"].items():
        print(f"\n{what}: {why}")
    print()
    for subject, fields in document["subjects"].items():
        values = (f"{name} {'?' if value.startswith('unknown:') else value}" for name, value in fields.items())
        print(f"{subject}: {', '.join(values)}")
