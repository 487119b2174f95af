"""Every step of every action after which the agent may die: the fault that leads there, and what may be done how often.

The steps are those of `paramedic.host.failpoint`; a test fails for one in the source that is not here.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.processes import state
from harness.stack import BIN, EmbeddedStack
from harness.waiting import wait_for
from harness.ward import TRACE, Ward
from paramedic.rulebook import shipped_policies
from stack.test_memory import LIMIT_MIB, fatten

LIFE = ("intended", "done", "reported", "judged")
LINK = ("moved aside", "linked")
RELAY = ("relay bound", "relay started", "relay in place", "relay recorded")
PIDFILE = ("pidfile beside", "pidfile written")
_QUICK = {f"for: {slow}s": "for: 1s" for slow in (2, 5, 10, 15, 20, 30)} | {
    "cooldown: 10s": "cooldown: 1s",
    "cooldown: 1m": "cooldown: 1s",
    "limit: 5 per 1h": "limit: none",
    "do: [stop_duplicate]": "do: [stop_duplicate]\n    limit: none",
    "do: [kill_orphans]": "do: [kill_orphans]\n    limit: none",
}
_RULE = """policies:
  - name: {name}
    watch: {watch}
    when: {when}
    for: 1s
    do: [{do}]
    cooldown: 1s
    limit: none
