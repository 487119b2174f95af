"""What a user can write that would keep the agent reading for hours, refused in a moment."""

from __future__ import annotations

import glob
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from paramedic.host.matching import matching
from paramedic.host.proc import Proc
from paramedic.model.stack import SupervisorEntry, UwsgiEntry
from paramedic.sense.supervisor_conf import ConfUnreadable, read_supervisor_conf, stamps_of
from paramedic.sense.uwsgi_ini import read_uwsgi_conf


@pytest.mark.parametrize(
    "text",
    [
        "b = 1\nc = " + "x" * 50_000 + "%(b)" * 900,
        "a = %(nothing)\n" * 9000,
        ("a = " + "x" * 60_000 + "%(b)\n") * 16 + "b = %(c)" * 1000,
    ],
)
def test_an_ini_whose_placeholders_would_take_hours_is_refused_in_a_moment(tmp_path: Path, text: str) -> None:
    ini = tmp_path / "u.ini"
    ini.write_text(f"[uwsgi]\n{text}\n")
    began = time.thread_time()
    with pytest.raises(ValueError, match="never end"):
        read_uwsgi_conf(UwsgiEntry("web", str(ini)))
    assert time.thread_time() - began < 2.0


def many_files(folder: Path) -> str:
    for number in range(6):
        (folder / f"{number}.conf").write_text("[supervisord]\n" + "a=b\n" * 50_000)
    return "[include]\nfiles = *.conf"


@pytest.mark.parametrize(
    ("write", "missing"),
    [
        (lambda _: "[include]\nfiles = /*/*/*/*/*/*", "matches too much"),
        (lambda _: "[include]\nfiles = a\0b", "a NUL is no part of a path"),
        (lambda _: "".join(f"[program:p{n}]\ncommand=x\n" for n in range(30_000)), "more than 2500 sections"),
        (lambda _: "".join(f"[program:p{n}]\ncommand=x\n" for n in range(1100)), "it has 1100 programs"),
        (many_files, "and what it includes are larger"),
    ],
)
def test_a_conf_that_would_take_hours_to_read_is_refused_in_a_moment(
    tmp_path: Path, write: Callable[[Path], str], missing: str
) -> None:
    conf = tmp_path / "main"
    conf.write_text(f"{write(tmp_path)}\n")
    began = time.thread_time()
    with pytest.raises(ConfUnreadable, match=missing):
        stamps_of(str(conf))
        read_supervisor_conf(SupervisorEntry("main", str(conf)), {})
    assert time.thread_time() - began < 2.0


def test_patterns_match_as_the_shell_matches_them(tmp_path: Path) -> None:
    for name in ("a/1.conf", "a/2.conf", "b/1.conf", "a/.hidden.conf", "c/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    for pattern in ("*/*.conf", "a/[12].conf", "a/?.conf", "c/x", "nothing/*", "*", "a/.*", "a/1.conf/*"):
        assert matching([f"{tmp_path}/{pattern}"]) == sorted(glob.glob(f"{tmp_path}/{pattern}"))


class Family(Proc):
    """A process with a very long line of descendants."""

    def children(self, pid: int) -> list[int]:
        return [pid + 1, pid] if pid < 30_000 else []


def test_a_tree_of_thirty_thousand_processes_is_walked_in_a_moment() -> None:
    began = time.thread_time()
    assert len(Family().tree(1)) == 30_000
    assert time.thread_time() - began < 1.0
