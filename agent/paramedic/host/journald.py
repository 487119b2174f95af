"""Log records for systemd's journal, with fields to search by: `journalctl INCIDENT=20261124T181707-13`.

The native protocol (systemd.io, "Native Journal Protocol"): one datagram, each field with its length.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import struct
from collections.abc import Mapping
from typing import Any

SOCKET = "/run/systemd/journal/socket"
CUT_BYTES = 8 * 1024
_PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


def about(incident: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """`extra` for a log record about an incident, given as `paramedic history --json` prints it."""
    names = {"INCIDENT": "id", "POLICY": "policy", "DIAGNOSIS": "diagnosis", "SUBJECT": "subject"}
    return {"journal": {field: str(incident[key]) for field, key in names.items() if incident.get(key)}}


def is_there() -> bool:
    """Whether our stderr leads to the journal (systemd.exec(5), JOURNAL_STREAM)."""
    try:
        found = os.fstat(2)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class JournalHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Sends a record with its fields; what the journal does not take goes to stderr, and what its full queue does not
    take is dropped: a journal that hangs must not hold the agent up.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """One record, its message cut where it is too long for a datagram."""
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), 7)
        message, more = self.format(record), getattr(record, "journal", {})
        fields = {"PRIORITY": str(priority), "SYSLOG_IDENTIFIER": "paramedic", "LOGGER": record.name, **more}
        try:
            try:
                _send({"MESSAGE": message, **fields})
            except OSError as error:
                if error.errno != errno.EMSGSIZE:
                    raise
                _send({"MESSAGE": f"{message[:CUT_BYTES]} [cut: {len(message)} characters]", **fields})
        except BlockingIOError:
            return  # its queue is full: stderr leads to the same journal, and would wait for it
        except OSError:
            super().emit(record)


def _send(fields: Mapping[str, str]) -> None:
    encoded = [(name.encode(), value.encode("utf-8", "backslashreplace")) for name, value in fields.items()]
    datagram = b"".join(name + b"\n" + struct.pack("<Q", len(value)) + value + b"\n" for name, value in encoded)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sender:
        sender.sendto(datagram, SOCKET)