"""
_PROGRAMS = """stopwaitsecs=2
startretries=20
[program:extra]
command={python} -c "import signal; signal.signal(15, signal.SIG_IGN); signal.pause()"
autostart=false
stopwaitsecs=1
[program:rested]
command=/bin/sleep 100001
"""


@dataclass(frozen=True)
class Crash:
    """A fault and the action it leads to. `once` are the starts that are right, at most so many; all else stays the
    very same process. `policies` replace the shipped ones. `first` is done under an earlier agent, `prepare` under
    the one that is to die, `after` under the next; `at_rest`: the fault is made between them.
    """

    name: str
    action: str
    steps: tuple[str, ...]
    fault: Callable[[Ward], object]
    parts: tuple[str, ...] = ("supervisor",)
    once: Mapping[str, int] = field(default_factory=dict)
    policies: str = ""
    prepare: Callable[[Ward], object] | None = None
    lay_out: Callable[[EmbeddedStack], object] | None = None
    check: Callable[[Ward], object] | None = None
    after: Callable[[Ward], object] | None = None
    mend: Callable[[Ward], object] | None = None
    at_rest: bool = False
    first: Callable[[Ward], object] | None = None

    @property
    def points(self) -> list[str]:
        """Where the agent is killed, one after the other."""
        own = ("intended", *self.steps, "done", "reported", "judged")
        return [step if ":" in step else f"{self.action}:{step}" for step in dict.fromkeys(own)]


def shipped() -> str:
    """The shipped policies of Supervisor, sooner."""
    text = Path(shipped_policies(), "supervisor.yaml").read_text()
    for slow, quick in _QUICK.items():
        text = text.replace(slow, quick)
    return text


def rule(do: str, watch: str, when: str) -> str:
    """One policy."""
    return _RULE.format(name="crashed", do=do, watch=watch, when=when)


def _lay_out(stack: EmbeddedStack) -> None:
    stack.conf.write_text(stack.conf.read_text() + _PROGRAMS.format(python=sys.executable))


def _put(ward: Ward, make: Callable[[Path], object]) -> None:
    beside = ward.stack.socket.with_name("beside")
    ward.stack.as_owner(lambda: make(beside), lambda: os.rename(beside, ward.stack.socket))


def _dead_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


def _deny_and_replace(ward: Ward) -> None:
    ward.stack.as_owner(lambda: ward.stack.socket.chmod(0))
    _put(ward, _dead_socket)


def _remove_folder(ward: Ward) -> None:
    folder = ward.stack.socket.parent
    os.rename(folder, ward.stack.folder / "trash")
    shutil.rmtree(ward.stack.folder / "trash")


def _hang_up(ward: Ward) -> None:
    """A restart by hand: the daemon makes its own socket again."""
    stack = ward.stack
    before = set(stack.daphnes())
    os.kill(stack.supervisords()[0], signal.SIGHUP)
    wait_for("it made its own socket", lambda: stack.daphnes() and not before & set(stack.daphnes()), 30)
    ward.controls()
    wait_for("the relay is gone", lambda: not ward.relays(), 20)


def _unlink_all(ward: Ward) -> None:
    for kept in ward.stack.socket.parent.glob(".paramedic-*"):
        for name in kept.glob(ward.stack.socket.name):
            name.unlink()
    ward.stack.socket.unlink()


def _put_under_a_relay(ward: Ward) -> None:
    _unlink_all(ward)
    wait_for("a relay carries", lambda: ward.relays() and "RUNNING" in ward.stack.ctl("status", "daphne"), 20)
    ward.await_healthy(("supervisor",))


def _one_relay(ward: Ward) -> None:
    wait_for("one relay is left", lambda: len(ward.relays()) == 1, 20)


def _no_aside(ward: Ward) -> None:
    left = [path.name for path in ward.stack.socket.parent.glob("*.aside-*") if path.is_socket()]
    assert len(left) <= 1, f"dead sockets were left: {left}"


def _of_root(ward: Ward) -> None:
    if os.geteuid() == 0:
        os.chown(ward.stack.socket, 0, 0)
    ward.stack.socket.chmod(0)


def _wait_for_age(ward: Ward) -> None:
    wait_for("the daemon is old enough", lambda: "0:00:0" not in ward.stack.ctl("status", "daphne"), 20)


def _suspend(ward: Ward) -> None:
    pid = ward.stack.supervisords()[0]
    os.kill(pid, signal.SIGSTOP)
    wait_for("it is stopped", lambda: state(pid) == "T")


def _second_daemon(ward: Ward) -> None:
    stack = ward.stack
    inode = stack.socket.stat().st_ino
    stack.socket.unlink()
    assert stack.spawn_supervisord().wait(20) == 0
    wait_for("two daemons run", lambda: len(stack.supervisords()) == 2)
    wait_for("the path is the second one's", lambda: stack.socket.is_socket() and stack.socket.stat().st_ino != inode)


def _seen_well(ward: Ward) -> None:
    """An earlier agent kept a link."""
    ward.controls()


def _kept(ward: Ward) -> None:
    assert ward.is_same("daemons") and ward.is_same("programs"), "not the one that owned the programs was kept"


def _run_extra(ward: Ward) -> None:
    """One that ran without autostart, one with it that a person had stopped: both as they were after a restart."""
    ward.stack.ctl("start", "extra")
    ward.stack.ctl("stop", "rested")

    def look() -> bool:
        facts = ward.status().get("facts", {}).get("subjects", {})
        states = [facts.get(f"supervisor.program:main/{name}", {}).get("state") for name in ("extra", "rested")]
        return states == ["RUNNING", "STOPPED"]

    wait_for("both are seen so", look, 10)


def _kill_daemon(ward: Ward) -> None:
    ward.stack.end(ward.stack.supervisords()[0])


def _extra_runs(ward: Ward) -> None:
    def look() -> bool:
        text = ward.stack.ctl("status")
        states = {line.split()[0]: line.split()[1] for line in text.splitlines() if len(line.split()) > 1}
        return states.get("extra") == "RUNNING" and states.get("rested") == "STOPPED"

    wait_for("extra runs and rested does not", look, 20)


def _foreign(ward: Ward) -> None:
    ward.stack.start_distro()
    os.rename(ward.stack.folder / "distro" / "distro.sock", ward.stack.socket)


def _orphan(ward: Ward) -> None:
    stack = ward.stack
    _kill_daemon(ward)
    assert stack.spawn_supervisord().wait(20) == 0


def _locked_orphan(ward: Ward) -> None:
    """Daphne was killed, too; its lock names a process that is no Daphne."""
    stack = ward.stack
    daphne = stack.daphnes()[0]
    _kill_daemon(ward)
    stack.end(daphne)
    lock = stack.folder / "tmp" / "daphne.sock.lock"

    def relink() -> None:
        lock.unlink(missing_ok=True)
        lock.symlink_to(str(os.getppid()))

    stack.as_owner(relink)


def _on_a_unix_socket(stack: EmbeddedStack) -> None:
    _lay_out(stack)
    text = stack.conf.read_text()
    stack.conf.write_text(text.replace("command=daphne ", f"command=daphne -u {stack.folder}/tmp/daphne.sock "))


def _fatten(ward: Ward) -> None:
    fatten(ward.stack)


def _fifo(stack: EmbeddedStack) -> None:
    text = stack.ini.read_text().replace("touch-chain-reload = %dreload\n", "")
    stack.ini.write_text(f"{text}master-fifo = {stack.folder}/tmp/fifo\n")


def _from_source(stack: EmbeddedStack) -> None:
    """The wheel in a virtual environment does not survive a full reload, and is refused one."""
    built = sorted(BIN.parent.glob("uwsgi-*/bin/uwsgi"))
    if not built:
        pytest.skip("needs uWSGI built from source")
    stack.uwsgi_bin = built[-1]
    stack.ini.write_text(f"{stack.ini.read_text()}home = {sys.prefix}\n")


def _kill_master(ward: Ward) -> None:
    pid = int(ward.stack.stats()["pid"])
    recipe = ward.stack.folder / "state/paramedic/recipes/uwsgi-web.json"
    wait_for("its launch is recorded", recipe.exists)
    os.kill(pid, signal.SIGKILL)


def _kill_master_with_a_deaf_worker(ward: Ward) -> None:
    """It is stopped, so neither its master's end nor TERM makes it leave."""
    os.kill(ward.stack.worker_pids()[1], signal.SIGSTOP)
    _kill_master(ward)


