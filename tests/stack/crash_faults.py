"""The faults that lead to a repair which is to be interrupted, and what is looked at afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.processes import state
from harness.stack import BIN, EmbeddedStack
from harness.waiting import wait_for
from harness.ward import Ward
from stack import test_memory

PROGRAMS = """stopwaitsecs=2
startretries=20
[program:extra]
command={python} -c "import signal; signal.signal(15, signal.SIG_IGN); signal.pause()"
autostart=false
stopwaitsecs=1
[program:rested]
command=/bin/sleep 100001
"""


def lay_out(stack: EmbeddedStack) -> None:
    stack.conf.write_text(stack.conf.read_text() + PROGRAMS.format(python=sys.executable))


def put(ward: Ward, make: Callable[[Path], object]) -> None:
    beside = ward.stack.socket.with_name("beside")
    ward.stack.as_owner(lambda: make(beside), lambda: os.rename(beside, ward.stack.socket))


def dead_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


def deny_and_replace(ward: Ward) -> None:
    ward.stack.as_owner(lambda: ward.stack.socket.chmod(0))
    put(ward, dead_socket)


def remove_folder(ward: Ward) -> None:
    folder = ward.stack.socket.parent
    os.rename(folder, ward.stack.folder / "trash")
    shutil.rmtree(ward.stack.folder / "trash")


def hang_up(ward: Ward) -> None:
    """A restart by hand: the daemon makes its own socket again."""
    stack = ward.stack
    before = set(stack.daphnes())
    os.kill(stack.supervisords()[0], signal.SIGHUP)
    wait_for("it made its own socket", lambda: stack.daphnes() and not before & set(stack.daphnes()), 30)
    ward.controls()
    wait_for("the relay is gone", lambda: not ward.relays(), 20)


def unlink_all(ward: Ward) -> None:
    for kept in ward.stack.socket.parent.glob(".paramedic-*"):
        for name in kept.glob(ward.stack.socket.name):
            name.unlink()
    ward.stack.socket.unlink()


def put_under_a_relay(ward: Ward) -> None:
    unlink_all(ward)
    wait_for("a relay carries", lambda: ward.relays() and "RUNNING" in ward.stack.ctl("status", "daphne"), 20)
    ward.await_healthy(("supervisor",))


def one_relay(ward: Ward) -> None:
    wait_for("one relay is left", lambda: len(ward.relays()) == 1, 20)


def no_aside(ward: Ward) -> None:
    left = [path.name for path in ward.stack.socket.parent.glob("*.aside-*") if path.is_socket()]
    assert len(left) <= 1, f"dead sockets were left: {left}"


def of_root(ward: Ward) -> None:
    if os.geteuid() == 0:
        os.chown(ward.stack.socket, 0, 0)
    ward.stack.socket.chmod(0)


def wait_for_age(ward: Ward) -> None:
    wait_for("the daemon is old enough", lambda: "0:00:0" not in ward.stack.ctl("status", "daphne"), 20)


def suspend(ward: Ward) -> None:
    pid = ward.stack.supervisords()[0]
    os.kill(pid, signal.SIGSTOP)
    wait_for("it is stopped", lambda: state(pid) == "T")


def second_daemon(ward: Ward) -> None:
    stack = ward.stack
    inode = stack.socket.stat().st_ino
    stack.socket.unlink()
    assert stack.spawn_supervisord().wait(20) == 0
    wait_for("two daemons run", lambda: len(stack.supervisords()) == 2)
    wait_for("the path is the second one's", lambda: stack.socket.is_socket() and stack.socket.stat().st_ino != inode)


def seen_well(ward: Ward) -> None:
    """An earlier agent kept a link."""
    ward.controls()


def kept(ward: Ward) -> None:
    assert ward.is_same("daemons") and ward.is_same("programs"), "not the one that owned the programs was kept"


def run_extra(ward: Ward) -> None:
    """One that ran without autostart, one with it that a person had stopped: both as they were after a restart."""
    ward.stack.ctl("start", "extra")
    ward.stack.ctl("stop", "rested")

    def look() -> bool:
        facts = ward.status().get("facts", {}).get("subjects", {})
        states = [facts.get(f"supervisor.program:main/{name}", {}).get("state") for name in ("extra", "rested")]
        return states == ["RUNNING", "STOPPED"]

    wait_for("both are seen so", look, 10)


def kill_daemon(ward: Ward) -> None:
    ward.stack.end(ward.stack.supervisords()[0])


def extra_runs(ward: Ward) -> None:
    def look() -> bool:
        text = ward.stack.ctl("status")
        states = {line.split()[0]: line.split()[1] for line in text.splitlines() if len(line.split()) > 1}
        return states.get("extra") == "RUNNING" and states.get("rested") == "STOPPED"

    wait_for("extra runs and rested does not", look, 20)


def foreign(ward: Ward) -> None:
    ward.stack.start_distro()
    os.rename(ward.stack.folder / "distro" / "distro.sock", ward.stack.socket)


def orphan(ward: Ward) -> None:
    stack = ward.stack
    kill_daemon(ward)
    assert stack.spawn_supervisord().wait(20) == 0


def locked_orphan(ward: Ward) -> None:
    """Daphne was killed, too; its lock names a process that is no Daphne."""
    stack = ward.stack
    daphne = stack.daphnes()[0]
    kill_daemon(ward)
    stack.end(daphne)
    lock = stack.folder / "tmp" / "daphne.sock.lock"

    def relink() -> None:
        lock.unlink(missing_ok=True)
        lock.symlink_to(str(os.getppid()))

    stack.as_owner(relink)


def on_a_unix_socket(stack: EmbeddedStack) -> None:
    lay_out(stack)
    text = stack.conf.read_text()
    stack.conf.write_text(text.replace("command=daphne ", f"command=daphne -u {stack.folder}/tmp/daphne.sock "))


def fatten(ward: Ward) -> None:
    test_memory.fatten(ward.stack)


def fifo(stack: EmbeddedStack) -> None:
    text = stack.ini.read_text().replace("touch-chain-reload = %dreload\n", "")
    stack.ini.write_text(f"{text}master-fifo = {stack.folder}/tmp/fifo\n")


def from_source(stack: EmbeddedStack) -> None:
    """The wheel in a virtual environment does not survive a full reload, and is refused one."""
    built = sorted(BIN.parent.glob("uwsgi-*/bin/uwsgi"))
    if not built:
        pytest.skip("needs uWSGI built from source")
    stack.uwsgi_bin = built[-1]
    stack.ini.write_text(f"{stack.ini.read_text()}home = {sys.prefix}\n")


def kill_master(ward: Ward) -> None:
    pid = int(ward.stack.stats()["pid"])
    recipe = ward.stack.folder / "state/paramedic/recipes/uwsgi-web.json"
    wait_for("its launch is recorded", recipe.exists)
    os.kill(pid, signal.SIGKILL)


def kill_master_with_a_deaf_worker(ward: Ward) -> None:
    """It is stopped, so neither its master's end nor TERM makes it leave."""
    os.kill(ward.stack.worker_pids()[1], signal.SIGSTOP)
    kill_master(ward)


