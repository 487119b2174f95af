"""A cgroup of this kernel with a memory limit, and processes in it; tests skip, with the reason, where nobody may."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.waiting import wait_for
from paramedic.host.cgroup import Cgroup, Cgroups
from paramedic.host.proc import Proc

ONCE_TOLD = (
    "import sys; sys.stdin.readline(); kept = b'x' * int(sys.argv[1]); print(1, flush=True); sys.stdin.readline()"
)


@contextlib.contextmanager
def limited_cgroup(limit: int) -> Iterator[Cgroup]:
    """A new cgroup below the topmost one that can be seen, to which its processes are moved in the end."""
    chain = Cgroups(Proc()).of("self")
    if not chain:
        pytest.skip("no cgroup hierarchy that counts memory is visible here")
    top = chain[-1]
    folder = Path(top.folder) / f"paramedic-test-{os.getpid()}"
    try:
        folder.mkdir()
        (folder / ("memory.max" if top.version == 2 else "memory.limit_in_bytes")).write_text(str(limit))
    except OSError as error:
        if folder.exists():
            folder.rmdir()
        pytest.skip(f"nobody may limit a cgroup here: {error}")
    try:
        yield Cgroup(top.version, f"{top.name.rstrip('/')}/{folder.name}", str(folder), False)
    finally:
        wait_for("nobody is in it any more", lambda: _is_empty(folder))
        folder.rmdir()


def _is_empty(folder: Path) -> bool:
    """Whether it is; who is left goes where it would be without the test."""
    left = (folder / "cgroup.procs").read_text().split()
    for pid in left:
        with contextlib.suppress(OSError):
            (folder.parent / "cgroup.procs").write_text(pid)
    return not left


@contextlib.contextmanager
def holding(size: int, cgroup: Cgroup) -> Iterator[subprocess.Popen[str]]:
    """A process in the cgroup that holds `size` bytes, all of them charged there."""
    argv = (sys.executable, "-c", ONCE_TOLD, str(size))
    child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    assert child.stdin
    assert child.stdout
    try:
        Path(cgroup.folder, "cgroup.procs").write_text(str(child.pid))
        child.stdin.write("\n")
        assert child.stdout.readline() == "1\n"
        yield child
    finally:
        child.kill()
        child.wait(5)
        child.stdin.close()
        child.stdout.close()
