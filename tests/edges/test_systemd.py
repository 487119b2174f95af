"""A systemd that does not answer, or does not listen, stops nothing and is taken for nothing."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from paramedic.act.daemon import stop_unit
from paramedic.host import commands, systemd
from paramedic.host.proc import Proc


def test_a_notify_socket_that_nobody_reads_holds_no_pass_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / "notify"))
        told = [systemd.notify(WATCHDOG=1, STATUS="x" * 200) for _ in range(5000)]
    assert told[0]
    assert not told[-1], "its queue is full, and the agent goes on"


def test_without_descriptors_it_is_not_told_and_the_agent_lives(tmp_path: Path) -> None:
    code = (
        "import os, resource, sys; from paramedic.host import systemd; "
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3)); print(systemd.notify(READY=1))"
    )
    env = {"NOTIFY_SOCKET": str(tmp_path / "n"), "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=20)
    assert found.stdout == "False\n", found.stderr
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 3


def test_a_daemon_whose_unit_cannot_be_told_is_not_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its unit would start it again beside what we start."""
    monkeypatch.setattr(systemd, "is_running", lambda: True)
    monkeypatch.setattr(systemd, "SYSTEMCTL", "/bin/false")
    with pytest.raises(OSError, match="does not say"):
        systemd.owning_unit("supervisor.service", 7)
    me = Proc().identify(os.getpid())
    assert me is not None
    with monkeypatch.context() as inner:
        inner.setattr(Proc, "unit", lambda *_: "supervisor.service")
        with pytest.raises(OSError, match="does not say"):
            stop_unit(me, Proc())
    assert systemd.owning_unit(None, 7) is None


def test_a_command_gets_its_stdin_where_no_temporary_file_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/nowhere")
    found = commands.run(("/bin/cat",), 10.0, {}, "/", b"told", answers=True)
    assert (found.code, found.answer) == (0, "told")
