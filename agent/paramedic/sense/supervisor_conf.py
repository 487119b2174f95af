"""supervisord.conf through configparser, expanded like supervisor/options.py, but executing nothing."""

from __future__ import annotations

import configparser
import functools
import os
import re
import shlex
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from paramedic.host.matching import matching
from paramedic.host.processes import same_file
from paramedic.host.recipe import options_of
from paramedic.host.texts import read_text
from paramedic.host.writers import readable_by
from paramedic.model.stack import ProgramConf, SupervisorConf, SupervisorEntry

MAX_BYTES = 1 << 20
MOST_PROGRAMS, MOST_SECTIONS = 1024, 2500


class ConfUnreadable(ValueError):
    """The conf cannot be understood; the message says why."""


def read_supervisor_conf(entry: SupervisorEntry, env: dict[str, str], folder: str | None = None) -> SupervisorConf:
    """The conf of the entry; raises OSError or ConfUnreadable.

    `env` answers %(ENV_x)s. supervisord resolves relative paths against the `folder` it was started in.
    """
    here = str(Path(entry.conf).parent)
    expansions = {"here": here, "host_node_name": os.uname().nodename}
    expansions |= {f"ENV_{name}": value for name, value in env.items()}
    parser = _parser()
    included = _included(_read(parser, entry.conf), here, expansions)
    if sum(os.path.getsize(name) for name in (entry.conf, *included)) > MAX_BYTES:
        raise ConfUnreadable(f"{entry.conf} and what it includes are larger than {MAX_BYTES // 1024} KiB")
    for name in included:
        _prove_readable(name, entry.conf)
        _read(parser, name)

    def get(section: str, option: str) -> str | None:
        value = parser.get(section, option, fallback=None)
        return None if value is None else _expand(value, expansions, f"[{section}] {option}")

    def path(section: str, option: str) -> str | None:
        value = get(section, option)
        return os.path.normpath(os.path.join(folder or here, os.path.expanduser(value))) if value else None

    identifier = get("supervisord", "identifier") or "supervisor"
    expansions["identifier"] = identifier
    return SupervisorConf(
        name=entry.name,
        conf=entry.conf,
        socket=path("unix_http_server", "file"),
        username=get("unix_http_server", "username"),
        password=get("unix_http_server", "password"),
        pidfile=path("supervisord", "pidfile") or os.path.join(folder or here, "supervisord.pid"),
        logfile=path("supervisord", "logfile") or os.path.join(folder or here, "supervisord.log"),
        user=get("supervisord", "user"),
        programs=tuple(_program(parser, section, expansions) for section in _programs(parser)),
        restart=entry.restart,
        identifier=identifier,
        directory=get("supervisord", "directory"),
        files=(entry.conf, *included),
        nodaemon=(get("supervisord", "nodaemon") or "").lower() in ("true", "yes", "on", "1"),
        socket_mode=_octal(get("unix_http_server", "chmod")),
        socket_owner=get("unix_http_server", "chown"),
        control_user=entry.control_user,
    )


def read_as_started(
    entry: SupervisorEntry, env: dict[str, str], argv: tuple[str, ...], said: str | None, is_in: str | None
) -> SupervisorConf:
    """The conf as a daemon reads it that was started with `env` and `argv` in the folder `said` by its environment, and
    `is_in` another one. What that says counts only where it went elsewhere by itself (directory=, -d): whoever changes
    the folder before a start need not tell the environment. Raises as `read_supervisor_conf`.
    """
    conf = read_supervisor_conf(entry, env, said)
    given = dict(options_of(argv) or ())
    went = bool(conf.directory or given.keys() & {"-d", "--directory"})
    if went or is_in is None or (said is not None and same_file(said, is_in)):
        return as_started(conf, argv, said)
    return as_started(read_supervisor_conf(entry, env, is_in), argv, is_in)


def as_started(conf: SupervisorConf, argv: tuple[str, ...], folder: str | None = None) -> SupervisorConf:
    """The conf as overruled by the command line the daemon was started with in `folder` (supervisor/options.py)."""
    given = dict(options_of(argv) or ())
    here = folder or str(Path(conf.conf).parent)

    def path(*flags: str) -> str | None:
        value = next((given[flag] for flag in flags if given.get(flag)), None)
        return os.path.normpath(os.path.join(here, value)) if value else None

    return replace(
        conf,
        pidfile=path("-j", "--pidfile") or conf.pidfile,
        logfile=path("-l", "--logfile") or conf.logfile,
        identifier=given.get("-i") or given.get("--identifier") or conf.identifier,
    )


def _octal(text: str | None) -> int:
    """A chmod= value; 0700 is supervisor's default (options.py, server_configs_from_parser)."""
    try:
        return int(text or "0700", 8)
    except ValueError:
        return 0o700


