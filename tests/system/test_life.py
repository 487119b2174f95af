"""What happens to the agent itself: killed, hung, reloaded, upgraded, rebooted with its host."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.machine import Machine
from harness.server import DISTRO_SOCKET, OFFLINE, SOCKET, Server
from harness.waiting import wait_for

DROP_IN = "/etc/systemd/system/paramedic.service.d/test.conf"
ALWAYS = "  - { name: always, watch: host, when: memory.total > 1 MiB, do: [notify] }\n"


def _drop_in(machine: Machine, line: str) -> None:
    machine.write(DROP_IN, f"[Service]\n{line}\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "paramedic")


@pytest.fixture
def changed(server: Server) -> Iterator[Server]:
    """A server whose unit a test may change."""
    yield server
    server.machine.path(DROP_IN).unlink(missing_ok=True)
    server.machine.run("systemctl", "daemon-reload")
    server.machine.run("systemctl", "restart", "paramedic")


def _other_agent(server: Server, old: int, deadline_s: float = 20.0) -> None:
    wait_for("another agent", lambda: server.agent() not in (0, old), deadline_s)


def test_an_agent_that_is_killed_is_back_and_heals_what_went_meanwhile(server: Server) -> None:
    """Nothing prepared it: the unit alone brings it back."""
    old = server.agent()
    server.machine.run("kill", "-9", old)
    server.machine.path(SOCKET).unlink()
    _other_agent(server, old)
    server.healed("restore_socket")


def test_an_agent_that_hangs_is_ended_by_systemd_and_the_next_one_heals(changed: Server) -> None:
    """Stopped, it cannot pet the watchdog; the minute of the shipped unit is ten seconds here."""
    _drop_in(changed.machine, "WatchdogSec=10")
    changed.begin()
    old = changed.agent()
    changed.machine.run("kill", "-STOP", old)
    changed.machine.path(SOCKET).unlink()
    _other_agent(changed, old, 40)
    changed.healed("restore_socket")
    assert "Watchdog timeout" in changed.machine.sh("journalctl -u paramedic -n 100 --no-pager")


def test_an_agent_that_cannot_use_its_configuration_fails_once_and_ten_restarts_by_hand_do_not_lock_it(
    changed: Server,
) -> None:
    """The start limit counts a person's starts, too."""
    machine = changed.machine
    config = machine.path("/etc/paramedic/paramedic.yaml").read_text()
    machine.write("/etc/paramedic/paramedic.yaml", config.replace("mode: act", "mode: akt"))
    assert machine.run("systemctl", "restart", "paramedic", check=False).returncode != 0
    assert (changed.shown("paramedic", "Result"), changed.shown("paramedic", "NRestarts")) == ("exit-code", "0")
    machine.write("/etc/paramedic/paramedic.yaml", config)
    for _ in range(10):
        machine.run("systemctl", "restart", "paramedic")


@pytest.mark.parametrize("line", ["CapabilityBoundingSet=~CAP_NET_ADMIN", "SystemCallFilter=~pidfd_getfd"])
def test_what_the_unit_allows_for_the_relay_is_needed(changed: Server, line: str) -> None:
    """Without it the socket stays lost and the reason is told; with it again the next agent heals."""
    machine = changed.machine
    machine.run("systemctl", "stop", "paramedic")
    machine.sh("rm -r /tmp/.paramedic-0; rm /tmp/supervisor.sock")
    _drop_in(machine, line)
    wait_for("it is refused", lambda: "restore_socket refused" in _log(changed), 20)
    assert not machine.path(SOCKET).exists()
    machine.path(DROP_IN).unlink()
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "paramedic")
    changed.healed("restore_socket")
    changed.ctl("main", "reload")
    wait_for("the daemon's own socket", lambda: "RUNNING" in changed.ctl("main"), 30)


def _log(server: Server) -> str:
    argv = ("journalctl", "--no-pager", "-o", "cat", f"_PID={server.agent()}")
    return str(server.machine.run(*argv, check=False).stdout)


def test_the_journal_is_searched_by_incident_policy_and_diagnosis(server: Server) -> None:
    """The fields of journald, which only its native protocol carries."""
    server.machine.path(SOCKET).unlink()
    told = server.healed("restore_socket")
    for field, value in ("INCIDENT", told["id"]), ("POLICY", "socket-lost"), ("DIAGNOSIS", "socket-missing"):
        found = server.machine.run("journalctl", "-o", "json", "-n", "5", "--no-pager", f"{field}={value}").stdout
        records = [json.loads(line) for line in found.splitlines()]
        assert any(told["id"] in record["MESSAGE"] and record["POLICY"] == "socket-lost" for record in records)


