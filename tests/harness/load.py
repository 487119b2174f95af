"""A constant load on the loopback, in which no request is lost from sight.

An open loop: requests are due at a fixed rate, whatever the server does, and the latency runs from the moment a request
was due. A generator that waits for one answer before it asks again hides exactly the stall that is looked for. wrk is
such a one, and reports the failed requests of all kinds as one number without saying which.
"""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

PATIENCE_S = 20.0
MAX_REQUESTS = 100_000
MAX_ANSWER_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Answer:
    """One request: when it was due (monotonic s), how long from then to the last byte (s), and what came.

    `status` is 0 where no complete answer came; `error` says what did instead.
    """

    path: str
    due: float
    seconds: float
    status: int
    body: str
    error: str

    @property
    def failed(self) -> bool:
        """Anything but a complete 200."""
        return self.status != 200


class Load:
    """`rate` requests per second by `clients` threads, from now until `stop`.

    `kept`: each client asks over one connection for as long as the server keeps it; one that ends before a complete
    answer is a failure, never repeated. Otherwise each request is a new connection.
    """

    def __init__(
        self, port: int, rate: float, path_of: Callable[[int], str], *, kept: bool = False, clients: int = 8
    ) -> None:
        self._port, self._rate, self._path_of, self._kept = port, rate, path_of, kept
        self._tickets = itertools.count()
        self._over = threading.Event()
        self._began = time.monotonic()
        self._answers: list[Answer] = []
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    @property
    def count(self) -> int:
        """Requests that came to an end."""
        return len(self._answers)

    def stop(self) -> list[Answer]:
        """Let every request that was sent be answered; all answers in the order they were due."""
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE_S + 5)
            if thread.is_alive():
                raise AssertionError("a client of the load did not end")
        return sorted(self._answers, key=lambda answer: answer.due)

    def _ask(self) -> None:
        connection: Connection | None = None
        while True:
            number = next(self._tickets)
            due = self._began + number / self._rate
            if self._over.wait(max(0.0, due - time.monotonic())) or number >= MAX_REQUESTS:
                break
            path = self._path_of(number)
            status, body, error = 0, "", ""
            try:
                connection = connection or Connection(self._port)
                status, body, is_kept = connection.get(path, self._kept)
            except OSError as failed:
                error, is_kept = f"{type(failed).__name__}: {failed}", False
            self._answers.append(Answer(path, due, time.monotonic() - due, status, body, error))
            if connection and not (self._kept and is_kept):
                connection.close()
                connection = None
        if connection:
            connection.close()


class Cut(ConnectionError):
    """The connection ended before the answer did."""


class Connection:
    """As much of an HTTP client as says precisely how a request failed."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self, path: str, kept: bool) -> tuple[int, str, bool]:
        """Status, body, and whether the server keeps the connection; raises OSError, Cut for half an answer."""
        wish = "keep-alive" if kept else "close"
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: shop\r\nConnection: {wish}\r\n\r\n".encode())
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more(data)
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip().lower() for name, _, value in (line.partition(":") for line in lines)}
        if not headers.get("content-length", "").isdigit():
            raise Cut(f"an answer of unknown length: {first}")
        while len(body) < int(headers["content-length"]):
            body += self._more(body)
        is_kept = first.startswith("HTTP/1.1") and headers.get("connection") != "close"
        return int(first.split()[1]), body.decode("latin-1"), is_kept

    def _more(self, before: bytes) -> bytes:
        data = self._socket.recv(MAX_ANSWER_BYTES)
        if not data or len(before) > MAX_ANSWER_BYTES:
            raise Cut(f"the connection ended after {len(before)} bytes of the answer")
        return data

    def close(self) -> None:
        """End it."""
        self._socket.close()


@dataclass(frozen=True, slots=True)
class Latency:
    """How many, the requests per second, and percentiles in milliseconds."""

    count: int
    rate: float
    p50: float
    p90: float
    p99: float
    worst: float


def latency(answers: Sequence[Answer], since: float, until: float) -> Latency:
    """Of the requests that were due in between; nearest rank."""
    times = sorted(a.seconds * 1000 for a in answers if since <= a.due < until)
    if not times:
        raise AssertionError("no request was due in that time")

    def rank(share: float) -> float:
        return times[min(len(times) - 1, int(share * len(times)))]

    return Latency(len(times), len(times) / (until - since), rank(0.5), rank(0.9), rank(0.99), times[-1])


def failures(answers: Sequence[Answer]) -> Counter[str]:
    """What failed, by what came instead, with how often."""
    return Counter(answer.error or f"status {answer.status}" for answer in answers if answer.failed)
