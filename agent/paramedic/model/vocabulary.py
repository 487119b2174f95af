"""The words a policy may use: subject kinds and their fields, actions and what they fit, diagnoses.

Behind the checks of `paramedic check`, its JSON Schema, the guards of `decide` and docs/policy-reference.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


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


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A named state: what it means, and what paramedic does about it.

    `explains`: while an owner is in this state, the states of what belongs to it follow from it.
    """

    meaning: str
    repair: str
    explains: bool = False


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
        explains=True,
    ),
    "daemon-dead": Diagnosis(
        "supervisord is gone and did not leave on purpose",
        "restart_supervisord: prove that it can start, settle survivors, start it as it ran before",
        explains=True,
    ),
    "daemon-stopped": Diagnosis(
        "somebody stopped supervisord on purpose",
        "tell; it is left stopped (start it yourself, or set restart: always)",
        explains=True,
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
        "the uWSGI instance does not answer on its stats socket", "tell; nothing is touched", explains=True
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
        "diagnosis": Field("word", "its named state", (OK, "program-fatal")),
        "state": Field("word", "Supervisor's own word", _PROGRAM_STATES),
        "age": Field("seconds", "time since its start", is_level=False),
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
    PROGRAMS = "programs restart"
    ORPHANS = "the orphans"


@dataclass(frozen=True, slots=True)
class Arg:
    """One argument of an action; `words` are the only values it can have, none any text.

    `is_template`: names in braces are replaced by the values of the subject's fields.
    """

    meaning: str
    words: tuple[str, ...] = ()
    is_template: bool = False


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
        ("supervisor",), Harm.NONE, 10.0, "the path reaches the live server again", repairs_daemon=True, queues=False
    ),
    "restart_supervisord": ActionKind(
        ("supervisor",), Harm.PROGRAMS, 120.0, "right daemon, right conf, same programs up, once", repairs_daemon=True
    ),
    "kill_orphans": ActionKind(("orphan",), Harm.ORPHANS, 30.0, "proven ones gone"),
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

GUARDS: dict[str, str] = {
    "paused": "a person paused the agent",
    "acknowledged": "a person took this incident over",
    "unknown": "the condition, or the state of the target, cannot be told",
    "between": "it is not clear yet, but `when` no longer holds: no ladder begins now",
    "cause present": "another subject's trouble explains this one and is healed first",
    "unless": "a policy named in `unless` fires here",
    "only": "it is not within the policy's hours",
    "stale sample": "the sample is older than the last action on the target",
    "in flight": "an action on the target is not judged yet",
    "one at a time": "one memory action on a host at a time, and daemons are repaired before memory",
    "cooling": "the target was acted on, or restarted, within `cooldown`",
    "limit": "the breaker is open: `limit` attempts did not last; it half-opens by itself for one trial",
    "too many": "more targets than `max_targets`, and the policy says `over: refuse`",
    "max_targets": "as many targets as `max_targets` are acted on; the others wait",
    "cannot help": "the action could give back next to nothing: somebody else holds the memory",
    "no target": "there is nothing the action could be done to",
    "observing": "it would have been done: the agent or the policy observes",
    "refused": "the action proved that it must not be done now; tried again with backoff",
    "settling": "the action was met a moment ago; whether it helped is judged soon",
    "gave up": "no rung is left; a new incident begins with backoff",
    "told": "a notice was given, and nothing else is to be done",
}
