"""Threads for repairs. One always waits ready-made: a host without memory or processes to spare lets none be started.

A thread that dies before it runs, for want of memory, would also keep the one that started it waiting for ever
(CPython, Thread.start).
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable

from paramedic.host import clock

Work = tuple[str, Callable[[], None]]


class Hands:
    """Work is taken in order, by a thread of its own where one can be had, else when one is free."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._undone = 0
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Make the first one ready."""
        self._add()

    def take(self, name: str, work: Callable[[], None]) -> None:
        """Do it on a thread that bears this name meanwhile. Raises RuntimeError where no thread can be had at all."""
        with self._lock:
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            if self._undone >= len(self._threads):
                with contextlib.suppress(RuntimeError, MemoryError) if self._threads else contextlib.nullcontext():
                    self._add()
            self._undone += 1
        self._waiting.put((name, work))

    def rest(self, patience_s: float) -> None:
        """Let what is under way end, at most so long."""
        until = clock.monotonic() + patience_s
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join(max(0.0, until - clock.monotonic()))

    def _add(self) -> None:
        thread = threading.Thread(target=self._serve, name="hand", daemon=True)
        thread.start()
        self._threads.append(thread)

    def _serve(self) -> None:
        while (work := self._waiting.get()) is not None:
            threading.current_thread().name = work[0]
            with contextlib.suppress(MemoryError):
                work[1]()
            del work
            threading.current_thread().name = "hand"
            with self._lock:
                self._undone -= 1
