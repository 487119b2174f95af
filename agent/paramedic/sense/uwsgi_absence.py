"""A uWSGI instance that does not answer: does its master run, and if not, was it stopped on purpose?"""

from __future__ import annotations

import os
import re
from collections.abc import Set
from pathlib import Path

from paramedic.host import recipe, systemd, texts
from paramedic.host.proc import Proc, readable
from paramedic.host.processes import Row, same_file, uids_of, walk
from paramedic.host.recipe import Recipe
from paramedic.host.uwsgi_processes import is_uwsgi
from paramedic.model.facts import UwsgiKnown
from paramedic.model.readings import Identity, UwsgiGone
from paramedic.model.stack import UwsgiConf
from paramedic.sense.uwsgi_argv import ini_argument, ini_of
from paramedic.sense.uwsgi_files import split_section

LOG_TAIL_BYTES = 64 * 1024
# Before it stands at most a time (log-date): what strangers have an app log must not look like an order to stop.
_PREFIX = r"^(?:[^/]{0,16}\d\d:\d\d[\d ,.:+TZ\])-]{0,24})?"
_BEGAN = re.compile(r"\*\*\* Starting uWSGI |spawned uWSGI master process|Respawned uWSGI worker")
_LEFT = re.compile(_PREFIX + r"(?:goodbye to uWSGI\.|SIGINT/SIG(?:TERM|QUIT) received\.\.\.killing workers\.\.\.)\s*$")
_BROKE = re.compile(r"need-app requested, destroying the instance|no app loaded\. GAME OVER")


def master_of(
    conf: UwsgiConf, known: UwsgiKnown | None, proc: Proc, others: Set[Identity] = frozenset()
) -> Identity | None:
    """The living master: the one that was known, else the only one that runs this ini (a walk over all processes).

    `others` are those proven to be another instance's: a command line may fit two inis of one name.
    """
    if known is not None and proc.is_alive(known.master):
        return known.master
    left = others | set(known.workers if known is not None else ())
    return next((one for one in _running(conf, proc) if one not in left), None)


def _running(conf: UwsgiConf, proc: Proc) -> list[Identity]:
    """The uWSGI processes of this ini whose parent is none of them, run by somebody who may: the oldest first."""
    ini, may = conf.files[0] if conf.files else conf.ini, trusted(conf)
    found = {row.identity.pid: row for row in walk(proc) if row.uid in may and _runs(row, ini, conf, proc)}
    heads = [row.identity for row in found.values() if row.ppid not in found]
    return sorted(heads, key=lambda one: (one.start_ticks, one.pid))


def _runs(row: Row, ini: str, conf: UwsgiConf, proc: Proc) -> bool:
    """Whether its command line names this ini: as it was found from where it began or, of one that has left that folder
    since and does not say where it was, by the name alone, if it went where this ini sends it.
    """
    named = ini_of(row, proc)
    if named is not None:
        return same_file(split_section(named)[0], ini)
    word = ini_argument(row.argv) if is_uwsgi(row.argv) else None
    is_same = word is not None and Path(split_section(word)[0]).name == Path(ini).name
    here = proc.link(row.identity.pid, "cwd") if is_same else None
    return here is not None and here == os.path.realpath(conf.chdir or Path(ini).parent)


def trusted(conf: UwsgiConf) -> set[int]:
    """Who may run this ini: root, we, its owner, its `uid`."""
    return {0, os.geteuid(), os.stat(conf.files[0] if conf.files else conf.ini).st_uid} | uids_of(conf.uid)


def gone(conf: UwsgiConf, known: UwsgiKnown | None, recipe_path: str | None, proc: Proc) -> UwsgiGone:
    """What is left of an instance without a master, and what says how it ended."""
    launched = recipe.load(recipe_path) if recipe_path else None
    unit = launched.unit if launched is not None else None
    farewell, untold, last_words = _by_unit(unit) if unit else _by_log(conf, launched)
    return UwsgiGone(
        conf=conf,
        seen_alive=known is not None,
        farewell=farewell,
        untold=untold,
        last_words=last_words,
        is_failed=unit is not None and farewell is None and not untold,
        keeper=launched.keeper if launched is not None else "",
        survivors=tuple(one for one in (known.workers if known else ()) if proc.is_alive(one)),
    )


def _by_unit(unit: str) -> tuple[str | None, str, str]:
    """systemd knows how its unit ended."""
    shown = systemd.show(unit, "ActiveState", "Result")
    state, result = shown.get("ActiveState", ""), shown.get("Result", "")
    if not state:
        return None, f"systemd does not say how {unit} ended", ""
    if state in ("activating", "deactivating", "active", "reloading"):
        return None, f"systemd is at it: {unit} is {state}", ""
    if result == "timeout":
        return None, f"systemd killed {unit} because it did not stop or start in time: which of it cannot be told", ""
    is_ordered = state == "inactive" and result == "success"
    return (f"{unit} was stopped" if is_ordered else None), "", f"{unit} is {state} ({result})"


def _by_log(conf: UwsgiConf, launched: Recipe | None) -> tuple[str | None, str, str]:
    """Its own last words, if it has a log of its own: an ordered end says goodbye, a killed master says nothing."""
    path = conf.logto or (launched.output if launched is not None else None)
    if path is None:
        return None, "it has no log of its own (logto) and no unit that could say how it ended", ""
    try:
        lines = texts.read_tail(path, LOG_TAIL_BYTES).splitlines()
    except (OSError, ValueError) as error:
        return None, f"its log {path} cannot be read: {getattr(error, 'strerror', None) or error}", ""
    if not any(line.strip() for line in lines):
        return None, f"its log {path} is empty", ""
    life: list[str] = []
    for line in lines:
        life = [] if _BEGAN.search(line) else [*life[-200:], line]
    broke = next((line for line in life if _BROKE.search(line)), None)
    if broke is not None:
        return None, "", f'its log says "{readable(broke[:200])}"'
    left = next((line for line in life if _LEFT.search(line)), None)
    return (f'its log {path} says "{readable(left[:200])}"' if left else None), "", ""
