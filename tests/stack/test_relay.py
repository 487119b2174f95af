"""The relay as a process: it carries everything, costs nothing idle, leaves in time, and takes only itself away."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.processes import end, is_alive
from harness.waiting import stays, wait_for
from paramedic.host import files, relaying
from paramedic.host.proc import Proc
from paramedic.host.relaying import Relay, Wanted

SERVER = """
import socket, sys, threading
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()
def serve(c):
    data = b""
    while (more := c.recv(65536)):
        data += more
        if data.startswith(b"close"):
            c.sendall(b"x" * 1_000_000); break
    c.sendall(data); c.close()
while True:
    c, _ = s.accept(); threading.Thread(target=serve, args=(c,), daemon=True).start()
"""


@dataclass
class Carried:
    """A server whose path is gone, and the relay that stands there."""

    path: Path
    server: subprocess.Popen[bytes]
    relay: Relay

    def connect(self) -> socket.socket:
        """A client."""
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(10)
        client.connect(str(self.path))
        return client

    def cpu_ticks(self) -> int:
        """What the relay used."""
        stat = Proc().stat(self.relay.process.pid)
        return stat.cpu_ticks if stat else 0


@pytest.fixture
def carried(tmp_path: Path) -> Iterator[Carried]:
    """As ordinary user or root: the live socket is opened before its path goes."""
    path, proc = tmp_path / "s.sock", Proc()
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(path)])
    relay = None
    try:
        wait_for("the server listens", path.is_socket)
        live = os.open(path, os.O_PATH)
        inode, me = files.number(path.stat()), proc.identify(server.pid)
        assert me is not None
        path.unlink()
        wanted = Wanted(str(path), live, inode, me, os.geteuid(), os.getegid(), 0o600, (os.geteuid(), os.getegid()))
        relay = relaying.start(wanted, proc)
        os.close(live)
        yield Carried(path, server, relay)
    finally:
        if relay is not None and is_alive(relay.process.pid):
            end(relay.process.pid)
        server.kill()
        server.wait()


def ask(carried: Carried, data: bytes) -> bytes:
    """Send, end the sending side, and read all that comes back."""
    with carried.connect() as client:

        def send() -> None:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        found = b"".join(iter(lambda: client.recv(65536), b""))
        sender.join()
        return found


def test_it_carries_megabytes_both_ways_and_many_at_once(carried: Carried) -> None:
    payload = os.urandom(3_000_000)
    assert ask(carried, payload) == payload
    answers: list[bytes] = []
    threads = [threading.Thread(target=lambda n=n: answers.append(ask(carried, b"%d" % n * 1000))) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == sorted(b"%d" % n * 1000 for n in range(20))


def test_it_costs_nothing_while_a_client_does_not_read_what_a_server_left(carried: Carried) -> None:
    with carried.connect() as client:
        client.sendall(b"close")
        stays("it works on", lambda: is_alive(carried.relay.process.pid), 0.3)
        before = carried.cpu_ticks()
        stays("the client reads nothing", lambda: is_alive(carried.relay.process.pid), 1.0)
        assert carried.cpu_ticks() - before < 20


def test_a_client_that_leaves_takes_its_pair_along(carried: Carried) -> None:
    for _ in range(300):
        carried.connect().close()
    assert ask(carried, b"still here") == b"still here", "more than the most it carries at once have come and gone"


def test_it_leaves_with_the_server_and_takes_only_its_own_path(carried: Carried) -> None:
    carried.server.kill()
    wait_for("it leaves", lambda: not is_alive(carried.relay.process.pid))
    assert not carried.path.exists()


def test_it_leaves_what_somebody_else_put_there(carried: Carried) -> None:
    carried.path.unlink()
    carried.path.write_text("somebody's")
    wait_for("it leaves", lambda: not is_alive(carried.relay.process.pid), 10)
    assert carried.path.read_text() == "somebody's"
    assert os.listdir(carried.path.parent) == sorted(os.listdir(carried.path.parent))


def test_it_is_ended_when_superseded_and_recognised_without_its_record(carried: Carried) -> None:
    path, proc = str(carried.path), Proc()
    assert relaying.current(path, proc) == carried.relay
    os.unlink(f"{files.keep_link(path)}.relay")
    assert relaying.current(path, proc) is None
    seen = relaying.recognise(path, files.look(path), carried.relay.process, os.geteuid(), proc)
    assert seen == carried.relay
    assert relaying.recognise(f"{path}2", files.look(path), carried.relay.process, os.geteuid(), proc) is None
    mine = proc.identify(os.getpid())
    assert mine is not None
    assert relaying.recognise(path, files.look(path), mine, os.geteuid(), proc) is None
    relaying.end(carried.relay, proc)
    wait_for("it leaves", lambda: not is_alive(carried.relay.process.pid), 10)


def test_it_does_not_start_over_what_stands_there(carried: Carried, tmp_path: Path) -> None:
    live = os.open(carried.path, os.O_PATH)
    me = Proc().identify(carried.server.pid)
    assert me is not None
    user = (os.geteuid(), os.getegid())
    wanted = Wanted(str(carried.path), live, 1, me, *user, 0o600, user)
    with pytest.raises(FileExistsError):
        relaying.start(wanted, Proc())
    os.close(live)
    assert ask(carried, b"the first one") == b"the first one"
    assert sorted(os.listdir(tmp_path / f".paramedic-{os.geteuid()}")) == ["s.sock.relay"]
