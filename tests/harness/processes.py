"""Processes that a test started, found by a mark in their environment and ended through pidfds."""

from __future__ import annotations

import os
import select
import signal
import time
from pathlib import Path

MARK = "PARAMEDIC_HARNESS"


def marked(mark: str) -> list[int]:
    """Living processes that inherited this mark: ours, and whatever they started."""
    wanted, own = f"{MARK}={mark}".encode(), str(os.getpid())
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and name != own:
            try:
                with open(f"/proc/{name}/environ", "rb") as file:  # empty for a zombie
                    environ = file.read()
            except OSError:
                continue
            if wanted in environ and wanted in environ.split(b"\0"):
                found.append(int(name))
    return sorted(found)


def state(pid: int) -> str:
    """The state letter, empty for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0]
    except OSError:
        return ""


def is_alive(pid: int) -> bool:
    """Whether it runs; a zombie does not."""
    return state(pid) not in ("", "Z", "X")


def start_ticks(pid: int) -> int:
    """When it started, in ticks after boot: with the pid, its identity."""
    return int(Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19])


def age_s(pid: int) -> float:
    """Seconds since it started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - start_ticks(pid) / os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    """The processes it started and has not lost."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def cmdline(pid: int) -> list[str]:
    """Its arguments; none for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace").rstrip("\0").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return [""]


def environ(pid: int) -> dict[str, str]:
    """The environment it was started with."""
    text = Path(f"/proc/{pid}/environ").read_text("utf-8", "replace")
    return dict(pair.split("=", 1) for pair in text.split("\0") if "=" in pair)


def end(pid: int, sign: int = signal.SIGKILL, patience_s: float = 10.0) -> None:
    """Signal this process and wait until it has ended."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(fd, sign)
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        if not poll.poll(patience_s * 1000):
            raise AssertionError(f"process {pid} did not end on signal {sign}")
    except ProcessLookupError:
        return
    finally:
        os.close(fd)


def end_marked(mark: str) -> None:
    """End everything that carries the mark; what it starts meanwhile too."""
    for _ in range(10):
        found = marked(mark)
        if not found:
            return
        for pid in found:
            end(pid)
    raise AssertionError(f"processes of this test do not end: {marked(mark)}")
