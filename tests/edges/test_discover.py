"""What is found without a configuration: by proof, not by what a process calls itself."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.processes import cmdline, end
from harness.waiting import wait_for
from paramedic.host import unix_diag
from paramedic.host.proc import Proc
from paramedic.host.processes import is_supervisord, walk
from paramedic.host.uwsgi_processes import is_uwsgi
from paramedic.model.found import Found
from paramedic.sense.cleaned_sockets import with_sockets
from paramedic.sense.cleaners import Cleaners, cleaners
from paramedic.sense.discover import discover, named
from paramedic.sense.uwsgi_argv import ini_it_left


@contextmanager
def pretender(argv: list[str], program: str, cwd: Path) -> Iterator[int]:
    """A real process with a command line of its choice."""
    child = subprocess.Popen(argv, executable=program, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        wait_for("its command line", lambda: cmdline(child.pid) == argv)
        yield child.pid
    finally:
        end(child.pid)
        child.communicate(timeout=5)


def test_a_command_line_alone_makes_nobody_a_uwsgi_or_a_supervisord(tmp_path: Path) -> None:
    ini, conf = tmp_path / "a.ini", tmp_path / "read x"
    ini.write_text("[uwsgi]\nsocket = :1\n")
    conf.write_text("[supervisord]\n")
    with (
        pretender(["uwsgi", "-f", str(ini)], "/usr/bin/tail", tmp_path) as one,
        pretender(["supervisord", "-c", "read x"], "/bin/sh", tmp_path) as other,
    ):
        rows = {row.identity.pid: row for row in walk(Proc())}
        assert is_uwsgi(rows[one].argv)
        assert is_supervisord(rows[other].argv)
        found = discover(Proc())
    assert not [runs for runs in found.runs if runs.identity.pid in (one, other)]
    assert not [subject for subject, _ in found.untold if str(one) in subject or str(other) in subject]


@pytest.mark.parametrize(("chdir", "is_found"), [("%dsite", True), ("/", False)])
def test_the_ini_of_one_that_left_its_folder_is_the_one_that_sends_it_where_it_is(
    tmp_path: Path, chdir: str, is_found: bool
) -> None:
    ini, site = tmp_path / "app.ini", tmp_path / "site"
    site.mkdir()
    ini.write_text(f"[uwsgi]\nsocket = :1\nchdir = {chdir}\n")
    (site / "1").touch()
    with pretender(["uwsgi", "-f", "1", "app.ini"], "/usr/bin/tail", site) as pid:
        row = next(row for row in walk(Proc()) if row.identity.pid == pid)
        assert ini_it_left(row, Proc()) == (str(ini) if is_found else None)


def test_names_are_what_the_configuration_takes_and_each_is_there_once() -> None:
    paths = [
        "/srv/a/uwsgi.ini",
        "/srv/b/uwsgi.ini",
        "/srv/b/uwsgi.ini",
        "/srv/_ä ö.ini",
        "/srv/.ini",
        f"/srv/{'x' * 99}.ini",
    ]
    found = named(paths)
    assert list(found) == list(dict.fromkeys(paths))
    assert len(set(found.values())) == len(found)
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name) for name in found.values()), found


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_cleaned_folders_are_those_with_an_age_of_the_files_that_count(tmp_path: Path) -> None:
    write(tmp_path, "usr/lib/tmpfiles.d/tmp.conf", "q /tmp 1777 root root 10d\nD /var/tmp 1777 root root -\n")
    write(tmp_path, "usr/lib/tmpfiles.d/app.conf", "d /run/masked - - - 1h\n")
    write(tmp_path, "etc/tmpfiles.d/app.conf", "# d /run/comment - - - 1h\nd %t/app 0755 root root 2d\n")
    write(tmp_path, "etc/tmpfiles.d/more.conf", 'D! /run/boot - - - 1h\nd /run/%b - - - 1h\n"bad\nx /tmp/keep*\n')
    found = cleaners(str(tmp_path))
    assert found.folders == {
        "/tmp": "systemd-tmpfiles empties it after 10d",
        "/var/tmp": "any cleanup may empty it",
        "/run/app": "systemd-tmpfiles empties it after 2d",
    }
    assert found.of("/run/app/deep/a.sock") == "systemd-tmpfiles empties it after 2d"
    assert found.of("/run/application.sock") is None
    assert found.is_spared("/tmp/keep-1/a.sock")
    assert not found.is_spared("/tmp/other.sock")


@pytest.mark.parametrize(
    ("conf", "told"),
    [
        ("SHOWWARNING=true\nTMPREAPER_ADDITIONALOPTIONS='--all'\n", None),
        ("TMPREAPER_DIRS='/srv/scratch/.'\n", None),
        (
            "TMPREAPER_DIRS='/srv/scratch/. /x'\nTMPREAPER_TIME=2d\nTMPREAPER_ADDITIONALOPTIONS='-a'\n",
            "tmpreaper empties it after 2d",
        ),
    ],
)
def test_tmpreaper_takes_sockets_only_when_it_is_told_to(tmp_path: Path, conf: str, told: str | None) -> None:
    write(tmp_path, "etc/tmpreaper.conf", conf)
    assert cleaners(str(tmp_path)).of("/srv/scratch/a.sock") is None
    write(tmp_path, "usr/sbin/tmpreaper", "")
    assert cleaners(str(tmp_path)).of("/srv/scratch/a.sock") == told


def test_a_socket_is_named_with_its_server_also_when_its_path_is_gone_and_other_kinds_are_not(tmp_path: Path) -> None:
    path, packets = tmp_path / "plain.sock", tmp_path / "packets.sock"
    cleaned = Cleaners({str(tmp_path): "the test empties it"}, (f"{tmp_path}/pl*",))
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
        server.bind(str(path))
        server.listen()
        other.bind(str(packets))
        other.listen()
        assert {str(path), str(packets)} <= {one.name for one in unix_diag.listeners()}
        (standing,) = with_sockets(Found(), cleaned, Proc()).sockets
        path.unlink()
        (gone,) = with_sockets(Found(), cleaned, Proc()).sockets
    assert standing.server.startswith(f"process {os.getpid()} (")
    assert (standing.entry.path, standing.cleaner, standing.is_spared) == (str(path), "the test empties it", True)
    assert (standing.is_service, standing.lost, gone.lost) == (False, "", "its path is gone")
    assert with_sockets(Found(), cleaned, Proc()).sockets == ()


def test_a_name_that_no_configuration_can_hold_is_told_and_left_out(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{tmp_path}/a\nb.sock")
        server.listen()
        found = with_sockets(Found(), Cleaners({str(tmp_path): "x"}), Proc())
    assert found.sockets == ()
    assert found.notes == (f"{tmp_path}/a?b.sock: its name cannot be written into a configuration",)
