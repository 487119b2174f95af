"""/proc, read directly where a pass is hot and through psutil where it is not.

`Proc(root)` reads below `root`, so that a folder can stand in for a host in tests.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import time
from dataclasses import dataclass

import psutil

from paramedic.host.stat_text import PAGE_BYTES, Stat, stat_of
from paramedic.model.readings import Identity, age_s

PART_BYTES = 1 << 13
# A process may let its arguments and environment be as large as its address space (prctl(2), PR_SET_MM).
MOST_BYTES = 4 << 20
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_UNIT = re.compile(r"[\w:.@\\][\w:.@\\-]*\.service", re.ASCII)
_NUMBER = re.compile(rb"\d{1,18}")
MOST_WORDS = 1 << 16


@dataclass(frozen=True, slots=True)
class Rollup:
    """The sums of /proc/PID/smaps_rollup in bytes (kernel: Documentation/filesystems/proc.rst)."""

    rss_bytes: int
    pss_bytes: int
    uss_bytes: int
    swap_bytes: int


def refuse_exhaustion(error: OSError) -> None:
    """Raise it again where it says that descriptors or memory are used up: that tells nothing of what was asked for."""
    if error.errno in _EXHAUSTED:
        raise error


def readable(text: str) -> str:
    """Text of a stranger (names, arguments) made fit for a journal and a terminal: no rubbish, no control codes."""
    if text.isprintable() and text.isascii():
        return text
    clean = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else "?" for c in clean)


@functools.lru_cache(maxsize=64)
def _ids_of(lines: bytes) -> tuple[int | None, int | None]:
    """The lines Uid and Gid of /proc/PID/status, each real, effective, saved and of the file system."""
    uids, gids = (part.split(None, 4)[:4] for part in lines[5:].partition(b"\nGid:")[::2])
    is_one = len(uids) == 4 == uids.count(uids[0]) and _NUMBER.fullmatch(uids[0])
    has_gid = len(gids) == 4 and _NUMBER.fullmatch(gids[1])
    return int(uids[0]) if is_one else None, int(gids[1]) if has_gid else None


def _words(data: bytes) -> list[bytes] | None:
    return None if len(data) >= MOST_BYTES or data.count(b"\0") > MOST_WORDS else data.split(b"\0")


class Proc:
    """One host's processes. Every method answers None for a process that is gone or unreadable, and raises OSError
    where this process has no descriptors or memory left to look.
    """

    def __init__(self, root: str = "/proc") -> None:
        self.root = root

    def text(self, name: str) -> str | None:
        """A small file below the root, None if it cannot be read."""
        data = self._bytes(name)
        return None if data is None else data.decode("utf-8", "replace")

    def pids(self) -> list[int]:
        """Every process there is now."""
        return [int(name) for name in os.listdir(self.root) if name.isascii() and name.isdigit()]

    def _bytes(self, name: str) -> bytes | None:
        try:
            fd = os.open(f"{self.root}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            refuse_exhaustion(error)
            return None
        try:
            data = part = os.read(fd, PART_BYTES)
            while part and len(data) < MOST_BYTES:
                part = os.read(fd, PART_BYTES)
                data += part
            return data
        except OSError as error:
            refuse_exhaustion(error)
            return None
        finally:
            os.close(fd)

    def stat(self, pid: int) -> Stat | None:
        """The process with this pid now."""
        data = self._bytes(f"{pid}/stat")
        return None if data is None else stat_of(pid, data)

    def identify(self, pid: int) -> Identity | None:
        """The identity of a living process."""
        stat = self.stat(pid) if pid > 0 else None
        return stat.identity if stat and stat.is_alive else None

    def is_alive(self, identity: Identity) -> bool:
        """Whether this very process still runs."""
        return self.identify(identity.pid) == identity

    def age_s(self, identity: Identity) -> float:
        """Seconds since its start."""
        return age_s(identity, self.up())

    def up(self) -> float:
        """Seconds since the host booted, suspended ones too: the clock that start ticks count."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def cmdline(self, pid: int) -> tuple[str, ...] | None:
        """The argument vector; a process that rewrote it has trailing empty words, which are dropped.

        None also for one that nobody starts (over 4 MiB or 65,536 words): only a hostile process would have it.
        """
        data = self._bytes(f"{pid}/cmdline")
        words = _words((data or b"").rstrip(b"\0"))
        return None if data is None or words is None else tuple(map(os.fsdecode, words)) if words != [b""] else ()

    def environ(self, pid: int) -> dict[str, str] | None:
        """The environment it was started with; needs the same user or CAP_SYS_PTRACE."""
        data = self._bytes(f"{pid}/environ")
        words = _words(data or b"")
        if data is None or words is None:
            return None
        pairs = (os.fsdecode(word).partition("=") for word in words if b"=" in word)
        return {name: value for name, _, value in pairs}

    def link(self, pid: int, name: str) -> str | None:
        """Where /proc/PID/cwd, exe or root points."""
        try:
            return os.readlink(f"{self.root}/{pid}/{name}")
        except OSError:
            return None

    def status(self, pid: int) -> dict[str, list[str]]:
        """The lines of /proc/PID/status by name, split into words; empty for a process that is gone."""
        text = self.text(f"{pid}/status") or ""
        lines = (line.partition(":") for line in text.splitlines())
        return {name: value.split() for name, _, value in lines}

    def uid(self, pid: int) -> int | None:
        """The uid, if real, effective, saved and file system uid are one: a set-uid program is nobody's for sure."""
        return self.ids(pid)[0]

    def gid(self, pid: int) -> int | None:
        """The effective gid."""
        return self.ids(pid)[1]

    def ids(self, pid: int) -> tuple[int | None, int | None]:
        """(its uid, its gid) in one look, as `uid` and `gid` tell them."""
        data = self._bytes(f"{pid}/status") or b""
        begins = data.find(b"\nUid:")
        return _ids_of(data[begins : data.find(b"\n", data.find(b"\nGid:") + 1)]) if begins >= 0 else (None, None)

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
        except OSError as error:
            refuse_exhaustion(error)
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
        except OSError as error:
            refuse_exhaustion(error)
            return []
        texts = (self._bytes(f"{pid}/task/{thread}/children") or b"" for thread in threads)
        return [int(word) for text in texts for word in text.split() if _NUMBER.fullmatch(word)]

    def tree(self, pid: int) -> list[int]:
        """The process and everything it started and has not lost."""
        found = {pid: None}
        waiting = [pid]
        while waiting:
            children = [child for child in self.children(waiting.pop()) if child not in found]
            found |= dict.fromkeys(children)
            waiting += children
        return list(found)

    def rss_bytes(self, pid: int) -> int | None:
        """Resident bytes from /proc/PID/statm."""
        data = self._bytes(f"{pid}/statm")
        words = data.split() if data else []
        return int(words[1]) * PAGE_BYTES if len(words) > 1 and _NUMBER.fullmatch(words[1]) else None

    def rollup(self, pid: int) -> Rollup | None:
        """PSS, USS and swap: about 12 ms per GiB resident, so not for every worker in every pass."""
        data = self._bytes(f"{pid}/smaps_rollup")
        if data is None:
            return None
        lines = [line.split() for line in data.splitlines()[1:]]
        kib = {words[0]: int(words[1]) for words in lines if len(words) >= 2 and _NUMBER.fullmatch(words[1])}
        if b"Rss:" not in kib or b"Pss:" not in kib:
            return None
        uss = kib.get(b"Private_Clean:", 0) + kib.get(b"Private_Dirty:", 0) + kib.get(b"Private_Hugetlb:", 0)
        return Rollup(*(size * 1024 for size in (kib[b"Rss:"], kib[b"Pss:"], uss, kib.get(b"Swap:", 0))))

    def is_closed(self, pid: int) -> bool:
        """Whether its memory may not be read: neither the same user nor CAP_SYS_PTRACE. False where it is gone."""
        try:
            with open(f"{self.root}/{pid}/smaps_rollup", "rb"):
                return False
        except PermissionError:
            return True
        except OSError as error:
            refuse_exhaustion(error)
            return False

    def limits(self, pid: int) -> dict[str, tuple[int, int]]:
        """The resource limits by their RLIMIT_ name (prlimit(2), through psutil)."""
        names = [name for name in dir(psutil) if name.startswith("RLIMIT_")]
        try:
            process = psutil.Process(pid)
            return {name: process.rlimit(getattr(psutil, name)) for name in names}
        except (psutil.Error, OSError):
            return {}

    def unit(self, pid: int) -> str | None:
        """The systemd unit that owns it, read off its cgroup path (systemd.io, "Control Group APIs").

        Users name the cgroups below their own: what could be an option of systemctl is no unit.
        """
        for line in (self.text(f"{pid}/cgroup") or "").splitlines():
            _, controllers, path = (*line.split(":", 2), "-", "-")[:3]
            if controllers in ("", "name=systemd"):
                leaf = path.rsplit("/", 1)[-1]
                return leaf if _UNIT.fullmatch(leaf) else None
        return None

    def boot_id(self) -> str:
        """Changes with every boot; identities of another boot mean nothing."""
        return (self.text("sys/kernel/random/boot_id") or "").strip()
