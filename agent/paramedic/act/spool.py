"""Messages for a person off the host: one JSON document each, kept on disk until the command took it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paramedic.host import clock, files, folders, journald, launch
from paramedic.host.failpoint import reached
from paramedic.host.writers import writable_by_others
from paramedic.model.stack import NotifyConf

DEADLINE_S = 30.0
MOST_KEPT = 1000
log = logging.getLogger(__name__)


def told_of(event: str, sentence: str, incident: Mapping[str, Any]) -> dict[str, Any]:
    """The document about an event of an incident, for a program's stdin."""
    return {"event": event, "host": os.uname().nodename, "sentence": sentence, "incident": dict(incident)}


class Spool:
    """Hands documents to `notify.command` in order, off the decision thread; a failure is tried again later."""

    def __init__(self, conf: NotifyConf, state_dir: str) -> None:
        self._conf = conf
        self._folder = Path(state_dir) / "spool"
        self._wake = threading.Event()
        self._stop = False
        self._count = 0
        self._thread: threading.Thread | None = None
        self.failure: str | None = None

    @property
    def is_configured(self) -> bool:
        """Whether anybody is told."""
        return bool(self._conf.command)

    @property
    def is_alive(self) -> bool:
        """Whether the deliverer's heart beats; true where none is needed."""
        return self._thread is None or self._thread.is_alive()

    def start(self) -> None:
        """Begin delivering, what an earlier agent left first."""
        if self.is_configured:
            folders.own(str(self._folder))
            self._thread = threading.Thread(target=self._deliver_all, name="notify", daemon=True)
            self._thread.start()

    def stop(self, patience_s: float) -> None:
        """Finish the delivery under way; the rest stays on disk for the next agent."""
        self._stop = True
        self._wake.set()
        if self._thread:
            self._thread.join(patience_s)

    def tell(self, event: str, sentence: str, incident: Mapping[str, Any]) -> None:
        """An event of an incident, with the incident as `paramedic history --json` prints it."""
        about = journald.about(incident)
        log.info("%s %s on %s: %s", incident["id"], event, incident["subject"], sentence, extra=about)
        self.put(told_of(event, sentence, incident), clock.wall())

    def put(self, document: dict[str, Any], stamp: float) -> None:
        """Keep the document and wake the deliverer; without a command there is nobody to tell."""
        if not self.is_configured:
            return
        self._count += 1
        name = f"{stamp:017.6f}-{self._count:06d}.json"
        try:
            folders.own(str(self._folder))
            files.write_private(str(self._folder / name), json.dumps(document).encode())
            reached("spooled")
        except OSError as error:
            log.error("cannot keep the notice for notify.command: %s", error)
        self._wake.set()

    def waiting(self) -> list[Path]:
        """The documents not delivered yet, oldest first; beyond a thousand the oldest are dropped."""
        found = sorted(self._folder.glob("[0-9]*.json"))
        for old in found[:-MOST_KEPT]:
            old.unlink(missing_ok=True)
        return found[-MOST_KEPT:]

    def _deliver_all(self) -> None:
        while not self._stop:
            self._wake.clear()
            self.failure = self._drain()
            if self.failure:
                log.warning("notify.command failed: %s; tried again in %.0f s", self.failure, self._conf.retry_s)
            self._wake.wait(self._conf.retry_s if self.failure else None)

    def _drain(self) -> str | None:
        for path in self.waiting():
            failure = None if self._stop else self._deliver(path)
            if self._stop or failure:
                return failure
            path.unlink(missing_ok=True)
        return None

    def _deliver(self, path: Path) -> str | None:
        with contextlib.suppress(OSError):  # running it says so
            other = writable_by_others(self._conf.command[0], {os.geteuid()})
            if other is not None:
                return f"it is not run: others can change {other}, and it would have our rights"
        try:
            document = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            result = launch.attempt(launch.as_ourselves(tuple(self._conf.command)), DEADLINE_S, document)
        except OSError as error:
            return f"it cannot be run: {error}"
        if result.code == 0:
            return None
        said = "it did not end" if result.code is None else f"exit {result.code}"
        return f"{said}: {result.last_line}" if result.last_line else said
