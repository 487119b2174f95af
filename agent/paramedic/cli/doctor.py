"""look once, name what is wrong with evidence, and say what would be done

Works without a running agent and touches nothing. Without a configuration, or with one that names nothing to look
after, it looks at the supervisords, the uWSGI instances and the services' sockets in cleaned folders that it finds
running, and says whose the Daphnes are. The advice on uWSGI inis is no finding: it never changes the exit code.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from dataclasses import asdict, replace
from pathlib import Path

from paramedic.cli.common import journal_of, policies_of, settings_at
from paramedic.engine import Stance
from paramedic.evaluate import View, judge_of
from paramedic.explain import explain
from paramedic.facts import join
from paramedic.facts.advice import advise
from paramedic.host import clock
from paramedic.host.proc import Proc, readable
from paramedic.incident import diagnosis_of
from paramedic.mind import Mind
from paramedic.model.facts import Facts, Known, Subject, SubjectFacts, Unknown
from paramedic.model.found import Found
from paramedic.model.policy import Policy
from paramedic.model.readings import UwsgiReading
from paramedic.model.record import Truth
from paramedic.model.stack import Settings, Stack
from paramedic.model.units import render_seconds
from paramedic.policy.load import PolicyErrors
from paramedic.sense.cleaned_sockets import with_sockets
from paramedic.sense.cleaners import cleaners
from paramedic.sense.discover import discover
from paramedic.sense.host import Sensors
from paramedic.sense.uwsgi_magic import given_elsewhere
from paramedic.settings import DEFAULT_PATH
from paramedic.status import findings
from paramedic.windows import Windows

SHIPPED = ("shipped",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing of its own."""


def main(arguments: argparse.Namespace) -> int:
    """0 healthy, 1 findings, 3 when something cannot be told."""
    proc = Proc()
    has_file = bool(arguments.config) or Path(DEFAULT_PATH).exists()
    settings = settings_at(arguments.config) if has_file else Settings("", policies=SHIPPED)
    is_configured = settings.stack != Stack()
    here = Found() if is_configured else with_sockets(discover(proc), cleaners(), proc)
    settings = settings if is_configured else replace(settings, stack=here.stack)
    sensors = Sensors(settings.stack, proc, settings.state_dir if settings.path else "", thorough=True)
    known = _known(settings, proc)
    facts = join(sensors.read(known), known)
    unknown = {
        str(s.subject): v.reason for s in facts.subjects.values() if isinstance(v := s.fields.get("diagnosis"), Unknown)
    }
    unknown |= here.unknown
    found = findings(facts) + _by_policy(_usable(settings, unknown), facts)
    watched = [str(subject) for subject in facts.subjects if subject.kind in ("uwsgi", "supervisor", "socket")]
    if not watched:
        unknown["stack"] = "no uWSGI and no Supervisor is configured or running: there is nothing to judge"
    advice = _advice(sensors, facts, proc)
    if arguments.json:
        document = {"healthy": not found and not unknown, "findings": found, "unknown": unknown, "watched": watched}
        print(json.dumps({**document, "advice": advice} | ({} if is_configured else {"seen": here.seen})))
    else:
        if not is_configured:
            without = f"{settings.path} names nothing to look after" if has_file else f"no {DEFAULT_PATH}"
            print(f"{without}: looking at what runs here")
        _print(found, unknown, watched)
        _print_advice(advice)
        if here.seen:
            print("\nalso seen here:", *map(readable, here.seen), sep="\n    ")
    return 1 if found else 3 if unknown else 0


def _advice(sensors: Sensors, facts: Facts, proc: Proc) -> list[dict[str, str]]:
    """The audit of every ini that can be read, with the version of the uWSGI that runs it, if one does."""
    found = []
    for name, sensor in sensors.uwsgi.items():
        with contextlib.suppress(OSError, ValueError):
            conf, version = sensor.conf(), ""
            subject = facts.subjects.get(Subject("uwsgi", name))
            if subject and isinstance(subject.reading, UwsgiReading):
                version = subject.reading.version
                given = given_elsewhere(subject.reading.master.pid, proc)
                conf = replace(conf, undecided=(*conf.undecided, *given))
            found += [{"subject": f"uwsgi:{name}", **asdict(advice)} for advice in advise(conf, version)]
    return found


def _known(settings: Settings, proc: Proc) -> Known:
    try:
        journal = journal_of(settings) if settings.path else None
    except PermissionError:
        journal = None
    known = journal.load_known() if journal else Known()
    return known if known.boot_id == proc.boot_id() else Known(preflights=known.preflights)


def _usable(settings: Settings, unknown: dict[str, str]) -> tuple[Policy, ...]:
    """The policies; none where they cannot be used, which hides no diagnosis and is told in `unknown`."""
    try:
        return policies_of(settings)
    except PolicyErrors as wrong:
        more = f" and {len(wrong.errors) - 1} more: paramedic check" if len(wrong.errors) > 1 else ""
        unknown["policies"] = f"they cannot be used, and what they look at is left out: {wrong.errors[0]}{more}"
        return ()


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
                held = _would_not_help(policy, subject.subject, facts)
                name = diagnosis_of(policy.name, subject, verdict)
                row = {"diagnosis": name, "subject": str(subject.subject)}
                found.append({**row, "evidence": verdict.evidence, "repair": held or f"{patience}{ladder}"})
    return found


def _would_not_help(policy: Policy, subject: Subject, facts: Facts) -> str:
    """Why the agent would hold back for as long as somebody else has the memory."""
    stance = Stance(True, 0.0, clock.local_zone(), os.uname().nodename)
    guards = dict(explain(Mind(), policy, subject, facts, Windows(), stance).guards)
    hold = guards.get("cannot help")
    return f"nothing: {hold.reason}; way out: {hold.way_out}" if hold else ""


def _is_unreadable(subject: SubjectFacts) -> bool:
    return isinstance(subject.fields.get("diagnosis"), Unknown)


def _print(found: list[dict[str, str]], unknown: dict[str, str], watched: list[str]) -> None:
    for finding in found:
        found_so, then = readable(finding["evidence"]), readable(finding["repair"])
        print(f"{finding['diagnosis']} on {readable(finding['subject'])}\n    {found_so}\n    -> {then}")
    for subject, reason in unknown.items():
        print(f"cannot tell about {readable(subject)}\n    {readable(reason)}")
    if not found and not unknown:
        print(f"healthy: {readable(', '.join(watched))}")


def _print_advice(advice: list[dict[str, str]]) -> None:
    if advice:
        print("\nadvice on the inis, of which nothing is broken now:")
    for one in advice:
        print(f"{one['option']} on {one['subject']}\n    {one['why']}\n    -> {one['line']}")
