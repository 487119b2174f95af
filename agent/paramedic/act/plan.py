"""How a daemon is to be started: as it was recorded while healthy, else as the configuration says."""

from __future__ import annotations

import contextlib
import os
import pwd
from dataclasses import replace
from pathlib import Path

from paramedic.act.job import Job, Refused
from paramedic.host import recipe, texts
from paramedic.host.recipe import Recipe
from paramedic.model.stack import SupervisorEntry

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def plan_of(job: Job, name: str) -> tuple[str, Recipe]:
    """The recorded recipe, else the one the configuration gives; (its file, the recipe)."""
    path = recipe.path_of(job.settings.state_dir, name)
    found = recipe.load(path)
    entry = next(e for e in job.settings.stack.supervisor if e.name == name)
    if found is not None:
        return path, replace(found, unit=entry.unit or found.unit)
    if entry.command is None:
        raise Refused(
            "how it was launched was never seen; start it once by hand while paramedic runs, "
            f"or write stack.supervisor.{name}.command"
        )
    found = _configured(entry, entry.command)
    path = path.removesuffix(".json") + ".configured.json"
    recipe.save(path, found)
    return path, found


def _configured(entry: SupervisorEntry, command: tuple[str, ...]) -> Recipe:
    owner = pwd.getpwnam(entry.user) if entry.user else None
    uid = owner.pw_uid if owner else os.stat(entry.conf).st_uid if os.geteuid() == 0 else os.geteuid()
    person = owner or _person(uid)
    home = {"HOME": person.pw_dir, "USER": person.pw_name, "LOGNAME": person.pw_name} if person else {}
    return Recipe(
        argv=(*_interpreter(command[0]), *recipe.with_conf(command, entry.conf)),
        cwd=entry.directory or str(Path(entry.conf).parent),
        uid=uid,
        gid=person.pw_gid if person else os.stat(entry.conf).st_gid,
        groups=tuple(os.getgrouplist(person.pw_name, person.pw_gid)) if person else (),
        env={"PATH": _PATH, **home, **dict(entry.environment)},
        umask=0o022,
        limits={},
        unit=entry.unit,
    )


def _person(uid: int) -> pwd.struct_passwd | None:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(uid)
    return None


def _interpreter(program: str) -> tuple[str, ...]:
    """The Python of a supervisord script, from its first line."""
    try:
        found = texts.opened(program)
    except ValueError as error:
        raise Refused(f"{program} is {error}, so its start cannot be tried before") from error
    with open(found, "rb") as file:
        first = file.readline(512).decode("utf-8", "replace").strip()
    if not first.startswith("#!"):
        raise Refused(f"{program} is no Python script, so its start cannot be tried before")
    return (first[2:].split()[0],)