def _finds(server: Server) -> list[str]:
    """What is wrong with the policy files."""
    return [one["evidence"] for one in server.status()["findings"] if one["subject"] == "policies"]


SLOW = "  - { name: slow, watch: host, when: memory.total > 1 MiB, do: [{ run: { argv: [/bin/sleep, '6'] } }] }\n"


def test_a_stop_in_the_middle_of_an_action_records_how_it_ended(server: Server) -> None:
    """Stopped with SIGTERM while a rung runs: it is waited for, booked, and judged by the next agent, once."""

    def runs() -> list[str]:
        mine = [incident for incident in server.history() if incident["policy"] == "slow"]
        return [action["outcome"] for incident in mine for action in incident["actions"] if action["action"] == "run"]

    server.policy(SLOW)
    wait_for("it runs", lambda: runs() == ["running"], 20)
    server.machine.run("systemctl", "stop", "paramedic", timeout=90)
    assert server.shown("paramedic", "Result") == "success"
    assert runs() == ["done"]
    server.machine.run("systemctl", "start", "paramedic")
    wait_for("the next agent judges it", lambda: runs() == ["met"], 30)
    server.policy("  []")


def test_a_reload_takes_over_all_policies_or_none(server: Server) -> None:
    """systemctl reload; the unit is never left in the state reloading."""
    server.policy("  - { name: wrong, watch: host, when: memory.totl > 1, do: [notify] }\n")
    wait_for("the error is told", lambda: "memory.totl" in _log(server), 15)
    assert any("memory.totl" in evidence for evidence in _finds(server))
    assert server.shown("paramedic", "ActiveState") == "active"
    server.policy("  []")
    wait_for("it is valid again", lambda: _finds(server) == [], 15)


def test_an_upgrade_goes_on_with_the_incident_that_is_open(server: Server) -> None:
    """Another version takes over, and tells nobody a second time."""
    server.policy(ALWAYS)
    server.healed("notify", result="")
    before = [incident for incident in server.history() if incident["policy"] == "always"][-1]
    assert before["closed"] is None
    old = server.agent()
    server.machine.sh(
        "sed -i 's/__version__ = .*/__version__ = \"9.9.9\"/' /root/paramedic/agent/paramedic/__init__.py"
    )
    server.machine.run("make", "-C", "/root/paramedic", "install", env=OFFLINE, timeout=180)
    assert server.agent() not in (0, old)
    assert "paramedic 9.9.9 in mode act" in _log(server)
    wait_for("it answers", server.status, 15)
    after = [incident for incident in server.history() if incident["policy"] == "always"]
    assert after[-1] == before
    pages = [json.loads(line) for line in server.machine.path("/var/log/pages").read_text().splitlines() if line]
    of_it = [page["event"] for page in pages if page["incident"].get("id") == before["id"]]
    assert of_it.count("opened") <= 1
    server.policy("  []")


def test_after_a_reboot_everything_is_watched_again(server: Server) -> None:
    """The record of before is there, and the first deletion after it is healed."""
    known = {incident["id"] for incident in server.history()}
    server.machine.reboot()
    wait_for("it looked", server.status, 30)
    assert server.shown("paramedic", "NRestarts") == "0"
    assert known <= {incident["id"] for incident in server.history()}
    main = next(f for f in server.status()["findings"] if f["subject"] == "supervisor:main")
    assert main["diagnosis"] == "daemon-stopped", "it was started by hand, and nobody did so again"
    wait_for("the distribution's daemon serves", lambda: "RUNNING" in server.ctl("distro"), 30)
    server.begin_anyway()
    daemon = server.supervisord("distro")
    wait_for("a link is kept", lambda: list(server.machine.path("/run").glob(".paramedic-0/*")), 15)
    server.machine.path(DISTRO_SOCKET).unlink()
    server.healed("restore_socket")
    assert server.supervisord("distro") == daemon


def test_its_own_files_are_its_own(acting: Server) -> None:
    """State, recipes and journal are for root's eyes only."""
    found = acting.machine.sh("find /var/lib/paramedic -perm /077")
    assert [Path(line) for line in found.splitlines()] == []
