"""One module per verb: each parses, calls and prints; there is no logic here.

Exit codes: 0 fine, 1 findings or not healed, 2 usage or configuration, 3 could not tell.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

import paramedic
from paramedic.host.texts import PASSING
from paramedic.journal import JournalUnusable
from paramedic.policy.load import PolicyErrors
from paramedic.settings import DEFAULT_PATH, SettingsError

VERBS = (
    "init",
    "run",
    "doctor",
    "status",
    "top",
    "history",
    "explain",
    "check",
    "test",
    "replay",
    "pause",
    "resume",
    "ack",
    "restore-socket",
)
_EPILOG = "exit codes: 0 fine, 1 findings or not healed, 2 usage or configuration, 3 could not tell"


def parser(names: Sequence[str] = VERBS) -> argparse.ArgumentParser:
    """The command line, one subcommand for each of these verbs: the agent carries no other verb's modules along."""
    top = argparse.ArgumentParser(
        prog="paramedic",
        description="The first responder for unattended Django servers on uWSGI, Supervisor and Daphne.",
        epilog=_EPILOG,
    )
    top.add_argument("--version", action="version", version=f"paramedic {paramedic.__version__}")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name in names:
        module = importlib.import_module(f"paramedic.cli.{name.replace('-', '_')}")
        summary = (module.__doc__ or "").splitlines()[0]
        verb = verbs.add_parser(
            name,
            help=summary,
            description=module.__doc__,
            epilog=_EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        verb.add_argument("--config", metavar="FILE", help=f"the configuration (default: {DEFAULT_PATH})")
        verb.add_argument("--json", action="store_true", help="print JSON for scripts")
        module.add_arguments(verb)
        verb.set_defaults(main=module.main)
    return top


def run_cli(words: Sequence[str]) -> int:
    """Run one verb; the exit code."""
    arguments = parser(words[:1] if words and words[0] in VERBS else VERBS).parse_args(words)
    try:
        return int(arguments.main(arguments))
    except (SettingsError, PolicyErrors) as wrong:
        print("\n".join(wrong.errors), file=sys.stderr)
        return 2
    except JournalUnusable as wrong:
        print(f"paramedic: {wrong}", file=sys.stderr)
        return 3
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except PermissionError as wrong:
        print(f"paramedic: cannot use {wrong.filename}: {wrong.strerror}; run it as the agent's user", file=sys.stderr)
        return 3
    except OSError as wrong:
        if wrong.errno not in PASSING:
            raise
        print(f"paramedic: this host lacks the means now: {wrong}", file=sys.stderr)
        return 3
