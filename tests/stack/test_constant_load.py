"""The load generator of the tests under load counts every way in which a request can fail."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from harness.load import Answer, Load, failures, latency
from harness.waiting import wait_for

FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\npid 7"
RESET = struct.pack("ii", 1, 0)


@contextmanager
def server(answer: Callable[[int, socket.socket], bool]) -> Iterator[int]:
    """Its port: `answer` gets the number of the request and the connection, and says whether to keep that."""
    listener = socket.create_server(("127.0.0.1", 0))
    count = iter(range(10**6))

    def serve() -> None:
        while True:
            try:
                client = listener.accept()[0]
            except OSError:
                return
            while client.recv(4096) and answer(next(count), client):
                pass
            client.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def misbehave(number: int, client: socket.socket) -> bool:
    """A full answer, a 502, half an answer, none, and a reset, in turn."""
    if number % 5 == 4:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        return False
    broken = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"
    client.sendall((FINE, broken, FINE[:-2], b"")[number % 5])
    return False


def run(port: int, requests: int, *, kept: bool) -> list[Answer]:
    """So many requests by one client, one after the other."""
    load = Load(port, 1000, lambda _: "/", kept=kept, clients=1)
    wait_for("the requests", lambda: load.count >= requests)
    return load.stop()


def test_every_failure_is_counted_by_what_came_instead() -> None:
    with server(misbehave) as port:
        answers = run(port, 50, kept=False)[:50]
    found = failures(answers)
    assert found == {
        "status 502": 10,
        "Cut: the connection ended after 3 bytes of the answer": 10,
        "Cut: the connection ended after 0 bytes of the answer": 10,
        "ConnectionResetError: [Errno 104] Connection reset by peer": 10,
    }
    assert {answer.body for answer in answers if not answer.failed} == {"pid 7"}


def test_a_kept_connection_that_ends_is_a_failure_and_not_asked_again() -> None:
    def close_every_third(number: int, client: socket.socket) -> bool:
        if number % 3 < 2:
            client.sendall(FINE)
        return number % 3 < 2

    with server(close_every_third) as port:
        answers = run(port, 30, kept=True)[:30]
    assert [answer.failed for answer in answers] == [False, False, True] * 10


def test_a_server_that_is_gone_is_a_failure() -> None:
    with server(misbehave) as port:
        pass
    answers = run(port, 5, kept=False)
    assert all("ConnectionRefusedError" in answer.error for answer in answers)


def test_a_stall_shows_in_every_request_that_was_due_meanwhile() -> None:
    """A closed loop would count one slow request; those that users would have made are counted here."""
    go = threading.Event()

    def stall(number: int, client: socket.socket) -> bool:
        if number == 10:
            go.wait(5)
        client.sendall(FINE)
        return True

    with server(stall) as port:
        load = Load(port, 200, lambda _: "/", kept=True, clients=1)
        wait_for("the stall", lambda: load.count == 10)
        held = time.monotonic()
        wait_for("it lasts", lambda: time.monotonic() - held > 0.2)
        go.set()
        wait_for("it catches up", lambda: load.count > 100)
        answers = load.stop()
    assert not failures(answers)
    assert sum(answer.seconds > 0.1 for answer in answers) > 15
    found = latency(answers, answers[0].due, answers[99].due)
    assert found.p50 < found.p90 < found.worst
    assert found.worst > 190


def test_percentiles_are_of_the_requests_in_their_time_only() -> None:
    answers = [Answer("/", due / 10, due / 1000, 200, "", "") for due in range(100)]
    found = latency(answers, 0.0, 10.0)
    assert (found.count, found.rate, found.p50, found.p90, found.p99, found.worst) == (100, 10, 50, 90, 99, 99)
    assert latency(answers, 0.0, 1.0).worst == 9
    with pytest.raises(AssertionError, match="no request"):
        latency(answers, 20.0, 30.0)
