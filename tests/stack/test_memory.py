"""Workers grow over a limit: a verified chain reload that no request notices, or none at all."""

from __future__ import annotations

import threading
from pathlib import Path

from harness.processes import is_alive
from harness.stack import POLICIES, EmbeddedStack
from harness.waiting import stays, wait_for

LIMIT_MIB = 200


def fatten(stack: EmbeddedStack) -> dict[int, int]:
    """Leak until a worker holds more than 200 MiB; worker id -> pid."""
    pids = stack.worker_pids()

    def is_fat() -> bool:
        assert stack.status(stack.uwsgi_port, "/leak/30") == 200
        return any(rss_mib(pid) > LIMIT_MIB + 10 for pid in pids.values())

    wait_for("a worker is fat", is_fat, 30)
    return pids


def rss_mib(pid: int) -> int:
    """Resident MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 >> 20


class Load:
    """Requests on new connections, without a pause, until `stop`; counts every answer by its status."""

    def __init__(self, stack: EmbeddedStack) -> None:
        self._stack = stack
        self._over = threading.Event()
        self.counts: dict[int, int] = {}
        self._threads = [threading.Thread(target=self._ask) for _ in range(2)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        while not self._over.is_set():
            status = self._stack.status(self._stack.uwsgi_port)
            self.counts[status] = self.counts.get(status, 0) + 1

    def stop(self) -> dict[int, int]:
        """Status -> how often."""
        self._over.set()
        for thread in self._threads:
            thread.join(15)
        return self.counts


def test_a_chain_reload_gives_memory_back_and_no_request_fails(stack: EmbeddedStack) -> None:
    stack.start_uwsgi()
    pids = fatten(stack)
    pids = stack.worker_pids()
    stays("without an agent nobody reclaims it", lambda: stack.worker_pids() == pids, 2.0)
    stack.add_policies(POLICIES.format(limit=f"{LIMIT_MIB} MiB"))
    load = Load(stack)
    stack.start_agent()
    told = stack.incident("worker-over-limit", "healed", 60)
    counts = load.stop()
    assert set(counts) == {200}, counts
    assert counts[200] > 50
    new = stack.worker_pids()
    assert not set(new.values()) & set(pids.values())
    assert all(worker["accepting"] and worker["apps"] for worker in stack.workers())
    action = told["actions"][0]
    assert (action["action"], action["outcome"]) == ("chain_reload", "met")
    assert action["gained"]["bytes"] > 150 << 20
    assert action["seconds"] > 1
    stays("one reload is enough", lambda: stack.worker_pids() == new, 4.0)


def test_an_app_that_no_longer_imports_is_never_reloaded_onto(stack: EmbeddedStack) -> None:
    master = stack.start_uwsgi()
    pids = fatten(stack)
    app = stack.site / "shop.py"
    app.write_text("import a_module_nobody_installed\n" + app.read_text())
    stack.add_policies(POLICIES.format(limit=f"{LIMIT_MIB} MiB"))
    before = stack.touch.stat().st_mtime_ns
    stack.start_agent()
    told = stack.incident("worker-over-limit", "refused")
    why = "ModuleNotFoundError: No module named 'a_module_nobody_installed'"
    assert why in told["actions"][0]["detail"]
    doctor = stack.paramedic("doctor", "--json")
    assert doctor.returncode == 1
    assert "app-broken" in doctor.stdout
    assert "a_module_nobody_installed" in doctor.stdout
    stays("every worker goes on serving", lambda: stack.worker_pids() == pids, 3.0)
    assert stack.touch.stat().st_mtime_ns == before
    assert stack.status(stack.uwsgi_port) == 200
    wait_for("somebody is told", lambda: "refused" in [n["event"] for n in stack.notified_of("worker-over-limit")])
    # The fault is real: the very same touch by hand lets the broken app destroy the instance.
    stack.touch.touch()
    wait_for("uWSGI destroyed itself", lambda: not is_alive(master), 30)


def test_a_worker_over_its_limit_during_a_chain_does_not_start_another(stack: EmbeddedStack) -> None:
    stack.start_uwsgi()
    pids = stack.worker_pids()
    held = [threading.Thread(target=stack.status, args=(stack.uwsgi_port, "/slow/12")) for _ in range(2)]
    for thread in held:
        thread.start()
    wait_for("two workers are busy", lambda: sum(w["status"] == "busy" for w in stack.workers()) == 2)
    stack.touch.touch()
    began = int(stack.touch.stat().st_mtime)
    wait_for("a chain runs", lambda: stack.worker_pids() != pids)
    stack.add_policies(POLICIES.format(limit="10 MiB"))
    stack.start_agent()
    stays("the chain that runs is not touched again", lambda: int(stack.touch.stat().st_mtime) == began, 3.0)
    for thread in held:
        thread.join(30)
    wait_for("the chain ended", lambda: not set(stack.worker_pids().values()) & set(pids.values()), 40)
    refused = [a["detail"] for i in stack.history() for a in i["actions"] if a["outcome"] == "refused"]
    assert any("chain" in why for why in refused), stack.history()


def test_a_chain_that_begins_while_the_import_is_tried_is_not_touched_again(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    stack.start_uwsgi()
    stack.add_policies(POLICIES.format(limit="10 MiB"))
    meanwhile = stack.folder / "etc" / "preflight"
    meanwhile.write_text(f"#!/bin/sh\ntouch {stack.touch}\n")
    meanwhile.chmod(0o755)
    stack.uwsgi_extra = f", preflight: [{meanwhile}]"
    stack.start_agent()
    stack.incident("worker-over-limit", "refused")
    details = [action["detail"] for incident in stack.history() for action in incident["actions"]]
    assert any("touched the file of the chain reload meanwhile" in detail for detail in details), details
    assert not any("(mtime" in detail for detail in details), "it was not touched again"
