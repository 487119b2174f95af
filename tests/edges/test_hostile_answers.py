"""What hostile servers answer: bounded in bytes, depth, numbers and time, and believed only of the right user."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.serving import serve_each
from harness.waiting import wait_for
from paramedic.host import recipe, supervisor_rpc, xml_rpc
from paramedic.host.proc import Proc
from paramedic.host.recipe import Recipe
from paramedic.host.uwsgi_stats import MAX_BYTES, fetch_stats
from paramedic.model.readings import Unreadable, UwsgiReading
from paramedic.model.stack import UwsgiEntry
from paramedic.sense.memory import Rollups
from paramedic.sense.uwsgi import UwsgiSensor

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes files of two users")
NOBODY = 65534


def serve(server: socket.socket, answer: bytes, asked: list[bytes]) -> threading.Thread:
    """Answer everybody; what they asked is collected."""

    def talk(client: socket.socket) -> None:
        client.settimeout(5)
        with contextlib.suppress(OSError):
            client.sendall(answer)
            client.shutdown(socket.SHUT_WR)
        said = b""
        with contextlib.suppress(OSError):
            said = client.recv(65536)
        asked.append(said)

    return serve_each(server, talk)


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[tuple[str, Callable[[bytes], list[bytes]]]]:
    """(a path, a way to serve one answer there): whoever answers is this process."""
    path = str(tmp_path / "s")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    threads: list[threading.Thread] = []

    def begin(answer: bytes) -> list[bytes]:
        server.listen()
        asked: list[bytes] = []
        threads.append(serve(server, answer, asked))
        return asked

    yield path, begin
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    for thread in threads:
        thread.join(10)


def http(value: str) -> bytes:
    """An answer of XML-RPC."""
    body = f"<methodResponse><params><param><value>{value}</value></param></params></methodResponse>".encode()
    return b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


DEEP = "<array><data><value>" * 50_000 + "</value></data></array>" * 50_000
HOSTILE = {
    "deep": http(DEEP),
    "many": http("<array><data>" + "<value><int>1</int></value>" * 120_000 + "</data></array>"),
    "long": b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * (supervisor_rpc.MAX_BYTES + 1),
    "a promise": b"HTTP/1.0 200 OK\r\nContent-Length: 999999999999\r\n\r\n<a/>",
    "large": http("<int>" + "9" * 4000 + "</int>"),
    "infinite": http("<double>1e999</double>"),
    "no number": http("<int>one</int>"),
    "entities": b'HTTP/1.0 200 OK\r\n\r\n<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
    "odd": http("<struct><member><name>a</name></member></struct>"),
    "a list for a name": http("<struct><member><value><array/></value></member><member><name/></member></struct>"),
    "a fault": http("x").replace(b"<params>", b"<fault>").replace(b"</params>", b"</fault>").replace(b"OK", b"OK"),
    "a status": b"HTTP/1.0 500 " + b"\x1b[2J" * 5000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_hostile_daemon_answers_is_a_short_failure(
    answering: tuple[str, Callable[[bytes], list[bytes]]], name: str
) -> None:
    path, begin = answering
    begin(HOSTILE[name])
    began = time.thread_time()
    with pytest.raises(supervisor_rpc.RpcFailure) as caught:
        supervisor_rpc.results(supervisor_rpc.ask(path, [("supervisor.getState", ())]))
    assert time.thread_time() - began < 1.0
    assert len(str(caught.value)) <= supervisor_rpc.MOST_TOLD
    assert str(caught.value).isprintable()


def test_what_a_daemon_of_a_thousand_programs_answers_is_read() -> None:
    program = {"name": "n", "pid": 1, "state": 20, "group": "g", **{f"key{n}": "value" for n in range(15)}}
    answer = xml_rpc.request("x", [program] * 1000).replace("methodCall", "methodResponse")
    answer = answer.replace("<methodName>x</methodName>", "")
    assert xml_rpc.value_of(answer.encode()) == [program] * 1000


@ROOT
def test_a_password_is_given_to_nobody_but_the_daemons_user(
    answering: tuple[str, Callable[[bytes], list[bytes]]],
) -> None:
    path, begin = answering
    os.chown(path, NOBODY, NOBODY)
    os.seteuid(NOBODY)
    try:
        asked = begin(http("<array/>"))
    finally:
        os.seteuid(0)
    with pytest.raises(supervisor_rpc.RpcFailure, match="user 65534 listens there, who is not given"):
        supervisor_rpc.results(supervisor_rpc.ask(path, [("supervisor.getState", ())], "root", "s3cret", served_by=0))
    supervisor_rpc.results(supervisor_rpc.ask(path, [("supervisor.getState", ())], "own", "theirs", served_by=NOBODY))
    wait_for("both were served", lambda: len(asked) == 2)
    assert [b"Authorization" in one for one in asked] == [False, True]


def test_a_link_at_the_stats_path_leads_root_nowhere(
    answering: tuple[str, Callable[[bytes], list[bytes]]], tmp_path: Path
) -> None:
    path, begin = answering
    asked = begin(b"{}")
    assert fetch_stats(path)[0] == {}
    (tmp_path / "stats").symlink_to(path)
    with pytest.raises(OSError):
        fetch_stats(str(tmp_path / "stats"))
    wait_for("one was served", lambda: len(asked) == 1)


@pytest.mark.parametrize(
    "answer",
    [
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"[" * 200_000,
        b"\xff\xfe{",
        b"{" + b" " * MAX_BYTES + b"}",
        b'{"pid": 1' + b"0" * 5000 + b"}",
        b"[]",
        b"",
        b"null",
    ],
)
def test_what_a_hostile_stats_server_writes_is_a_short_failure(
    answering: tuple[str, Callable[[bytes], list[bytes]]], answer: bytes
) -> None:
    path, begin = answering
    begin(answer)
    began = time.thread_time()
    with pytest.raises((OSError, ValueError)):
        fetch_stats(path)
    assert time.thread_time() - began < 1.0


def test_whoever_binds_the_stats_address_as_another_user_is_not_the_recorded_uwsgi(
    answering: tuple[str, Callable[[bytes], list[bytes]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, begin = answering
    begin(json.dumps({"pid": os.getpid(), "version": "2.0.31", "workers": []}).encode())
    ini, kept = tmp_path / "u.ini", f"{tmp_path}/recipes/uwsgi-web.json"
    ini.write_text(f"[uwsgi]\nmaster = true\nstats = {path}\ntouch-chain-reload = $(TOUCH)\n")

    def look(recorded: int | None, runs_as: int) -> Any:
        if recorded is not None:
            recipe.save(kept, Recipe(("/bin/true",), "/", recorded, recorded, (), {}, 0o022, {}, None))
        monkeypatch.setattr(Proc, "uid", lambda *_: runs_as)
        sensor = UwsgiSensor(UwsgiEntry("web", str(ini)), Proc(), kept)
        found = sensor.read(Rollups(Proc(), 1))
        assert (sensor._proven is None) == isinstance(found, Unreadable), "its environment must not count either"
        return found

    assert isinstance(look(None, 4711), UwsgiReading), "nobody was recorded yet"
    assert isinstance(look(33, os.geteuid()), UwsgiReading), "who may run the ini"
    assert isinstance(look(33, 33), UwsgiReading), "as it ran before"
    assert "as user 4711, and web ran as user 33" in look(33, 4711).reason
