"""The actions: where each fits, what it costs the site, its arguments, and when it counts as met."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from paramedic.model.vocabulary import KINDS


class Harm(StrEnum):
    """What an action costs the site, least first."""

    NONE = "none"
    WORKER = "one worker at a time"
    ONE_WORKER = "one worker"
    OUTAGE = "requests wait until the first worker is back"
    PROGRAM = "that program restarts"
    PROGRAMS = "programs restart"
    ORPHANS = "the orphans"
    RIVAL = "the other daemon's programs"


@dataclass(frozen=True, slots=True)
class Arg:
    """One argument of an action; `words` are the only values it can have, none any text.

    `is_template`: names in braces are replaced by the values of the subject's fields. `harms`: with it the action costs
    the site something. `is_argv`: a list of words, needed. `is_count`, `is_duration`: a number from 1 to 1,000, a time
    of at most an hour. `on`: the kinds of subjects on which it means something, where that is not all that it fits.
    """

    meaning: str
    words: tuple[str, ...] = ()
    is_argv: bool = False
    is_count: bool = False
    is_duration: bool = False
    is_template: bool = False
    harms: bool = False
    on: tuple[str, ...] = ()


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


NOTIFY, RUN = "notify", "run"
EXIT = "exit"  # what `run` measures: the exit code of the program, null where its deadline ended it
_WHICH = Arg("which instance, where the policy watches the host; left out: the one that holds most")
_MOST = "on uwsgi and host: up to so many, one after the other, the fattest idle first"
_MANY = ("uwsgi", "host")
ACTIONS: dict[str, ActionKind] = {
    NOTIFY: ActionKind(
        tuple(KINDS),
        Harm.NONE,
        30.0,
        "handed to notify.command, or to its spool",
        {"say": Arg("the sentence; {field} is replaced by its value, {subject} by the subject", is_template=True)},
        queues=False,
    ),
    RUN: ActionKind(
        tuple(KINDS),
        Harm.NONE,
        60.0,
        "it ended with 0",
        {
            "argv": Arg(
                "a program by its whole path, and its words; there is no shell. Its stdin is the incident, as for "
                "notify.command. It runs as the agent's user, outside of the agent's sandbox, and is ended at `within`",
                is_argv=True,
            ),
            "disruptive": Arg(
                "it costs the site something: `cooldown` and `limit` as for a restart", ("true",), harms=True
            ),
        },
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
    "recycle_worker": ActionKind(
        ("uwsgi.worker", "uwsgi", "host"),
        Harm.ONE_WORKER,
        120.0,
        "another process accepts in its place",
        {
            "uwsgi": _WHICH,
            "most": Arg(_MOST, is_count=True, on=_MANY),
            "pause": Arg("how long to wait between two of them", is_duration=True, on=_MANY),
            "stuck": Arg("end, by SIGKILL, the worker that hangs in its start, so that its chain goes on", ("kill",)),
        },
        reclaims_memory=True,
    ),
    "chain_reload": ActionKind(
        ("uwsgi", "uwsgi.worker", "host"),
        Harm.WORKER,
        60.0,
        "every worker new and accepting",
        {"uwsgi": _WHICH, "outage": Arg("also with fewer than two accepting workers", ("ok",))},
        reclaims_memory=True,
    ),
    "reload_uwsgi": ActionKind(
        ("uwsgi", "host"), Harm.OUTAGE, 120.0, "every worker new and accepting", {"uwsgi": _WHICH}, reclaims_memory=True
    ),
    "start_uwsgi": ActionKind(
        ("uwsgi",), Harm.NONE, 120.0, "every worker accepts, and its master stays up", repairs_daemon=True
    ),
}
DISRUPTIVE_COOLDOWN_S = 300.0
DISRUPTIVE_LIMIT = (3, 3600.0)


def is_disruptive(action: str, args: Mapping[str, object]) -> bool:
    """Whether this action, with these arguments, costs the site something when it is wrong or repeated."""
    kind = ACTIONS[action]
    return kind.is_disruptive or any(kind.args[name].harms for name in args if name in kind.args)
