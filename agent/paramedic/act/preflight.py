"""Would the app on disk import? Asked as the worker's user, in its folder, with its interpreter, before a reload."""

from __future__ import annotations

from pathlib import Path

from paramedic.host.commands import Person, run
from paramedic.host.proc import Proc
from paramedic.model.facts import Preflight
from paramedic.model.readings import UwsgiReading

DEADLINE_S = 60.0
LOADS, BROKEN, CANNOT_TELL = "loads", "broken", "cannot tell"
_BROKEN_CODE = 70
_SCRIPT = r"""
import importlib, importlib.util, sys, traceback
module, path, name = sys.argv[1:4]
sys.path[0:0] = sys.argv[4:]
try:
    if module:
        loaded = importlib.import_module(module)
    else:
        spec = importlib.util.spec_from_file_location('uwsgi_file_preflight', path)
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
    if not callable(getattr(loaded, name)):
        raise TypeError('%s is not callable' % name)
except ModuleNotFoundError as error:
    traceback.print_exc()
    sys.exit(71 if error.name in ('uwsgi', 'uwsgidecorators') else 70)
except BaseException:
    traceback.print_exc()
    sys.exit(70)
"""


def preflight(reading: UwsgiReading, proc: Proc, wall: float) -> Preflight:
    """loads, broken with the last line of the traceback, or cannot tell with what is missing to tell."""
    conf = reading.conf
    worker = next((w.identity for w in reading.workers if w.identity), reading.master)
    status, env, cwd = proc.status(worker.pid), proc.environ(worker.pid), proc.link(worker.pid, "cwd")
    if "Uid" not in status or env is None or cwd is None or not proc.is_alive(worker):
        return Preflight(CANNOT_TELL, f"process {worker.pid} cannot be read", wall)
    argv = conf.preflight or _import_command(reading, proc)
    if argv is None:
        return Preflight(
            CANNOT_TELL, f"{conf.ini} names no module or no Python; write stack.uwsgi.{conf.name}.preflight", wall
        )
    person = Person(int(status["Uid"][1]), int(status["Gid"][1]), tuple(int(g) for g in status.get("Groups", [])))
    try:
        result = run(argv, DEADLINE_S, {**env, **dict(conf.env)}, conf.chdir or cwd, person)
    except OSError as error:
        return Preflight(CANNOT_TELL, f"cannot run {argv[0]}: {error.strerror}", wall)
    if result.code == 0:
        return Preflight(LOADS, "", wall)
    if result.code is None:
        return Preflight(BROKEN, f"importing the app did not end within {DEADLINE_S:.0f} s", wall)
    if not conf.preflight and result.code != _BROKEN_CODE:
        return Preflight(CANNOT_TELL, result.last_line or f"exit {result.code}", wall)
    what = conf.module or conf.wsgi_file or argv[0]
    return Preflight(BROKEN, f"the app on disk no longer imports ({what}): {result.last_line}", wall)


def _import_command(reading: UwsgiReading, proc: Proc) -> tuple[str, ...] | None:
    conf = reading.conf
    python = _python(reading, proc)
    if python is None or not (conf.module or conf.wsgi_file):
        return None
    names = (conf.module or "", conf.wsgi_file or "", conf.callable)
    return (python, "-c", _SCRIPT, *names, *conf.pythonpath)


def _python(reading: UwsgiReading, proc: Proc) -> str | None:
    """The worker's Python: the ini's home, the interpreter that runs pyuwsgi, or the one beside the binary."""
    argv = proc.cmdline(reading.master.pid) or ()
    exe = proc.link(reading.master.pid, "exe") or ""
    home = reading.conf.home
    named = [f"{home}/bin/python"] if home else []
    if argv and argv[0].startswith("/") and Path(argv[0]).name.startswith("python"):
        named.append(argv[0])
    elif not home:
        folders = [Path(word).parent for word in (*argv[:1], exe) if word.startswith("/")]
        named += [f"{folder}/python3" for folder in folders]
    return next((python for python in named if Path(python).is_file()), None)
