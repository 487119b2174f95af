"""Prove that a supervisord could start, in a throw-away process of its own interpreter, user and folder.

The conf is loaded by the daemon's own supervisor package: it may execute factories that the conf names,
which the daemon itself would do as the same user.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container
from dataclasses import replace

from paramedic.host import launch
from paramedic.host.recipe import Recipe, why_untrusted
from paramedic.model.stack import SupervisorConf

DEADLINE_S = 20.0
_PROGRAM = re.compile(r"program ([^:]*): ")
_MARK = "paramedic-dry-run:"
# A value that assigns something may hold a secret (environment=): it is never repeated.
_ASSIGNMENT = re.compile(r"'[^']*=.*'|\"[^\"]*=.*\"")
# Runs under the interpreter of the stack, Python 2.7 and newer; mirrors supervisor/process.py get_execv_args.
_SCRIPT = r"""
import json, os, shlex, socket, sys
from supervisor.options import ServerOptions
options = ServerOptions()
options.realize(['-c', sys.argv[1]])
problems = []
listens, pidfile, logfile = sys.argv[2:5]
if logfile:
    try:
        open(logfile, 'a').close()
    except (IOError, OSError) as error:
        problems.append('its logfile %s cannot be written: %s' % (logfile, error.strerror))
for path in (listens, pidfile):
    folder = os.path.dirname(path)
    if path and not os.access(folder, os.W_OK | os.X_OK):
        problems.append('its folder %s cannot be written or does not exist' % folder)
for server in [] if sys.argv[5] else options.server_configs:
    if server.get('family') == socket.AF_INET:
        probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((server.get('host') or '', server['port']))
        except (IOError, OSError) as error:
            problems.append('its port %s cannot be used: %s' % (server['port'], error.strerror))
        probe.close()
def executable(path):
    return os.path.isfile(path) and os.access(path, os.X_OK)
for group in options.process_group_configs:
    for program in group.process_configs:
        if not program.autostart:
            continue
        words = shlex.split(program.command)
        if not words:
            problems.append('program %s: its command is empty' % program.name)
        elif '/' in words[0] and not executable(words[0]):
            problems.append("program %s: can't run command %r" % (program.name, words[0]))
        elif '/' not in words[0]:
            folders = program.get_path()
            if not any(executable(os.path.join(folder, words[0])) for folder in folders):
                problems.append("program %s: can't find command %r in PATH %s" % (
                    program.name, words[0], os.pathsep.join(folders)))
        if program.directory and not os.path.isdir(program.directory):
            problems.append('program %s: its directory %s does not exist' % (program.name, program.directory))
print('paramedic-dry-run:' + json.dumps(problems))
"""


def why_it_cannot_start(
    recipe: Recipe, conf: SupervisorConf, is_running: bool = False, needed: Container[str] | None = None
) -> str | None:
    """Why this daemon could not start now, None when nothing speaks against it.

    `is_running`: it still runs and holds its own TCP ports, so they are not tried. `needed` are the programs that serve
    now, without their group: only what keeps one of those from its start counts, for the others are down already, and
    their Supervisor starts without them.
    """
    untrusted = why_untrusted(recipe, conf.files)
    if untrusted:
        return untrusted
    words = (conf.conf, conf.socket or "", conf.pidfile or "", conf.logfile or "", "running" if is_running else "")
    result = launch.attempt(replace(recipe, argv=(recipe.interpreter, "-c", _SCRIPT, *words)), DEADLINE_S)
    if result.code is None:
        return f"its configuration did not load within {DEADLINE_S:.0f} s"
    told = [line for line in result.output.splitlines() if line.startswith(_MARK)]
    if result.code != 0 or not told:
        return f"its configuration does not load: {_cause(result.output)}"
    problems = json.loads(told[-1].removeprefix(_MARK))
    return "; ".join(one for one in problems if _counts(one, needed)) or None


def _counts(problem: str, needed: Container[str] | None) -> bool:
    found = _PROGRAM.match(problem)
    return found is None or needed is None or found[1] in needed


def _cause(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("Error:")]
    said = (errors or lines or ["it said nothing"])[-1]
    return _ASSIGNMENT.sub("'...'", said)[:300]
