"""The named states: what each means, and what paramedic does about it, cheapest first."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A named state: what it means, and what paramedic does about it.

    `explains`: while an owner is in this state, the states of what belongs to it follow from it. `beside`: the daemon
    runs and does its work; this is wrong beside it.
    """

    meaning: str
    repair: str
    explains: bool = False
    beside: bool = False


def works(diagnosis: object) -> bool:
    """Whether a daemon in this state runs and does its work, whatever is wrong beside it."""
    return diagnosis == OK or (diagnosis in DIAGNOSES and DIAGNOSES[str(diagnosis)].beside)


OK = "ok"
DIAGNOSES: dict[str, Diagnosis] = {
    "socket-missing": Diagnosis(
        "the server is alive and listens on a socket whose path was deleted",
        "restore_socket: link the live socket back to its path, or relay to it; no program notices",
    ),
    "socket-replaced": Diagnosis(
        "something else stands where the live socket was",
        "move it aside, then restore_socket; no program notices. Another server's live socket is told, never touched",
    ),
    "socket-stale": Diagnosis(
        "a socket without a listener and without a server",
        "restart_supervisord, once its start is proven possible; for another server's socket: tell",
        explains=True,
    ),
    "socket-denied": Diagnosis(
        "who must be able to use the socket is not allowed to",
        "repair_mode: owner and mode as the conf says; where the conf itself denies it, tell the line to write",
        beside=True,
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
    "daemon-hung": Diagnosis(
        "supervisord runs and does not answer: it was stopped by a signal, or hangs",
        "resume_daemon where it was stopped; else prove that it can start, TERM, KILL, settle survivors, start it",
        explains=True,
    ),
    "daemon-foreign": Diagnosis(
        "another conf's supervisord answers at this daemon's socket path",
        "tell; it is stopped only where the policy says restart_supervisord: { replace: true }",
    ),
    "daemon-duplicate": Diagnosis(
        "two supervisords run with this conf",
        "stop_duplicate: keep the one that owns the programs, with its socket and pidfile",
        explains=True,
    ),
    "auth-refused": Diagnosis(
        "supervisord answers 401 to the username and password of its conf",
        "tell; reload supervisord after changing the password",
        beside=True,
    ),
    "pidfile-wrong": Diagnosis(
        "the pidfile is gone, or names another process",
        "rewrite_pidfile, unless it is another living supervisord's",
        beside=True,
    ),
    "log-deleted": Diagnosis("supervisord writes to a log whose path was deleted", "reopen_logs: SIGUSR2", beside=True),
    "program-fatal": Diagnosis(
        "supervisord gave up starting a program", "tell, with the cause and the fix; restarting does not help"
    ),
    "program-flapping": Diagnosis(
        "a program starts again and again, whatever Supervisor calls it",
        "tell, with who holds its port; an orphan of ours is ended by its own policy",
    ),
    "port-held": Diagnosis(
        "Supervisor calls the program RUNNING, but another process listens on its port",
        "tell, with who holds it; an orphan of ours is ended by its own policy",
    ),
    "orphan": Diagnosis(
        "a supervised process outlived its supervisord",
        "kill_orphans, with its process group, once a new supervisord runs or its start is proven possible",
    ),
    "uwsgi-dead": Diagnosis(
        "no master runs, and it did not leave on purpose",
        "start_uwsgi, once: prove that its app loads, settle workers that outlived it, start it as it ran before",
        explains=True,
    ),
    "uwsgi-stopped": Diagnosis(
        "somebody stopped uWSGI on purpose",
        "tell; it is left stopped (start it yourself, or set restart: always)",
        explains=True,
    ),
    "chain-stalled": Diagnosis(
        "a chain reload waits for a worker that has been loading its app for too long; the others serve",
        "tell; where the policy says recycle_worker: { stuck: kill }, end that worker once the app loads elsewhere",
    ),
    "worker-stuck": Diagnosis(
        "a worker has been loading its app for too long, and no chain reload is under way",
        "tell; where the policy says recycle_worker: { stuck: kill }, end that worker once the app loads elsewhere",
    ),
    "app-broken": Diagnosis("the app on disk no longer imports", "tell; never reload good workers onto a broken app"),
    "memory-high": Diagnosis(
        "little memory is left on the host, or below the limit of the cgroup the stack runs in",
        "the ladder of the policy, where a reload can help; else tell who holds the memory",
    ),
    "memory-pressure": Diagnosis(
        "tasks wait for memory much of the time (PSI)",
        "the ladder of the policy, where a reload can help; else tell who holds the memory",
    ),
    "swap-thrash": Diagnosis(
        "memory is read from swap and written to it at the same time, and tasks wait for it",
        "the ladder of the policy, where a reload can help; else tell who holds the memory",
    ),
    "oom-killed": Diagnosis(
        "the kernel's OOM killer ended a process", "tell; what died is restarted by its own supervisor or policy"
    ),
    "uwsgi-unreachable": Diagnosis(
        "the uWSGI instance does not answer on its stats socket", "tell; nothing is touched", explains=True
    ),
}
