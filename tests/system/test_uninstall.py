"""The end: what was installed goes, what a person would miss stays, the stack never noticed."""

from __future__ import annotations

from harness.server import OFFLINE, Server


def test_uninstall_leaves_configuration_and_journal_and_says_so(acting: Server) -> None:
    """Last of all tests."""
    machine = acting.machine
    programs = acting.pids("daphne")
    said = machine.run("make", "-C", "/root/paramedic", "uninstall", env=OFFLINE).stdout
    assert "/etc/paramedic" in said
    assert "/var/lib/paramedic" in said
    assert acting.shown("paramedic", "LoadState") == "not-found"
    assert acting.pids("/opt/paramedic/bin/paramedic") == []
    left = machine.sh("find /opt /usr/local /etc/systemd -iname '*paramedic*' ! -path '*.service.d*'")
    assert left == ""
    assert "mode: act" in machine.path("/etc/paramedic/paramedic.yaml").read_text()
    assert machine.path("/var/lib/paramedic/journal.db").stat().st_size > 0
    assert programs
    assert acting.pids("daphne") == programs