def hang_chain(ward: Ward) -> None:
    """The first worker of a chain hangs in its start; elsewhere the app loads again."""
    stack = ward.stack
    flag = stack.folder / "srv" / "hang"
    flag.touch()
    stack.touch.touch()
    wait_for("a worker hangs", lambda: any(not w["accepting"] and w["pid"] for w in stack.workers()), 20)
    flag.unlink()


def chain_is_over(ward: Ward) -> None:
    def look() -> bool:
        old, workers = ward.processes["workers"], ward.stack.workers()
        return all(worker["accepting"] and worker["pid"] not in old for worker in workers)

    wait_for("every worker is new", look, 40)


def hangable(stack: EmbeddedStack) -> None:
    stack.uwsgi_extra = ", boot: 2s"
    app = stack.site / "shop.py"
    flag = stack.folder / "srv" / "hang"
    app.write_text(f"import os, time\nif os.path.exists({str(flag)!r}):\n    time.sleep(600)\n{app.read_text()}")


def connect(ward: Ward) -> None:
    """An open connection is what the policy restarts the program for; it ends with the program."""
    ward.connection = socket.create_connection(("127.0.0.1", ward.stack.daphne_port))  # type: ignore[attr-defined]


def told(ward: Ward) -> None:
    """Told at least once; a notice that was on its way may come a second time. Then a person mends it."""

    def told() -> list[str]:
        notices = ward.stack.notified_of("crashed")
        newest = notices[-1]["incident"]["id"] if notices else ""
        return [n["event"] for n in notices if n["event"] == "told" and n["incident"]["id"] == newest]

    wait_for("it is told", told, 30)
    assert len(told()) <= 2
    os.kill(ward.stack.supervisords()[0], signal.SIGUSR2)


def own_program(stack: EmbeddedStack) -> None:
    lay_out(stack)
    program = stack.folder / "etc" / "reopen"
    program.write_text(
        f'#!/bin/sh\necho ran >>{stack.folder}/ran\nkill -USR2 "$(cat {stack.folder}/tmp/supervisord.pid)"\n'
    )
    program.chmod(0o755)


def ran_at_most_twice(ward: Ward) -> None:
    """Whether a program whose agent died had done its work nobody can tell: it is run again, once."""
    runs = ward.stack.folder / "ran"
    assert 1 <= len(runs.read_text().split()) <= 2
    runs.unlink()
