"""sense/: confs and inis as their owners read them, memory from a /proc in a folder, impossible numbers unknown."""

from __future__ import annotations

import os
import socket
import threading
from datetime import datetime
from pathlib import Path

import pytest

from paramedic.host import clock
from paramedic.host.proc import Proc, Rollup
from paramedic.host.processes import Row, conf_of, is_supervisord
from paramedic.model.facts import Known
from paramedic.model.readings import HostReading, Identity, MemoryReading, Unreadable
from paramedic.model.stack import Stack, SupervisorEntry, UwsgiEntry
from paramedic.sense.host import Sensors
from paramedic.sense.memory import Rollups
from paramedic.sense.supervisor_conf import ConfUnreadable, read_supervisor_conf, stamps_of
from paramedic.sense.trace import last_word
from paramedic.sense.uwsgi import UwsgiSensor
from paramedic.sense.uwsgi_ini import read_uwsgi_conf


def test_rollups_read_a_few_each_pass_the_grown_one_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    class Costs(Proc):
        """Each process costs a second of CPU time, as much as a look may spend."""

        def rollup(self, pid: int) -> Rollup | None:
            read.append(pid)
            return super().rollup(pid)

    monkeypatch.setattr(clock, "cpu", lambda: float(len(read)))

    def write(pid: int, rss_kib: int) -> Identity:
        folder = tmp_path / str(pid)
        folder.mkdir(exist_ok=True)
        (folder / "stat").write_text(f"{pid} (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 77 0 1\n")
        lines = (
            f"Rss: {rss_kib} kB\nPss: {rss_kib} kB\nPrivate_Clean: 1 kB\nPrivate_Dirty: {rss_kib - 1} kB\nSwap: 2 kB\n"
        )
        (folder / "smaps_rollup").write_text("0-1 ---p 0 00:00 0 [rollup]\n" + lines)
        return Identity(pid, 77)

    one, two = write(1, 100), write(2, 100)
    rollups = Rollups(Costs(str(tmp_path)), each_look_s=1.0, new_s=1.0)
    sizes = {one: 100 * 1024, two: 100 * 1024}
    rollups.refresh(sizes, 1.0)
    assert rollups.of(one) == MemoryReading(100 * 1024, 100 * 1024, 2048, 1.0)
    assert isinstance(rollups.of(two), Unreadable)
    rollups.refresh(sizes, 2.0)
    assert isinstance(rollups.of(two), MemoryReading)
    write(2, 900)
    rollups.refresh({one: 100 * 1024, two: 900 * 1024}, 3.0)
    grown = rollups.of(two)
    assert isinstance(grown, MemoryReading)
    assert grown.uss_bytes == 900 * 1024
    rollups.refresh({one: 100 * 1024}, 4.0)
    assert isinstance(rollups.of(two), Unreadable)


def test_rollups_of_what_does_not_change_take_a_share_of_the_time_and_a_change_is_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Costs(Proc):
        """Each process costs a second of CPU time."""

        read = 0

        def is_alive(self, identity: Identity) -> bool:
            return True

        def rollup(self, pid: int) -> Rollup | None:
            Costs.read += 1
            return Rollup(sizes[Identity(pid, 1)], 1, 1, 0)

    monkeypatch.setattr(clock, "cpu", lambda: float(Costs.read))
    sizes = {Identity(pid, 1): 1000 for pid in (1, 2, 3)}
    rollups = Rollups(Costs(str(tmp_path)), each_look_s=1.0, new_s=3.0, share=0.1)
    for second in range(100):
        rollups.refresh(sizes, float(second))
    assert 3 + 9 <= Costs.read <= 3 + 11, "no RSS moved, and USS may have: the share"
    before = Costs.read
    for second in range(100, 200):
        sizes[Identity(1, 1)] = 1000 + 20 * (second % 2)
        rollups.refresh(sizes, float(second))
    assert before + 9 <= Costs.read <= before + 11, "one moves a little: the share"
    sizes[Identity(2, 1)] = 2000
    rollups.refresh(sizes, 200.0)
    found = rollups.of(Identity(2, 1))
    assert isinstance(found, MemoryReading)
    assert found.read_at == 200.0


def conf(tmp_path: Path, text: str) -> Path:
    """A supervisord.conf with this text."""
    path = tmp_path / "supervisord.conf"
    path.write_text(text)
    return path


