"""What reaches systemd's journal, through a socket of our own in its place."""

from __future__ import annotations

import logging
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from paramedic.host import journald

INCIDENT = {"id": "20261124T181707-13", "policy": "socket-lost", "diagnosis": "socket-missing", "subject": None}


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A datagram socket where journald's would be."""
    path = str(tmp_path / "socket")
    monkeypatch.setattr(journald, "SOCKET", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(path)
        made.settimeout(5)
        yield made


def _log(message: str) -> None:
    record = logging.makeLogRecord(
        {"name": "paramedic.test", "levelno": logging.WARNING, "msg": message, **journald.about(INCIDENT)}
    )
    journald.JournalHandler().handle(record)


def _fields(datagram: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    while datagram:
        name, _, datagram = datagram.partition(b"\n")
        (length,) = struct.unpack("<Q", datagram[:8])
        found[name.decode()] = datagram[8 : 8 + length].decode()
        datagram = datagram[9 + length :]
    return found


def test_a_record_carries_its_incident_and_more_than_one_line(journal: socket.socket) -> None:
    """A traceback is one message; what an incident lacks is no field."""
    _log("first\nPOLICY=forged")
    fields = _fields(journal.recv(1 << 20))
    assert fields["MESSAGE"] == "first\nPOLICY=forged"
    assert (fields["INCIDENT"], fields["POLICY"]) == ("20261124T181707-13", "socket-lost")
    assert (fields["DIAGNOSIS"], fields["PRIORITY"]) == ("socket-missing", "4")
    assert "SUBJECT" not in fields


def test_a_message_too_long_for_a_datagram_is_cut_and_says_so(journal: socket.socket) -> None:
    """EMSGSIZE loses neither the record nor its fields."""
    _log("x" * 4_000_000)
    fields = _fields(journal.recv(1 << 20))
    assert fields["MESSAGE"].endswith("x [cut: 4000000 characters]")
    assert fields["INCIDENT"] == "20261124T181707-13"


def test_a_journal_that_takes_nothing_holds_nobody_up(
    journal: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its queue full, the record is dropped: stderr would lead to the same journal, and wait."""
    for number in range(2000):
        _log(f"number {number}")
    assert "number 1999" not in capsys.readouterr().err
    os.unlink(journal.getsockname())
    _log("nobody there")
    assert "nobody there" in capsys.readouterr().err


def test_stderr_is_the_journal_only_if_systemd_says_so_of_this_very_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """JOURNAL_STREAM is inherited also by what has its output elsewhere."""
    found = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
    assert journald.is_there()
    monkeypatch.setenv("JOURNAL_STREAM", "1:1")
    assert not journald.is_there()
