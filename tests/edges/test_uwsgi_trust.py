"""What strangers may say of a uWSGI, and what paramedic does not believe or do for it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.serving import serve_each
from harness.stack import BIN
from harness.waiting import wait_for
from paramedic.act.chain_reload import write_fifo
from paramedic.act.preflight import LOADS, _import, _Place
from paramedic.host import clock, files, texts
from paramedic.host.commands import Person
from paramedic.host.proc import Proc
from paramedic.host.uwsgi_stats import DEADLINE_S, Stats, fetch_stats
from paramedic.model.facts import Known
from paramedic.model.readings import Unreadable, UwsgiGone, UwsgiReading
from paramedic.model.stack import Stack, UwsgiConf, UwsgiEntry
from paramedic.sense.host import Sensors
from paramedic.sense.memory import Rollups
from paramedic.sense.uwsgi import SHORT_S, UwsgiSensor
from paramedic.sense.uwsgi_absence import _by_log, master_of
from paramedic.sense.uwsgi_answer import Told, told
from paramedic.sense.uwsgi_ini import read_uwsgi_conf

ROW = {
    "id": 1,
    "pid": os.getpid(),
    "accepting": 1,
    "status": "idle",
    "requests": 1,
    "exceptions": 0,
    "harakiri_count": 0,
    "respawn_count": 1,
    "running_time": 2_500_000,
    "last_spawn": 1,
    "apps": [],
}


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[tuple[UwsgiSensor, dict[str, Any]]]:
    """A sensor of an instance whose stats socket this very process serves, with a document that a test can change."""
    document: dict[str, Any] = {"pid": os.getpid(), "version": "2.0.31", "listen_queue": 0, "workers": [dict(ROW)]}
    path = tmp_path / "stats"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    thread = serve_each(server, lambda client: client.sendall(json.dumps(document).encode()))
    ini = tmp_path / "u.ini"
    ini.write_text(f"[uwsgi]\nmaster = true\nstats = {path}\n")
    yield UwsgiSensor(UwsgiEntry("web", str(ini)), Proc()), document
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join(10)


def look(sensor: UwsgiSensor) -> object:
    """One reading."""
    return sensor.read(Rollups(Proc(), 1))


def test_of_several_that_say_nothing_the_first_is_waited_for_and_none_of_them_a_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deleted socket waits for no more than one of them."""
    now, waited = [1000.0], []

    class SaysNothing(Stats[Told]):
        def fetch(self, address: str, deadline_s: float = DEADLINE_S) -> tuple[Told, int | None]:
            waited.append(deadline_s)
            now[0] += deadline_s
            raise TimeoutError

    entries = []
    for name in ("one", "two", "three"):
        ini = tmp_path / f"{name}.ini"
        ini.write_text(f"[uwsgi]\nmaster = true\nstats = {tmp_path}/{name}.stats\n")
        entries.append(UwsgiEntry(name, str(ini)))
    sensors = Sensors(Stack(uwsgi=tuple(entries)), Proc())
    for sensor in sensors.uwsgi.values():
        sensor._stats = SaysNothing(told)
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    sensors.read(Known())
    assert waited == [DEADLINE_S, SHORT_S, SHORT_S]
    waited.clear()
    sensors.read(Known())
    assert waited == [], "they rest"
    now[0] += 3.0
    sensors.read(Known())
    assert waited == [SHORT_S] * 3


def test_a_python_that_serves_its_own_stats_is_read(answering: tuple[UwsgiSensor, dict[str, Any]]) -> None:
    sensor, _ = answering
    found = look(sensor)
    assert isinstance(found, UwsgiReading)
    assert [(worker.running_s, worker.respawns) for worker in found.workers] == [(2.5, 1)]


