"""sense/uwsgi_ini.py and its parts: an ini read as uWSGI reads it. tests/stack/test_ini.py asks uWSGI itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from paramedic.host.proc import Proc
from paramedic.model.stack import UwsgiConf, UwsgiEntry
from paramedic.sense.uwsgi import UwsgiSensor
from paramedic.sense.uwsgi_argv import ini_argument
from paramedic.sense.uwsgi_ini import read_uwsgi_conf, vassals_of
from paramedic.sense.uwsgi_magic import Launch, given_elsewhere
from paramedic.sense.uwsgi_options import number, truth


def read(folder: Path, text: str, launch: Launch | None = None, section: str = "", **files: str) -> UwsgiConf:
    """The conf of web.ini in the folder; `files` are others there by name, without `.ini`."""
    (folder / "web.ini").write_text(text if text.startswith("[") else f"[uwsgi]\n{text}")
    for name, content in files.items():
        (folder / f"{name}.ini").write_text(content)
    return read_uwsgi_conf(UwsgiEntry("web", f"{folder}/web.ini{section}"), launch)


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("processes = 4\nworkers = 7\n", "processes", 7),
        ("workers = 7\nprocesses = 4\n", "processes", 4),
        ("", "processes", 1),
        ("processes =\n", "processes", 0),
        ("processes = 3 of them\n", "processes", 3),
        ("threads = 2\n", "threads", 2),
        ("cheaper = 2\n", "cheaper", 2),
        ("cheaper = 0\n", "cheaper", None),
        ("mule =\nmule = x.py\nmules = 3\n", "mules", 5),
        ("harakiri = 30\n", "harakiri_s", 30.0),
        ("harakiri = 0\n", "harakiri_s", None),
        ("max-requests = 1000\n", "max_requests", 1000),
        ("max-requests-delta = 50\n", "max_requests_delta", 50),
        ("min-worker-lifetime = 0\n", "min_worker_lifetime_s", 0.0),
        ("", "min_worker_lifetime_s", 10.0),
        ("master = true\n", "master", True),
        ("", "master", False),
        ("stats = /s\n", "master", True),
        ("stats = /s\nmaster = false\n", "master", False),
        ("lazy-apps =\n", "lazy_apps", True),
        ("lazy-apps\n", "lazy_apps", True),
        ("lazy-apps = anything\n", "lazy_apps", True),
        ("lazy-apps = Off\n", "lazy_apps", False),
        ("need-app\nneed-app = no\n", "need_app", False),
        ("die-on-term = 1\n", "die_on_term", True),
        ("no-orphans\n", "no_orphans", True),
        ("vacuum = TRUE\n", "vacuum", True),
        ("pidfile = /p\n", "safe_pidfile", False),
        ("safe-pidfile = /p\n", "safe_pidfile", True),
        ("", "safe_pidfile", True),
        ("chmod-socket = 660\n", "chmod_socket", 0o660),
        ("chmod = 1\n", "chmod_socket", 0o666),
        ("master-fifo = /one\nmaster-fifo = /two\n", "master_fifo", "/one"),
        ("touch-reload = /one\ntouch-reload = /two\n", "touch_reload", ("/one", "/two")),
        ("logto = /l\ndaemonize = /d\n", "logto", "/d"),
        ("logto = /l\nlogto2 = /l2\n", "logto", "/l2"),
        ("logto = 10.0.0.1:514\n", "logto", "10.0.0.1:514"),
        ("spooler = /one\nspooler-processes = 2\nspooler = /two\n", "spoolers", ("/one", "/one", "/two", "/two")),
        ("emperor = /vassals\nemperor = /more/*.ini\n", "emperor", ("/vassals", "/more/*.ini")),
        ("stats = :1717\n", "stats", ":1717"),
        ("stats = @hidden\n", "stats", "@hidden"),
        ("stats = /a\nstats-server = /b\n", "stats", "/b"),
        ("chdir = /srv\nstats = s.sock\n", "stats", "/srv/s.sock"),
    ],
)
def test_an_option_comes_to(text: str, field: str, value: Any, tmp_path: Path) -> None:
    assert getattr(read(tmp_path, text), field) == value


def test_every_address_for_clients_is_known_but_not_stats(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "socket = run/s\nhttp = :8000\nhttps = 0.0.0.0:443,/c,/k\nhttps2 = addr=:444,cert=/c,key=/k\nstats = /stats\n"
        "fastcgi-socket = @f\nsocket = =0\nsocket = fd://3\nshared-socket = 127.0.0.1:80\nuwsgi-socket = run/s\n",
    )
    assert found.sockets == (f"{tmp_path}/run/s", ":8000", "0.0.0.0:443", ":444", "@f", "127.0.0.1:80")


@pytest.mark.parametrize(
    ("path", "variables", "value"),
    [
        ("srv/shop/web.prod.ini", "%d|%n|%s|%e|%c|%x", "TOP/srv/shop/|web.prod|web.prod.ini|ini|shop|"),
        ("srv/shop/web.prod.ini:live", "%p|%x|%X|%P", "TOP/srv/shop/web.prod.ini|live|live|TOP/srv/shop/web.prod.ini"),
        ("web.ini", "50%% of %q%z %(home)", "50% of  %(home)"),
        ("web.ini", "%v|%h|%k", f"TOP|{os.uname().nodename}|{os.sysconf('SC_NPROCESSORS_ONLN')}"),
        ("web.ini", "%u|%g", "4001|4002"),
    ],
)
def test_magic_variables(path: str, variables: str, value: str, tmp_path: Path) -> None:
    file = tmp_path / path.partition(":")[0]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"[uwsgi]\nenv = V={variables}\n[live]\nenv = V={variables}\n")
    launch = Launch({}, (str(tmp_path),), 4001, 4002)
    found = read_uwsgi_conf(UwsgiEntry("web", f"{tmp_path}/{path}"), launch)
    assert dict(found.env)["V"] == value.replace("TOP", str(tmp_path))


def test_folders_by_number_and_a_percent_before_a_line_end(tmp_path: Path) -> None:
    parts = tmp_path.parts[1:]
    found = read(tmp_path, "env = A=%0/%1/%9\nenv = B=50%\nC = 1\n")
    expected = f"{parts[0]}/{parts[1]}/{parts[9] if len(parts) > 9 else ''}"
    assert found.env == (("A", expected), ("B", "50C = 1"))


def test_a_link_keeps_its_name_and_what_it_points_to_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "app.ini").write_text("[uwsgi]\nstats = %d%n.stats\n")
    (tmp_path / "vassal.ini").symlink_to(tmp_path / "real" / "app.ini")
    assert read_uwsgi_conf(UwsgiEntry("v", f"{tmp_path}/vassal.ini")).stats == f"{tmp_path}/vassal.stats"


def test_an_include_has_its_own_variables_and_the_upper_ones_of_the_first(tmp_path: Path) -> None:
    found = read(tmp_path, "ini = more.ini\nenv = B=%n\n", more="[uwsgi]\nenv = A=%n of %N\n")
    assert found.env == (("A", "more of web"), ("B", "web"))
    assert found.files == (f"{tmp_path}/web.ini", f"{tmp_path}/more.ini")


def test_sections(tmp_path: Path) -> None:
    text = (
        "env = LOST=1\n[uwsgi]\nini = :extra\nenv = A=1\n[extra]\nenv = X=1\n[other]\nenv = O=1\n[uwsgi]\nenv = B=1\n"
    )
    (tmp_path / "web.ini").write_text(text)

    def of(ini: str) -> list[str]:
        return [name for name, _ in read_uwsgi_conf(UwsgiEntry("web", ini)).env]

    assert of(f"{tmp_path}/web.ini") == ["X", "A", "B"]
    assert of(f"{tmp_path}/web.ini:other") == ["O"]
    assert of(f"{tmp_path}/web.ini:") == ["X", "A", "B"]


def test_a_section_of_another_file(tmp_path: Path) -> None:
    found = read(tmp_path, "ini = more.ini:live\n", more="[uwsgi]\nprocesses = 2\n[live]\nprocesses = 9\n")
    assert found.processes == 9


def test_what_is_inherited_comes_last_and_is_not_expanded(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "base = /srv\ninherit = more.ini\nprocesses = 2\nstats = %(base)/s\n",
        more="[uwsgi]\nprocesses = 9\nenv = A=%(base)\n",
    )
    assert (found.processes, found.stats, found.env) == (9, "/srv/s", (("A", "%(base)"),))


def test_includes_are_looked_for_where_uwsgi_was_started(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "more.ini").write_text("[uwsgi]\nprocesses = 9\n")
    launch = Launch({}, (str(elsewhere),))
    found = read(tmp_path, "ini = more.ini\npidfile = a.pid\n", launch, more="[uwsgi]\nprocesses = 2\n")
    assert (found.processes, found.pidfile) == (9, f"{elsewhere}/a.pid")


def test_a_pidfile_is_relative_to_the_start_and_all_others_to_chdir(tmp_path: Path) -> None:
    assert read(tmp_path, "chdir = /srv\npidfile = a.pid\n").pidfile == f"{tmp_path}/a.pid"
    for name in ("pidfile2", "safe-pidfile", "safe-pidfile2"):
        assert read(tmp_path, f"chdir = /srv\n{name} = a.pid\n").pidfile == "/srv/a.pid"
    launch = Launch({}, (str(tmp_path / "app"), "/srv"))
    for option in ("chdir", "chdir2"):
        assert read(tmp_path, f"{option} = {tmp_path}/app\npidfile = a.pid\n", launch).pidfile == "/srv/a.pid"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ini = gone.ini\n", r"web\.ini includes .*/gone\.ini: No such file or directory"),
        ("ini = /dev/zero\n", "/dev/zero is not a regular file"),
        ("ini = web.ini\n", "includes are nested deeper than 16"),
        ("ini = more.ini\n" * 300, "more than 200 files are included"),
        ("a = x%(a)\n", "the placeholders of a never end"),
        ("set = nothing\n", "set = nothing: uWSGI wants NAME=VALUE there"),
        ("x = 1\n" * 20_001, "more than 20000 options"),
        ("#" * (1 << 20), "larger than 1024 KiB"),
    ],
)
def test_what_uwsgi_would_not_start_with_is_an_error_in_words(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=why):
        read(tmp_path, text, more="[uwsgi]\n")


@pytest.mark.parametrize(
    "text", ["[", "[]", "=", "%", "[uwsgi]\n=\n[\n%(\n$(", "\0", "[uwsgi]\nstats = a\0b\n", "\x80"]
)
def test_rubbish_is_no_crash(text: str, tmp_path: Path) -> None:
    (tmp_path / "web.ini").write_bytes(text.encode("latin-1"))
    found = read_uwsgi_conf(UwsgiEntry("web", f"{tmp_path}/web.ini"))
    assert found.stats in (None, f"{tmp_path}/a")


def test_a_file_that_only_root_may_read_is_not_read_for_another(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to have a file of another user")
    (tmp_path / "secret").write_text("of root")
    (tmp_path / "secret").chmod(0o600)
    text = "stats = /run/@(secret)\n"
    assert read(tmp_path, text).stats == "/run/of root"
    os.chown(tmp_path / "web.ini", 65534, 65534)
    assert read(tmp_path, text).undecided == ("stats",)


def test_a_change_of_any_file_is_noticed_and_nothing_is_read_again_without_one(tmp_path: Path) -> None:
    read(tmp_path, "ini = more.ini\n", more="[uwsgi]\nprocesses = 2\n")
    sensor = UwsgiSensor(UwsgiEntry("web", f"{tmp_path}/web.ini"), Proc())
    first = sensor.conf()
    assert sensor.conf() is first
    (tmp_path / "more.ini").write_text("[uwsgi]\nprocesses = 14\n")
    assert (first.processes, sensor.conf().processes) == (2, 14)
    (tmp_path / "more.ini").unlink()
    with pytest.raises(ValueError, match="includes"):
        sensor.conf()


def test_an_emperors_ini_names_what_to_write_instead(tmp_path: Path) -> None:
    vassals = tmp_path / "vassals"
    vassals.mkdir()
    for name in ("b.ini", "a.ini", "c.txt"):
        (vassals / name).touch()
    conf = read(tmp_path, "emperor = vassals\n")
    assert (conf.is_emperor, vassals_of(conf)) == (True, (f"{vassals}/a.ini", f"{vassals}/b.ini"))
    with pytest.raises(ValueError, match=f"write the inis of its vassals in stack.uwsgi instead: {vassals}/a.ini, "):
        UwsgiSensor(UwsgiEntry("web", conf.ini), Proc()).conf()
    assert vassals_of(read(tmp_path, "emperor = vassals/b*\n")) == (f"{vassals}/b.ini",)
    assert not read(tmp_path, "emperor = vassals\nsocket = :1\n").is_emperor


@pytest.mark.parametrize(
    ("argv", "ini"),
    [
        ("uwsgi --ini a.ini", "a.ini"),
        ("uwsgi --ini=a.ini:live", "a.ini:live"),
        ("uwsgi a.ini", "a.ini"),
        ("python /v/bin/uwsgi --master a.ini", "a.ini"),
        ("uwsgi --inherit base.ini --ini a.ini --inherit more.ini", "a.ini"),
        ("uwsgi --inherit base.ini --socket :1", None),
        ("uwsgi --ini-paste a.ini", None),
        ("uwsgi --emperor /vassals --ini a.ini", None),
        ("uwsgi --emperor=/vassals", None),
        (
            "uwsgi --ini /usr/share/uwsgi/conf/default.ini --ini /etc/uwsgi/apps-enabled/a.ini",
            "/etc/uwsgi/apps-enabled/a.ini",
        ),
        ("uwsgi --ini", None),
    ],
)
def test_the_ini_of_a_command_line(argv: str, ini: str | None) -> None:
    assert ini_argument(tuple(argv.split())) == ini


def test_what_the_command_line_and_the_environment_decide(tmp_path: Path) -> None:
    process = tmp_path / "7"
    process.mkdir()
    (process / "cmdline").write_bytes(b"uwsgi\0--ini\0a.ini\0--die-on-term\0--harakiri=3\0-M\0-p4\0-\0--\0")
    (process / "environ").write_bytes(b"UWSGI_NEED_APP=1\0UWSGI_RELOADS=2\0HOME=/\0")
    assert given_elsewhere(7, Proc(str(tmp_path))) == ("die-on-term", "harakiri", "master", "processes", "need-app")
    assert given_elsewhere(8, Proc(str(tmp_path))) == ()


def test_words_and_numbers() -> None:
    assert [truth(word) for word in ("", "true", "yes", "2", "false", "OFF", "No", "0")] == [True] * 4 + [False] * 4
    assert [number(text) for text in ("12", " 7x", "-3", "x", "")] == [12, 7, -3, 0, 0]
