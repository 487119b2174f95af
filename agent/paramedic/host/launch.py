"""`python -m paramedic.host.launch [--detach] RECIPE`: become the daemon of a recipe.

Run by the agent outside its own cgroup (a transient systemd unit) or, without systemd, detached into a
session of its own; so the agent's end, sandbox and limits never reach the daemon.
"""

from __future__ import annotations

import os
import resource
import sys
from contextlib import suppress
from typing import NoReturn

from paramedic.host import systemd
from paramedic.host.commands import Result, run
from paramedic.host.recipe import Recipe, load, options_of

START_DEADLINE_S = 30.0
TRANSIENT = "paramedic-start-"
_OUR_ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


def start(path: str, recipe: Recipe, name: str, stamp: str, nodaemon: bool = False) -> Result:
    """Start the daemon of the recipe at `path`; `name` and `stamp` make its transient unit's name."""
    launch = (sys.executable, "-I", "-m", "paramedic.host.launch")
    if not systemd.is_running() or os.geteuid() != 0:
        return run((*launch, "--detach", path), START_DEADLINE_S, _OUR_ENV, cwd="/")
    if recipe.unit and not recipe.unit.startswith(TRANSIENT):
        return run((systemd.SYSTEMCTL, "start", recipe.unit), START_DEADLINE_S, _OUR_ENV)
    kind = "exec" if nodaemon or is_foreground(recipe.argv) else "forking"
    unit = ("--unit", f"{TRANSIENT}{name}-{stamp}", "--collect", "--quiet", "--property", f"Type={kind}")
    options = ("--property", "KillMode=process", "--property", "OOMPolicy=continue")
    return run(("/usr/bin/systemd-run", *unit, *options, *launch, path), START_DEADLINE_S, _OUR_ENV)


def is_foreground(argv: tuple[str, ...]) -> bool:
    """Whether supervisord was told to stay in the foreground."""
    return any(name in ("-n", "--nodaemon") for name, _ in options_of(argv) or ())


def main(words: list[str]) -> int:
    """Load the recipe and become it; with --detach a grandchild does. 1 and a sentence where that fails."""
    recipe = load(words[-1]) if words else None
    if recipe is None:
        print("cannot launch: the recipe cannot be read", file=sys.stderr)  # noqa: T201 - a program of its own
        return 1
    if "--detach" not in words:
        _become(recipe)
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
        os.close(reader)
        try:
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


def _become(recipe: Recipe) -> NoReturn:
    null = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(null, stream)
    if null > 2:
        os.close(null)
    for name, (soft, hard) in recipe.limits.items():
        with suppress(AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, name), (soft, hard))
    if os.geteuid() == 0:
        os.setgroups(recipe.groups)
        os.setgid(recipe.gid)
        os.setuid(recipe.uid)
    os.chdir(recipe.cwd)
    os.umask(recipe.umask)
    os.execve(recipe.argv[0], recipe.argv, recipe.env)  # noqa: S606 - there is no shell to want


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
