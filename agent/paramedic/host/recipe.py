"""The launch recipe of a daemon: how it was started, so that it can be started again just so.

It holds the daemon's environment, so its file is readable by its owner only, and nothing of it goes into
argv, unit properties, the journal or JSON.
"""

from __future__ import annotations

import getopt
import json
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from paramedic.host import become, clock, files, folders, systemd, texts
from paramedic.host.commands import Person
from paramedic.host.digest import sha256
from paramedic.host.proc import Proc
from paramedic.host.writers import writable_by_others
from paramedic.model.readings import USER_HZ, Identity

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
    that of the conf's files it was started with, `output` the file it writes to, `keeper` who else starts it, `process`
    the process it was read of.
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
    output: str | None = None
    keeper: str = ""
    process: str = ""

    @property
    def person(self) -> Person:
        """Who the daemon ran as."""
        return Person(self.uid, self.gid, self.groups)

    @property
    def interpreter(self) -> str:
        """The Python that runs the daemon."""
        return self.argv[0]


def observe(proc: Proc, identity: Identity, conf: str) -> Recipe | None:
    """The recipe of a running supervisord; None when any part of it cannot be read."""
    found = observed(proc, identity)
    return replace(found, argv=with_conf(found.argv, conf)) if found is not None else None


def observed(proc: Proc, identity: Identity) -> Recipe | None:
    """The recipe of a running process as it stands in /proc; None when any part of it cannot be read."""
    argv, env = proc.cmdline(identity.pid), proc.environ(identity.pid)
    cwd, exe = proc.link(identity.pid, "cwd"), proc.link(identity.pid, "exe")
    status = proc.status(identity.pid)
    if not argv or env is None or cwd is None or exe is None or len(set(status.get("Uid", ()))) != 1:
        return None
    recipe = Recipe(
        argv=_absolute(argv, env, exe),
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
    found = sha256()
    for path in paths:
        found.update(f"{path}\0{texts.read_text(path, MOST_BYTES)}\0".encode())
    return found.hexdigest()


def digest_at_start(paths: tuple[str, ...], identity: Identity, proc: Proc) -> str | None:
    """The digest of the files this process was started with; None where one has changed since (its ctime, which nobody
    can set back). Raises OSError or ValueError.
    """
    started = clock.wall() - proc.age_s(identity) + 2 / USER_HZ
    found = digest_of(paths)
    return None if any(os.stat(path).st_ctime > started for path in paths) else found


def why_untrusted(recipe: Recipe, paths: tuple[str, ...]) -> str | None:
    """A daemon runs what its conf says: where others than root and its user can write that, only what it was started
    with counts.
    """
    writable = next(filter(None, (writable_by_others(path, {recipe.uid}) for path in paths)), None)
    if writable is None or (recipe.digest is not None and recipe.digest == digest_of(paths)):
        return None
    who = "root" if recipe.uid == 0 else f"user {recipe.uid}"
    what = f"its daemon runs as {who}, and others can change {writable}"
    return f"{what}, and it is not what it was when it was last seen healthy: take it from them, or start it by hand"


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


def asked_of(path: str) -> str:
    """Beside the recipe at `path`: a file as old as the last chain reload that was asked for through a FIFO, which
    leaves no other trace.
    """
    return f"{path}.asked"


def note_stop(path: str, one: Identity, proc: Proc) -> None:
    """Beside the recipe at `path`: we are about to end this very daemon, and its farewell is no person's wish."""
    files.write_private(f"{path}.stopped", _name_of(one, proc).encode())


def is_stopped_by_us(path: str, one: Identity, proc: Proc) -> bool:
    """Whether the end of this very daemon was ordered by us."""
    try:
        return texts.read_text(f"{path}.stopped", MOST_BYTES) == _name_of(one, proc)
    except (OSError, ValueError):
        return False


def _name_of(one: Identity, proc: Proc) -> str:
    return f"{proc.boot_id()} {one.pid} {one.start_ticks}"


def save(path: str, recipe: Recipe) -> None:
    """Write the recipe for its owner's eyes only."""
    folders.own(str(Path(path).parent))
    files.write_private(path, json.dumps(asdict(recipe), sort_keys=True).encode())


def load(path: str) -> Recipe | None:
    """The recorded recipe, None without one, or with one that the launch would refuse: not ours, or damaged."""
    try:
        text = become.recorded(path)
        become.Plan(text)
        return made_of(json.loads(text))
    except (OSError, become.Damaged, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def made_of(data: dict[str, Any]) -> Recipe:
    """The recipe of what asdict made of one; raises KeyError, TypeError or ValueError where it is none."""
    limits = {name: (soft, hard) for name, (soft, hard) in data["limits"].items()}
    return Recipe(**{**data, "argv": tuple(data["argv"]), "groups": tuple(data["groups"]), "limits": limits})
