"""Paths that match a pattern of somebody's conf, as glob(3) without `**`, but never by a walk over the whole host."""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import os
from collections.abc import Iterable

MOST_LOOKED_AT = 10_000


def matching(patterns: Iterable[str]) -> list[str]:
    """The paths that match each pattern, sorted, one pattern after the other; ValueError where that means to look at
    more than MOST_LOOKED_AT names, or for a pattern that is none.
    """
    found: list[str] = []
    left = MOST_LOOKED_AT
    for pattern in patterns:
        if "\0" in pattern:
            raise ValueError("a NUL is no part of a path")
        paths = ["/" if pattern.startswith("/") else ""]
        for part in filter(None, pattern.split("/")):
            if not glob.has_magic(part):
                paths = [os.path.join(path, part) for path in paths]
                continue
            names = [os.path.join(path, name) for path in paths for name in _names(path, left)]
            left -= len(names) + len(paths)
            if left < 0:
                raise ValueError(f"{pattern[:200]} matches too much: more than {MOST_LOOKED_AT} names to look at")
            paths = [name for name in names if _is_like(os.path.basename(name), part)]
        found += sorted(path for path in paths if os.path.lexists(path))
    return found


def _names(folder: str, most: int) -> list[str]:
    found: list[str] = []
    with contextlib.suppress(OSError), os.scandir(folder or ".") as entries:
        for entry in entries:
            found.append(entry.name)
            if len(found) > most:
                break
    return found


def _is_like(name: str, part: str) -> bool:
    return (name[0] != "." or part[0] == ".") and fnmatch.fnmatchcase(name, part)
