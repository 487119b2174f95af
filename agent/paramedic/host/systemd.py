"""systemd, where it runs the host: sd_notify(3), and programs started outside the agent's own cgroup."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from paramedic.host.commands import Result, run

SYSTEMCTL = "/usr/bin/systemctl"
SYSTEMD_RUN = "/usr/bin/systemd-run"
DEADLINE_S = 5.0
LOOK_S = 0.01


def is_running() -> bool:
    """Whether systemd is this host's init (sd_booted(3)); an installed systemctl proves nothing."""
    return Path("/run/systemd/system").is_dir()


def owning_unit(unit: str | None, pid: int) -> str | None:
    """The unit, if it can start this process again: the process is its main one, and it has a file of its own.

    A daemon started by hand inside another service, or by systemd-run, has no such unit. Raises OSError where systemd
    does not say: a unit that is not told would start what we stop, beside what we start.
    """
    if unit is None or not is_running():
        return None
    shown = show(unit, "MainPID", "FragmentPath")
    if not shown:
        raise OSError(errno.EAGAIN, "systemd does not say which unit it belongs to", unit)
    path = shown.get("FragmentPath", "")
    is_kept = bool(path) and not path.startswith("/run/systemd/transient/")
    return unit if is_kept and shown.get("MainPID") == str(pid) else None


def show(unit: str, *properties: str) -> dict[str, str]:
    """Properties of a unit (systemctl(1), show); empty where systemd does not answer."""
    try:
        found = run((SYSTEMCTL, "show", f"--property={','.join(properties)}", unit), DEADLINE_S, {}, cwd="/")
    except OSError:
        return {}
    return dict(line.partition("=")[::2] for line in found.output.splitlines()) if found.code == 0 else {}


def stop_soon(unit: str) -> Result:
    """Queue the stop of a unit and do not wait for it: its process is watched through a pidfd."""
    return run((SYSTEMCTL, "stop", "--no-block", unit), DEADLINE_S, {}, cwd="/")


def start(unit: str, deadline_s: float) -> Result:
    """Start a unit now. One that waits for its RestartSec (50 s for Debian's supervisor.service) would let a start wait
    along, and is restarted: so is what is `PartOf=` it, and nothing is left stopped.
    """
    verb = "restart" if show(unit, "SubState").get("SubState") == "auto-restart" else "start"
    return run((SYSTEMCTL, verb, unit), deadline_s, {}, cwd="/")


def settle(unit: str, deadline_s: float) -> Result:
    """Wait until a unit is stopped, so that the next start is not merged with the stop."""
    return run((SYSTEMCTL, "stop", unit), deadline_s, {}, cwd="/")


def dependents(unit: str) -> tuple[str, ...]:
    """The running units that systemd stops with this one, and does not start with it again: those that are PartOf= it,
    Requires= or BindsTo= it (systemd.unit(5)).
    """
    names = " ".join(show(unit, "ConsistsOf", "RequiredBy", "BoundBy").values()).split()
    kinds = (".service", ".socket", ".timer", ".path")
    return tuple(name for name in dict.fromkeys(names) if name.endswith(kinds) and is_up(name))


def is_up(unit: str) -> bool:
    """Whether it runs, or is about to."""
    return show(unit, "ActiveState").get("ActiveState") in ("active", "activating", "reloading")


def start_with(unit: str, argv: Sequence[str], fds: tuple[int, int, int], deadline_s: float) -> int:
    """Start a transient service with these as its stdin, stdout and stderr; its main pid, 0 where it does not start.

    systemd-run would wait for its end: it is let go when the service runs.
    """
    words = (SYSTEMD_RUN, "--quiet", "--collect", "--pipe", "--service-type=exec", f"--unit={unit}", *argv)
    stdin, stdout, stderr = fds
    client = subprocess.Popen(words, stdin=stdin, stdout=stdout, stderr=stderr, env={}, cwd="/")
    until = time.monotonic() + deadline_s
    try:
        while client.poll() is None and time.monotonic() < until:
            shown = show(f"{unit}.service", "ActiveState", "MainPID")
            if shown.get("ActiveState") == "active":
                return int(shown["MainPID"])
            time.sleep(LOOK_S)
    finally:
        client.kill()
        client.wait()
    return 0


def notify(**fields: str | int) -> bool:
    """Tell systemd, e.g. notify(READY=1, STATUS="..."). False where nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    message = "\n".join(f"{name}={str(value).replace(chr(10), ' ')}" for name, value in fields.items())
    target = "\0" + address[1:] if address.startswith("@") else address
    kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK  # a systemd that hangs must not stop a pass
    try:
        with socket.socket(socket.AF_UNIX, kind) as sender:
            sender.connect(target)
            sender.send(message.encode("utf-8", "backslashreplace"))
    except OSError:
        return False
    return True


@contextlib.contextmanager
def reloading() -> Iterator[None]:
    """While the configuration is taken over (sd_notify(3)); systemd 252 knows no Type=notify-reload."""
    notify(RELOADING=1, MONOTONIC_USEC=time.monotonic_ns() // 1000)
    try:
        yield
    finally:
        notify(READY=1)


def watchdog_s() -> float | None:
    """Seconds systemd waits for a sign of life (sd_watchdog_enabled(3)), None where it does not watch us."""
    usec, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", str(os.getpid()))
    return int(usec) / 1e6 if usec.isdigit() and pid == str(os.getpid()) else None
