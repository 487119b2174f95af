"""Moments in which nothing is started: while packages are changed, and while the host goes down or comes up."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from paramedic.host import busy, clock, systemd

HOLD = """import fcntl, sys
lock = open(sys.argv[1], "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stands for dpkg's lock."""
    path = tmp_path / "lock-frontend"
    path.write_text("")
    monkeypatch.setattr(busy, "DPKG_LOCKS", (str(tmp_path / "none"), str(path)))
    monkeypatch.setattr(systemd, "is_running", lambda: False)
    return path


@pytest.fixture
def holder(lock: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds it as dpkg does (fcntl, F_SETLK)."""
    argv = [sys.executable, "-c", HOLD, str(lock)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        yield child


def test_who_holds_dpkgs_lock_is_named_as_long_as_it_holds_it(holder: subprocess.Popen[str], lock: Path) -> None:
    assert busy.now_is_no_time() == f"process {holder.pid} holds {lock}: packages are being changed"
    holder.communicate("")
    assert busy.now_is_no_time() is None


@pytest.mark.usefixtures("lock")
@pytest.mark.parametrize(
    ("state", "up_s", "why"),
    [
        ("stopping", 30.0, "systemd is shutting the host down"),
        ("running", 30.0, None),
        ("initializing", 30.0, "systemd is still starting the host, and may start it itself"),
        ("starting", 30.0, "systemd is still starting the host, and may start it itself"),
        ("starting", busy.STARTS_S, None),
        ("degraded", 30.0, None),
    ],
)
def test_nothing_is_started_while_the_host_goes_down_or_comes_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, up_s: float, why: str | None
) -> None:
    """A job that systemd waits for without end must not keep everything down: after ten minutes it counts no more."""
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f"#!/bin/sh\necho {state}\nexit 1\n")
    systemctl.chmod(0o755)
    monkeypatch.setattr(systemd, "SYSTEMCTL", str(systemctl))
    monkeypatch.setattr(systemd, "is_running", lambda: True)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(clock, "up", lambda: up_s)
    assert busy.now_is_no_time() == why
