"""While the daemon is healthy: keep what a repair will need. The hard link and the launch recipe."""

from __future__ import annotations

import errno
import functools
import logging
import stat
from collections.abc import Callable
from dataclasses import replace

from paramedic.act.job import in_words
from paramedic.host import clock, files, recipe, relaying, uwsgi_processes
from paramedic.host.proc import Proc
from paramedic.host.recipe import Recipe
from paramedic.model.readings import Identity, UwsgiReading
from paramedic.model.sample import Sample
from paramedic.model.stack import Mode, Settings
from paramedic.model.supervision import RpcReading, SocketReading, SupervisorReading

FRESH_S = 3600.0
AGAIN_S = 60.0
log = logging.getLogger(__name__)


class Preparation:
    """Refreshes keep-links and recipes after a pass; the failure of one stops no other and is told once."""

    def __init__(self, settings: Settings, proc: Proc) -> None:
        self._settings = settings
        self._proc = proc
        self._boot_id = proc.boot_id()
        self._recorded: dict[str, Identity] = {}
        self.failures: dict[str, str] = {}
        self._fresh_until: dict[str, float] = {}
        self._again_at: dict[str, float] = {}
        self._why: dict[str, str] = {}

    def refresh(self, sample: Sample) -> None:
        """Prepare for the repair of every daemon that answers RUNNING at its own path, and of every healthy socket."""
        for name, reading in sample.supervisor.items():
            if isinstance(reading, SupervisorReading) and _is_healthy(reading):
                self._guard(name, reading.conf.socket, reading)
                if self._recorded.get(reading.conf.name) != reading.daemon:
                    self._try(f"{name}: recipe", functools.partial(self._record, reading))
        for name, uwsgi in sample.uwsgi.items():
            if isinstance(uwsgi, UwsgiReading) and self._recorded.get(f"uwsgi-{name}") != uwsgi.master:
                self._try(f"{name}: recipe", functools.partial(self._record_uwsgi, uwsgi))
        for name, socket in sample.sockets.items():
            if isinstance(socket, SocketReading) and socket.is_reached:
                self._guard(name, socket.entry.path, socket)

    def _guard(self, name: str, path: str | None, reading: SupervisorReading | SocketReading) -> None:
        inode = reading.listening_inode
        if path is None or inode is None or self._settings.mode is not Mode.ACT:
            return
        if reading.relayed:
            self._try(f"{name}: relay", functools.partial(_keep_relay, path, reading.path.inode))
            return
        if reading.path.inode != inode:
            return
        if reading.kept_inode != inode:
            self._try(f"{name}: keep-link", functools.partial(files.refresh_link, path, files.keep_link(path), inode))
        now = clock.monotonic()
        if now >= self._fresh_until.get(path, 0.0) or not reading.path.mode & stat.S_ISVTX:
            self._try(f"{name}: protection", functools.partial(files.protect, path, inode, clock.wall(), FRESH_S))
            self._fresh_until[path] = now + AGAIN_S

    def _try(self, what: str, step: Callable[[], None]) -> None:
        try:
            step()
            self.failures.pop(what, None)
        except (OSError, ValueError) as error:
            why = in_words(error)
            if self.failures.get(what) != why:
                log.warning("cannot prepare %s: %s", what, why)
            self.failures[what] = why

    def _record(self, reading: SupervisorReading) -> None:
        daemon, conf = reading.daemon, reading.conf
        if daemon is not None:
            self._keep(conf.name, daemon, conf.files, lambda: recipe.observe(self._proc, daemon, conf.conf))

    def _record_uwsgi(self, reading: UwsgiReading) -> None:
        master, read = reading.master, reading.conf.files
        name = f"uwsgi-{reading.conf.name}"
        self._keep(name, master, read, lambda: uwsgi_processes.observe(self._proc, master, read[0]))

    def _keep(self, name: str, one: Identity, read: tuple[str, ...], observe: Callable[[], Recipe | None]) -> None:
        """Once for each process. What an earlier agent wrote of this very one stays: its conf may be another now."""
        if clock.monotonic() < self._again_at.get(name, 0.0):
            raise OSError(errno.EAGAIN, self._why[name])
        path = recipe.path_of(self._settings.state_dir, name)
        process, kept = f"{self._boot_id} {one.pid} {one.start_ticks}", recipe.load(path)
        if kept is None or kept.process != process:
            found = self._observed(name, one, observe)
            if kept is not None and kept.uid == 0 != found.uid:
                told = f"it ran as root, and process {one.pid} runs as user {found.uid}"
                raise PermissionError(errno.EPERM, f"{told}: if that is right, remove its recipe", path)
            recipe.save(path, replace(found, process=process, digest=recipe.digest_at_start(read, one, self._proc)))
        self._recorded[name] = one

    def _observed(self, name: str, one: Identity, observe: Callable[[], Recipe | None]) -> Recipe:
        """Its launch; where it cannot be told now (systemd does not answer) it is asked again in a minute."""
        try:
            found = observe()
        except OSError as error:
            self._again_at[name], self._why[name] = clock.monotonic() + AGAIN_S, str(error.strerror or error)
            raise
        if found is None:
            raise OSError(1, f"process {one.pid} cannot be read as this user")
        return found


def _is_healthy(reading: SupervisorReading) -> bool:
    pid = reading.daemon.pid if reading.daemon else 0
    is_running = isinstance(reading.rpc, RpcReading) and (reading.rpc.state, reading.rpc.pid) == ("RUNNING", pid)
    return is_running and not reading.rivals and reading.is_reached


def _keep_relay(path: str, inode: int) -> None:
    """A relay's socket and its record are kept from cleaners, too."""
    files.protect(path, inode, clock.wall(), FRESH_S)
    relaying.freshen(path, clock.wall(), FRESH_S)
