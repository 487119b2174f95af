"""Would the app on disk import? Asked as the worker's user, in its folder, with its interpreter, before a reload.

What loaded is asked again only when a file that the import read has changed, or after an hour.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from paramedic.act.imported import is_unchanged, note
from paramedic.act.job import Job, Refused
from paramedic.host import become, clock, launch, recipe
from paramedic.host.commands import Person, Result
from paramedic.host.proc import Proc
from paramedic.host.recipe import Recipe
from paramedic.model.facts import Preflight
from paramedic.model.readings import UwsgiReading
from paramedic.model.stack import UwsgiConf
from paramedic.model.units import render_seconds

SPARE_BYTES = 1 << 30
LOADS, BROKEN, CANNOT_TELL = "loads", "broken", "cannot tell"
_BROKEN_CODE = 70
_UMASK = 0o022
_SCRIPT = r"""
import importlib, importlib.util, os, sys, traceback
module, path, name, listing = sys.argv[1:5]
sys.path[0:0] = sys.argv[5:]
try:
    if module:
        loaded = importlib.import_module(module)
    else:
        spec = importlib.util.spec_from_file_location('uwsgi_file_preflight', path)
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
    made = getattr(loaded, name[:-2])() if name.endswith('()') else getattr(loaded, name)
    if not callable(made):
        raise TypeError('%s is not callable' % name)
except MemoryError:
    print('the import needs more memory than a worker has')
    sys.exit(71)
except ModuleNotFoundError as error:
    traceback.print_exc()
    sys.exit(71 if error.name in ('uwsgi', 'uwsgidecorators') else 70)
except BaseException:
    traceback.print_exc()
    sys.exit(70)
found = [getattr(one, '__file__', None) for one in list(sys.modules.values())]
names = [os.path.abspath(one) for one in found if isinstance(one, str)] + ([path] if path else [])
with os.fdopen(int(listing), 'w') as file:
    file.write('\n'.join(one for one in names if '\n' not in one))
"""


def prove_loads(reading: UwsgiReading, job: Job, anew: bool = False) -> Preflight:
    """What the import said, `anew` or lately; raises Refused unless the app on disk loads."""
    plan = recipe.load(recipe.path_of(job.settings.state_dir, f"uwsgi-{reading.conf.name}"))
    if plan is None and reading.uid == 0:
        raise Refused("it runs as root, and how it was launched was not recorded yet")
    untrusted = recipe.why_untrusted(plan, reading.conf.files) if plan is not None else None
    if untrusted:
        raise Refused(untrusted)
    kept = f"{job.settings.state_dir}/preflights/{reading.conf.name}.json"
    found = preflight(reading, job.proc, clock.wall(), "" if anew else kept)
    if found.result != LOADS:
        raise Refused(found.detail, found)
    return found


@dataclass(frozen=True, slots=True)
class _Place:
    """Where and as whom an app is imported: as its workers, with at most `most_bytes` of address space."""

    argv: tuple[str, ...]
    exe: str
    env: Mapping[str, str]
    folder: str
    person: Person
    most_bytes: int | None = None


def preflight(reading: UwsgiReading, proc: Proc, wall: float, kept: str = "") -> Preflight:
    """loads, broken with the last line of the traceback, or cannot tell with what is missing to tell.

    `kept` is where the files of an import that worked are noted, empty to ask in any case.
    """
    conf = reading.conf
    worker = next((w.identity for w in reading.workers if w.identity), reading.master)
    status, env, cwd = proc.status(worker.pid), proc.environ(worker.pid), proc.link(worker.pid, "cwd")
    if len(set(status.get("Uid", ()))) != 1 or env is None or cwd is None or not proc.is_alive(worker):
        return Preflight(CANNOT_TELL, f"process {worker.pid} cannot be read, or changes its user", wall)
    person = Person(int(status["Uid"][1]), int(status["Gid"][1]), tuple(int(g) for g in status.get("Groups", [])))
    peak = status.get("VmPeak", [])
    most = int(peak[0]) * 1024 + SPARE_BYTES if peak and peak[0].isdigit() else None
    argv, exe = proc.cmdline(reading.master.pid) or (), proc.link(reading.master.pid, "exe") or ""
    return _import(conf, _Place(argv, exe, env, cwd, person, most), wall, kept)


def would_load(conf: UwsgiConf, plan: Recipe, wall: float) -> Preflight:
    """The same for an instance that does not run, as its recipe has it."""
    return _import(conf, _Place(plan.argv, plan.argv[0], plan.env, plan.cwd, plan.person), wall, "")


def _import(conf: UwsgiConf, place: _Place, wall: float, kept: str) -> Preflight:
    argv = conf.preflight or _import_command(conf, place)
    if argv is None:
        return Preflight(
            CANNOT_TELL, f"{conf.ini} names no module or no Python; write stack.uwsgi.{conf.name}.preflight", wall
        )
    env, folder = {**place.env, **dict(conf.env)}, conf.chdir or place.folder
    asked = [list(argv), folder, place.person.uid, sorted(env.items())]
    if kept and is_unchanged(kept, asked, wall):
        return Preflight(LOADS, "", wall)
    result = launch.attempt(_recipe(argv, env, folder, place), conf.boot_s, expendable=True)
    found = _judged(result, conf, argv[0], wall)
    if found.result == LOADS and kept and result.answer:
        with contextlib.suppress(OSError):  # it is only asked again then
            note(kept, asked, result.answer.splitlines(), wall)
    return found


def _recipe(argv: tuple[str, ...], env: Mapping[str, str], folder: str, place: _Place) -> Recipe:
    """The import as a program to start. More address space than its worker ever had, and some, is not needed, and an
    import must not take what the host has left.
    """
    person, most = place.person, place.most_bytes
    limits = {} if most is None else {"RLIMIT_AS": (most, most)}
    return Recipe(argv, folder, person.uid, person.gid, person.groups, dict(env), _UMASK, limits, None)


def _judged(result: Result, conf: UwsgiConf, program: str, wall: float) -> Preflight:
    if result.code == 0:
        return Preflight(LOADS, "", wall)
    if result.code is None:
        return Preflight(BROKEN, f"importing the app did not end within {render_seconds(conf.boot_s)}", wall)
    if not conf.preflight and result.code != _BROKEN_CODE:
        return Preflight(CANNOT_TELL, result.last_line or f"exit {result.code}", wall)
    what = conf.module or conf.wsgi_file or program
    return Preflight(BROKEN, f"the app on disk no longer imports ({what}): {result.last_line}", wall)


def _import_command(conf: UwsgiConf, place: _Place) -> tuple[str, ...] | None:
    python = _python(conf, place)
    if python is None or not (conf.module or conf.wsgi_file):
        return None
    names = (conf.module or "", conf.wsgi_file or "", conf.callable, str(become.TRIED_FD))
    return (python, "-c", _SCRIPT, *names, *conf.pythonpath)


def _python(conf: UwsgiConf, place: _Place) -> str | None:
    """The worker's Python: the ini's home, the interpreter that runs pyuwsgi, or the one beside the binary."""
    argv, exe, home = place.argv, place.exe, conf.home
    named = [f"{home}/bin/python"] if home else []
    if argv and argv[0].startswith("/") and Path(argv[0]).name.startswith("python"):
        named.append(argv[0])
    elif not home:
        folders = [Path(word).parent for word in (*argv[:1], exe) if word.startswith("/")]
        named += [f"{folder}/python3" for folder in folders]
    return next((python for python in named if Path(python).is_file()), None)
