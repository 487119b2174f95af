"""The words a policy may use: subject kinds and their fields, actions and what they fit, diagnoses.

Behind the checks of `paramedic check`, its JSON Schema, the guards of `decide` and docs/policy-reference.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from paramedic.model.diagnoses import DIAGNOSES, OK, Diagnosis
from paramedic.model.guards import GUARDS

__all__ = [
    "ACTIONS",
    "CHILDREN",
    "DIAGNOSES",
    "GUARDS",
    "KINDS",
    "NAME",
    "NOTIFY",
    "OK",
    "OWNER",
    "ActionKind",
    "Arg",
    "Diagnosis",
    "Field",
    "Harm",
    "is_disruptive",
]


@dataclass(frozen=True, slots=True)
class Field:
    """`dimension`: bytes, seconds, percent, count or word; `words` are the only values a word can have, none any.

    `is_level`: it goes up and down, so a window over it says something; an age or a total does not.
    """

    dimension: str
    meaning: str
    words: tuple[str, ...] = ()
    is_level: bool = True

    @property
    def has_history(self) -> bool:
        """Whether windows may look at it."""
        return self.is_level and self.dimension != "word"


_SUPERVISOR_WORDS = (
    OK,
    "socket-missing",
    "socket-replaced",
    "socket-stale",
    "socket-denied",
    "daemon-dead",
    "daemon-stopped",
    "daemon-hung",
    "daemon-foreign",
    "daemon-duplicate",
    "auth-refused",
    "pidfile-wrong",
    "log-deleted",
)
_PROGRAM_WORDS = (OK, "program-fatal", "program-flapping", "port-held")
_SOCKET_WORDS = (OK, "socket-missing", "socket-replaced", "socket-stale")
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
NAME, OWNER = "name", "owner"
_NAME = Field("word", "its own name: of an instance or daemon as configured, of a program as Supervisor calls it")
_OWNER = Field("word", "the name of the instance or daemon it belongs to")
KINDS: dict[str, dict[str, Field]] = {
    "host": {
        "memory.total": Field("bytes", "MemTotal", is_level=False),
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
        NAME: _NAME,
        "diagnosis": Field("word", "its named state", (OK, "uwsgi-unreachable", "app-broken")),
        "workers": Field("count", "workers that are not cheaped"),
        "accepting": Field("count", "workers that accept requests"),
        "busy": Field("count", "workers in a request"),
        "idle": Field("count", "workers waiting for a request"),
        "listen_queue": Field("count", "connections nobody accepted yet"),
        **_SIZES,
        "baseline_uss": Field("bytes", "USS of its workers once they had settled after their start"),
        "uptime": Field("seconds", "age of the master", is_level=False),
        "requests": Field("count", "requests served by its workers"),
        "respawns": Field("count", "worker starts, the first ones included"),
        "harakiris": Field("count", "workers killed over a request's time limit"),
    },
    "uwsgi.worker": {
        NAME: Field("word", "its number"),
        OWNER: _OWNER,
        **_SIZES,
        "swap": Field("bytes", "its memory in swap"),
        "baseline_uss": Field("bytes", "its USS once it had settled after its start"),
        "requests": Field("count", "requests served"),
        "status": Field("word", "what uWSGI says it does", ("idle", "busy", "cheap", "pause", "signal")),
        "accepting": Field("word", "whether it accepts requests", ("yes", "no")),
        "age": Field("seconds", "time since it was spawned", is_level=False),
        "exceptions": Field("count", "exceptions its app raised"),
        "harakiris": Field("count", "times it was killed over a request's time limit"),
    },
    "supervisor": {
        NAME: _NAME,
        "diagnosis": Field("word", "its named state", _SUPERVISOR_WORDS),
        "uptime": Field("seconds", "age of the daemon", is_level=False),
        "running": Field("count", "programs RUNNING"),
        "fatal": Field("count", "programs FATAL"),
    },
    "supervisor.program": {
        NAME: _NAME,
        OWNER: _OWNER,
        "diagnosis": Field("word", "its named state", _PROGRAM_WORDS),
        "state": Field("word", "Supervisor's own word", _PROGRAM_STATES),
        "rss": Field("bytes", "resident memory of its process tree"),
        "pss": Field("bytes", "its tree's proportional share of resident memory"),
        "uss": Field("bytes", "memory that only its tree holds"),
        "age": Field("seconds", "time since its start", is_level=False),
        "respawns": Field("count", "starts seen in the last 2 minutes, the one before paramedic looked left out"),
        "connections": Field("count", "established TCP connections to the ports it listens on"),
    },
    "socket": {
        NAME: Field("word", "its name in stack.sockets"),
        "diagnosis": Field("word", "its named state", _SOCKET_WORDS),
    },
    "orphan": {
        NAME: Field("word", "the program it was"),
        OWNER: _OWNER,
        "kind": Field("word", "what it was", ("program",)),
        "rss": Field("bytes", "resident memory"),
        "age": Field("seconds", "time since its start", is_level=False),
    },
}
CHILDREN: dict[str, dict[str, str]] = {
    "uwsgi": {"worker": "uwsgi.worker"},
    "supervisor": {"program": "supervisor.program"},
}


class Harm(StrEnum):
    """What an action costs the site, least first."""

    NONE = "none"
    WORKER = "one worker at a time"
    PROGRAM = "that program restarts"
    PROGRAMS = "programs restart"
    ORPHANS = "the orphans"
    RIVAL = "the other daemon's programs"


@dataclass(frozen=True, slots=True)
class Arg:
    """One argument of an action; `words` are the only values it can have, none any text.

    `is_template`: names in braces are replaced by the values of the subject's fields. `harms`: with it the action
    costs the site something.
    """

    meaning: str
    words: tuple[str, ...] = ()
    is_template: bool = False
    harms: bool = False


@dataclass(frozen=True, slots=True)
class ActionKind:
    """Where an action fits, what it costs and how long it may take until samples show that it worked.

    `queues`: it waits its turn behind other actions; notices and socket repairs never do.
    """

    fits: tuple[str, ...]
    harm: Harm
    deadline_s: float
    met_when: str
    args: Mapping[str, Arg] = field(default_factory=dict)
    reclaims_memory: bool = False
    repairs_daemon: bool = False
    queues: bool = True

    @property
    def is_disruptive(self) -> bool:
        """True where a wrong or repeated call costs the site something."""
        return self.harm is not Harm.NONE


NOTIFY = "notify"
ACTIONS: dict[str, ActionKind] = {
    NOTIFY: ActionKind(
        tuple(KINDS),
        Harm.NONE,
        30.0,
        "handed to notify.command, or to its spool",
        {"say": Arg("the sentence; {field} is replaced by its value, {subject} by the subject", is_template=True)},
        queues=False,
    ),
    "restore_socket": ActionKind(
        ("supervisor", "socket"),
        Harm.NONE,
        10.0,
        "the path reaches the live server again",
        {
            "restart": Arg(
                "also by a graceful restart of supervisord (SIGHUP) where nothing else can: its programs restart",
                ("ok",),
                harms=True,
            )
        },
        repairs_daemon=True,
        queues=False,
    ),
    "repair_mode": ActionKind(
        ("supervisor",), Harm.NONE, 10.0, "owner and mode are as the conf says", repairs_daemon=True, queues=False
    ),
    "rewrite_pidfile": ActionKind(
        ("supervisor",), Harm.NONE, 10.0, "the pidfile names the daemon", repairs_daemon=True, queues=False
    ),
    "reopen_logs": ActionKind(
        ("supervisor",), Harm.NONE, 10.0, "the logs are at their paths again", repairs_daemon=True, queues=False
    ),
    "resume_daemon": ActionKind(
        ("supervisor",), Harm.NONE, 5.0, "the daemon answers", repairs_daemon=True, queues=False
    ),
    "restart_supervisord": ActionKind(
        ("supervisor",),
        Harm.PROGRAMS,
        120.0,
        "right daemon, right conf, same programs up, once",
        {"replace": Arg("also stop another conf's supervisord that answers at our path", ("true",))},
        repairs_daemon=True,
    ),
    "stop_duplicate": ActionKind(
        ("supervisor",),
        Harm.RIVAL,
        90.0,
        "one daemon is left, and the path reaches it",
        repairs_daemon=True,
    ),
    "restart_program": ActionKind(
        ("supervisor.program",),
        Harm.PROGRAM,
        90.0,
        "RUNNING past its startsecs with a new pid",
        reclaims_memory=True,
    ),
    "kill_orphans": ActionKind(("orphan", "supervisor"), Harm.ORPHANS, 30.0, "proven ones gone"),
    "chain_reload": ActionKind(
        ("uwsgi", "uwsgi.worker", "host"),
        Harm.WORKER,
        60.0,
        "every worker new and accepting",
        {
            "uwsgi": Arg("which instance, where the policy watches the host; left out: the one that holds most"),
            "outage": Arg("also with fewer than two accepting workers", ("ok",)),
        },
        reclaims_memory=True,
    ),
}
DISRUPTIVE_COOLDOWN_S = 300.0
DISRUPTIVE_LIMIT = (3, 3600.0)


def is_disruptive(action: str, args: Mapping[str, object]) -> bool:
    """Whether this action, with these arguments, costs the site something when it is wrong or repeated."""
    kind = ACTIONS[action]
    return kind.is_disruptive or any(kind.args[name].harms for name in args if name in kind.args)
