"""The words a policy may use: subject kinds and their fields, diagnoses, guards; actions are in `actions`.

Behind the checks of `paramedic check`, its JSON Schema, the guards of `decide` and docs/policy-reference.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from paramedic.model.diagnoses import DIAGNOSES, OK, Diagnosis
from paramedic.model.guards import GUARDS

__all__ = [
    "CHILDREN",
    "DIAGNOSES",
    "GUARDS",
    "KINDS",
    "NAME",
    "OK",
    "OWNER",
    "Diagnosis",
    "Field",
]


@dataclass(frozen=True, slots=True)
class Field:
    """`dimension`: bytes, bytes/s, seconds, percent, count or word; `words` are all a word can be, none: anything.

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
_UWSGI_WORDS = (
    OK,
    "uwsgi-unreachable",
    "uwsgi-dead",
    "uwsgi-stopped",
    "chain-stalled",
    "worker-stuck",
    "app-broken",
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
        "memory.total": Field(
            "bytes", "MemTotal, or the limit of the cgroup that is nearest to its own", is_level=False
        ),
        "memory.available": Field(
            "bytes", "MemAvailable, or what is left below that limit, page cache counted as left"
        ),
        "memory.used_percent": Field("percent", "1 - available / total, of whichever is fuller"),
        "memory.dirty": Field("bytes", "page cache that is not written to disk yet"),
        "memory.shmem": Field("bytes", "tmpfs and shared memory: no reload gives it back"),
        "swap.free": Field("bytes", "SwapFree, or what is left of the cgroup's"),
        "swap.used_percent": Field("percent", "1 - SwapFree / SwapTotal; 0 without swap"),
        "swap.in": Field("bytes/s", "read back from swap, between two looks"),
        "swap.out": Field("bytes/s", "written to swap, between two looks"),
        "pressure.memory.some_avg10": Field("percent", "time some task stalled on memory, 10 s average"),
        "pressure.memory.some_avg60": Field("percent", "time some task stalled on memory, 60 s average"),
        "pressure.memory.full_avg10": Field("percent", "time all tasks stalled on memory, 10 s average"),
        "oom_kills": Field("count", "processes the kernel's OOM killer ended since boot; in a container those in it"),
    },
    "uwsgi": {
        NAME: _NAME,
        "diagnosis": Field("word", "its named state", _UWSGI_WORDS),
        "workers": Field("count", "workers that are not cheaped"),
        "accepting": Field("count", "workers that accept requests"),
        "busy": Field("count", "workers in a request"),
        "idle": Field("count", "workers waiting for a request"),
        "listen_queue": Field("count", "connections nobody accepted yet"),
        **_SIZES,
        "baseline_uss": Field("bytes", "USS of its workers once they had settled after their start"),
        "uptime": Field("seconds", "age of the master", is_level=False),
        "boot": Field("seconds", "how long its slowest worker took to load the app, in whole seconds", is_level=False),
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
        "respawns": Field("count", "times it was started again, for whatever reason"),
        "running": Field("count", "seconds spent in requests so far: `slope(running, 10m) > 0.9 /s` is a busy one"),
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