@pytest.mark.parametrize("name", ["requests", "last_spawn", "harakiri_count", "id"])
@pytest.mark.parametrize("value", [-1, 1 << 63, 10**5000 if sys.version_info < (3, 11) else 1 << 200, "7", None, 1e308])
def test_impossible_numbers_are_no_reading(
    answering: tuple[UwsgiSensor, dict[str, Any]], name: str, value: object
) -> None:
    sensor, document = answering
    document["workers"] = [{**ROW, name: value}]
    assert not isinstance(look(sensor), UwsgiReading)


def test_thousands_of_workers_are_no_uwsgi(answering: tuple[UwsgiSensor, dict[str, Any]]) -> None:
    sensor, document = answering
    document["workers"] = [dict(ROW)] * 1025
    found = look(sensor)
    assert not isinstance(found, UwsgiReading)


def test_a_master_that_changes_its_user_is_nobodys(
    answering: tuple[UwsgiSensor, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor, _ = answering
    monkeypatch.setattr(Proc, "uid", lambda *_: None)
    found = look(sensor)
    assert isinstance(found, Unreadable)
    assert "set-uid" in found.reason


def test_a_program_that_is_no_uwsgi_proves_nothing_by_its_arguments(
    answering: tuple[UwsgiSensor, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor, _ = answering
    plain = Proc.link
    monkeypatch.setattr(Proc, "link", lambda p, pid, name: "/usr/bin/sudo" if name == "exe" else plain(p, pid, name))
    assert not isinstance(look(sensor), UwsgiReading)


@pytest.mark.parametrize("name", ["cmdline", "environ"])
@pytest.mark.parametrize("words", [b"uwsgi\0" + b"a" * (5 << 20), b"a=\0" * (1 << 20)])
def test_arguments_that_nobody_starts_with_are_not_read(tmp_path: Path, name: str, words: bytes) -> None:
    folder = tmp_path / "7"
    folder.mkdir()
    with open(folder / name, "wb") as file:
        file.write(words)
        file.truncate(1 << 30)
    began = clock.cpu()
    assert getattr(Proc(str(tmp_path)), name)(7) is None
    assert clock.cpu() - began < 1.0


def test_the_empty_words_that_a_title_leaves_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cmdline").write_bytes(b"uwsgi\0\0--ini\0\0\0" + b"\0" * 70_000)
    assert Proc(str(tmp_path)).cmdline(7) == ("uwsgi", "", "--ini")
    (tmp_path / "7" / "cmdline").write_bytes(b"")
    assert Proc(str(tmp_path)).cmdline(7) == ()


def test_an_answer_that_comes_again_is_whole_although_the_server_keeps_the_connection(tmp_path: Path) -> None:
    """Nothing is waited for that says nothing; whatever differs is read to its end."""
    held: list[socket.socket] = []
    answers = iter((b'{"pid": 7}', b'{"pid": 7}', b'{"pid": 71}', b'{"pid": 7'))

    def talk(client: socket.socket) -> None:
        client.sendall(next(answers))
        if len(held) < 2:
            held.append(client.dup())

    stats = Stats(lambda document: int(document["pid"]))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "stats"))
        server.listen()
        serving = serve_each(server, talk)
        try:
            with pytest.raises(TimeoutError):
                stats.fetch(str(tmp_path / "stats"), 0.2)
            stats._last = (bytearray(b'{"pid": 7}'), 7)
            assert stats.fetch(str(tmp_path / "stats"), 5.0)[0] == 7
            assert stats.fetch(str(tmp_path / "stats"), 5.0)[0] == 71
            with pytest.raises(ValueError, match="delimiter"):
                stats.fetch(str(tmp_path / "stats"), 5.0)
        finally:
            server.shutdown(socket.SHUT_RDWR)
            serving.join(5)
            for client in held:
                client.close()


@pytest.mark.parametrize("host", ["a-name-that-must-be-asked-for.example:9191", "db:9191"])
def test_no_name_is_looked_up_in_a_pass(host: str) -> None:
    with pytest.raises((OSError, ValueError)):
        fetch_stats(host)


@pytest.mark.parametrize(
    ("text", "farewell", "untold"),
    [
        ("spawned uWSGI master process (pid: 7)\nGET / 200\n", False, False),
        ("spawned uWSGI master process (pid: 7)\ngoodbye to uWSGI.\n", True, False),
        ("Tue Nov 24 15:00 - spawned uWSGI master process\nTue Nov 24 15:01 - goodbye to uWSGI.\n", True, False),
        ("goodbye to uWSGI.\n*** Starting uWSGI 2.0.31\nGET / 200\n", False, False),
        ("OOPS\nneed-app requested, destroying the instance...\ngoodbye to uWSGI.\n", False, False),
        ("\n\n", False, True),
        ("Thu Nov 26 22:00:00 2026 - SIGINT/SIGTERM received...killing workers...\n", True, False),
        ("Not Found: /goodbye to uWSGI.\n", False, False),
        ("2026-11-26 22:00:00,123 WARNING /goodbye to uWSGI.\n", False, False),
        ("no user called goodbye to uWSGI.\n", False, False),
    ],
)
def test_the_log_says_whether_it_was_an_ordered_end(tmp_path: Path, text: str, farewell: bool, untold: bool) -> None:
    log = tmp_path / "log"
    log.write_text(text)
    said, why, _ = _by_log(UwsgiConf("web", "/srv/u.ini", logto=str(log)), None)
    assert (bool(said), bool(why)) == (bool(farewell), bool(untold))


def test_devices_are_never_opened_and_foreign_fifos_never_written(tmp_path: Path) -> None:
    for act in (lambda: files.touch_newer("/dev/null", 1.0), lambda: texts.read_tail("/dev/null", 9)):
        with pytest.raises((OSError, ValueError)):
            act()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(PermissionError):
            write_fifo(str(fifo), b"c", os.geteuid() + 1)
        write_fifo(str(fifo), b"c", os.geteuid())
        assert os.read(reader, 9) == b"c"
    finally:
        os.close(reader)


@pytest.mark.parametrize(("callable_", "result"), [("application", LOADS), ("create()", LOADS), ("missing", "broken")])
def test_an_app_that_is_made_by_a_function_is_made(tmp_path: Path, callable_: str, result: str) -> None:
    (tmp_path / "made.py").write_text("def application(e, s): ...\ndef create(): return application\n")
    conf = UwsgiConf("web", "/srv/u.ini", module="made", callable=callable_, pythonpath=(str(tmp_path),))
    me = Person(os.geteuid(), os.getegid())
    place = _Place((sys.executable,), sys.executable, dict(os.environ), str(tmp_path), me)
    assert _import(conf, place, 0.0, str(tmp_path / "kept.json")).result == result


def test_what_is_gone_is_not_read_as_running(tmp_path: Path) -> None:
    ini = tmp_path / "u.ini"
    ini.write_text(f"[uwsgi]\nmaster = true\nstats = {tmp_path}/stats\n")
    assert isinstance(look(UwsgiSensor(UwsgiEntry("web", str(ini)), Proc())), UwsgiGone)


def test_the_master_of_another_instance_is_none_of_this_one(tmp_path: Path) -> None:
    """Two inis of one name, one folder: of a master that does not tell where it began no more is seen."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        text = f"[uwsgi]\nmaster = true\nchdir = {tmp_path}\nsocket = {tmp_path}/{name}/app.sock\n"
        (tmp_path / name / "u.ini").write_text(text)
    argv, null = [str(BIN / "uwsgi"), "--ini", "u.ini", "--die-on-term"], subprocess.DEVNULL
    with subprocess.Popen(argv, cwd=tmp_path / "one", env={}, stdout=null, stderr=null) as one:
        try:
            wait_for("it listens", (tmp_path / "one" / "app.sock").is_socket)
            conf = read_uwsgi_conf(UwsgiEntry("two", f"{tmp_path}/two/u.ini"))
            found = master_of(conf, None, Proc())
            assert found is not None
            assert found.pid == one.pid, "its command line fits both"
            assert master_of(conf, None, Proc(), {found}) is None
        finally:
            one.kill()
