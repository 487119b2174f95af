"""The words a policy may use: subject kinds and their fields, actions and what they fit, diagnoses.

The one table behind the checks of `paramedic check`, the guards of `decide` and the docs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Field:
    """`dimension`: bytes, seconds, percent, count or word; `words` are the only values a word can have."""

    dimension: str
    meaning: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A named state: what it means, and what paramedic does about it."""

    meaning: str
    repair: str


OK = "ok"
DIAGNOSES: dict[str, Diagnosis] = {
    "socket-missing": Diagnosis(
        "the daemon is alive and listens on a socket whose path was deleted",
        "restore_socket: link the live socket back to its path; no program notices",
    ),
    "socket-replaced": Diagnosis(
        "something else stands where the daemon's live socket was",
        "move it aside, then restore_socket; no program notices",
    ),
    "socket-stale": Diagnosis(
        "a socket file without a listener and without a daemon",
        "restart_supervisord, once its start is proven possible",
    ),
    "daemon-dead": Diagnosis(
        "supervisord is gone and did not leave on purpose",
        "restart_supervisord: prove that it can start, settle survivors, start it as it ran before",
    ),
    "daemon-stopped": Diagnosis(
        "somebody stopped supervisord on purpose",
        "tell; it is left stopped (start it yourself, or set restart: always)",
    ),
    "daemon-foreign": Diagnosis("another server listens at this daemon's socket path", "tell; it is never touched"),
    "daemon-duplicate": Diagnosis("two supervisords run with this conf", "tell; nothing is signalled"),
    "auth-refused": Diagnosis(
        "supervisord answers 401 to the username and password of its conf",
        "tell; reload supervisord after changing the password",
    ),
    "program-fatal": Diagnosis(
        "supervisord gave up starting a program", "tell, with the cause; restarting does not help"
    ),
    "orphan": Diagnosis(
        "a supervised process outlived its supervisord",
        "kill_orphans, once a new supervisord runs or its start is proven possible",
    ),
    "app-broken": Diagnosis("the app on disk no longer imports", "tell; never reload good workers onto a broken app"),
    "uwsgi-unreachable": Diagnosis(
        "the uWSGI instance does not answer on its stats socket", "tell; nothing is touched"
    ),
}

_SUPERVISOR_WORDS = (
    OK,
    "socket-missing",
    "socket-replaced",
    "socket-stale",
    "daemon-dead",
    "daemon-stopped",
    "daemon-foreign",
    "daemon-duplicate",
    "auth-refused",
)
_PROGRAM_STATES = (
    "STOPPED",
    "STARTING",
    "RUNNING",
    "BACKOFF",
    "STOPPING",
    "EXITED",
    "FATAL",
    "UNKNOWN",
)
_SIZES = {
    "rss": Field("bytes", "resident memory, shared pages included"),
    "pss": Field("bytes", "resident memory, shared pages divided among their users"),
    "uss": Field("bytes", "memory that would be freed if it ended"),
}
KINDS: dict[str, dict[str, Field]] = {
    "host": {
        "memory.total": Field("bytes", "MemTotal"),
        "memory.available": Field("bytes", "MemAvailable"),
        "memory.used_percent": Field("percent", "1 - MemAvailable / MemTotal"),
        "swap.free": Field("bytes", "SwapFree"),
        "swap.used_percent": Field("percent", "1 - SwapFree / SwapTotal; 0 without swap"),
        "pressure.memory.some_avg10": Field("percent", "time some task stalled on memory, 10 s average"),
        "pressure.memory.some_avg60": Field("percent", "time some task stalled on memory, 60 s average"),
        "pressure.memory.full_avg10": Field("percent", "time all tasks stalled on memory, 10 s average"),
        "oom_kills": Field("count", "processes the kernel's OOM killer ended since boot"),
    },
    "uwsgi": {
        "diagnosis": Field("word", "its named state", (OK, "uwsgi-unreachable", "app-broken")),
        "workers": Field("count", "workers that are not cheaped"),
        "accepting": Field("count", "workers that accept requests"),
        "busy": Field("count", "workers in a request"),
        "idle": Field("count", "workers waiting for a request"),
        "listen_queue": Field("count", "connections nobody accepted yet"),
        **_SIZES,
        "baseline_uss": Field("bytes", "USS of its workers once they had settled after their start"),
        "uptime": Field("seconds", "age of the master"),
        "requests": Field("count", "requests served by its workers"),
        "respawns": Field("count", "worker starts, the first ones included"),
        "harakiris": Field("count", "workers killed over a request's time limit"),
    },
    "uwsgi.worker": {
        **_SIZES,
        "swap": Field("bytes", "its memory in swap"),
        "baseline_uss": Field("bytes", "its USS once it had settled after its start"),
        "requests": Field("count", "requests served"),
        "status": Field("word", "what uWSGI says it does", ("idle", "busy", "cheap", "pause", "signal")),
        "accepting": Field("word", "whether it accepts requests", ("yes", "no")),
        "age": Field("seconds", "time since it was spawned"),
        "exceptions": Field("count", "exceptions its app raised"),
        "harakiris": Field("count", "times it was killed over a request's time limit"),
    },
    "supervisor": {
        "diagnosis": Field("word", "its named state", _SUPERVISOR_WORDS),
        "uptime": Field("seconds", "age of the daemon"),
        "running": Field("count", "programs RUNNING"),
        "fatal": Field("count", "programs FATAL"),
    },
    "supervisor.program": {
        "diagnosis": Field("word", "its named state", (OK, "program-fatal")),
        "state": Field("word", "Supervisor's own word", _PROGRAM_STATES),
        "age": Field("seconds", "time since its start"),
    },
    "orphan": {
        "kind": Field("word", "what it was", ("program",)),
        "rss": Field("bytes", "resident memory"),
        "age": Field("seconds", "time since its start"),
    },
}


class Harm(StrEnum):
    """What an action costs the site, least first."""

    NONE = "none"
    WORKER = "one worker at a time"
    PROGRAMS = "programs restart"
    ORPHANS = "the orphans"


@dataclass(frozen=True, slots=True)
class ActionKind:
    """Where an action fits, what it costs and how long it may take until samples show that it worked."""

    fits: tuple[str, ...]
    harm: Harm
    deadline_s: float
    met_when: str
    args: tuple[str, ...] = ()
    reclaims_memory: bool = False

    @property
    def is_disruptive(self) -> bool:
        """True where a wrong or repeated call costs the site something."""
        return self.harm is not Harm.NONE


ACTIONS: dict[str, ActionKind] = {
    "notify": ActionKind(tuple(KINDS), Harm.NONE, 30.0, "handed to notify.command, or to its spool", ("say",)),
    "restore_socket": ActionKind(("supervisor",), Harm.NONE, 10.0, "the path reaches the live server again"),
    "restart_supervisord": ActionKind(
        ("supervisor",), Harm.PROGRAMS, 120.0, "right daemon, right conf, same programs up, once"
    ),
    "kill_orphans": ActionKind(("orphan",), Harm.ORPHANS, 30.0, "proven ones gone"),
    "chain_reload": ActionKind(
        ("uwsgi", "uwsgi.worker", "host"),
        Harm.WORKER,
        60.0,
        "every worker new and accepting",
        ("uwsgi", "outage"),
        reclaims_memory=True,
    ),
}
DISRUPTIVE_COOLDOWN_S = 300.0
DISRUPTIVE_LIMIT = (3, 3600.0)
