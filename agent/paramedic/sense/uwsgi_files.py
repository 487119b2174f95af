"""Reads an ini and what it includes into one list of options, in the order in which uWSGI 2.0 takes them.

core/ini.c for the lines, core/config.c add_exported_option for loops and conditions. Whether those apply is decided
when uWSGI starts, on its host, environment and files of that moment: what they hold is kept, marked undecided.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

from paramedic.host import texts
from paramedic.host.writers import readable_by
from paramedic.sense.uwsgi_magic import UNKNOWN, Launch, Magic
from paramedic.sense.uwsgi_options import ABOUT_A_PATH, DECLARES, ENDS, IMMEDIATE, LOGIC, OTHER_FORMATS, SETS

MAX_INCLUDES = 16
MAX_FILES = 200
MAX_OPTIONS = 20_000
MAX_BYTES = 1 << 20
_SCHEMES = ("emperor://", "http://", "data://", "sym://", "section://", "fd://", "exec://", "call://", "callint://")
_BLANK = " \t\r"


class IncludeUnreadable(ValueError):
    """An included file cannot be read; with such an include uWSGI does not start."""


@dataclass(slots=True)
class Option:
    """One `key = value`; not `decided` inside a loop or condition, where it may be left out.

    `expands` is false for what uWSGI takes at once, and so never expands.
    """

    key: str
    value: str
    decided: bool = True
    expands: bool = True

    @property
    def is_known(self) -> bool:
        """Whether it counts for sure, and its value does not depend on what only the running uWSGI knows."""
        return self.decided and UNKNOWN not in self.value


class IniFiles:
    """The options of one instance as they are read; `files` are the ini and everything it includes."""

    def __init__(self, launch: Launch, ini: str) -> None:
        self.options: list[Option] = []
        self.files: list[str] = []
        self.folders = tuple(dict.fromkeys((*launch.folders, str(Path(ini).parent))))
        self._magic = Magic(launch, self.folders[0])
        self._declared: dict[str, str] = {}
        self._logic: tuple[str, str] | None = None
        self._last_file = ini
        self._depth = 0
        self._within = 0
        self._is_late = False

    def load(self, named: str, keeps_upper: bool = False) -> None:
        """`FILE` or `FILE:SECTION`, the section being `uwsgi` if none is named.

        Raises OSError where the ini itself cannot be read, else ValueError.
        """
        name, section = split_section(named)
        path = self._find(name) if name else self._last_file
        if self._depth > MAX_INCLUDES:
            raise ValueError(f"{path}: includes are nested deeper than {MAX_INCLUDES}")
        if len(self.files) >= MAX_FILES:
            raise ValueError(f"{path}: more than {MAX_FILES} files are included")
        content = self._content(path)
        self.files.append(path)
        self._last_file = path
        self._magic.enter(path, name, section, not name, keeps_upper)
        self._depth += 1
        try:
            for key, value in _lines(self._magic.put(content), section or "uwsgi"):
                self._add(key, value)
        finally:
            self._depth -= 1

    def load_late(self, named: str) -> None:
        """A file of `inherit =`: its options come last, when nothing is expanded any more."""
        self._is_late = True
        self._include("include", named)

    def _content(self, path: str) -> bytes:
        try:
            if self.files and not readable_by(path, os.stat(self.files[0]).st_uid):
                raise PermissionError(errno.EACCES, "the owner of the ini may not read it", path)
            return read_small(path)
        except OSError as error:
            if not self.files:
                raise
            raise IncludeUnreadable(f"{self._last_file} includes {path}: {error.strerror or error}") from error

    def _find(self, name: str) -> str:
        """The file in the folder uWSGI was started in; where that is not known, in the first that has it."""
        paths = [os.path.normpath(os.path.join(folder, name)) for folder in self.folders]
        return next((path for path in paths if os.path.exists(path)), paths[0])

    def _add(self, key: str, value: str) -> None:
        if len(self.options) >= MAX_OPTIONS:
            raise ValueError(f"{self.files[0]}: more than {MAX_OPTIONS} options")
        if key in ENDS and not self._within:
            self._logic = None
        elif self._logic is None or self._within:
            self._take(key, value)
        else:
            self._leave(key, value, *self._logic)

    def _take(self, key: str, value: str) -> None:
        expands = key not in IMMEDIATE and not self._is_late
        self.options.append(Option(key, value, not self._within and key not in OTHER_FORMATS, expands))
        if key in LOGIC and not self._within:
            self._logic = (key, value)
        elif key in ("ini", "include"):
            self._include(key, value)
        elif key in SETS:
            self._set(key, value)
        elif key in DECLARES:
            name, _, template = value.partition("=")
            self._declared[name] = template
        elif key in self._declared:
            self.options += [Option(k, "", False) for k in _keys(self._declared[key])]

    def _include(self, key: str, value: str) -> None:
        """`include` takes other formats by their ending too, and no section; an unread file may set anything."""
        is_ini = key == "ini" or value.endswith(".ini")
        if value == "-" or value.startswith(_SCHEMES) or UNKNOWN in value or not is_ini:
            self.options.append(Option(key, value, False, False))
            return
        self.load(value, keeps_upper=key == "include")

    def _set(self, key: str, value: str) -> None:
        name, equals, given = value.partition("=")
        if not equals:
            raise ValueError(f"{self.files[-1]}: {key} = {value[:80]}: uWSGI wants NAME=VALUE there")
        if key == "set":
            self._take(name, given)
        else:
            self.options.append(Option(name, given, not self._within, False))

    def _leave(self, key: str, value: str, logic: str, argument: str) -> None:
        """An option inside a loop or condition. A file that it would include is read, to know what it would set."""
        self._within += 1
        for filled in _filled(value, logic, argument):
            if key not in ("ini", "include"):
                self._take(key, filled)
                continue
            try:
                self._include(key, filled)
            except IncludeUnreadable:
                self.options.append(Option(key, filled, False, False))
        self._within -= 1


def split_section(named: str) -> tuple[str, str]:
    """`FILE:SECTION` at its last colon, as core/ini.c has it; the section is empty where there is none."""
    file, colon, section = named.rpartition(":")
    return (file, section) if colon else (named, "")


def _filled(value: str, logic: str, argument: str) -> list[str]:
    """What `%(_)` can be in the body of a loop or condition; UNKNOWN where only its uWSGI can say."""
    if "%(_)" not in value:
        return [value]
    words = argument.split(" ")[:MAX_INCLUDES] if logic == "for" else [argument] if logic in ABOUT_A_PATH else [UNKNOWN]
    return [value.replace("%(_)", word) for word in words if word]


def _keys(template: str) -> list[str]:
    return [part.partition("=")[0] for part in template.split(";") if "=" in part]


def _lines(text: str, section: str) -> list[tuple[str, str]]:
    """The keys and values of the section, as core/ini.c reads them: no continuation, no comment after a value."""
    found: list[tuple[str, str]] = []
    current = ""
    for line in text.split("\n"):
        content = line.strip(_BLANK)
        if content.startswith("["):
            current = content[1:-1]
        elif content and content[0] not in ";#" and current == section:
            key, _, value = content.partition("=")
            found.append((key.rstrip(_BLANK), value.strip(_BLANK)))
    return found


def read_small(path: str, limit: int = MAX_BYTES) -> bytes:
    """A regular file, without what follows a NUL in a line, where C's strings end; raises OSError or ValueError."""
    try:
        found = texts.opened(path)
    except ValueError as error:
        raise ValueError(f"{path} is {error}") from error
    with open(found, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"{path}: larger than {limit // 1024} KiB")
    return b"\n".join(line.partition(b"\0")[0] for line in data.split(b"\n"))
