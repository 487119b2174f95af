"""Which files an import that worked had read, and whether any of them changed since: the age of the code."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable
from pathlib import Path

from paramedic.host import files, folders, texts
from paramedic.host.digest import sha256

TRUSTED_S = 3600.0
MOST_BYTES = 8 << 20
MOST_FILES = 20_000


def note(path: str, asked: object, imported: Iterable[str], wall: float) -> None:
    """Write down what was asked (as a digest: it holds an environment) and the files; for our own eyes only. Nothing of
    an app that names more files than any has: what it says is its user's word, and would fill our memory.
    """
    imported = list(itertools.islice(imported, MOST_FILES + 1))
    if len(imported) > MOST_FILES:
        return
    names = dict.fromkeys(path for name in imported for path in (name, os.path.dirname(name)) if path)
    stamps = {name: stamp for name in names if (stamp := _stamp(name)) is not None}
    folders.own(str(Path(path).parent))
    files.write_private(path, json.dumps({"asked": _digest(asked), "wall": wall, "files": stamps}).encode())


def is_unchanged(path: str, asked: object, wall: float) -> bool:
    """Whether the same import worked within the last hour, and no file of it changed; False where it cannot be told."""
    try:
        kept = json.loads(texts.read_text(path, MOST_BYTES))
        is_recent = 0 <= wall - float(kept["wall"]) < TRUSTED_S and kept["asked"] == _digest(asked)
        return is_recent and bool(kept["files"]) and all(_stamp(name) == was for name, was in kept["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def _stamp(path: str) -> list[int] | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return [found.st_mtime_ns, found.st_size, found.st_ino]


def _digest(asked: object) -> str:
    return sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