def stamps_of(conf: str) -> tuple[tuple[str, int], ...]:
    """The conf and every file beside it that an include could name, with their times: what a change shows in."""
    changed = os.stat(conf).st_mtime_ns
    names = sorted(set(_matching(_include_patterns(conf, changed))))
    return (conf, changed), *((name, os.stat(name).st_mtime_ns) for name in names if os.path.exists(name))


@functools.lru_cache(maxsize=16)
def _include_patterns(conf: str, _changed: int) -> tuple[str, ...]:
    """What the conf includes; it is parsed for that only when it changed."""
    here = os.path.dirname(conf)
    patterns = _read(_parser(), conf).get("include", "files", fallback="").replace("%(here)s", here).split()
    return tuple(os.path.join(here, pattern) for pattern in patterns)


def _parser() -> configparser.RawConfigParser:
    return configparser.RawConfigParser(strict=False, inline_comment_prefixes=(";", "#"))


def _included(parser: configparser.RawConfigParser, here: str, expansions: dict[str, str]) -> list[str]:
    patterns = _expand(parser.get("include", "files", fallback=""), expansions, "[include] files").split()
    return _matching(os.path.join(here, pattern) for pattern in patterns)


def _matching(patterns: Iterable[str]) -> list[str]:
    try:
        return matching(patterns)
    except ValueError as error:
        raise ConfUnreadable(f"[include] files: {error}") from error


def _prove_readable(name: str, conf: str) -> None:
    """A user's conf must not make root read for them, e.g. a password, and use it where they listen."""
    owner = os.stat(conf).st_uid
    if not readable_by(name, owner):
        raise ConfUnreadable(f"{conf} includes {name}, which its owner, user {owner}, may not read")


def _read(parser: configparser.RawConfigParser, name: str) -> configparser.RawConfigParser:
    try:
        text = read_text(name, MAX_BYTES)
        if text.count("\n[") > MOST_SECTIONS:
            raise ConfUnreadable(f"{name} has more than {MOST_SECTIONS} sections")
        parser.read_string(text, name)
    except ConfUnreadable:
        raise
    except ValueError as error:
        raise ConfUnreadable(f"{name}: {error}") from error
    except configparser.Error as error:
        raise ConfUnreadable(str(error).splitlines()[0]) from error
    return parser


def _expand(value: str, expansions: dict[str, str], what: str) -> str:
    """%(name)s and %(name)d as supervisor/options.py expand() does; an unknown name is an error there too."""

    def replace(match: re.Match[str]) -> str:
        if match[1] == "process_num":
            return match[0]
        if match[1] not in expansions:
            raise ConfUnreadable(f"{what} uses %({match[1]})s, which paramedic does not know")
        return expansions[match[1]]

    return re.sub(r"%\(([^)]+)\)\d*[sd]", replace, value).replace("%%", "%")


def _programs(parser: configparser.RawConfigParser) -> list[str]:
    kinds = ("program:", "fcgi-program:", "eventlistener:")
    found = [section for section in parser.sections() if section.startswith(kinds)]
    if len(found) > MOST_PROGRAMS:
        raise ConfUnreadable(f"it has {len(found)} programs, and paramedic looks after {MOST_PROGRAMS} at most")
    return found


def _program(parser: configparser.RawConfigParser, section: str, expansions: dict[str, str]) -> ProgramConf:
    name = section.partition(":")[2].strip()
    known = {**expansions, "program_name": name, "group_name": name, "numprocs": "1"}

    def text(option: str) -> str | None:
        value = parser.get(section, option, fallback=None)
        try:
            return _expand(value, known, option) if value else None
        except ConfUnreadable:
            return value

    def seconds(option: str, default: float) -> float:
        value = text(option) or ""
        return float(value) if value.replace(".", "", 1).isdecimal() else default

    return ProgramConf(
        name=name,
        command=text("command") or "",
        startsecs=seconds("startsecs", 1.0),
        stopwaitsecs=seconds("stopwaitsecs", 10.0),
        user=text("user"),
        directory=text("directory"),
        path=_assigned(text("environment") or "").get("PATH"),
        serverurl=text("serverurl"),
    )


def _assigned(text: str) -> dict[str, str]:
    """`A="x",B=y` as supervisor/datatypes.py dict_of_key_value_pairs reads it."""
    lexer = shlex.shlex(text)
    lexer.wordchars += "/.+-():"
    try:
        words = list(lexer)
    except ValueError:
        return {}
    triples = zip(words, words[1:], words[2:], strict=False)
    return {name: value.strip("\"'") for name, equals, value in triples if equals == "="}