def _hang_chain(ward: Ward) -> None:
    """The first worker of a chain hangs in its start; elsewhere the app loads again."""
    stack = ward.stack
    flag = stack.folder / "srv" / "hang"
    flag.touch()
    stack.touch.touch()
    wait_for("a worker hangs", lambda: any(not w["accepting"] and w["pid"] for w in stack.workers()), 20)
    flag.unlink()


def _chain_is_over(ward: Ward) -> None:
    def look() -> bool:
        old, workers = ward.processes["workers"], ward.stack.workers()
        return all(worker["accepting"] and worker["pid"] not in old for worker in workers)

    wait_for("every worker is new", look, 40)


def _hangable(stack: EmbeddedStack) -> None:
    stack.uwsgi_extra = ", boot: 2s"
    app = stack.site / "shop.py"
    flag = stack.folder / "srv" / "hang"
    app.write_text(f"import os, time\nif os.path.exists({str(flag)!r}):\n    time.sleep(600)\n{app.read_text()}")


def _connect(ward: Ward) -> None:
    """An open connection is what the policy restarts the program for; it ends with the program."""
    ward.connection = socket.create_connection(("127.0.0.1", ward.stack.daphne_port))  # type: ignore[attr-defined]


def _told(ward: Ward) -> None:
    """Told at least once; a notice that was on its way may come a second time. Then a person mends it."""

    def told() -> list[str]:
        notices = ward.stack.notified_of("crashed")
        newest = notices[-1]["incident"]["id"] if notices else ""
        return [n["event"] for n in notices if n["event"] == "told" and n["incident"]["id"] == newest]

    wait_for("it is told", told, 30)
    assert len(told()) <= 2
    os.kill(ward.stack.supervisords()[0], signal.SIGUSR2)


def _own_program(stack: EmbeddedStack) -> None:
    _lay_out(stack)
    program = stack.folder / "etc" / "reopen"
    program.write_text(
        f'#!/bin/sh\necho ran >>{stack.folder}/ran\nkill -USR2 "$(cat {stack.folder}/tmp/supervisord.pid)"\n'
    )
    program.chmod(0o755)


def _ran_at_most_twice(ward: Ward) -> None:
    """Whether a program whose agent died had done its work nobody can tell: it is run again, once."""
    runs = ward.stack.folder / "ran"
    assert 1 <= len(runs.read_text().split()) <= 2
    runs.unlink()


