"""While the daemon is healthy: keep what a repair will need. The hard link and the launch recipe."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from dataclasses import replace

from paramedic.host import clock, files, recipe, relaying
from paramedic.host.proc import Proc
from paramedic.model.readings import Identity
from paramedic.model.sample import Sample
from paramedic.model.stack import Mode, Settings
from paramedic.model.supervision import RpcReading, SocketReading, SupervisorReading

FRESH_S = 3600.0
log = logging.getLogger(__name__)


class Preparation:
    """Refreshes keep-links and recipes after a pass; the failure of one stops no other and is told once."""

    def __init__(self, settings: Settings, proc: Proc) -> None:
        self._settings = settings
        self._proc = proc
        self._recorded: dict[str, Identity] = {}
        self.failures: dict[str, str] = {}

    def refresh(self, sample: Sample) -> None:
        """Prepare for the repair of every daemon that answers RUNNING at its own path, and of every healthy socket."""
        for name, reading in sample.supervisor.items():
            if isinstance(reading, SupervisorReading) and _is_healthy(reading):
                self._guard(name, reading.conf.socket, reading)
                self._try(f"{name}: recipe", functools.partial(self._record, reading))
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
        self._try(f"{name}: protection", functools.partial(files.protect, path, inode, clock.wall(), FRESH_S))

    def _try(self, what: str, step: Callable[[], None]) -> None:
        try:
            step()
            self.failures.pop(what, None)
        except (OSError, ValueError) as error:
            if self.failures.get(what) != str(error):
                log.warning("cannot prepare %s: %s", what, error)
            self.failures[what] = str(error)

    def _record(self, reading: SupervisorReading) -> None:
        daemon, name = reading.daemon, reading.conf.name
        if daemon is None or self._recorded.get(name) == daemon:
            return
        found = recipe.observe(self._proc, daemon, reading.conf.conf)
        if found is None:
            raise OSError(1, f"process {daemon.pid} cannot be read as this user")
        found = replace(found, digest=recipe.digest_of(reading.conf.files))
        recipe.save(recipe.path_of(self._settings.state_dir, name), found)
        self._recorded[name] = daemon


def _is_healthy(reading: SupervisorReading) -> bool:
    pid = reading.daemon.pid if reading.daemon else 0
    is_running = isinstance(reading.rpc, RpcReading) and (reading.rpc.state, reading.rpc.pid) == ("RUNNING", pid)
    return is_running and not reading.rivals and reading.is_reached


def _keep_relay(path: str, inode: int) -> None:
    """A relay's socket and its record are kept from cleaners, too."""
    files.protect(path, inode, clock.wall(), FRESH_S)
    files.freshen(relaying.record_of(path), clock.wall(), FRESH_S)
