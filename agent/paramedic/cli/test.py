"""run timeline tests of policies: given these samples, this must be judged, held and done at these times

The format is in docs/policy-tests.md. Nothing is touched and no agent is needed; the engine is the live agent's own.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from paramedic import expect
from paramedic.document import MAX_BYTES
from paramedic.host.texts import read_text
from paramedic.model.policy import Policy
from paramedic.policy.load import PolicyErrors
from paramedic.rehearsal import Played, Rehearsal, failure, load_rehearsals, play, policies_named
from paramedic.rulebook import files_of, load_files, shipped_policies


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which files."""
    parser.add_argument("files", nargs="*", metavar="FILE", help="test files or folders; left out: the shipped ones")
    parser.add_argument("-v", "--verbose", action="store_true", help="name the tests that pass, too")


def main(arguments: argparse.Namespace) -> int:
    """0 all pass, 1 some fail, 2 a file cannot be used."""
    rehearsals: list[Rehearsal] = []
    errors: list[str] = []
    for path in _paths(arguments.files or [str(shipped_policies() / "tests")]):
        found, wrong = read_tests(path)
        rehearsals += found
        errors += wrong
    if errors or not rehearsals:
        print("\n".join(errors) or "cannot find any test: name a file or folder", file=sys.stderr)
        return 2
    played = [play(one) for one in rehearsals]
    if arguments.json:
        print(json.dumps([_row(one) for one in played]))
    else:
        _print(played, arguments.verbose)
    return 1 if any(one.failures for one in played) else 0


def read_tests(path: Path) -> tuple[list[Rehearsal], list[str]]:
    """(the tests of a file, errors). Its policies are files relative to it, or `shipped`."""
    try:
        text = read_text(str(path), MAX_BYTES)
    except (OSError, ValueError) as error:
        return [], [f"{path}:1:1: cannot read it: {getattr(error, 'strerror', None) or error}"]
    named, errors = policies_named(text, str(path))
    names: Iterable[str] = ()
    if named is not None:
        items = named.value if isinstance(named.value, list) else [named]
        names = [name for item in items if (name := expect.text(item, "a policy file", errors))]
    if errors:
        return [], errors
    try:
        policies: tuple[Policy, ...] = load_files(
            files_of(name if name == "shipped" else str(path.parent / name) for name in names)
        )
    except PolicyErrors as wrong:
        return [], wrong.errors
    return load_rehearsals(text, str(path), policies)


def _paths(names: Iterable[str]) -> list[Path]:
    return [path for name in map(Path, names) for path in (sorted(name.glob("*.yaml")) if name.is_dir() else [name])]


def _print(played: list[Played], is_verbose: bool) -> None:
    for one in played:
        if one.failures:
            print(f"{failure(one)}\n")
        elif is_verbose:
            print(f"pass {one.rehearsal.name}")
    failed = sum(bool(one.failures) for one in played)
    print(f"{len(played) - failed} passed, {failed} failed")


def _row(one: Played) -> dict[str, object]:
    mine = one.rehearsal
    return {"file": mine.file, "line": mine.line, "test": mine.name, "failures": list(one.failures)}
