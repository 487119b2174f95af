"""What the kernel tells of sockets: the same object while it is the same, and nothing of it missed."""

from __future__ import annotations

import contextlib
import socket
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from harness.waiting import wait_for
from paramedic.host import inet, sock_diag, unix_diag
from paramedic.host.proc import Proc
from paramedic.host.unix_diag import Listener
from paramedic.model.readings import PathKind
from paramedic.model.stack import SocketEntry
from paramedic.model.supervision import SocketReading
from paramedic.sense.sockets import SocketSensor

LONG = "a-socket-with-a-name-that-takes-some-room-in-an-answer-of-the-kernel"


@contextlib.contextmanager
def listening(folder: Path, count: int, stem: str = LONG) -> Iterator[list[str]]:
    """So many Unix sockets that listen, by their paths."""
    with contextlib.ExitStack() as stack:
        paths = [f"{folder}/{stem}{number}" for number in range(count)]
        for path in paths:
            server = stack.enter_context(socket.socket(socket.AF_UNIX))
            server.bind(path)
            server.listen()
        yield paths


@pytest.fixture
def folder() -> Iterator[Path]:
    """With a short name: a path of a socket has 107 bytes."""
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def names() -> set[str]:
    """Who listens now."""
    return {one.name for one in unix_diag.listeners()}


def is_same(request: bytes) -> bool:
    """Whether two questions got the same object; other tests listen at times."""
    last = sock_diag.told(request)
    return sock_diag.told(request, last) is last


@pytest.mark.parametrize("count", [1, 700])
def test_the_same_answer_is_the_same_object_and_any_other_is_another(count: int, folder: Path) -> None:
    """Seven hundred do not fit into one datagram."""
    request = unix_diag._REQUEST
    with listening(folder, count) as paths:
        last = sock_diag.told(request)
        assert len(last) > 2 or count == 1
        wait_for("the same again", lambda: is_same(request))
        wait_for("the same listeners again", lambda: unix_diag.listeners() is unix_diag.listeners())
        assert set(paths) <= names()
        with listening(folder, 1, "one-more"):
            assert sock_diag.told(request, last) is not last
            assert f"{folder}/one-more0" in names()
        assert f"{folder}/one-more0" not in names()
        assert set(paths) <= names()
    assert not set(paths) & names()
    assert sock_diag.told(request, last) is not last, "fewer than before, as more than before, is another answer"


def test_who_waits_in_a_queue_is_another_answer(folder: Path) -> None:
    """The same sockets, and a number in one of them."""
    with listening(folder, 1) as paths, socket.socket(socket.AF_UNIX) as client:
        before = {one.name: one.waiting for one in unix_diag.listeners()}[paths[0]]
        client.connect(paths[0])
        assert {one.name: one.waiting for one in unix_diag.listeners()}[paths[0]] == before + 1


def test_a_server_that_starts_between_two_looks_is_not_said_to_have_no_path(folder: Path) -> None:
    """It is seen to listen, so its path is looked at once more."""
    path = f"{folder}/starts.sock"
    with socket.socket(socket.AF_UNIX) as server:

        def starts(inode: int) -> Sequence[Listener]:
            assert inode == 0, "nothing stood there"
            server.bind(path)
            server.listen()
            return unix_diag.listeners()

        found = SocketSensor(SocketEntry("app", path), Proc()).read(None, starts)
        assert isinstance(found, SocketReading)
        assert (found.path.kind, found.path.inode) == (PathKind.SOCKET, found.listening_inode)


def test_what_the_kernel_refuses_is_an_error_and_the_next_question_is_answered() -> None:
    """An unknown protocol of an unknown family; the descriptor of a broken conversation is not used again."""
    with pytest.raises(OSError, match=r"Invalid|No such|not supported"):
        sock_diag.told(bytes((255,)) * 56)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert port in inet.listening(Proc())
        with socket.create_connection(("127.0.0.1", port)):
            assert inet.connected(Proc())[port] == 1
