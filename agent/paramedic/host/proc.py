"""/proc, read directly where a pass is hot and through psutil where it is not.

`Proc(root)` reads below `root`, so that a folder can stand in for a host in tests.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from paramedic.model.readings import Identity

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Stat:
    """The fields of /proc/PID/stat (proc(5)) that paramedic uses. A zombie is dead."""

    identity: Identity
    state: str
    ppid: int
    pgid: int
    rss_bytes: int
    sid: int = 0
    cpu_ticks: int = 0

    @property
    def is_alive(self) -> bool:
        """False for a zombie or a process being reaped: it has ended, whatever kill(pid, 0) says."""
        return self.state not in ("Z", "X", "x")


@dataclass(frozen=True, slots=True)
class Rollup:
    """The sums of /proc/PID/smaps_rollup in bytes (kernel: Documentation/filesystems/proc.rst)."""

    rss_bytes: int
    pss_bytes: int
    uss_bytes: int
    swap_bytes: int


def readable(text: str) -> str:
    """Text of a stranger (names, arguments) made fit for a journal and a terminal: no rubbish, no control codes."""
    clean = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else "?" for c in clean)


class Proc:
    """One host's processes. Every method answers None for a process that is gone or unreadable."""

    def __init__(self, root: str = "/proc") -> None:
        self.root = root

    def text(self, name: str) -> str | None:
        """A small file below the root, None if it cannot be read."""
        data = self._bytes(name)
        return None if data is None else data.decode("utf-8", "replace")

    def _bytes(self, name: str) -> bytes | None:
        try:
            with open(f"{self.root}/{name}", "rb") as file:
                return file.read()
        except OSError:
            return None

    def stat(self, pid: int) -> Stat | None:
        """The process with this pid now. The name may contain anything, so parsing starts at the last `)`."""
        data = self._bytes(f"{pid}/stat")
        if data is None or b")" not in data:
            return None
        rest = data[data.rindex(b")") + 2 :].split()
        if len(rest) < 22:
            return None
        return Stat(
            identity=Identity(pid, int(rest[19])),
            state=rest[0].decode("ascii", "replace"),
            ppid=int(rest[1]),
            pgid=int(rest[2]),
            rss_bytes=int(rest[21]) * PAGE_BYTES,
            sid=int(rest[3]),
            cpu_ticks=int(rest[11]) + int(rest[12]),
        )

    def identify(self, pid: int) -> Identity | None:
        """The identity of a living process."""
        stat = self.stat(pid) if pid > 0 else None
        return stat.identity if stat and stat.is_alive else None

    def is_alive(self, identity: Identity) -> bool:
        """Whether this very process still runs."""
        return self.identify(identity.pid) == identity

    def age_s(self, identity: Identity) -> float:
        """Seconds since its start, on the boot-time clock that start ticks count."""
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - identity.start_ticks / TICKS_PER_S)

    def cmdline(self, pid: int) -> tuple[str, ...] | None:
        """The argument vector; a process that rewrote it has trailing empty words, which are dropped."""
        data = self._bytes(f"{pid}/cmdline")
        if data is None:
            return None
        words = [os.fsdecode(word) for word in data.split(b"\0")]
        while words and not words[-1]:
            words.pop()
        return tuple(words)

    def environ(self, pid: int) -> dict[str, str] | None:
        """The environment it was started with; needs the same user or CAP_SYS_PTRACE."""
        data = self._bytes(f"{pid}/environ")
        if data is None:
            return None
        pairs = (os.fsdecode(pair).partition("=") for pair in data.split(b"\0") if b"=" in pair)
        return {name: value for name, _, value in pairs}

    def link(self, pid: int, name: str) -> str | None:
        """Where /proc/PID/cwd, exe or root points."""
        try:
            return str(Path(f"{self.root}/{pid}/{name}").readlink())
        except OSError:
            return None

    def status(self, pid: int) -> dict[str, list[str]]:
        """The lines of /proc/PID/status by name, split into words; empty for a process that is gone."""
        text = self.text(f"{pid}/status") or ""
        lines = (line.partition(":") for line in text.splitlines())
        return {name: value.split() for name, _, value in lines}

    def uid(self, pid: int) -> int | None:
        """The uid, if real, effective, saved and file system uid are one: a set-uid program is nobody's for sure."""
        words = set(self.status(pid).get("Uid", []))
        return int(words.pop()) if len(words) == 1 else None

    def gid(self, pid: int) -> int | None:
        """The effective gid."""
        words = self.status(pid).get("Gid", [])
        return int(words[1]) if len(words) > 1 else None

    def holds_socket(self, pid: int, socket_inode: int) -> bool:
        """Whether it has that socket open; raises PermissionError without the same user or CAP_SYS_PTRACE."""
        return self.fd_of_socket(pid, socket_inode) is not None

    def fd_of_socket(self, pid: int, socket_inode: int) -> int | None:
        """The number of its descriptor of that socket; raises PermissionError like `holds_socket`."""
        wanted = f"socket:[{socket_inode}]"
        return next((fd for fd, target in self.open_files(pid) if target == wanted), None)

    def open_files(self, pid: int) -> list[tuple[int, str]]:
        """(descriptor, what it is open on); raises PermissionError without the same user or CAP_SYS_PTRACE."""
        try:
            names = os.listdir(f"{self.root}/{pid}/fd")
        except PermissionError:
            raise
        except OSError:
            return []
        pairs = ((int(name), self.link(pid, f"fd/{name}")) for name in names)
        return [(fd, target) for fd, target in pairs if target is not None]

    def holders(self, socket_inode: int) -> list[Identity]:
        """Every living process that has that socket open, the oldest first: a walk over all descriptors (3-6 ms)."""
        found = []
        for name in os.listdir(self.root):
            if name.isdigit():
                with contextlib.suppress(PermissionError):
                    if self.holds_socket(int(name), socket_inode) and (one := self.identify(int(name))):
                        found.append(one)
        return sorted(found, key=lambda one: (one.start_ticks, one.pid))

    def children(self, pid: int) -> list[int]:
        """The pids it is the parent of now (proc(5), task/TID/children); empty where the kernel does not say."""
        try:
            threads = os.listdir(f"{self.root}/{pid}/task")
        except OSError:
            return []
        texts = (self.text(f"{pid}/task/{thread}/children") or "" for thread in threads)
        return [int(word) for text in texts for word in text.split()]

    def tree(self, pid: int) -> list[int]:
        """The process and everything it started and has not lost."""
        found, at = [pid], 0
        while at < len(found):
            found += [child for child in self.children(found[at]) if child not in found]
            at += 1
        return found

    def rss_bytes(self, pid: int) -> int | None:
        """Resident bytes from /proc/PID/statm."""
        data = self._bytes(f"{pid}/statm")
        words = data.split() if data else []
        return int(words[1]) * PAGE_BYTES if len(words) > 1 else None

    def rollup(self, pid: int) -> Rollup | None:
        """PSS, USS and swap: about 12 ms per GiB resident, so not for every worker in every pass."""
        text = self.text(f"{pid}/smaps_rollup")
        if text is None:
            return None
        lines = [line.split() for line in text.splitlines()[1:]]
        kib = {words[0]: int(words[1]) for words in lines if len(words) >= 2 and words[1].isdigit()}
        if "Rss:" not in kib or "Pss:" not in kib:
            return None
        uss = kib.get("Private_Clean:", 0) + kib.get("Private_Dirty:", 0) + kib.get("Private_Hugetlb:", 0)
        return Rollup(*(size * 1024 for size in (kib["Rss:"], kib["Pss:"], uss, kib.get("Swap:", 0))))

    def limits(self, pid: int) -> dict[str, tuple[int, int]]:
        """The resource limits by their RLIMIT_ name (prlimit(2), through psutil)."""
        names = [name for name in dir(psutil) if name.startswith("RLIMIT_")]
        try:
            process = psutil.Process(pid)
            return {name: process.rlimit(getattr(psutil, name)) for name in names}
        except (psutil.Error, OSError):
            return {}

    def unit(self, pid: int) -> str | None:
        """The systemd unit that owns it, read off its cgroup path (systemd.io, "Control Group APIs")."""
        for line in (self.text(f"{pid}/cgroup") or "").splitlines():
            controllers, path = line.split(":", 2)[1:]
            if controllers in ("", "name=systemd"):
                leaf = path.rsplit("/", 1)[-1]
                return leaf if leaf.endswith(".service") else None
        return None

    def boot_id(self) -> str:
        """Changes with every boot; identities of another boot mean nothing."""
        return (self.text("sys/kernel/random/boot_id") or "").strip()
