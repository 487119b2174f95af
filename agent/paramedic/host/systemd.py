"""systemd, where it runs the host: sd_notify(3), and programs started outside the agent's own cgroup."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from paramedic.host.commands import Result, run

SYSTEMCTL = "/usr/bin/systemctl"
DEADLINE_S = 5.0


def is_running() -> bool:
    """Whether systemd is this host's init (sd_booted(3)); an installed systemctl proves nothing."""
    return Path("/run/systemd/system").is_dir()


def owning_unit(unit: str | None, pid: int) -> str | None:
    """The unit, if it can start this process again: the process is its main one, and it has a file of its own.

    A daemon started by hand inside another service, or by systemd-run, has no such unit.
    """
    if unit is None or not is_running():
        return None
    try:
        found = run((SYSTEMCTL, "show", "--property=MainPID,FragmentPath", unit), DEADLINE_S, {}, cwd="/")
    except OSError:
        return None
    shown = dict(line.partition("=")[::2] for line in found.output.splitlines())
    path = shown.get("FragmentPath", "")
    is_kept = bool(path) and not path.startswith("/run/systemd/transient/")
    return unit if found.code == 0 and is_kept and shown.get("MainPID") == str(pid) else None


def stop_soon(unit: str) -> Result:
    """Queue the stop of a unit and do not wait for it: its process is watched through a pidfd."""
    return run((SYSTEMCTL, "stop", "--no-block", unit), DEADLINE_S, {}, cwd="/")


def settle(unit: str, deadline_s: float) -> Result:
    """Wait until a unit is stopped, so that the next start is not merged with the stop."""
    return run((SYSTEMCTL, "stop", unit), deadline_s, {}, cwd="/")


def notify(**fields: str | int) -> bool:
    """Tell systemd, e.g. notify(READY=1, STATUS="..."). False where nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    message = "\n".join(f"{name}={str(value).replace(chr(10), ' ')}" for name, value in fields.items())
    target = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        try:
            sender.connect(target)
            sender.send(message.encode("utf-8", "backslashreplace"))
        except OSError:
            return False
    return True


def watchdog_s() -> float | None:
    """Seconds systemd waits for a sign of life (sd_watchdog_enabled(3)), None where it does not watch us."""
    usec, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", str(os.getpid()))
    return int(usec) / 1e6 if usec.isdigit() and pid == str(os.getpid()) else None
