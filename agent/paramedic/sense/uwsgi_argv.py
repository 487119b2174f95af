"""The ini that a running uWSGI was started with, by its command line."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from paramedic.host.proc import Proc
from paramedic.host.processes import Row
from paramedic.model.stack import UwsgiEntry
from paramedic.sense.uwsgi_files import split_section
from paramedic.sense.uwsgi_ini import read_uwsgi_conf
from paramedic.sense.uwsgi_magic import launch_of

# Options whose value is a file that uWSGI reads beside its own ini, or hands to others.
_NOT_THE_INI = frozenset(
    (
        *("--inherit", "--include", "--ini-paste", "--ini-paste-logged", "--fallback-config", "--vassals-inherit"),
        *("--vassals-include", "--vassals-inherit-before", "--vassals-include-before"),
    )
)


def ini_of(row: Row, proc: Proc) -> str | None:
    """The ini that a uWSGI serves by; its workers have the same. None for an Emperor, and where there is none."""
    found = ini_at(row, proc)
    try:
        is_emperor = (
            found is not None and read_uwsgi_conf(UwsgiEntry("", found), launch_of(row.identity.pid, proc)).is_emperor
        )
    except (OSError, ValueError):
        return found
    return None if is_emperor else found


def ini_at(row: Row, proc: Proc) -> str | None:
    """The existing ini of a uWSGI's command line, with its section, resolved against the folder it was started in."""
    if not any(Path(word).name in ("uwsgi", "pyuwsgi") for word in row.argv[:2]):
        return None
    file, section = split_section(ini_argument(row.argv) or "")
    folders = [""] if os.path.isabs(file) else launch_of(row.identity.pid, proc).folders
    places = [os.path.normpath(os.path.join(folder, file)) for folder in folders]
    found = next((place for place in places if file and Path(place).is_file()), None)
    return f"{found}:{section}" if found and section else found


def ini_it_left(row: Row, proc: Proc) -> str | None:
    """The ini of a uWSGI that was started with a relative name and has left that folder: the file of that name in a
    folder above the one it is in now, if that file's chdir= leads just there.
    """
    file, section = split_section(ini_argument(row.argv) or "")
    here = proc.link(row.identity.pid, "cwd")
    if not file or os.path.isabs(file) or here is None:
        return None
    for folder in (here, *map(str, Path(here).parents)):
        place = os.path.normpath(os.path.join(folder, file))
        entry = UwsgiEntry("", f"{place}:{section}" if section else place)
        with contextlib.suppress(OSError, ValueError):
            conf = read_uwsgi_conf(entry, launch_of(row.identity.pid, proc))
            if conf.chdir and os.path.realpath(conf.chdir) == here and not conf.is_emperor:
                return entry.ini
    return None


def ini_argument(argv: tuple[str, ...]) -> str | None:
    """The ini that a uWSGI command line names: `--ini FILE`, `--ini=FILE`, or a FILE.ini alone; None for an Emperor's.

    The Emperor gives its vassals `--ini`, and may put templates before it. Of several the last: Debian's service puts
    its defaults before each app's own.
    """
    words = list(argv[1:])
    if any(word.partition("=")[0] == "--emperor" for word in words):
        return None
    pairs = zip(words, [*words[1:], ""], strict=True)
    given = [after if word == "--ini" else word[6:] for word, after in pairs if word.partition("=")[0] == "--ini"]
    if any(given):
        return given[-1] or None
    alone = (word for before, word in zip(argv, words, strict=False) if before not in _NOT_THE_INI)
    return next((word for word in alone if word.endswith(".ini") and not word.startswith("-")), None)
