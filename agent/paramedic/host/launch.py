"""Start what is not the agent: a daemon of a recipe, for good, or any program of one, for a try.

Both through become.py, outside the agent's cgroup (a transient systemd unit) or, without systemd, in a session of their
own.
"""

from __future__ import annotations

import json
import math
import os
import resource
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

from paramedic.host import become, systemd
from paramedic.host.commands import Result, run
from paramedic.host.failpoint import reached
from paramedic.host.recipe import Recipe, options_of

START_DEADLINE_S = 30.0
TRANSIENT = "paramedic-start-"
_GRACE_S = 5.0
BECOME = (sys.executable, "-I", "-S", str(Path(__file__).with_name("become.py")))
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
    if not systemd.is_running() or os.geteuid() != 0:
        return run((*BECOME, "--detach", path), START_DEADLINE_S, _OUR_ENV, cwd="/")
    if recipe.unit and not recipe.unit.startswith(TRANSIENT):
        return systemd.start(recipe.unit, START_DEADLINE_S)
    kind = "exec" if foreground else "forking"
    unit = ("--unit", f"{TRANSIENT}{name}", "--collect", "--quiet", "--property", f"Type={kind}")
    options = ("--property", "KillMode=process", "--property", "OOMPolicy=continue")
    return run((systemd.SYSTEMD_RUN, *unit, *options, *BECOME, path), START_DEADLINE_S, _OUR_ENV)


def attempt(recipe: Recipe, deadline_s: float, stdin: bytes = b"", expendable: bool = False) -> Result:
    """Run the recipe's program once to its end as it would be started; its answer is what it writes to become.TRIED_FD.

    Where systemd is, in a transient unit: its memory is not the agent's, and the agent's sandbox does not falsify what
    it finds. What is expendable goes first when memory runs out: an app's import is not worth a worker, a person's
    notice is. What it is given goes through stdin: unit properties are public.
    """
    launch = (*BECOME, "--try")
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


if __name__ == "__main__":
    sys.exit(become.main(sys.argv[1:]))  # an agent of before an upgrade, which still runs, asks for it here
