"""uWSGI's `%x` variables: put into a whole file before a line of it is understood (core/utils.c magic_sub).

An unknown letter vanishes together with its `%`, as it does there. What only the running uWSGI knows is UNKNOWN.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from paramedic.host.proc import Proc

UNKNOWN = "\0"
_UPPER = "osdpcenxij"
_SHORT = {"p": "processes", "t": "harakiri", "R": "max-requests", "M": "master", "s": "socket", "C": "chmod-socket"}
_SHORT |= {"d": "daemonize", "Q": "spooler", "H": "home", "w": "module"}
# The ini itself, and what uWSGI tells itself and its vassals in the environment (core/utils.c parse_sys_envs).
_NO_OPTION = frozenset(
    (
        *("ini", "reloads", "vassals-dir", "emperor-fd", "emperor-fd-config", "emperor-proxy"),
        *("broodlord-num", "jail-pid", "original-proc-name"),
    )
)


@dataclass(frozen=True, slots=True)
class Launch:
    """How uWSGI was started: what `$(NAME)`, `%u`, `%v` and relative paths depend on.

    `folders` are where it may have been started, most likely first; `is_seen` says that it is a running uWSGI's own.
    """

    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    folders: tuple[str, ...] = ()
    uid: int = field(default_factory=os.getuid)
    gid: int = field(default_factory=os.getgid)
    is_seen: bool = False


def launch_of(pid: int, proc: Proc) -> Launch:
    """How this running uWSGI was started, as far as /proc tells; what it does not tell is taken to be as it is here.

    A uWSGI that renames its processes overwrites what /proc shows of its environment.
    """
    environ = proc.environ(pid) or {}
    named = (environ.get("UWSGI_VASSALS_DIR"), proc.link(pid, "cwd"), environ.get("PWD"))
    uid, gid = proc.uid(pid), proc.gid(pid)
    return Launch(
        environ=environ or dict(os.environ),
        folders=tuple(dict.fromkeys(folder for folder in named if folder)),
        uid=os.getuid() if uid is None else uid,
        gid=os.getgid() if gid is None else gid,
        is_seen=bool(environ),
    )


def given_elsewhere(pid: int, proc: Proc) -> tuple[str, ...]:
    """The options this uWSGI got on its command line or as UWSGI_X in its environment: the ini does not decide them."""
    words = [word.partition("=")[0] for word in proc.cmdline(pid) or ()]
    long = [word[2:] for word in words if word.startswith("--") and len(word) > 2]
    short = [_SHORT[word[1]] for word in words if re.fullmatch(r"-[A-Za-z].*", word) and word[1] in _SHORT]
    names = [name[6:].lower().replace("_", "-") for name in proc.environ(pid) or () if name.startswith("UWSGI_")]
    return tuple(dict.fromkeys(name for name in (*long, *short, *names) if name not in _NO_OPTION))


class Magic:
    """The table of core/uwsgi.c config_magic_table_fill: one for all files, rewritten by each that is entered."""

    def __init__(self, launch: Launch, folder: str) -> None:
        self._first = True
        self._table = {
            "%": "%",
            "(": "%(",
            "[": "\033",
            "v": folder,
            "h": os.uname().nodename,
            "k": str(os.sysconf("SC_NPROCESSORS_ONLN")),
            "u": str(launch.uid),
            "U": _name(launch.uid, False),
            "g": str(launch.gid),
            "G": _name(launch.gid, True),
            **dict.fromkeys("VbtT", UNKNOWN),
        }

    def enter(self, path: str, name: str, section: str, is_same_file: bool, keeps_upper: bool) -> None:
        """A file is about to be read: `path` is absolute, `name` as it was written, without its section."""
        table = self._table
        table["o"] = name
        if not is_same_file:
            full = path if os.path.islink(path) else os.path.realpath(path)
            folder, _, base = full.rpartition("/")
            stem, dot, ending = base.rpartition(".")
            table |= {"p": full, "s": base, "d": f"{folder}/", "c": folder.rpartition("/")[2]}
            table |= {"e": ending if dot else "", "n": stem if dot else base, "j": _djb33x(full)}
            with contextlib.suppress(OSError):
                table["i"] = str((os.lstat(full).st_ino + 2**31) % 2**32 - 2**31)
            parts = [part for part in folder.split("/") if part]
            table |= {str(at): parts[at] if at < len(parts) else "" for at in range(10)}
        table["x"] = section
        if self._first and not keeps_upper:
            table |= {letter.upper(): table.get(letter, "") for letter in _UPPER}
            self._first = False

    def put(self, content: bytes) -> str:
        """The text of a file with every variable replaced, once, from left to right; each is one byte to uWSGI."""
        return re.sub(rb"%(.|\Z)", self._value, content, flags=re.DOTALL).decode("utf-8", "replace")

    def _value(self, found: re.Match[bytes]) -> bytes:
        return self._table.get(found[1].decode("latin-1"), "").encode("utf-8", "replace")


def _name(number: int, is_group: bool) -> str:
    try:
        return grp.getgrgid(number).gr_name if is_group else pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _djb33x(text: str) -> str:
    """The hash of core/hash.c over the path, in hexadecimal, lowest byte first."""
    found = 5381
    for byte in text.encode("utf-8", "surrogateescape"):
        found = (((found << 5) + found) ^ (byte if byte < 128 else byte - 256)) & 0xFFFFFFFF
    return found.to_bytes(4, "little").hex().upper()