NEW_DAEMON = {"daemons": 1, "programs": 1}
UWSGI = ("uwsgi",)
FAT = f"rss > {LIMIT_MIB} MiB"
CRASHES = (
    Crash(
        "a dead socket of nobody stands at the path",
        "restore_socket",
        ("opened to its owner", "moved aside", "removed", "linked"),
        _deny_and_replace,
        check=_no_aside,
    ),
    Crash(
        "the folder of the socket is removed",
        "restore_socket",
        ("folder beside", "folder made", *RELAY),
        _remove_folder,
        check=_one_relay,
        mend=_hang_up,
    ),
    Crash(
        "the path of a relay is unlinked",
        "restore_socket",
        (*RELAY, "old relay ended"),
        _unlink_all,
        first=_put_under_a_relay,
        check=_one_relay,
        mend=_hang_up,
    ),
    Crash("the socket is root's, with mode 0", "repair_mode", ("owner set", "mode set"), _of_root),
    Crash(
        "the pidfile is deleted",
        "rewrite_pidfile",
        PIDFILE,
        lambda ward: (ward.stack.folder / "tmp" / "supervisord.pid").unlink(),
        prepare=_wait_for_age,
    ),
    Crash(
        "the log is deleted",
        "reopen_logs",
        ("SIGUSR2 sent",),
        lambda ward: (ward.stack.conf.parent / "daphne.log").unlink(),
    ),
    Crash("the daemon is stopped by a signal", "resume_daemon", ("SIGCONT sent",), _suspend),
    Crash(
        "a second daemon runs",
        "stop_duplicate",
        ("SIGTERM sent", "daemon stopped", "linked", *PIDFILE),
        _second_daemon,
        once={"daemons": 1, "programs": 9},
        check=_kept,
        at_rest=True,
        first=_seen_well,
    ),
    Crash(
        "supervisord is killed; a program that is deaf to TERM survives it",
        "restart_supervisord",
        (
            "moved aside",
            "removed",
            "SIGTERM sent",
            "ended",
            "SIGKILL sent",
            "launched",
            "daemon answers",
            "supervisor.startProcess",
            "supervisor.stopProcess",
        ),
        _kill_daemon,
        once=NEW_DAEMON,
        prepare=_run_extra,
        check=_extra_runs,
    ),
    Crash(
        "supervisord hangs",
        "restart_supervisord",
        ("SIGTERM sent", "SIGKILL sent", "daemon stopped", "launched"),
        _suspend,
        once=NEW_DAEMON,
        policies=rule("restart_supervisord", "supervisor", "diagnosis in [daemon-hung, daemon-dead, socket-stale]"),
    ),
    Crash(
        "supervisord and Daphne are killed, and Daphne's lock names a stranger",
        "restart_supervisord",
        ("lock removed",),
        _locked_orphan,
        once={"daemons": 1, "programs": 2},  # without a lock Twisted leaves the old socket file to the second try
        lay_out=_on_a_unix_socket,
    ),
    Crash(
        "another conf's supervisord answers at the path",
        "restart_supervisord",
        ("SIGTERM sent", "daemon stopped", "linked"),
        _foreign,
        policies=shipped()
        .replace(
            "  - name: daemon-told",
            "  - name: replaced\n    watch: supervisor\n    when: diagnosis is daemon-foreign\n    for: 1s\n"
            "    do: [restart_supervisord: { replace: true }]\n    cooldown: 1s\n"
            "    limit: none\n\n  - name: daemon-told",
        )
        .replace("daemon-stopped, daemon-foreign", "daemon-stopped"),
    ),
    Crash(
        "supervisord is killed and started by hand, its program is left",
        "kill_orphans",
        ("SIGTERM sent", "ended"),
        _orphan,
        once={"daemons": 1, "programs": 9},
    ),
    Crash(
        "a program holds a connection",
        "restart_program",
        ("supervisor.stopProcess", "program stopped", "supervisor.startProcess"),
        _connect,
        once={"programs": 1},
        policies=rule("restart_program", "supervisor.program", "name is daphne and connections > 0"),
    ),
    Crash(
        "something is to be told",
        "notify",
        ("spooled", "MainThread:spooled"),
        lambda ward: (ward.stack.conf.parent / "daphne.log").unlink(),
        policies=rule("notify", "supervisor", "diagnosis is log-deleted"),
        after=_told,
    ),
    Crash(
        "the log is deleted, and a program of a person's mends it",
        "run",
        (),
        lambda ward: (ward.stack.conf.parent / "daphne.log").unlink(),
        policies=rule("run: { argv: [PROGRAM] }", "supervisor", "diagnosis is log-deleted"),
        lay_out=_own_program,
        check=_ran_at_most_twice,
    ),
    Crash(
        "a worker is fat",
        "recycle_worker",
        ("SIGHUP sent",),
        _fatten,
        UWSGI,
        {"workers": 1},
        rule("recycle_worker", "uwsgi.worker", FAT),
    ),
    Crash(
        "a worker of a chain hangs in its start",
        "recycle_worker",
        ("SIGKILL sent",),
        _hang_chain,
        UWSGI,
        {"workers": 5},
        rule("recycle_worker: { stuck: kill }", "uwsgi", "diagnosis is chain-stalled"),
        lay_out=_hangable,
        check=_chain_is_over,
    ),
    Crash(
        "a worker is fat",
        "chain_reload",
        ("touched",),
        _fatten,
        UWSGI,
        {"workers": 4},
        rule("chain_reload", "uwsgi.worker", FAT),
        check=_chain_is_over,
    ),
    Crash(
        "a worker is fat",
        "chain_reload",
        ("asked by FIFO",),
        _fatten,
        UWSGI,
        {"workers": 4},
        rule("chain_reload", "uwsgi.worker", FAT),
        check=_chain_is_over,
        lay_out=_fifo,
    ),
    Crash(
        "a worker of an instance is fat",
        "reload_uwsgi",
        ("SIGHUP sent",),
        _fatten,
        UWSGI,
        {"reloads": 1, "workers": 4},
        rule("reload_uwsgi", "uwsgi", f"any(worker.{FAT})"),
        lay_out=_from_source,
        check=_chain_is_over,
    ),
    Crash(
        "the master is killed; a worker that is deaf to TERM survives it",
        "start_uwsgi",
        ("SIGTERM sent", "SIGKILL sent", "ended", "launched"),
        _kill_master_with_a_deaf_worker,
        UWSGI,
        {"masters": 1, "workers": 4},
        rule("start_uwsgi", "uwsgi", "diagnosis is uwsgi-dead"),
    ),
)


