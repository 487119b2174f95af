"""find what runs here and write the commented configuration, in observe mode

Finds uWSGI masters, supervisords, Daphnes, and the sockets of services in folders that a cleanup empties; proves each
by its process and writes that beside it. Touches nothing else. As root, or it sees only your own processes.

A file that is already there is replaced only with --force, or when it sets nothing but `mode: observe`, as after
`make install`; what was there stays beside it as NAME.aside-SECONDS.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from paramedic.cli.common import when
from paramedic.document import DocumentError
from paramedic.host import clock
from paramedic.host.beside import write_beside
from paramedic.host.proc import Proc
from paramedic.model.found import Found
from paramedic.sense.cleaned_sockets import with_sockets
from paramedic.sense.cleaners import cleaners
from paramedic.sense.discover import discover
from paramedic.settings import DEFAULT_PATH, sets_nothing
from paramedic.starter import command_of, exclusion, starter


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to, and over what."""
    parser.add_argument("--output", metavar="FILE", help=f"where to write, - for stdout (default: {DEFAULT_PATH})")
    parser.add_argument("--force", action="store_true", help="replace a file that is there, keeping it beside")


def main(arguments: argparse.Namespace) -> int:
    """0 written or printed; 2 where a file is there that somebody wrote."""
    found = with_sockets(discover(Proc()), cleaners(), Proc())
    text = starter(found, when(clock.wall())[:10])
    path = arguments.output or arguments.config or DEFAULT_PATH
    if path == "-":
        print(text, end="")
        return 0
    refusal = None if arguments.force else _refusal(path)
    if refusal is not None:
        print(f"paramedic: {refusal}", file=sys.stderr)
        return 2
    try:
        aside = write_beside(os.path.abspath(path), text.encode(), str(int(clock.wall())))
    except OSError as error:
        print(f"paramedic: cannot write {path}: {error.strerror}; write --output FILE", file=sys.stderr)
        return 2
    lines = exclusion(found)
    if arguments.json:
        print(json.dumps({"written": path, "aside": aside, "tmpfiles": lines, **_document(found)}))
    else:
        _tell(found, path, aside, lines)
    return 0


def _refusal(path: str) -> str | None:
    """Why the file at this path stays."""
    try:
        if not os.path.lexists(path) or sets_nothing(path):
            return None
    except (OSError, ValueError, DocumentError) as error:
        why = getattr(error, "strerror", None) or error
        return f"cannot replace {path}: it cannot be read ({why}); write --force, or --output - to look first"
    return f"cannot replace {path}: somebody wrote it; write --force to replace it, or --output - to look first"


def _document(found: Found) -> dict[str, object]:
    return {
        name: [asdict(one) for one in getattr(found, name)] for name in ("uwsgi", "supervisor", "daphne", "sockets")
    }


def _tell(found: Found, path: str, aside: str | None, lines: tuple[str, ...]) -> None:
    stack = found.stack
    counts = (
        (len(stack.uwsgi), "uWSGI instance(s)"),
        (len(stack.supervisor), "supervisord(s)"),
        (len(stack.sockets), "other socket(s)"),
    )
    written = ", ".join(f"{count} {what}" for count, what in counts if count) or "nothing that runs: a template"
    print(f"wrote {path} (mode: observe): {written}")
    if os.geteuid() != 0:
        print("not run as root: the processes of other users may be missing")
    if aside:
        print(f"what was there is now {aside}")
    if lines:
        print(f"systemd-tmpfiles leaves the sockets alone once you run:\n    {command_of(lines)}")
    option = "" if path == DEFAULT_PATH else f" --config {Path(path).absolute()}"
    print("next:", f"    paramedic check{option}     # valid?", sep="\n")
    print(f"    paramedic doctor{option}    # what is wrong now, and what would be done")
    print("    systemctl enable --now paramedic" if not option else f"    paramedic run{option}")
    print("    mode: act in the file, and a restart of the agent, when you like what it says")
