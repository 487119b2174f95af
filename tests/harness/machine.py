"""A server of its own for tests: this host's files under a real systemd, in a container that leaves nothing behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from harness.processes import children, end
from harness.waiting import wait_for

BOOT = Path(__file__).with_name("boot.py")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BOOT_S = 60.0
TURN = "/run/lock/paramedic-test-machine"
Ran = subprocess.CompletedProcess[str]


def why_not() -> str | None:
    """Why no machine can be booted here, None when one can."""
    if os.geteuid() != 0:
        return "booting a systemd needs root"
    lacking = [name for name in ("systemd-nspawn", "unshare", "nsenter", "supervisord") if shutil.which(name) is None]
    return f"booting a systemd with Supervisor in it needs {', '.join(lacking)}" if lacking else None


class Machine:
    """Boots at once; `close` ends every process of it, and its changes are gone with its mounts.

    One at a time on a host: with --keep-unit two of them would see each other's processes in cgroups of the same name.
    """

    def __init__(self, *seen: Path) -> None:
        self._turn = open(TURN, "w")  # noqa: SIM115 - held until close
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        self.folder = Path(tempfile.mkdtemp(prefix="pmd-machine-", dir="/tmp"))
        unshare = ("unshare", "--mount", "--propagation", "private")
        argv = ("setpriv", "--pdeathsig", "KILL", *unshare, sys.executable, *map(str, (BOOT, self.folder, *seen)))
        with open(self.folder.with_suffix(".log"), "wb") as log:
            self._booter = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self.await_boot()
        except BaseException:
            self.close()
            raise

    @property
    def leader(self) -> int:
        """The pid, outside, of the machine's pid 1; 0 while there is none."""
        with contextlib.suppress(OSError):
            return next((one for nspawn in children(self._booter.pid) for one in children(nspawn)), 0)
        return 0

    def await_boot(self, since: str = "") -> None:
        """Until systemd has started everything, in another boot than `since`."""

        def is_up() -> bool:
            if self._booter.poll() is not None:
                raise AssertionError(self.folder.with_suffix(".log").read_text())
            up = self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded")
            return up and self.boot_id() != since

        wait_for("the machine has booted", is_up, BOOT_S)

    def boot_id(self) -> str:
        """What tells one boot of this machine from the next: the start of its pid 1."""
        return f"{self.leader}"

    def path(self, name: str) -> Path:
        """A path of the machine, seen from outside; no link in it may be absolute."""
        return Path(f"/proc/{self.leader}/root/{name.lstrip('/')}")

    def run(
        self, *argv: object, check: bool = True, timeout: float = 60.0, env: Mapping[str, str] | None = None
    ) -> Ran:
        """A command in the machine, as root."""
        enter = ("nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", "-C", "--")
        with tempfile.TemporaryFile("w+") as errors:  # a daemon that it starts may keep the other end of a pipe
            found = subprocess.run(
                [*enter, *map(str, argv)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                timeout=timeout,
                env={"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", **(env or {})},
                cwd="/",
            )
            errors.seek(0)
            found.stderr = errors.read()
        if check and found.returncode != 0:
            raise AssertionError(f"{argv} ended with {found.returncode}:\n{found.stdout}\n{found.stderr}")
        return found

    def sh(self, line: str, check: bool = True, timeout: float = 60.0) -> str:
        """A line for the machine's shell; what it printed."""
        return str(self.run("/bin/sh", "-c", line, check=check, timeout=timeout).stdout)

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        """A file of root's in the machine."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def reboot(self) -> None:
        """systemctl reboot, until everything is up again."""
        was = self.boot_id()
        self.run("systemctl", "reboot", check=False)
        self.await_boot(was)

    def close(self) -> None:
        """End pid 1 of the machine, and with it the kernel ends all its processes; then what waited for it."""
        if leader := self.leader:
            end(leader)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._booter.wait(5)
        if self._booter.poll() is None:
            end(self._booter.pid)
        self._booter.wait(10)
        self.folder.with_suffix(".log").unlink(missing_ok=True)
        self.folder.rmdir()
        self._turn.close()