def test_a_conf_is_expanded_as_supervisor_does(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.conf").write_text("[program:a]\ncommand=/bin/a ; the command\nstopwaitsecs=3\n")
    path = conf(
        tmp_path,
        "[unix_http_server]\nfile=%(here)s/s.sock\nusername=u\npassword=p%%w\n[supervisord]\nidentifier=shop\n"
        "logfile=%(ENV_LOGS)s/%(identifier)s.log\n[include]\nfiles=conf.d/*.conf\n",
    )
    found = read_supervisor_conf(SupervisorEntry("main", str(path)), {"LOGS": "/var/log"}, "/started/here")
    assert (found.socket, found.logfile) == (f"{tmp_path}/s.sock", "/var/log/shop.log")
    assert (found.username, found.password) == ("u", "p%w")
    assert [(p.name, p.command, p.stopwaitsecs) for p in found.programs] == [("a", "/bin/a", 3.0)]
    assert "p%w" not in repr(found)


def test_relative_paths_of_a_conf_start_where_supervisord_started(tmp_path: Path) -> None:
    path = conf(tmp_path, "[unix_http_server]\nfile=s.sock\n")
    assert (
        read_supervisor_conf(SupervisorEntry("main", str(path)), {}, "/started/here").socket == "/started/here/s.sock"
    )
    assert read_supervisor_conf(SupervisorEntry("main", str(path)), {}).socket == f"{tmp_path}/s.sock"


def test_a_change_shows_in_the_conf_in_what_it_includes_and_in_what_comes_and_goes(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    path = conf(tmp_path, "[include]\nfiles=conf.d/*.conf\n")
    seen = [stamps_of(str(path))]
    (tmp_path / "conf.d" / "a.conf").write_text("[program:a]\n")
    seen.append(stamps_of(str(path)))
    (tmp_path / "conf.d" / "a.conf").unlink()
    seen.append(stamps_of(str(path)))
    assert seen[0] == seen[2] != seen[1]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("no section = here\n", "File contains no section headers"),
        ("[supervisord]\nlogfile=%(ENV_NOWHERE)s\n", "[supervisord] logfile uses %(ENV_NOWHERE)s"),
    ],
)
def test_a_conf_that_cannot_be_understood_says_why(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ConfUnreadable) as caught:
        read_supervisor_conf(SupervisorEntry("main", str(conf(tmp_path, text))), {})
    assert why in str(caught.value)


def test_an_ini_with_magic_variables_includes_and_repeated_keys(tmp_path: Path) -> None:
    (tmp_path / "common.ini").write_text("[uwsgi]\nstats = %d%n.stats\nworker-reload-mercy = 9\n")
    ini = tmp_path / "web.ini"
    ini.write_text(
        "[uwsgi]\nbase = /srv/app\nini = common.ini\nchdir = %(base)\nwsgi = shop.wsgi:app\nhome = $(HOME)/venv\n"
        "touch-chain-reload = %dreload\nenv = A=1\nenv = B=x=y\npythonpath = /one\npythonpath = /two\n; no = thing\n"
        "lazy-apps = true\nsafe-pidfile = run/%n.pid\n[other]\nstats = /wrong\n"
    )
    found = read_uwsgi_conf(UwsgiEntry("web", str(ini)))
    assert (found.module, found.callable, found.chdir) == ("shop.wsgi", "app", "/srv/app")
    assert found.stats == f"{tmp_path}/common.stats"
    assert found.chain_reload == f"{tmp_path}/reload"
    assert found.home == f"{os.environ['HOME']}/venv"
    assert found.env == (("A", "1"), ("B", "x=y"))
    assert found.pythonpath == ("/one", "/two")
    assert (found.lazy_apps, found.mercy_s, found.pidfile) == (True, 9.0, "/srv/app/run/web.pid")


def test_overrides_of_the_entry_win(tmp_path: Path) -> None:
    ini = tmp_path / "web.ini"
    ini.write_text("[uwsgi]\nstats = 127.0.0.1:9191\nmodule = a\n")
    entry = UwsgiEntry("web", str(ini), chain_reload="/srv/touch")
    found = read_uwsgi_conf(entry)
    assert (found.stats, found.chain_reload, found.module, found.callable) == (
        "127.0.0.1:9191",
        "/srv/touch",
        "a",
        "application",
    )


