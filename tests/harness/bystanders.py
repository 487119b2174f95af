"""Innocent processes that look like ours: none of them may ever be signalled, moved or reloaded."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.processes import children, is_alive, start_ticks
from harness.stack import BIN, EmbeddedStack, free_port
from harness.waiting import wait_for


class Bystanders:
    """A second uWSGI, an editor of daphne.py, a tail of our log, and a supervisord of another conf."""

    def __init__(self, stack: EmbeddedStack) -> None:
        self._stack = stack
        self._folder = stack.folder / "other"
        self._folder.mkdir(mode=0o777)
        self._folder.chmod(0o777)
        (stack.folder / "uwsgi.log").touch()
        self._write_confs()
        pids = [self._second_uwsgi(), self._editor(), self._tail(), self._other_supervisord()]
        wait_for("the other supervisord's program runs", lambda: children(pids[3]))
        everybody = [*pids, *(child for pid in pids for child in children(pid))]
        self._identities = {pid: start_ticks(pid) for pid in everybody}
        self._precious = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in self._folder.glob("*.ini")}

    def _write_confs(self) -> None:
        (self._folder / "other.ini").write_text(
            f"[uwsgi]\nmaster=true\nprocesses=1\nhttp-socket=127.0.0.1:{free_port()}\n"
            f"stats={self._folder}/stats.sock\ntouch-chain-reload={self._folder}/other.ini\n"
        )
        (self._folder / "other.conf").write_text(
            f"[unix_http_server]\nfile={self._folder}/other.sock\n"
            f"[supervisord]\nlogfile={self._folder}/other.log\npidfile={self._folder}/other.pid\n"
            f"childlogdir={self._folder}\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
            "[program:daphne]\ncommand=/bin/sleep 100000\n"
        )

    def _second_uwsgi(self) -> int:
        argv = [BIN / "uwsgi", "--ini", self._folder / "other.ini"]
        pid = self._stack.spawn(argv, self._stack.owner, "other-uwsgi.log").pid
        wait_for("the second uWSGI runs", (self._folder / "stats.sock").exists)
        return pid

    def _editor(self) -> int:
        waiting = "import signal; signal.pause()"
        argv = [sys.executable, "-c", waiting, "daphne", "-p", str(self._stack.daphne_port), "supervisord.conf"]
        return self._stack.spawn(argv, self._stack.owner, "editor.log").pid

    def _tail(self) -> int:
        argv = [Path("/usr/bin/tail"), "-f", self._stack.folder / "uwsgi.log"]
        return self._stack.spawn(argv, self._stack.owner, "tail.log").pid

    def _other_supervisord(self) -> int:
        argv = [BIN / "supervisord", "-n", "-c", self._folder / "other.conf"]
        pid = self._stack.spawn(argv, self._stack.owner, "other-supervisord.log").pid
        wait_for("the other supervisord runs", (self._folder / "other.sock").exists)
        return pid

    def prove_untouched(self) -> None:
        """Every one of them is the process it was, and their files are what they were."""
        for pid, ticks in self._identities.items():
            assert is_alive(pid), f"bystander {pid} is gone"
            assert start_ticks(pid) == ticks, f"bystander {pid} is another process now"
        for path, content in self._precious.items():
            assert (path.read_bytes(), path.stat().st_mtime_ns) == content, f"{path} was changed or touched"
