"""One socket, looked at and restored without configuration, journal or policy: what `paramedic restore-socket` does."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from paramedic.act.conf_trust import doubt_of_conf
from paramedic.act.job import Refused
from paramedic.act.restore_socket import of_daemon, prove_running
from paramedic.act.rungs import Guarded, Prove, of_socket, plan, prove_listening, restore
from paramedic.facts.daemon import diagnose
from paramedic.facts.sockets import diagnose_socket
from paramedic.host import clock, unix_diag
from paramedic.host.proc import Proc
from paramedic.host.processes import walk
from paramedic.model.facts import SupervisorKnown, Unknown
from paramedic.model.readings import Unreadable
from paramedic.model.stack import SocketEntry, SupervisorEntry
from paramedic.model.supervision import SocketReading, SupervisorReading
from paramedic.model.vocabulary import OK
from paramedic.sense.sockets import SocketSensor
from paramedic.sense.supervisor import SupervisorSensor

FINE, NOT_HEALED, CANNOT_TELL = 0, 1, 3
AS_ROOT = "; as root more can be told"


@dataclass(frozen=True, slots=True)
class Told:
    """What was found, done and proved, a sentence each or empty; `code` is the exit code."""

    found: str
    done: str = ""
    proved: str = ""
    code: int = NOT_HEALED


@dataclass(frozen=True, slots=True)
class Found:
    """What a look at the path gave: a sentence, and the live socket with its proof where there is one to restore."""

    told: Told
    guarded: Guarded | None = None
    prove: Prove | None = None
    proof: str = "the path leads to the socket its server listens on"
    proc: Proc | None = None


def look(path: str, proc: Proc, relay: bool) -> Found:
    """Who listens for this path and what stands at it; a supervisord is asked, others are held against the kernel."""
    reading = _read(path, proc, relay)
    if isinstance(reading, Unreadable):
        return Found(Told(reading.reason + (AS_ROOT if os.geteuid() else ""), code=CANNOT_TELL))
    if reading.owner is not None and reading.owner.conf is not None:
        daemon = SupervisorSensor(SupervisorEntry("rescue", reading.owner.conf), proc).read(
            SupervisorKnown(folder=reading.folder), unix_diag.listeners, lambda: walk(proc), clock.monotonic()
        )
        if isinstance(daemon, SupervisorReading) and daemon.conf.socket == reading.entry.path:
            return _of_daemon(daemon, proc)
    diagnosis, evidence = diagnose_socket(reading)
    if diagnosis == OK:
        return Found(Told(f"{reading.owner} listens, and {path} reaches it: nothing is to be done", code=FINE))
    if reading.owner is None:
        return Found(Told(f"{diagnosis}: {evidence}; start it, a socket without a listener cannot be restored"))
    guarded = of_socket(reading)
    return Found(Told(f"{diagnosis}: {evidence}"), guarded, prove_listening(guarded, proc), proc=proc)


def _read(path: str, proc: Proc, relay: bool) -> SocketReading | Unreadable:
    """The reading under the name the server bound: as given, or with the links of its folder resolved, or not."""
    real = os.path.join(os.path.realpath(Path(path).parent), Path(path).name)
    alias = path.replace("/run/", "/var/run/", 1) if path.startswith("/run/") else path
    first: SocketReading | Unreadable | None = None
    for name in dict.fromkeys((path, real, alias)):
        try:
            found = SocketSensor(SocketEntry("rescue", name, relay), proc).read(None, lambda _: unix_diag.listeners())
        except OSError as error:
            found = Unreadable(f"cannot look at {name}: {error.strerror}")
        if isinstance(found, SocketReading) and found.owner is not None:
            return found
        first = first or found
    return first or Unreadable(f"cannot look at {path}")


def _of_daemon(daemon: SupervisorReading, proc: Proc) -> Found:
    diagnosed = diagnose(daemon, Unreadable("not looked at"))
    if isinstance(diagnosed, Unknown):
        return Found(Told(diagnosed.reason, code=CANNOT_TELL))
    diagnosis, evidence = diagnosed
    pid = daemon.daemon.pid if daemon.daemon else 0
    if daemon.is_reached and daemon.daemon is not None:
        beside = "" if diagnosis == OK else f" (beside that {diagnosis}: {evidence})"
        words = f"supervisord {pid} answers at {daemon.conf.socket}: nothing is to be done{beside}"
        return Found(Told(words, code=FINE if diagnosis == OK else NOT_HEALED))
    try:
        guarded = of_daemon(daemon, doubt_of_conf(daemon))
    except Refused as why:
        return Found(Told(f"{diagnosis}: {evidence}; {why}"))
    return Found(
        Told(f"{diagnosis}: {evidence}"),
        guarded,
        lambda place: prove_running(place, daemon.conf, guarded.owner),
        f"supervisord {pid} answered RUNNING through the path afterwards",
        proc,
    )


def would(found: Found) -> Told:
    """What restoring would do."""
    return _attempt(found, lambda guarded, proc, prove: plan(guarded, proc, prove), "")


def mend(found: Found) -> Told:
    """Restore what was found, and say what proves it."""
    stamp = int(clock.wall())
    return _attempt(found, lambda guarded, proc, prove: restore(guarded, proc, stamp, prove), found.proof)


def _attempt(found: Found, act: Callable[[Guarded, Proc, Prove], str], proved: str) -> Told:
    if found.guarded is None or found.prove is None or found.proc is None:
        return found.told
    try:
        done = act(found.guarded, found.proc, found.prove)
    except (OSError, Refused) as error:
        return replace(found.told, done=f"nothing: {error}", code=NOT_HEALED)
    return replace(found.told, done=done, proved=proved, code=FINE)
