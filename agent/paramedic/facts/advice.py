"""The ini audited: what in it will hurt one day, why, and the line to write (docs/advice.md). Never a finding.

What is undecided in an ini, because a loop, a condition or another place may set it, gets no advice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from paramedic.model.stack import UwsgiConf
from paramedic.model.units import numbers_of, render_seconds

CLEANED = ("/tmp/", "/var/tmp/")  # noqa: S108 (named, not used)
THREADS_FIXED = (2, 0, 28)
HARAKIRI_S = 60


@dataclass(frozen=True, slots=True)
class Advice:
    """One piece of advice on one option; `why` is a sentence, `line` what to write."""

    option: str
    why: str
    line: str


@dataclass(frozen=True, slots=True)
class Audited:
    """What a rule looks at: the conf, and the version of the uWSGI that runs, `()` where it cannot be read."""

    conf: UwsgiConf
    version: tuple[int, ...] = ()


Rule = Callable[[Audited], Advice | None]


def advise(conf: UwsgiConf, version: str) -> tuple[Advice, ...]:
    """Every piece of advice on this ini; `version` as the stats server tells it, "" if unknown."""
    if conf.is_emperor:
        return ()
    audited = Audited(conf, numbers_of(version))
    return tuple(advice for rule in RULES.values() if (advice := rule(audited)))


def _master(audited: Audited) -> Advice | None:
    if audited.conf.master or audited.conf.is_open("master"):
        return None
    why = "without a master nobody respawns a worker that died or was killed, and there is no graceful or chain reload"
    return Advice("master", why, "master = true")


def _stats(audited: Audited) -> Advice | None:
    conf = audited.conf
    if conf.stats or conf.is_open("stats", "stats-server"):
        return None
    why = "without a stats socket nobody can tell which worker accepts, is busy or hangs; none is recycled on a guess"
    return Advice("stats", why, f"stats = /run/{conf.name}.stats")


def _stats_over_tcp(audited: Audited) -> Advice | None:
    conf = audited.conf
    if not conf.stats or ":" not in conf.stats or conf.is_open("stats", "stats-server"):
        return None
    host = conf.stats.rpartition(":")[0].strip("[]")
    is_local = host == "localhost" or host == "::1" or host.startswith("127.")
    who = "every user of this host" if is_local else f"anybody who reaches {conf.stats} over the network"
    why = f"stats show the headers and cookies of running requests, without a password, to {who}; a file has an owner"
    return Advice("stats", why, f"stats = /run/{conf.name}.stats")


def _lazy_apps(audited: Audited) -> Advice | None:
    conf = audited.conf
    if conf.lazy_apps or not conf.chain_reload or conf.is_open("lazy-apps", "lazy", "touch-chain-reload"):
        return None
    why = (
        "touch-chain-reload without lazy-apps forks the old app from the master again:"
        " memory comes back, but new code is not loaded"
    )
    return Advice("lazy-apps", why, "lazy-apps = true")


def _touch_file_in_tmp(audited: Audited) -> Advice | None:
    name = audited.conf.chain_reload
    return _cleaned(audited.conf, "touch-chain-reload", (name,) if name else ())


def _touch_reload_in_tmp(audited: Audited) -> Advice | None:
    return _cleaned(audited.conf, "touch-reload", audited.conf.touch_reload)


def _cleaned(conf: UwsgiConf, option: str, watched: tuple[str, ...]) -> Advice | None:
    name = next((name for name in watched if name.startswith(CLEANED)), None)
    if name is None or conf.is_open(option):
        return None
    folder = conf.ini.rpartition("/")[0]
    safe = f"/var/lib/{conf.name}" if f"{folder}/".startswith(CLEANED) else folder
    moved = f"{safe}/{name.rpartition('/')[2]}"
    why = f"{name} lies where old files are cleaned away, and its deletion triggers a reload as a touch does"
    return Advice(option, why, f"{option} = {moved}")


def _processes(audited: Audited) -> Advice | None:
    conf = audited.conf
    if conf.processes != 1 or not conf.chain_reload or conf.is_open("processes", "workers", "touch-chain-reload"):
        return None
    why = "a chain reload takes one worker away at a time; with one process that is an outage of its whole boot time"
    return Advice("processes", why, "processes = 2")


def _harakiri(audited: Audited) -> Advice | None:
    conf = audited.conf
    if conf.harakiri_s or conf.is_open("harakiri"):
        return None
    why = "without harakiri a request that hangs keeps its worker for ever, until none is left that accepts"
    return Advice("harakiri", why, f"harakiri = {HARAKIRI_S}")


def _mercy(audited: Audited) -> Advice | None:
    conf = audited.conf
    if not conf.harakiri_s or conf.harakiri_s <= conf.mercy_s or conf.is_open("harakiri", "worker-reload-mercy"):
        return None
    why = (
        f"a request may run for {render_seconds(conf.harakiri_s)}, but every reload kills it after"
        f" {render_seconds(conf.mercy_s)}, in the middle of its work"
    )
    return Advice("worker-reload-mercy", why, f"worker-reload-mercy = {conf.harakiri_s:.0f}")


def _max_requests_delta(audited: Audited) -> Advice | None:
    conf = audited.conf
    if not conf.max_requests or conf.max_requests_delta or conf.processes < 2:
        return None
    if conf.is_open("max-requests", "max-requests-delta", "processes", "workers"):
        return None
    why = "workers that share the load evenly reach max-requests together, and boot together: a gap under full load"
    return Advice("max-requests-delta", why, f"max-requests-delta = {max(1, conf.max_requests // 10)}")


def _need_app(audited: Audited) -> Advice | None:
    conf = audited.conf
    if conf.need_app or not (conf.module or conf.wsgi_file) or conf.is_open("need-app"):
        return None
    why = (
        "without need-app a worker whose app does not import counts as accepting and answers 500, and a chain reload"
        " goes on until all do; with it uWSGI exits at once, where its supervisor sees it"
    )
    return Advice("need-app", why, "need-app = true")


def _safe_pidfile(audited: Audited) -> Advice | None:
    conf = audited.conf
    if conf.safe_pidfile or not conf.pidfile or conf.is_open("pidfile", "pidfile2", "safe-pidfile", "safe-pidfile2"):
        return None
    why = "a second start that fails overwrites the pidfile with its own dead pid; a safe-pidfile is written after bind"
    return Advice("safe-pidfile", why, f"safe-pidfile = {conf.pidfile}")


def _vacuum(audited: Audited) -> Advice | None:
    conf = audited.conf
    if not conf.vacuum or not (conf.pidfile or conf.stats) or conf.is_open("vacuum"):
        return None
    why = "with vacuum a second start that fails deletes the pidfile and the stats socket of the uWSGI that serves"
    return Advice("vacuum", why, "vacuum = false")


def _die_on_term(audited: Audited) -> Advice | None:
    conf = audited.conf
    if conf.die_on_term or conf.is_vassal or conf.is_open("die-on-term"):
        return None
    why = (
        "TERM, with which Supervisor and systemd stop a program, is a brutal reload without die-on-term: it is killed"
        " only when their patience ends (where they are told to send INT or QUIT, leave it as it is)"
    )
    return Advice("die-on-term", why, "die-on-term = true")


def _threads(audited: Audited) -> Advice | None:
    conf, version = audited.conf, audited.version
    if conf.threads < 2 or not version or version >= THREADS_FIXED or conf.is_open("threads"):
        return None
    running = ".".join(str(number) for number in version)
    why = (
        f"in uWSGI {running} idle workers with threads wait out the whole mercy ({render_seconds(conf.mercy_s)}) at"
        " every reload, one after the other; 2.0.28 is the first without this and without the faults of 2.0.27"
    )
    return Advice("threads", why, "uwsgi>=2.0.28")


# By the headings of docs/advice.md, the worst first.
RULES: dict[str, Rule] = {
    "master": _master,
    "stats": _stats,
    "stats-over-tcp": _stats_over_tcp,
    "lazy-apps": _lazy_apps,
    "touch-file-in-tmp": _touch_file_in_tmp,
    "touch-reload-in-tmp": _touch_reload_in_tmp,
    "processes": _processes,
    "harakiri": _harakiri,
    "worker-reload-mercy": _mercy,
    "max-requests-delta": _max_requests_delta,
    "need-app": _need_app,
    "safe-pidfile": _safe_pidfile,
    "vacuum": _vacuum,
    "die-on-term": _die_on_term,
    "threads": _threads,
}
