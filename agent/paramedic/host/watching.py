"""Folder events through watchdog: a hint that a guarded path changed hands, never the guarantee.

The parent folder is watched, because unlinking a bound socket shows up only there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from watchdog.events import (
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from paramedic.host import files

_EVENTS: list[type[FileSystemEvent]] = [FileDeletedEvent, FileMovedEvent, FileCreatedEvent]


class PathWatch(FileSystemEventHandler):
    """Calls `poke` when one of the guarded paths appears, disappears or is moved."""

    def __init__(self, poke: Callable[[str], None]) -> None:
        self._poke = poke
        self._named: tuple[str, ...] = ()
        self._paths: frozenset[str] = frozenset()
        self._folders: frozenset[str] = frozenset()
        self._watches: dict[str, tuple[int, ObservedWatch]] = {}
        self._observer: BaseObserver | None = None
        self.failures: dict[str, str] = {}

    def start(self) -> None:
        """Begin; without paths nothing is watched yet. Where the host has no inotify to spare it is told, and tried
        again whenever paths are named.
        """
        try:
            observer = Observer()
            observer.start()
        except (OSError, RuntimeError) as error:
            self.failures["anything"] = str(error)
            return
        self._observer = observer
        self.failures.pop("anything", None)

    def stop(self) -> None:
        """End the observer's threads."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(2.0)

    @property
    def is_alive(self) -> bool:
        """Whether the observer's heart beats, where there is one; an exception in a handler would stop it."""
        return self._observer is None or self._observer.is_alive()

    def guard(self, paths: Iterable[str]) -> None:
        """Watch the folders of these paths; a folder that was replaced is watched anew."""
        named = tuple(paths)
        if named != self._named:
            self._named = named
            self._paths = frozenset(os.fsencode(path).decode("utf-8", "replace") for path in named)
            self._folders = frozenset(map(os.path.dirname, self._paths))
        if self._observer is None:
            self.start()
        if self._observer is None:
            return
        for folder in self._watches.keys() - self._folders:
            self._observer.unschedule(self._watches.pop(folder)[1])
        for folder in self._folders:
            self._guard_folder(self._observer, folder)

    def _guard_folder(self, observer: BaseObserver, folder: str) -> None:
        inode = files.inode_of(folder)
        held = self._watches.get(folder)
        if held is not None and held[0] == inode:
            return
        if held is not None:
            observer.unschedule(self._watches.pop(folder)[1])
        if inode is None:
            return
        try:
            watch = observer.schedule(self, folder, recursive=False, event_filter=_EVENTS)
            self._watches[folder] = (inode, watch)
            self.failures.pop(folder, None)
        except OSError as error:
            self.failures[folder] = error.strerror or str(error)

    def on_any_event(self, event: FileSystemEvent) -> None:
        """watchdog's callback, on its own thread."""
        for path in (event.src_path, event.dest_path):
            name = path.decode("utf-8", "replace") if isinstance(path, bytes) else path
            if name in self._paths:
                self._poke(f"{name} {event.event_type}")
                return
