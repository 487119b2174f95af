"""look once, name what is wrong with evidence, and say what would be done

Works without a running agent and touches nothing. Without a configuration it looks at the supervisords and
uWSGI instances that it finds running.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from paramedic.cli.common import journal_of, policies_of, settings_at
from paramedic.evaluate import View, judge_of
from paramedic.facts import join
from paramedic.host.proc import Proc
from paramedic.incident import diagnosis_of
from paramedic.model.facts import Facts, Known, SubjectFacts, Unknown
from paramedic.model.policy import Policy
from paramedic.model.record import Truth
from paramedic.model.stack import Settings
from paramedic.model.units import render_seconds
from paramedic.sense.discover import discover
from paramedic.sense.host import Sensors
from paramedic.settings import DEFAULT_PATH
from paramedic.status import findings
from paramedic.windows import Windows

SHIPPED = ("shipped",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing of its own."""


def main(arguments: argparse.Namespace) -> int:
    """0 healthy, 1 findings, 3 when something cannot be told."""
    proc = Proc()
    is_configured = bool(arguments.config) or Path(DEFAULT_PATH).exists()
    settings = settings_at(arguments.config) if is_configured else Settings("", policies=SHIPPED, stack=discover(proc))
    facts = join(
        Sensors(settings.stack, proc, settings.state_dir if settings.path else "", thorough=True).read(
            known := _known(settings, proc)
        ),
        known,
    )
    found = findings(facts) + _by_policy(policies_of(settings), facts)
    unknown = {
        str(s.subject): v.reason for s in facts.subjects.values() if isinstance(v := s.fields.get("diagnosis"), Unknown)
    }
    watched = [str(subject) for subject in facts.subjects if subject.kind in ("uwsgi", "supervisor")]
    if not watched:
        unknown["stack"] = "no uWSGI and no Supervisor is configured or running: there is nothing to judge"
    if arguments.json:
        document = {"healthy": not found and not unknown, "findings": found, "unknown": unknown, "watched": watched}
        print(json.dumps(document))
    else:
        _print(found, unknown, watched, is_configured)
    return 1 if found else 3 if unknown else 0


def _known(settings: Settings, proc: Proc) -> Known:
    try:
        journal = journal_of(settings) if settings.path else None
    except PermissionError:
        journal = None
    known = journal.load_known() if journal else Known()
    return known if known.boot_id == proc.boot_id() else Known(preflights=known.preflights)


def _by_policy(policies: tuple[Policy, ...], facts: Facts) -> list[dict[str, str]]:
    """What no diagnosis names and a policy would act on, e.g. memory."""
    found = []
    view = View(facts, Windows())
    for judge in [judge_of(policy) for policy in policies if policy.at is None]:
        policy = judge.policy
        for subject in facts.of_kind(policy.watch):
            verdict = judge.verdict(subject, view)
            if verdict.truth is Truth.YES and not subject.findings and not _is_unreadable(subject):
                ladder = ", then ".join(rung.action for rung in policy.do)
                patience = f"after {render_seconds(policy.for_s)}: " if policy.for_s else ""
                name = diagnosis_of(policy.name, subject, verdict)
                row = {"diagnosis": name, "subject": str(subject.subject)}
                found.append({**row, "evidence": verdict.evidence, "repair": f"{patience}{ladder}"})
    return found


def _is_unreadable(subject: SubjectFacts) -> bool:
    return isinstance(subject.fields.get("diagnosis"), Unknown)


def _print(found: list[dict[str, str]], unknown: dict[str, str], watched: list[str], is_configured: bool) -> None:
    if not is_configured:
        print(f"no {DEFAULT_PATH}: looking at what runs here")
    for finding in found:
        print(f"{finding['diagnosis']} on {finding['subject']}\n    {finding['evidence']}\n    -> {finding['repair']}")
    for subject, reason in unknown.items():
        print(f"cannot tell about {subject}\n    {reason}")
    if not found and not unknown:
        print(f"healthy: {', '.join(watched)}")