def test_an_ini_that_includes_itself_is_refused(tmp_path: Path) -> None:
    ini = tmp_path / "web.ini"
    ini.write_text("[uwsgi]\nini = web.ini\n")
    with pytest.raises(ValueError, match="includes are nested deeper than 16"):
        read_uwsgi_conf(UwsgiEntry("web", str(ini)))


@pytest.mark.parametrize(
    ("words", "is_one"),
    [
        ("/usr/bin/python3 /usr/bin/supervisord -n -c x", True),
        ("supervisord -n", True),
        ("/venv/bin/python -m supervisor.supervisord -c x", True),
        ("vim /etc/supervisord.conf", False),
        ("tail -f supervisord.log", False),
        ("grep supervisord", False),
        ("/usr/bin/python3 /usr/bin/supervisorctl -c supervisord", False),
        ("bash -c supervisord", False),
        ("python3 backup.py supervisord", False),
        ("/usr/bin/python3 -s /usr/bin/supervisord -c x", True),
        ("/usr/bin/python3 -W ignore -X dev /usr/bin/supervisord", True),
        ("/usr/bin/python3 -c supervisord", False),
    ],
)
def test_who_is_a_supervisord(words: str, is_one: bool) -> None:
    assert is_supervisord(tuple(words.split())) is is_one


def test_a_conf_without_c_is_found_the_way_supervisord_finds_it(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    work = tmp_path / "work"
    (work / "etc").mkdir(parents=True)
    (work / "etc" / "supervisord.conf").touch()
    (tmp_path / "7" / "environ").write_bytes(b"PWD=" + os.fsencode(work) + b"\0")
    row = Row(Identity(7, 1), 1, 0, ("python", "/nowhere/bin/supervisord"))
    assert conf_of(row, Proc(str(tmp_path))) == str(work / "etc" / "supervisord.conf")
    (work / "supervisord.conf").touch()
    assert conf_of(row, Proc(str(tmp_path))) == str(work / "supervisord.conf")


def test_the_last_word_of_an_earlier_life_does_not_count(tmp_path: Path) -> None:
    log = tmp_path / "supervisord.log"
    stop = "2026-11-23 10:00:00,123 WARN received SIGTERM indicating exit request\n"
    moment = datetime(2026, 11, 23, 10, 0, 0).timestamp()
    log.write_text(stop + "2026-11-23 10:00:01,000 INFO stopped: daphne (exit status 0)\n")
    assert "SIGTERM" in (last_word(str(log), moment - 60) or "")
    assert last_word(str(log), moment + 60) is None
    log.write_text(stop + "2026-11-23 10:00:05,000 INFO supervisord started with pid 7\n")
    assert last_word(str(log), 0.0) is None
    assert last_word(str(tmp_path / "none"), 0.0) is None


def answering(path: Path, answer: bytes, times: int) -> threading.Thread:
    """A thread that answers at a stats address."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def serve() -> None:
        with server:
            for _ in range(times):
                connection, _peer = server.accept()
                with connection:
                    connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_a_sensor_that_breaks_is_unreadable_and_stops_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise OverflowError("nobody thought of that")

    ini = tmp_path / "web.ini"
    ini.write_text(f"[uwsgi]\nstats = {tmp_path}/stats\n")
    monkeypatch.setattr(UwsgiSensor, "conf", breaks)
    found = Sensors(Stack(uwsgi=(UwsgiEntry("web", str(ini)),)), Proc(), thorough=True).read(Known())
    assert isinstance(found.uwsgi["web"], Unreadable)
    assert "OverflowError" in found.uwsgi["web"].reason
    assert isinstance(found.host, HostReading)


def test_a_stats_socket_that_names_somebody_elses_pid_is_not_believed(tmp_path: Path) -> None:
    ini = tmp_path / "web.ini"
    ini.write_text(f"[uwsgi]\nstats = {tmp_path}/stats\n")
    thread = answering(tmp_path / "stats", b'{"pid": 1, "workers": []}', 1)
    found = UwsgiSensor(UwsgiEntry("web", str(ini)), Proc()).read(Rollups(Proc(), 1))
    thread.join(5)
    assert found == Unreadable(f"process 1 is not proven to be the one that listens at {tmp_path}/stats")
