"""Placeholders, loops and conditions of a uWSGI ini: expanded as there, or left undecided and never guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from paramedic.sense.uwsgi_magic import Launch
from unit.test_uwsgi_ini import read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a = 1\nenv = V=%(a)%(a)\n", "11"),
        ("a = 1\na = 2\nenv = V=%(a)\n", "1"),
        ("env = V=%(later)\nlater = 1\n", "1"),
        ("env = V=x%(b)\nb = %(c)\nc = 1\n", "x1"),
        ("env = V=%(nobody)\n", "%(nobody)"),
        ("processes = 4\nenv = V=%(processes * 2 + 1)\n", "9"),
        ("processes = 4\nenv = V=%(processes / 0)%(processes - 9)%(processes ++)\n", "0-55"),
        ("processes = 4\nenv = V=%(processes processes)\n", "44"),
        ("set = a=1\nenv = V=%(a)\n", "1"),
        ("set-placeholder = a=1\nenv = V=%(a)\n", "1"),
        ("set-ph = a=$(SHOP)\nenv = V=%(a)\n", "$(SHOP)"),
        ("env = V=$(SHOP)\n", "green"),
        ("env = V=$(SHOP)%(b)\nb = $(SHOP)\n", "greengreen"),
        ("env = V=@(secret)\n", "of the file"),
        ("env = V=$(\n", "$("),
        ("env = V=$()\n", "$()"),
        ("env = V=%(a(b))\na(b) = 1\n", "1"),
        ("env = V=a;b # c\n", "a;b # c"),
    ],
)
def test_placeholders(text: str, value: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the file\n")
    assert dict(read(tmp_path, text, Launch({"SHOP": "green"})).env)["V"] == value


def test_a_placeholder_in_front_is_not_expanded_twice(tmp_path: Path) -> None:
    """uwsgi_apply_config_pass goes on at the second character of what it made."""
    assert read(tmp_path, "stats = %(b)\nb = %(c)\nc = /one\n").stats == f"{tmp_path}/%(c)"


@pytest.mark.parametrize(
    ("text", "undecided"),
    [
        ("if-env = X\nprocesses = 9\nendif =\n", ("processes",)),
        ("if-env = X\nprocesses = 9\nendif =\nprocesses = 3\n", ()),
        ("if-env = X\nworkers = 9\nendif =\nprocesses = 3\n", ()),
        ("if-env = X\nsocket = /a\nendif =\nsocket = /b\n", ("socket",)),
        ("for = a b\nsocket = /%(_)\nendfor =\n", ("socket",)),
        ("for-times = 3\nmule =\nend =\n", ("mule", "master")),
        ("for-readline = /etc/hosts\nroute = %(_)\nend-for =\n", ("route",)),
        ("if-reload =\nharakiri = 3\n", ("harakiri",)),
        ("if-not-file = /a\nset = processes=3\nendif =\n", ("set", "processes")),
        ("if-env = X\nif-file = /y\nharakiri = 3\nendif\n", ("harakiri",)),
        ("if-exists = more.ini\nini = %(_)\nendif\n", ("processes", "threads")),
        ("if-exists = gone.ini\nini = gone.ini\nendif\n", ("ini",)),
        ("for = more gone\ninclude = %(_).ini\nendfor\n", ("processes", "threads", "include")),
        ("ini = exec:///bin/true\n", ("ini",)),
        ("include = more.yaml\n", ("include",)),
        ("yaml = more.yaml\n", ("yaml",)),
        ("stats = /run/%V.sock\n", ("stats",)),
        ("stats = $(NOWHERE)/s\n", ("stats",)),
        ("stats = @(/nowhere)\n", ("stats",)),
        ("if-env = X\nbase = /a\nendif\nbase = /b\nstats = %(base)/s\n", ("base", "stats")),
        ("declare-option = big=processes=$1;harakiri=$2\nbig = 9 9\n", ("processes", "harakiri")),
        ("declare-option = big=processes=$1\n", ()),
    ],
)
def test_what_cannot_be_decided_is_said_and_not_guessed(text: str, undecided: tuple[str, ...], tmp_path: Path) -> None:
    found = read(tmp_path, text, Launch({}), more="[uwsgi]\nprocesses = 9\nthreads = 9\n")
    assert found.undecided == undecided
    assert (found.processes in (1, 3), found.threads, found.harakiri_s, found.mules) == (True, 1, None, 0)
    assert found.sockets in ((), ("/b",))
    assert found.stats is None


def test_what_follows_a_loop_is_plain_again(tmp_path: Path) -> None:
    found = read(tmp_path, "for = 1 2\nsocket = :800%(_)\nendfor =\nprocesses = 5\nif-env = X\nendif\nthreads = 2\n")
    assert (found.processes, found.threads, found.undecided) == (5, 2, ("socket",))


def test_an_undecided_include_makes_every_option_open(tmp_path: Path) -> None:
    assert not read(tmp_path, "processes = 2\n").is_open("harakiri")
    assert read(tmp_path, "if-env = X\nharakiri = 3\nendif\n").is_open("harakiri")
    assert read(tmp_path, "ini = exec:///bin/true\n").is_open("harakiri")
