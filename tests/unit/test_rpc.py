"""A daemon is asked with one deadline for everything; what does not answer is told apart by how it does not."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from paramedic.host import supervisor_rpc

STATE: list[tuple[str, tuple[object, ...]]] = [("supervisor.getState", ())]
ANSWER = (
    b"<?xml version='1.0'?><methodResponse><params><param><value><array><data><value><struct><member>"
    b"<name>statename</name><value><string>RUNNING</string></value></member></struct></value></data></array>"
    b"</value></param></params></methodResponse>"
)


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[socket.socket]:
    """A listening socket that nobody accepts from yet, at s.sock."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.sock"))
        server.listen(1)
        yield server


def ask(place: str | int, deadline_s: float = 0.2) -> object:
    """One question."""
    return supervisor_rpc.call(place, STATE, deadline_s=deadline_s)


@pytest.mark.parametrize("what", ["absent", "file", "folder", "link", "dead socket"])
def test_what_is_no_live_socket_fails_at_once_and_is_not_called_silent(tmp_path: Path, what: str) -> None:
    path = tmp_path / "s.sock"
    if what == "file":
        path.touch()
    elif what == "folder":
        path.mkdir()
    elif what == "link":
        path.symlink_to(tmp_path / "other")
    elif what == "dead socket":
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
    began = time.monotonic()
    with pytest.raises(supervisor_rpc.RpcFailure) as failed:
        ask(str(path))
    assert not isinstance(failed.value, supervisor_rpc.Silent)
    assert time.monotonic() - began < 0.15


@pytest.mark.usefixtures("listening")
def test_nobody_who_accepts_is_silent_within_the_deadline(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(supervisor_rpc.Silent, match="no answer within"):
        ask(str(tmp_path / "s.sock"))
    assert time.monotonic() - began < 1.0


@pytest.mark.usefixtures("listening")
def test_a_full_queue_is_silent_at_once(tmp_path: Path) -> None:
    waiting: list[socket.socket] = []
    try:
        with contextlib.suppress(BlockingIOError):
            for _ in range(20):
                client = socket.socket(socket.AF_UNIX)
                waiting.append(client)
                client.setblocking(False)
                client.connect(str(tmp_path / "s.sock"))
        with pytest.raises(supervisor_rpc.Silent, match="its queue is full"):
            ask(str(tmp_path / "s.sock"))
    finally:
        for client in waiting:
            client.close()


def test_one_byte_at_a_time_does_not_stretch_the_deadline(listening: socket.socket, tmp_path: Path) -> None:
    def drip() -> None:
        with contextlib.suppress(OSError):
            client, _ = listening.accept()
            with client:
                for byte in b"HTTP/1.0 200 OK\r\n" * 100:
                    client.sendall(bytes([byte]))
                    time.sleep(0.02)

    threading.Thread(target=drip, daemon=True).start()
    began = time.monotonic()
    with pytest.raises(supervisor_rpc.Silent):
        ask(str(tmp_path / "s.sock"))
    assert time.monotonic() - began < 1.0


def test_a_socket_without_a_name_is_asked_through_its_descriptor(listening: socket.socket, tmp_path: Path) -> None:
    fd = os.open(tmp_path / "s.sock", os.O_PATH)
    (tmp_path / "s.sock").unlink()

    def serve() -> None:
        client, _ = listening.accept()
        with client:
            asked = b""
            while b"</methodCall>" not in asked:
                asked += client.recv(65536)
            client.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER)

    threading.Thread(target=serve, daemon=True).start()
    try:
        assert ask(fd, 2.0) == [{"statename": "RUNNING"}]
        assert os.fstat(fd), "the descriptor is the caller's, and stays open"
    finally:
        os.close(fd)
