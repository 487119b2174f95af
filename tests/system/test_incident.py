"""The nights of the README, under a real systemd, with the distribution's Supervisor and one started by hand."""

from __future__ import annotations

import pytest

from harness.server import DISTRO_SOCKET, SOCKET, Server
from harness.waiting import wait_for

SOCKETS = {"main": SOCKET, "distro": DISTRO_SOCKET}


@pytest.mark.parametrize("name", ["main", "distro"])
def test_a_deleted_socket_is_linked_back(server: Server, name: str) -> None:
    """No process notices, wherever the daemon came from."""
    before = (server.supervisord(name), server.pids("daphne"), server.machine.path(SOCKETS[name]).stat().st_ino)
    server.machine.path(SOCKETS[name]).unlink()
    server.healed("restore_socket")
    assert (server.supervisord(name), server.pids("daphne"), server.machine.path(SOCKETS[name]).stat().st_ino) == before


def test_the_cleaner_of_tmp_leaves_the_socket_and_its_link_alone(server: Server) -> None:
    """systemd-tmpfiles with everything long past its age; a file that nobody excluded shows that it cleans."""
    machine = server.machine
    machine.write("/etc/tmpfiles.d/tmp.conf", "q /tmp 1777 root root 1s\n")
    machine.write("/tmp/litter", "")
    wait_for("the link is kept", lambda: list(machine.path("/tmp").glob(".paramedic-0/*")))
    kept = sorted(path.name for path in machine.path("/tmp").glob(".paramedic-0/*"))
    machine.sh(
        "touch -d '30 days ago' /tmp/litter; chmod -t /tmp/supervisor.sock; touch -d '30 days ago' /tmp/supervisor.sock"
    )
    wait_for(
        "the cleaner cleans",
        lambda: machine.sh("systemd-tmpfiles --clean; ls /tmp/litter 2>/dev/null", check=False) == "",
        20,
    )
    assert machine.path(SOCKET).is_socket()
    assert sorted(path.name for path in machine.path("/tmp").glob(".paramedic-0/*")) == kept


def test_a_killed_supervisord_of_the_distribution_is_started_through_its_unit(server: Server) -> None:
    """Its unit would have waited 50 s; Daphne, which KillMode=process leaves behind, runs once afterwards, and so does
    what is PartOf= the unit.
    """
    part = "[Unit]\nPartOf=supervisor.service\n[Service]\nExecStart=/bin/sleep infinity\n"
    server.machine.write("/etc/systemd/system/beside.service", part)
    server.machine.sh("systemctl daemon-reload; systemctl start beside")
    old = server.supervisord("distro")
    assert server.shown("supervisor", "MainPID") == str(old)
    server.machine.run("kill", "-9", old)
    server.healed("restart_supervisord", 30)
    new = server.supervisord("distro")
    assert new != old
    assert server.shown("supervisor", "MainPID") == str(new)
    wait_for("one Daphne of its own", lambda: len(server.pids("daphne.*8002")) == 1)
    assert set(server.pids("daphne.*8002")) <= set(server.cgroup("supervisor"))
    wait_for("what is part of it runs", lambda: server.shown("beside", "ActiveState") == "active")


def test_a_killed_supervisord_that_had_no_unit_gets_one_of_its_own(server: Server) -> None:
    """Neither the agent's cgroup nor its sandbox nor its end reaches what it starts."""
    old, machine = server.supervisord("main"), server.machine
    machine.run("kill", "-9", old)
    server.healed("restart_supervisord")
    new = server.supervisord("main")
    assert server.confinement(new) == server.confinement(1) != server.confinement(server.agent())
    assert new not in server.cgroup("paramedic")
    programs = server.pids("daphne.*8001")
    machine.run("systemctl", "restart", "paramedic")
    assert (server.supervisord("main"), server.pids("daphne.*8001")) == (new, programs)


def test_only_the_agent_itself_is_in_its_cgroup(server: Server) -> None:
    """After all of the above nothing that it started is left there."""
    assert server.cgroup("paramedic") == [server.agent()]
