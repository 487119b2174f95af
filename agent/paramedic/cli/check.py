"""validate the configuration and every policy; all errors at once

Each error is one sentence: file:line:col: cannot ...: because; what to do.
"""

from __future__ import annotations

import argparse
import json
import sys

from paramedic.cli.common import policies_of, settings_at
from paramedic.host.proc import Proc
from paramedic.policy.load import PolicyErrors
from paramedic.sense.host import Sensors
from paramedic.settings import SettingsError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing of its own."""


def main(arguments: argparse.Namespace) -> int:
    """0 when everything can be used, 2 with the errors."""
    errors: list[str] = []
    names: list[str] = []
    try:
        settings = settings_at(arguments.config)
        errors += Sensors(settings.stack, Proc()).unreadable_confs()
        names = [policy.name for policy in policies_of(settings)]
    except (SettingsError, PolicyErrors) as wrong:
        errors += wrong.errors
    if arguments.json:
        print(json.dumps({"valid": not errors, "errors": errors, "policies": names}))
    elif not errors:
        print(f"valid: {len(names)} policies ({', '.join(names)})")
    else:
        print("\n".join(errors), file=sys.stderr)
    return 2 if errors else 0
