"""The launch recipe of a daemon: how it was started, so that it can be started again just so.

It holds the daemon's environment, so its file is readable by its owner only, and nothing of it goes into
argv, unit properties, the journal or JSON.
"""

from __future__ import annotations

import getopt
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from paramedic.host import files, folders, systemd
from paramedic.host.commands import Person
from paramedic.host.proc import Proc
from paramedic.model.readings import Identity

MOST_BYTES = 1 << 20
FLAGS = ("-c", "--configuration")
MODULE = "supervisor.supervisord"
# supervisor/options.py, ServerOptions: the command line of supervisord.
SHORT = "h?c:vnu:m:d:l:y:z:e:j:i:q:a:kts"
LONG = re.findall(
    r"\S+",
    "help configuration= version nodaemon user= umask= directory= logfile= logfile_maxbytes= logfile_backups= "
    "loglevel= pidfile= identifier= childlogdir= minfds= minprocs= nocleanup strip_ansi profile_options= silent",
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything exec(2) needs to make the same daemon again. `limits` maps RLIMIT_ names to (soft, hard), `digest` is
    that of its conf's files when it was seen healthy.
    """

    argv: tuple[str, ...]
    cwd: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    env: dict[str, str]
    umask: int
    limits: dict[str, tuple[int, int]]
    unit: str | None
    digest: str | None = None

    @property
    def person(self) -> Person:
        """Who the daemon ran as."""
        return Person(self.uid, self.gid, self.groups)

    @property
    def interpreter(self) -> str:
        """The Python that runs the daemon."""
        return self.argv[0]


def observe(proc: Proc, identity: Identity, conf: str) -> Recipe | None:
    """The recipe of a running daemon; None when any part of it cannot be read."""
    argv, env = proc.cmdline(identity.pid), proc.environ(identity.pid)
    cwd, exe = proc.link(identity.pid, "cwd"), proc.link(identity.pid, "exe")
    status = proc.status(identity.pid)
    if not argv or env is None or cwd is None or exe is None or len(set(status.get("Uid", ()))) != 1:
        return None
    recipe = Recipe(
        argv=with_conf(_absolute(argv, env, exe), conf),
        cwd=cwd,
        uid=int(status["Uid"][1]),
        gid=int(status["Gid"][1]),
        groups=tuple(int(group) for group in status.get("Groups", [])),
        env=env,
        umask=int((status.get("Umask") or ["0022"])[0], 8),
        limits=proc.limits(identity.pid),
        unit=systemd.owning_unit(proc.unit(identity.pid), identity.pid),
    )
    return recipe if proc.is_alive(identity) else None


def digest_of(paths: Iterable[str]) -> str:
    """SHA-256 over the files of a conf; raises OSError or ValueError where one cannot be read."""
    found = hashlib.sha256()
    for path in paths:
        found.update(f"{path}\0{files.read_text(path, MOST_BYTES)}\0".encode())
    return found.hexdigest()


def why_untrusted(recipe: Recipe, paths: tuple[str, ...]) -> str | None:
    """A root daemon runs what its conf says: where others than root can write that, only what was healthy counts."""
    writable = next((path for path in paths if _others_write(path) or _others_write(str(Path(path).parent))), None)
    if recipe.uid != 0 or os.geteuid() != 0 or writable is None:
        return None
    if recipe.digest is None or recipe.digest != digest_of(paths):
        what = f"its daemon runs as root, and others than root can write {writable}"
        return f"{what}, which is not what it was when it was last seen healthy: give it to root, or start it by hand"
    return None


def _others_write(path: str) -> bool:
    found = os.stat(path)
    return found.st_uid != 0 or bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def conf_argument(argv: tuple[str, ...]) -> str | None:
    """The file behind supervisord's -c or --configuration, None without one; read by its own rules (getopt)."""
    options = options_of(argv) or []
    return next((value for name, value in options if name in FLAGS), None)


def with_conf(argv: tuple[str, ...], conf: str) -> tuple[str, ...]:
    """The command with the conf's absolute path: a relative one would be resolved against another folder."""
    options = options_of(argv)
    if options is None:
        return argv
    words = [word for name, value in options if name not in FLAGS for word in (name, value) if word]
    return (*argv[: _program_at(argv) + 1], *words, "-c", conf)


def _program_at(argv: tuple[str, ...]) -> int:
    """Where the word `supervisord` (or the module of that name) stands."""
    places = [at for at, word in enumerate(argv) if Path(word).name == "supervisord" or word == MODULE]
    return places[0] if places else 0


def options_of(argv: tuple[str, ...]) -> list[tuple[str, str]] | None:
    """What getopt makes of the words behind the program, None where it is not supervisord's command line."""
    try:
        return getopt.getopt(list(argv[_program_at(argv) + 1 :]), SHORT, LONG)[0]
    except getopt.GetoptError:
        return None


def _absolute(argv: tuple[str, ...], env: dict[str, str], exe: str) -> tuple[str, ...]:
    """The first two words as paths that hold from anywhere; a venv's python must keep its own name."""
    folder = env.get("PWD", "/")
    program = argv[0]
    if "/" not in program:
        program = shutil.which(program, path=env.get("PATH", os.defpath)) or exe
    elif not program.startswith("/"):
        program = os.path.normpath(f"{folder}/{program}")
    if not os.access(program, os.X_OK):
        program = exe
    rest = argv[1:]
    if rest and not rest[0].startswith(("-", "/")) and "/" in rest[0]:
        rest = (os.path.normpath(f"{folder}/{rest[0]}"), *rest[1:])
    return (program, *rest)


def path_of(state_dir: str, name: str) -> str:
    """Where the recipe of a configured daemon is kept."""
    return f"{state_dir}/recipes/{name}.json"


def save(path: str, recipe: Recipe) -> None:
    """Write the recipe for its owner's eyes only."""
    folders.own(str(Path(path).parent))
    files.write_private(path, json.dumps(asdict(recipe), sort_keys=True).encode())


def load(path: str) -> Recipe | None:
    """The recorded recipe, None without one or with one that is damaged."""
    try:
        data = json.loads(Path(path).read_text("utf-8"))
        data["argv"], data["groups"] = tuple(data["argv"]), tuple(data["groups"])
        data["limits"] = {name: (soft, hard) for name, (soft, hard) in data["limits"].items()}
        return Recipe(**data)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
