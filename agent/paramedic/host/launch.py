"""`python -m paramedic.host.launch [--detach | --try] RECIPE`: become the program of a recipe.

Run by the agent outside its own cgroup (a transient systemd unit) or, without systemd, detached into a
session of its own; so the agent's end, sandbox and limits never reach the daemon.
"""

from __future__ import annotations

import json
import math
import os
import resource
import stat
import sys
import time
from contextlib import suppress
from dataclasses import asdict, replace
from typing import NoReturn

from paramedic.host import systemd
from paramedic.host.commands import Result, run
from paramedic.host.failpoint import reached
from paramedic.host.recipe import Recipe, load, made_of, options_of

START_DEADLINE_S = 30.0
TRANSIENT = "paramedic-start-"
TRIED_FD = 3
_GRACE_S = 5.0
_PERSONS_ENV, _UMASK = ("PATH", "HOME", "LANG", "USER", "LOGNAME"), 0o022
_OUR_ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


def start(path: str, recipe: Recipe, name: str, stamp: str, foreground: bool) -> Result:
    """Start the daemon of the recipe at `path`; `name` and `stamp` make its transient unit's name.

    `foreground`: it does not put itself into the background.
    """
    result = _start(path, recipe, f"{name}-{stamp}", foreground)
    reached("launched")
    return result


def _start(path: str, recipe: Recipe, name: str, foreground: bool) -> Result:
    launch = (sys.executable, "-I", "-m", "paramedic.host.launch")
    if not systemd.is_running() or os.geteuid() != 0:
        return run((*launch, "--detach", path), START_DEADLINE_S, _OUR_ENV, cwd="/")
    if recipe.unit and not recipe.unit.startswith(TRANSIENT):
        return systemd.start(recipe.unit, START_DEADLINE_S)
    kind = "exec" if foreground else "forking"
    unit = ("--unit", f"{TRANSIENT}{name}", "--collect", "--quiet", "--property", f"Type={kind}")
    options = ("--property", "KillMode=process", "--property", "OOMPolicy=continue")
    return run((systemd.SYSTEMD_RUN, *unit, *options, *launch, path), START_DEADLINE_S, _OUR_ENV)


def attempt(recipe: Recipe, deadline_s: float, stdin: bytes = b"", expendable: bool = False) -> Result:
    """Run the recipe's program once to its end, as it would be started; what it writes to TRIED_FD is the answer.

    Where systemd is, in a transient unit: its memory is not the agent's, and the agent's sandbox does not falsify what
    it finds. What is expendable goes first when memory runs out: an app's import is not worth a worker, a person's
    notice is. What it is given goes through stdin: unit properties are public.
    """
    launch = (sys.executable, "-I", "-m", "paramedic.host.launch", "--try")
    given = json.dumps(asdict(replace(recipe, output=None))).encode() + b"\n" + stdin
    if not systemd.is_running() or os.geteuid() != 0:
        return run(launch, deadline_s, _OUR_ENV, "/", given, answers=True)
    began = time.monotonic()
    unit = (f"--unit=paramedic-try-{os.getpid()}-{time.monotonic_ns()}", "--collect", "--quiet", "--pipe", "--wait")
    options = [f"--property=RuntimeMaxSec={math.ceil(deadline_s)}"]
    most = recipe.limits.get("RLIMIT_AS", (resource.RLIM_INFINITY,))[0]
    if most != resource.RLIM_INFINITY:
        options.append(f"--property=MemoryMax={most}")
    if expendable:
        options.append("--property=OOMScoreAdjust=1000")
    words = (systemd.SYSTEMD_RUN, *unit, *options, *launch)
    result = run(words, deadline_s + _GRACE_S, _OUR_ENV, "/", given, answers=True)
    return replace(result, code=None) if time.monotonic() - began > deadline_s else result


def as_ourselves(argv: tuple[str, ...]) -> Recipe:
    """A person's own program, as the agent's user; of the agent's environment only what says where and who it is."""
    env = {name: os.environ[name] for name in _PERSONS_ENV if name in os.environ}
    return Recipe(argv, "/", os.geteuid(), os.getegid(), tuple(os.getgroups()), env, _UMASK, {}, None)


def is_foreground(argv: tuple[str, ...]) -> bool:
    """Whether supervisord was told to stay in the foreground."""
    return any(name in ("-n", "--nodaemon") for name, _ in options_of(argv) or ())


def main(words: list[str]) -> int:
    """Load the recipe and become it; with --detach a grandchild does. 1 and a sentence where that fails."""
    if words == ["--try"]:
        return _try()
    recipe = load(words[-1]) if words else None
    if recipe is None:
        print("cannot launch: the recipe cannot be read", file=sys.stderr)  # noqa: T201 - a program of its own
        return 1
    if "--detach" not in words:
        _silence()
        _become(recipe)
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
        os.close(reader)
        try:
            _silence()
            _become(recipe)
        except OSError as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(1)
    os.close(writer)
    with open(reader, "rb") as file:
        failure = file.read().decode()
    if failure:
        print(f"cannot launch: {failure}", file=sys.stderr)  # noqa: T201
    return 1 if failure else 0


def _try() -> int:
    """The first line of stdin is the recipe, the rest of it the program's own stdin."""
    with open(0, "rb", closefd=False) as given:
        line = given.readline()
    os.lseek(0, len(line), os.SEEK_SET)
    os.dup2(1, TRIED_FD)
    os.dup2(2, 1)
    recipe = made_of(json.loads(line))
    try:
        _become(recipe)
    except OSError as error:
        print(f"cannot run {recipe.argv[0]} in {recipe.cwd}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 1


def _silence() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(null, stream)
    if null > 2:
        os.close(null)


def _become(recipe: Recipe) -> NoReturn:
    for name, (soft, hard) in recipe.limits.items():
        with suppress(AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, name), (soft, hard))
    if os.geteuid() == 0:
        os.setgroups(recipe.groups)
        os.setgid(recipe.gid)
        os.setuid(recipe.uid)
    _write_to(recipe.output)
    os.chdir(recipe.cwd)
    os.umask(recipe.umask)
    os.execve(recipe.argv[0], recipe.argv, recipe.env)  # noqa: S606 - there is no shell to want


def _write_to(output: str | None) -> None:
    """Its output into the file it wrote to before; opened as its own user, so that a link leads nowhere new."""
    if output is None:
        return
    with suppress(OSError):
        file = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NOCTTY | os.O_NONBLOCK)
        if stat.S_ISREG(os.fstat(file).st_mode):
            os.dup2(file, 1)
            os.dup2(file, 2)
        os.close(file)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
