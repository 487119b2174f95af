"""The incident that began all this, whole, on a host where paramedic never ran: one command heals it."""

from __future__ import annotations

import json
import os
import pwd
import subprocess

from conftest import SWITCHES, make_stack
from harness.bystanders import Bystanders
from harness.processes import is_alive, start_ticks
from harness.stack import POLICIES, EmbeddedStack
from harness.waiting import stays, wait_for


def as_somebody_else(stack: EmbeddedStack) -> str:
    """supervisorctl as a user whom the socket's mode denies."""
    user = pwd.getpwnam("daemon")
    argv = [str(stack.supervisor_bin / "supervisorctl"), "-c", str(stack.conf), "status"]
    found = subprocess.run(
        argv, capture_output=True, text=True, timeout=20, cwd="/", user=user.pw_uid, group=user.pw_gid, extra_groups=[]
    )
    return found.stdout + found.stderr


@SWITCHES
def test_one_command_ends_the_whole_incident() -> None:
    stack = make_stack("agent as root")
    try:
        bystanders = Bystanders(stack)
        master = stack.start_uwsgi()
        ours = stack.start_supervisord()
        orphan, environment = stack.daphnes()[0], stack.daphne_environment()
        other = stack.start_distro().pid
        other_since = start_ticks(other)
        stack.socket.unlink()
        assert "no such file" in stack.ctl("status")
        stack.as_owner(stack.socket.touch)
        assert "refused connection" in stack.ctl("status")
        stack.end(ours)
        (stack.folder / "tmp" / "uwsgi.pid").write_text("999999\n")
        stays("nothing heals by itself", lambda: not stack.supervisords() and stack.daphnes() == [orphan], 1.0)

        stack.extra = f"{stack.configured_command()}\n      control_user: daemon"
        stack.add_policies(POLICIES.format(limit="1 MiB"))
        stack.start_agent()
        wait_for("our supervisord runs and controls", lambda: "RUNNING" in stack.ctl("status", "daphne"), 40)
        assert len(stack.supervisords()) == 1
        assert os.stat(f"/proc/{stack.supervisords()[0]}").st_uid == stack.uid
        assert len(stack.daphnes()) == 1
        assert not is_alive(orphan)
        assert {name: stack.daphne_environment()[name] for name in ("PATH", "SHOP_COLOR", "SHOP_SECRET")} == {
            name: environment[name] for name in ("PATH", "SHOP_COLOR", "SHOP_SECRET")
        }
        wait_for("Daphne serves", lambda: stack.status(stack.daphne_port) == 200)
        wait_for("uWSGI was reloaded, every worker is new", lambda: chains(stack) == {"met"}, 90)
        assert stack.stats()["pid"] == master, "uWSGI was found by its stats, not by its stale pidfile"
        assert (is_alive(other), start_ticks(other)) == (True, other_since), "the other conf's supervisord is untouched"
        assert "PermissionError" in as_somebody_else(stack) or "Permission denied" in as_somebody_else(stack)
        denied = stack.incident("socket-denied", deadline_s=30)
        assert "write chown=nobody:GROUP and chmod=0770 below [unix_http_server]" in denied["evidence"]
        bystanders.prove_untouched()
        read_by_a_person(stack)
    finally:
        stack.close()


def chains(stack: EmbeddedStack) -> set[str]:
    """How the chain reloads went that are judged."""
    mine = [i for i in stack.history() if i["policy"] == "worker-over-limit"]
    return {a["outcome"] for i in mine for a in i["actions"] if a["action"] == "chain_reload"} - {"running", "done"}


def read_by_a_person(stack: EmbeddedStack) -> None:
    """The history says in words what was found, what was done and how it ended."""
    history = stack.paramedic("history").stdout
    print(history)
    told = stack.incident("daemon-dead", "healed")
    assert told["diagnosis"] in ("daemon-dead", "socket-stale")
    assert "restart_supervisord" in history
    assert "ended daphne" in history
    wait_for(
        "both tell the same", lambda: json.loads(stack.paramedic("history", "--json").stdout) == stack.history(), 15
    )
    assert "not for the journal" not in stack.everything_recorded()
