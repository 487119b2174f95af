"""run policies over recorded samples: what would have happened, when and why, and the difference to what did

The agent records every look; a week of it is kept. Nothing is touched. Try changed policies with --policies
before they act.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from paramedic.cli.common import journal_of, policies_of, settings_at, when
from paramedic.cli.pause import seconds_of
from paramedic.engine import Stance
from paramedic.host import clock
from paramedic.journal import facts_from_json, facts_to_json, recorded
from paramedic.model.facts import Facts
from paramedic.model.policy import Policy
from paramedic.model.record import Attempt
from paramedic.model.stack import Mode, Settings
from paramedic.model.units import render_seconds
from paramedic.replay import Replayed, Would, replay
from paramedic.rulebook import files_of, load_files


class SampleError(Exception):
    """A sample file cannot be used; the message names the line."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which samples, and which policies."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--since", type=seconds_of, default=86400.0, metavar="DURATION", help="e.g. 7d (default: 1d)")
    where.add_argument("--samples", metavar="FILE", help="samples as JSON lines, as --save writes them")
    parser.add_argument("--policies", action="append", metavar="FILE", help="these policies instead of the configured")
    parser.add_argument("--save", metavar="FILE", help="write the samples to a file instead of running policies")


def main(arguments: argparse.Namespace) -> int:
    """0; 1 where something would differ from what happened; 2 for a file that cannot be used; 3 without samples."""
    settings = None if arguments.samples and arguments.policies else settings_at(arguments.config)
    try:
        if arguments.save:
            return _save(arguments.save, _samples(arguments, settings))
        policies = load_files(files_of(arguments.policies)) if arguments.policies else _configured(settings)
        happened = [] if arguments.samples else _happened(settings, clock.wall() - arguments.since)
        interval = settings.interval_s if settings else 5.0
        stance = Stance(interval_s=interval, zone=clock.local_zone(), host=os.uname().nodename)
        if settings and settings.mode is Mode.OBSERVE:
            stance = replace(stance, is_observing=True)
        found = replay(policies, _samples(arguments, settings), happened, stance)
    except SampleError as wrong:
        print(f"paramedic: {wrong}", file=sys.stderr)
        return 2
    if not found.passes:
        where = f"in {arguments.samples}" if arguments.samples else "there yet: the agent records them minute by minute"
        print(f"no samples {where}", file=sys.stderr)
        return 3
    print(json.dumps(_document(found))) if arguments.json else _print(found)
    return 1 if found.missing or any(would.did is None for would in found.would) else 0


def _configured(settings: Settings | None) -> tuple[Policy, ...]:
    return policies_of(settings) if settings else ()


def _samples(arguments: argparse.Namespace, settings: Settings | None) -> Iterator[Facts]:
    if arguments.samples:
        yield from _from_file(arguments.samples)
        return
    journal = journal_of(settings) if settings else None
    since = clock.wall() - arguments.since
    if journal is not None:
        yield from recorded(journal.samples(since), since)


def _from_file(name: str) -> Iterator[Facts]:
    """One sample at a time: a week of them is large."""
    last = 0.0
    try:
        with open(name, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    if line.strip():
                        facts = facts_from_json(json.loads(line))
                        if facts.wall < last:
                            raise ValueError("it is older than the one before; sort them by wall")
                        last = facts.wall
                        yield facts
                except (ValueError, RecursionError) as error:
                    raise SampleError(f"{name}:{number}:1: cannot read this sample: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SampleError(f"{name}:1:1: cannot read it: {getattr(error, 'strerror', None) or error}") from error


def _save(name: str, samples: Iterator[Facts]) -> int:
    count = 0
    try:
        with open(name, "w", encoding="utf-8") as file:
            for facts in samples:
                file.write(json.dumps(facts_to_json(facts), separators=(",", ":")) + "\n")
                count += 1
    except OSError as error:
        raise SampleError(f"{name}:1:1: cannot write it: {error.strerror}") from error
    print(f"{count} samples written to {Path(name).absolute()}")
    return 0


def _happened(settings: Settings | None, since: float) -> list[Attempt]:
    """The recorded attempts."""
    journal = journal_of(settings) if settings else None
    if journal is None:
        return []
    found = journal.recent_attempts(clock.wall(), clock.monotonic())
    return [attempt for attempt in found if attempt.started_wall >= since]


def _print(found: Replayed) -> None:
    lasted = render_seconds(found.last - found.first)
    print(f"{found.passes} samples, {when(found.first)} to {when(found.last)} ({lasted}); {found.incidents} incidents")
    lines = [(would.wall, _line(would)) for would in found.would]
    lines += [(h.wall, f"    {h.policy} on {h.subject} holds ({h.guard}): {h.reason}") for h in found.held]
    lines += [
        (a.started_wall, f"  - {a.policy}: {a.action} on {a.target} did happen ({a.status}), and would not")
        for a in found.missing
    ]
    for wall, line in sorted(lines, key=lambda pair: pair[0]):
        print(f"{when(wall)}{line}")
    new = sum(would.did is None for would in found.would)
    same, fewer = len(found.would) - new, len(found.missing)
    print(f"{len(found.would)} actions: {same} as they happened, {new} that did not; {fewer} that happened are missing")


def _line(would: Would) -> str:
    mark, did = ("  +", "did not happen") if would.did is None else ("   ", f"happened: {would.did.status}")
    return f"{mark} {would.policy}: {would.action} on {would.target}: {would.why} ({did})"


def _document(found: Replayed) -> dict[str, object]:
    return {
        "samples": found.passes,
        "first": found.first,
        "last": found.last,
        "incidents": found.incidents,
        "would": [
            {"at": w.wall, "policy": w.policy, "subject": str(w.subject), "action": w.action, "target": str(w.target)}
            | {"why": w.why, "did": w.did.status.value if w.did else None}
            for w in found.would
        ],
        "held": [
            {"at": h.wall, "policy": h.policy, "subject": str(h.subject), "guard": h.guard, "reason": h.reason}
            for h in found.held
        ],
        "missing": [
            {
                "at": a.started_wall,
                "policy": a.policy,
                "subject": str(a.subject),
                "action": a.action,
                "did": a.status.value,
            }
            for a in found.missing
        ],
    }
