"""`paramedic init`: the configuration it writes, the files it keeps, and the pages made from its parser."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from paramedic.cli import run_cli
from paramedic.cli.pages import PAGES
from paramedic.host.beside import write_beside
from paramedic.model.found import Found, FoundDaphne, FoundSocket, FoundSupervisor, FoundUwsgi, Runs
from paramedic.model.readings import Identity
from paramedic.model.stack import Mode, Settings, SocketEntry, SupervisorEntry, UwsgiEntry
from paramedic.settings import load, sets_nothing
from paramedic.starter import TMPFILES, command_of, exclusion, starter

TOP = Path(__file__).parents[2]
RUNS = Runs(Identity(7, 70), "deploy", "unit app.service")
WEB = FoundUwsgi(UwsgiEntry("web", "/srv/web/uwsgi.ini:live"), RUNS, ("stats = /run/web.stats (why)",))
MAIN = FoundSupervisor(
    SupervisorEntry("main", "/srv/a b: c/#x.conf", unit="supervisor.service"),
    RUNS,
    "its -c",
    "/tmp/supervisor.sock",
    "mode 0700, owner root",
    is_exposed=True,
)
REDIS = FoundSocket(SocketEntry("redis", "/tmp/redis.sock"), "process 9 (redis-server)", "any cleanup", True)
SESSION = FoundSocket(SocketEntry("agent", "/tmp/ssh-x/agent.5"), "process 5 (ssh-agent)", "any cleanup", False)
ALL = Found(
    (WEB, FoundUwsgi(UwsgiEntry("odd", "/srv/odd.ini"), RUNS, problem="line 3: a loop\nmode: act")),
    (MAIN,),
    (FoundDaphne(RUNS, "program daphne of supervisord 7", True),),
    (REDIS, replace(REDIS, entry=SocketEntry("kept", "/tmp/kept.sock"), is_spared=True), SESSION),
    ("a note\nmode: act",),
    (("uWSGI 8 of root", "its command line names no ini that is found"),),
)


def loaded(tmp_path: Path, found: Found) -> Settings:
    path = tmp_path / "paramedic.yaml"
    path.write_text(starter(found, "2026-01-02"))
    return load(str(path))


def test_what_is_written_loads_as_what_was_found_and_only_observes(tmp_path: Path) -> None:
    settings = loaded(tmp_path, ALL)
    assert settings.mode is Mode.OBSERVE
    assert settings.stack == ALL.stack
    assert [entry.name for entry in settings.stack.uwsgi] == ["web"]
    assert settings.stack.supervisor == (MAIN.entry,)
    assert [entry.name for entry in settings.stack.sockets] == ["redis", "kept"]
    assert not sets_nothing(settings.path)


LINES = "x\nmode: act\nnotify: { command: [/bin/sh, -c, id] }\n#"


@pytest.mark.parametrize(
    "hostile",
    [
        Found(supervisor=(replace(MAIN, users=LINES, named=LINES, socket=f"/tmp/{LINES}"),)),
        Found(uwsgi=(replace(WEB, runs=replace(RUNS, user=LINES, keeper=LINES), lacks=(LINES,)),)),
        Found(sockets=(replace(REDIS, server=LINES, cleaner=LINES, lost=LINES),)),
        Found(sockets=(replace(SESSION, server=LINES, cleaner=LINES),)),
        Found(supervisor=(replace(MAIN, entry=replace(MAIN.entry, unit=LINES)),)),
    ],
)
def test_nothing_that_a_user_chose_becomes_a_line_of_the_configuration(tmp_path: Path, hostile: Found) -> None:
    """A conf may say `chown = bob` and more lines behind it; root writes that into a file it believes."""
    settings = loaded(tmp_path, hostile)
    assert (settings.mode, settings.notify.command) == (Mode.OBSERVE, ())


@pytest.mark.parametrize(
    "some",
    [
        Found(),
        Found(uwsgi=ALL.uwsgi[1:]),
        Found(uwsgi=(WEB,)),
        Found(supervisor=(MAIN,), sockets=(SESSION,)),
        Found(supervisor=(replace(MAIN, problem="it has no socket"),), sockets=(REDIS,)),
        Found(notes=ALL.notes, daphne=ALL.daphne),
    ],
)
def test_a_part_without_anything_certain_is_a_comment(tmp_path: Path, some: Found) -> None:
    assert loaded(tmp_path, some).stack == some.stack


def test_each_entry_stands_with_its_evidence() -> None:
    text = starter(ALL, "2026-01-02")
    for said in (
        "# process 7, user deploy, unit app.service\n    # the ini lacks stats = /run/web.stats (why)\n    web: {",
        "# line 3: a loop?mode: act\n    #   odd: { ini: /srv/odd.ini }\n",
        "# its socket: /tmp/supervisor.sock\n    main:\n",
        "      # control_user: NAME    # who must be able to use its socket; now: mode 0700, owner root\n",
        "# process 9 (redis-server); its folder: any cleanup, excluded in tmpfiles.d\n    kept: {",
        "#   agent: { path: /tmp/ssh-x/agent.5, relay: false }\n",
        "#   Daphne: process 7, user deploy, unit app.service: program daphne of supervisord 7\n",
        "#   uWSGI 8 of root: its command line names no ini that is found\n",
    ):
        assert said in text, said


def test_a_template_sets_nothing_so_that_a_later_init_may_replace_it(tmp_path: Path) -> None:
    assert sets_nothing(loaded(tmp_path, Found()).path)


@pytest.mark.parametrize(
    ("text", "is_nothing"),
    [
        ("", True),
        ("# nothing\n", True),
        ("mode: observe\n# stack:\n", True),
        ("mode: act\n", False),
        ("mode: observe\ninterval: 5s\n", False),
        ("- mode\n", False),
        ("observe\n", False),
    ],
)
def test_which_file_may_be_replaced(tmp_path: Path, text: str, is_nothing: bool) -> None:
    path = tmp_path / "paramedic.yaml"
    path.write_text(text)
    assert sets_nothing(str(path)) is is_nothing


def test_a_file_that_somebody_wrote_stays_and_force_keeps_it_beside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "etc" / "paramedic.yaml"
    words = ["init", "--output", str(path)]
    assert run_cli(words) == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert load(str(path)).mode is Mode.OBSERVE
    path.write_text("mode: act\n")
    capsys.readouterr()
    assert run_cli(words) == 2
    assert "write --force to replace it" in capsys.readouterr().err
    assert path.read_text() == "mode: act\n"
    assert run_cli([*words, "--force", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert Path(told["aside"]).read_text() == "mode: act\n"
    assert load(str(path)).mode is Mode.OBSERVE
    path.write_text("mode: [\n")
    assert run_cli(words) == 2
    assert sorted(p.name for p in path.parent.iterdir()) == sorted([path.name, Path(told["aside"]).name])


def test_to_stdout_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["init", "--output", "-"]) == 0
    path = tmp_path / "p.yaml"
    path.write_text(capsys.readouterr().out)
    assert load(str(path)).mode is Mode.OBSERVE
    assert [p.name for p in tmp_path.iterdir()] == ["p.yaml"]


def test_what_cannot_be_replaced_is_left_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "paramedic.yaml"
    folder.mkdir()
    with pytest.raises(OSError):
        write_beside(str(folder), b"new", "5")
    assert [p.name for p in tmp_path.iterdir()] == [folder.name]
    assert run_cli(["init", "--force", "--output", str(folder)]) == 2
    target, link = tmp_path / "mine.yaml", tmp_path / "link.yaml"
    target.write_text("mine")
    link.symlink_to(target)
    assert write_beside(str(link), b"new", "5") == f"{link}.aside-5"
    assert (target.read_text(), link.read_text(), link.is_symlink()) == ("mine", "new", False)
    assert write_beside(str(link), b"newer", "5") == f"{link}.aside-5-2"
    assert Path(f"{link}.aside-5-2").read_text() == "new"


def test_the_exclusion_covers_what_is_guarded_and_not_yet_spared() -> None:
    assert exclusion(ALL) == ("x /tmp/redis.sock", "x /tmp/supervisor.sock")
    odd = Found(sockets=(replace(REDIS, entry=SocketEntry("odd", "/tmp/o'd %t.sock")),))
    assert exclusion(odd) == ()


@pytest.mark.skipif(not shutil.which("systemd-tmpfiles"), reason="needs systemd-tmpfiles")
def test_systemd_tmpfiles_deletes_a_live_supervisor_socket_and_the_offered_line_stops_it(tmp_path: Path) -> None:
    path, conf, both = tmp_path / "cleaned" / "supervisor.sock", tmp_path / "age.conf", tmp_path / "both.conf"
    path.parent.mkdir()
    conf.write_text(f"e {path.parent} - - - 0\n")
    shutil.copy(conf, both)
    found = Found(supervisor=(replace(MAIN, socket=str(path)),))
    script = command_of(exclusion(found)).replace(TMPFILES, str(both))
    subprocess.run(["/bin/sh", "-c", script], check=True, timeout=10)

    def clean(with_conf: Path) -> bool:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(f"{path}.1")
            os.link(f"{path}.1", path)
            os.unlink(f"{path}.1")
            server.listen()
            subprocess.run(["systemd-tmpfiles", "--clean", with_conf], check=True, timeout=10)
            is_left = path.exists()
            path.unlink(missing_ok=True)
            return is_left

    assert clean(both)
    assert not clean(conf)


@pytest.mark.parametrize("kind", sorted(PAGES))
def test_the_pages_are_those_of_the_parser(kind: str) -> None:
    name, write = PAGES[kind]
    assert (TOP / name).read_text() == write(), "make docs writes them anew"


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("paramedic re", {"replay", "resume", "restore-socket"}),
        ("paramedic init --f", {"--force"}),
        ("paramedic top --sort s", {"slope"}),
        ("paramedic top --interval ", set()),
        ("paramedic doctor --config MIN", {"MINE"}),
        ("paramedic restore-socket MIN", {"MINE"}),
        ("paramedic restore-socket --r", {"--relay"}),
        ("paramedic nonsense ", set()),
    ],
)
def test_bash_completes(tmp_path: Path, line: str, offered: set[str]) -> None:
    (tmp_path / "MINE").touch()
    words = line.split(" ")
    script = (
        f'source "{TOP / PAGES["bash"][0]}"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _paramedic; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    argv = ["bash", "--norc", "-uc", script, "bash", *words]
    found = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=10, check=True)
    assert (set(found.stdout.split()), found.stderr) == (offered, "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_can_read_theirs(shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"needs {shell}")
    subprocess.run([shell, "-n", TOP / PAGES[shell][0]], check=True, timeout=10)


@pytest.mark.skipif(not shutil.which("man"), reason="needs man")
def test_the_man_page_is_read_without_a_warning() -> None:
    argv = ["man", "--warnings", "-l", str(TOP / PAGES["man"][0])]
    env = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "MANWIDTH": "80"}
    found = subprocess.run(argv, capture_output=True, text=True, timeout=20, env=env, check=True)
    assert found.stderr == ""
    assert "restore-socket PATH" in found.stdout


def test_the_pages_are_made_by_their_command() -> None:
    argv = [sys.executable, "-m", "paramedic.cli.pages", "bash"]
    found = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True)
    assert found.stdout == PAGES["bash"][1]()
