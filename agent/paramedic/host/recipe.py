"""The launch recipe of a daemon: how it was started, so that it can be started again just so.

It holds the daemon's environment, so its file is readable by its owner only, and nothing of it goes into
argv, unit properties, the journal or JSON.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from paramedic.host import files
from paramedic.host.commands import Person
from paramedic.host.proc import Proc
from paramedic.model.readings import Identity

FLAGS = ("-c", "--configuration")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything exec(2) needs to make the same daemon again. `limits` maps RLIMIT_ names to (soft, hard)."""

    argv: tuple[str, ...]
    cwd: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    env: dict[str, str]
    umask: int
    limits: dict[str, tuple[int, int]]
    unit: str | None

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
    if not argv or env is None or cwd is None or exe is None or "Uid" not in status:
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
        unit=proc.unit(identity.pid),
    )
    return recipe if proc.is_alive(identity) else None


def conf_argument(argv: tuple[str, ...]) -> str | None:
    """The file behind supervisord's -c or --configuration, None without one."""
    for at, word in enumerate(argv):
        if word in FLAGS:
            return argv[at + 1] if at + 1 < len(argv) else None
        if word.startswith("--configuration="):
            return word.partition("=")[2]
        if word.startswith("-c") and len(word) > 2 and not word.startswith("--"):
            return word[2:]
    return None


def with_conf(argv: tuple[str, ...], conf: str) -> tuple[str, ...]:
    """The command with the conf's absolute path: a relative one would be resolved against another folder."""
    words, found = [], False
    skip = False
    for word in argv:
        if skip:
            skip = False
        elif word in FLAGS:
            words += ["-c", conf]
            found = skip = True
        elif word.startswith("--configuration=") or (word.startswith("-c") and len(word) > 2):
            words += ["-c", conf]
            found = True
        else:
            words.append(word)
    return tuple(words if found else [*words, "-c", conf])


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
    files.own_folder(str(Path(path).parent))
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
