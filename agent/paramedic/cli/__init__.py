"""One module per verb: each parses, calls and prints; there is no logic here.

Exit codes: 0 fine, 1 findings or not healed, 2 usage or configuration, 3 could not tell.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import paramedic
from paramedic.cli import ack, check, doctor, explain, history, pause, replay, restore_socket, resume, run, status, test
from paramedic.journal import JournalUnusable
from paramedic.policy.load import PolicyErrors
from paramedic.settings import DEFAULT_PATH, SettingsError

VERBS = {
    "run": run,
    "doctor": doctor,
    "status": status,
    "history": history,
    "explain": explain,
    "check": check,
    "test": test,
    "replay": replay,
    "pause": pause,
    "resume": resume,
    "ack": ack,
    "restore-socket": restore_socket,
}
_EPILOG = "exit codes: 0 fine, 1 findings or not healed, 2 usage or configuration, 3 could not tell"


def parser() -> argparse.ArgumentParser:
    """The command line, one subcommand for each verb."""
    top = argparse.ArgumentParser(
        prog="paramedic",
        description="The first responder for unattended Django servers on uWSGI, Supervisor and Daphne.",
        epilog=_EPILOG,
    )
    top.add_argument("--version", action="version", version=f"paramedic {paramedic.__version__}")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, module in VERBS.items():
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
    return top


def run_cli(words: Sequence[str]) -> int:
    """Run one verb; the exit code."""
    arguments = parser().parse_args(words)
    try:
        return int(VERBS[arguments.verb].main(arguments))
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
