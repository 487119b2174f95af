"""validate the configuration and every policy; all errors at once

Each error is one sentence: file:line:col: cannot ...: because; what to do.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys

from paramedic.cli.common import policies_of, settings_at
from paramedic.expect import near
from paramedic.host.proc import Proc
from paramedic.host.texts import read_text
from paramedic.model.policy import Policy
from paramedic.model.stack import Settings, Stack
from paramedic.policy.load import PolicyErrors
from paramedic.policy.reference import reference
from paramedic.policy.schema import json_schema
from paramedic.sense.host import Sensors
from paramedic.settings import SettingsError

MOST_BYTES = 1 << 20
_SECTION = re.compile(r"^[ \t]*\[([^\]\n]+)\]", re.MULTILINE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to print instead."""
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of policy files, for editors")
    parser.add_argument("--reference", action="store_true", help="print the policy reference, as Markdown")


def main(arguments: argparse.Namespace) -> int:
    """0 when everything can be used, 2 with the errors."""
    if arguments.schema or arguments.reference:
        print(json.dumps(json_schema(), indent=1) if arguments.schema else reference(), end="")
        return 0
    errors: list[str] = []
    names: list[str] = []
    watched: list[str] = []
    mode = ""
    try:
        settings = settings_at(arguments.config)
        errors += Sensors(settings.stack, Proc()).unreadable_confs()
        errors += _swapped(settings.stack)
        errors += _unusable_notify(settings)
        watched = [f"uwsgi:{e.name}" for e in settings.stack.uwsgi]
        watched += [f"supervisor:{e.name}" for e in settings.stack.supervisor]
        mode = settings.mode.value
        policies = policies_of(settings)
        names = [policy.name for policy in policies]
        errors += _unknown_instances(settings, policies)
    except (SettingsError, PolicyErrors) as wrong:
        errors += wrong.errors
    if arguments.json:
        document = {"valid": not errors, "errors": errors, "mode": mode, "watched": watched, "policies": names}
        print(json.dumps(document))
    elif not errors:
        print(f"valid: mode {mode}; watches {', '.join(watched) or 'nothing but memory: the stack is empty'}")
        print(f"{len(names)} policies: {', '.join(names)}")
    else:
        print("\n".join(errors), file=sys.stderr)
    return 2 if errors else 0


def _unknown_instances(settings: Settings, policies: tuple[Policy, ...]) -> list[str]:
    """An instance that a rung names and the stack lacks is found now, not when it is needed."""
    known = [entry.name for entry in settings.stack.uwsgi]
    named = [(policy, str(rung.args["uwsgi"])) for policy in policies for rung in policy.do if "uwsgi" in rung.args]
    return [
        f'{policy.source}:1: cannot find the uWSGI instance "{name}" in stack.uwsgi{near(name, known)}'
        for policy, name in named
        if name not in known
    ]


def _swapped(stack: Stack) -> list[str]:
    """An ini and a conf in each other's place: each reads as one that says nothing."""
    named = [(entry.ini, "uwsgi", f"stack.uwsgi.{entry.name}.ini") for entry in stack.uwsgi]
    named += [(entry.conf, "supervisord", f"stack.supervisor.{entry.name}.conf") for entry in stack.supervisor]
    found = []
    for path, section, place in named:
        other = "supervisord" if section == "uwsgi" else "uwsgi"
        with contextlib.suppress(OSError, ValueError):  # what cannot be read is told already
            sections = set(_SECTION.findall(read_text(path, MOST_BYTES)))
            if section not in sections and other in sections:
                why = f"it has a section [{other}] and none [{section}]"
                found.append(f"{path}:1:1: cannot use it as {place}: {why}; write the path of the other file there")
    return found


def _unusable_notify(settings: Settings) -> list[str]:
    """A pager that cannot be run is found now, not at 3 am."""
    program = settings.notify.command[:1]
    if not program or os.access(program[0], os.X_OK):
        return []
    return [f"{settings.path}:1:1: cannot run {program[0]} as notify.command: it does not exist or is not executable"]
