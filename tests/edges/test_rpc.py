"""A daemon is asked with one deadline for everything; what does not answer is told apart by how it does not."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import xmlrpc.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

import pytest

from paramedic.host import clock, supervisor_rpc, xml_rpc

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
    return supervisor_rpc.results(supervisor_rpc.ask(place, STATE), deadline_s)


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
    with pytest.raises(supervisor_rpc.RpcFailure) as failed:
        ask(str(path))
    assert not isinstance(failed.value, supervisor_rpc.Silent)


@pytest.mark.usefixtures("listening")
def test_nobody_who_accepts_is_silent_within_the_deadline(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(supervisor_rpc.Silent, match="no answer within"):
        ask(str(tmp_path / "s.sock"))
    assert time.monotonic() - began < 10


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
    assert time.monotonic() - began < 10


def test_bytes_that_are_always_there_do_not_stretch_it_either(
    listening: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that writes faster than its answer is read, one byte in each part, a hundredth of a second each."""
    now = [0.0]

    def later() -> float:
        now[0] += 0.01
        return now[0]

    with supervisor_rpc.ask(str(tmp_path / "s.sock"), STATE) as link:
        client, _ = listening.accept()
        with client:
            client.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER))
            monkeypatch.setattr(supervisor_rpc, "PART_BYTES", 1)
            monkeypatch.setattr(clock, "monotonic", later)
            with pytest.raises(supervisor_rpc.Silent, match="no answer within"):
                supervisor_rpc.results(link, 0.2)
    assert now[0] < 0.5


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


VALUE = {
    "name": "a <b> & c",
    "empty": "",
    "rows": [{"pid": 7, "up": True, "rate": 0.5}, {}],
    "nothing": [],
    "negative": -3,
    "words": ["x", ["y"]],
}


def test_what_is_asked_and_answered_is_what_the_library_would_write_and_read() -> None:
    wanted = ("system.multicall", [{"methodName": "m", "params": [1, True, "<&>", {"a": []}]}])
    params, method = xmlrpc.client.loads(xml_rpc.request(*wanted))
    assert (method, *params) == wanted
    answer = xmlrpc.client.dumps((VALUE,), methodresponse=True).encode()
    assert xml_rpc.value_of(answer) == VALUE


def test_a_text_without_a_type_is_a_text() -> None:
    answer = b"<methodResponse><params><param><value> a&amp;b </value></param></params></methodResponse>"
    assert xml_rpc.value_of(answer) == " a&b "


def test_a_fault_is_raised_with_its_code() -> None:
    answer = xmlrpc.client.dumps(xmlrpc.client.Fault(6, "SHUTDOWN_STATE")).encode()
    with pytest.raises(xml_rpc.Fault, match="SHUTDOWN_STATE") as failed:
        xml_rpc.value_of(answer)
    assert failed.value.code == 6


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>",
        b"<methodResponse></methodResponse>",
        b"<value><int>many</int></value>",
        b"<value><struct><member><name>odd</name></member></struct></value>",
        b"<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'>]><value>&a;</value>",
    ],
)
def test_what_is_no_answer_is_refused_and_nothing_grows(answer: bytes) -> None:
    with pytest.raises((ValueError, ExpatError)):
        xml_rpc.value_of(answer)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"HTTP/1.0 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "401 Unauthorized"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 10000\r\n\r\n" + ANSWER, "the answer ended too early"),
        (b"", "the answer ended too early"),
        (b"HTTP/1.0 200 OK\r\n\r\n<html>", "no element found"),
    ],
)
def test_an_answer_that_is_none_says_what_is_wrong_with_it(
    listening: socket.socket, tmp_path: Path, said: bytes, reason: str
) -> None:
    def serve() -> None:
        client, _ = listening.accept()
        with client:
            client.recv(65536)
            client.sendall(said)

    threading.Thread(target=serve, daemon=True).start()
    with pytest.raises(supervisor_rpc.RpcFailure, match=reason) as failed:
        ask(str(tmp_path / "s.sock"), 2.0)
    assert not isinstance(failed.value, supervisor_rpc.Silent)


def answer(now: int, state: str = "RUNNING", uptime: str = "0:00:12") -> bytes:
    """The body of an answer to getAllProcessInfo of a daemon with one program, as supervisord writes it."""
    row = {"name": "daphne", "group": "daphne", "start": 5, "now": now, "statename": state, "pid": 7}
    row["description"] = f"pid 7, uptime {uptime}"
    return xmlrpc.client.dumps(([row],), methodresponse=True).encode()


def rows(body: bytes) -> object:
    """What the library reads in it."""
    found: Any = xmlrpc.client.loads(body)[0]
    return found[0]


def test_an_answer_that_says_the_same_a_second_later_is_not_taken_apart_again() -> None:
    kept = supervisor_rpc.Kept()
    first = kept.value_of(answer(1000))
    assert first == rows(answer(1000))
    assert kept.value_of(answer(1001, uptime="0:00:13")) is first
    other = kept.value_of(answer(1002, state="STOPPED"))
    assert other == rows(answer(1002, state="STOPPED"))
    assert kept.value_of(answer(1003)) == rows(answer(1003))


@pytest.mark.parametrize("broken", [b"", b"<methodResponse>", b"rubbish", answer(1000)[:-20]])
def test_what_is_no_answer_is_none_the_second_time_too(broken: bytes) -> None:
    kept = supervisor_rpc.Kept()
    kept.value_of(answer(1000))
    for _ in range(2):
        with pytest.raises((ValueError, ExpatError)):
            kept.value_of(broken)
    assert kept.value_of(answer(1001))