def start(crash: Crash, stack: EmbeddedStack) -> Ward:
    """The stack of a crash, healthy, without an agent."""
    (crash.lay_out or _lay_out)(stack)
    (stack.folder / "etc" / "crash.yaml").write_text(
        (crash.policies or shipped()).replace("PROGRAM", f"{stack.folder}/etc/reopen")
    )
    stack.policies, stack.interval = ["crash.yaml"], "500ms"
    if "supervisor" in crash.parts:
        stack.start_supervisord()
    if "uwsgi" in crash.parts:
        stack.start_uwsgi()
        os.chown(stack.folder / "uwsgi.log", stack.uid, -1)
    return Ward(stack)


def play(crash: Crash, ward: Ward, point: str) -> None:
    """The fault; the agent dies at the point; the next one ends it well, with nothing done twice."""
    if crash.first:
        ward.begin(TRACE)
        ward.await_healthy(crash.parts)
        crash.first(ward)
        ward.rest()
    if crash.at_rest:
        ward.remember()
        crash.fault(ward)
        ward.begin(point)
    else:
        ward.begin(point)
        ward.await_healthy(crash.parts)
        if crash.prepare:
            crash.prepare(ward)
        ward.remember()
        crash.fault(ward)
    ward.await_killed(point)
    ward.begin(TRACE)
    if crash.after:
        crash.after(ward)
    ward.await_healthy(crash.parts)
    _prove(crash, ward)
    if crash.mend:
        crash.mend(ward)
    ward.rest()


def _prove(crash: Crash, ward: Ward) -> None:
    if "supervisor" in crash.parts:
        ward.controls()
    if crash.check:
        crash.check(ward)
    for name in ("daemons", "programs", "masters", "workers"):
        allowed = crash.once.get(name, 0)
        if allowed:
            assert ward.begun(name) <= allowed, f"{name} were started {ward.begun(name)} times, not {allowed}"
        elif not (name == "workers" and "masters" in crash.once):
            assert ward.is_same(name), f"{name} are other processes now"
    assert ward.begun("reloads") <= crash.once.get("reloads", 0)
