"""--observe changes nothing on the host in any of the incidents, and says what it would have done."""

from __future__ import annotations

import os
from typing import Any

from harness.stack import POLICIES, EmbeddedStack
from harness.waiting import stays, wait_for


def host_state(stack: EmbeddedStack) -> dict[str, Any]:
    """Every file of the stack with inode, mode and time, but the logs; and who runs."""
    files = {}
    for part in ("tmp", "srv"):
        for path in (stack.folder / part).rglob("*"):
            if path.suffix != ".log" and "__pycache__" not in str(path):
                found = path.lstat()
                files[str(path)] = (found.st_ino, found.st_mode, found.st_mtime_ns, found.st_nlink)
    return {"files": files, "daemons": stack.supervisords(), "daphnes": stack.daphnes(), "workers": stack.worker_pids()}


def prove_only_said(stack: EmbeddedStack, policy: str, action: str, diagnosis: str) -> None:
    """The incident says what would have been done, and three seconds later the host is as the fault left it."""
    left = host_state(stack)
    wait_for("the incident is this one", lambda: stack.incident(policy)["diagnosis"] == diagnosis, 20)
    wait_for("what would be done is said", lambda: stack.incident(policy)["actions"], 10)
    said = stack.incident(policy)["actions"]
    assert [(a["action"], a["outcome"]) for a in said] == [(action, "observed")]
    assert f"would {action}" in said[0]["detail"]
    stays("nothing on the host changed", lambda: host_state(stack) == left, 2.0)


def test_observe_only_says_what_it_would_do(stack: EmbeddedStack) -> None:
    stack.start_uwsgi()
    daemon = stack.start_supervisord()
    stack.add_policies(POLICIES.format(limit="150 MiB"))
    before = host_state(stack)
    stack.start_agent("--observe")
    stays("its presence changes nothing", lambda: host_state(stack) == before, 1.5)
    spare = stack.folder / "tmp" / "spare"
    os.link(stack.socket, spare)
    stack.socket.unlink()
    prove_only_said(stack, "socket-lost", "restore_socket", "socket-missing")
    os.link(spare, stack.socket)
    stack.incident("socket-lost", "observed")
    in_the_way = stack.folder / "tmp" / "in-the-way"
    in_the_way.write_text("in the way")
    os.rename(in_the_way, stack.socket)
    prove_only_said(stack, "socket-lost", "restore_socket", "socket-replaced")
    os.rename(spare, stack.socket)
    stack.incident("socket-lost", "observed")
    for _ in range(40):
        stack.status(stack.uwsgi_port, "/leak/30")
        if any(i["policy"] == "worker-over-limit" for i in stack.history()):
            break
    prove_only_said(stack, "worker-over-limit", "chain_reload", "worker-memory")
    stack.end(daemon)
    prove_only_said(stack, "daemon-dead", "restart_supervisord", "daemon-dead")
    assert stack.status(stack.daphne_port) == 200


def test_observe_touches_nothing_with_a_broken_app_and_a_daemon_stopped_on_purpose(stack: EmbeddedStack) -> None:
    stack.start_uwsgi()
    stack.start_supervisord()
    app = stack.site / "shop.py"
    app.write_text("import a_module_nobody_installed\n" + app.read_text())
    stack.add_policies(POLICIES.format(limit="10 MiB"))
    stack.start_agent("--observe")
    prove_only_said(stack, "worker-over-limit", "chain_reload", "worker-memory")
    assert "Shut down" in stack.ctl("shutdown")
    wait_for("Supervisor has left", lambda: not stack.supervisords() and not stack.daphnes())
    prove_only_said(stack, "daemon-told", "notify", "daemon-stopped")
    assert stack.status(stack.uwsgi_port) == 200
