"""Whose hands can reach a file: what is believed because it stands there must be changed by nobody else."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.waiting import wait_for
from paramedic.act.job import Refused
from paramedic.act.prepare import Preparation
from paramedic.act.run import run
from paramedic.act.spool import Spool
from paramedic.host import folders, recipe
from paramedic.host.proc import Proc
from paramedic.host.recipe import Recipe
from paramedic.host.writers import readable_by, writable_by_others
from paramedic.model.policy import Rung
from paramedic.model.stack import NotifyConf, Settings, SupervisorConf, SupervisorEntry, UwsgiEntry
from paramedic.policy.load import PolicyErrors
from paramedic.rulebook import Rulebook, load_trusted
from paramedic.sense.condition import owner_of
from paramedic.sense.supervisor_conf import ConfUnreadable, read_supervisor_conf
from paramedic.sense.uwsgi_ini import read_uwsgi_conf
from paramedic.settings import SettingsError, load

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes files of two users")
NOBODY, DAEMON = 65534, 1


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """A folder of root's with a file of root's below it."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "a.yaml").write_text("mode: observe\n")
    return tmp_path / "etc"


def give_file(etc: Path) -> str:
    os.chown(etc / "a.yaml", NOBODY, 0)
    return str(etc / "a.yaml")


def open_file(etc: Path) -> str:
    (etc / "a.yaml").chmod(0o666)
    return str(etc / "a.yaml")


def share_file(etc: Path) -> str:
    os.chown(etc / "a.yaml", 0, 65534)
    (etc / "a.yaml").chmod(0o664)
    return str(etc / "a.yaml")


def give_folder(etc: Path) -> str:
    os.chown(etc, NOBODY, 0)
    return str(etc)


def give_folder_above(etc: Path) -> str:
    os.chown(etc.parent, NOBODY, 0)
    return str(etc.parent)


def open_folder(etc: Path) -> str:
    etc.chmod(0o777)
    return str(etc)


def link_from_theirs(etc: Path) -> str:
    (etc / "real.yaml").write_text("mode: observe\n")
    (etc / "a.yaml").unlink()
    (etc / "a.yaml").symlink_to(etc / "real.yaml")
    os.lchown(etc / "a.yaml", NOBODY, 0)
    return str(etc / "a.yaml")


def link_into_theirs(etc: Path) -> str:
    theirs = etc.parent / "theirs"
    theirs.mkdir()
    os.chown(theirs, NOBODY, 0)
    (theirs / "a.yaml").write_text("mode: observe\n")
    (etc / "a.yaml").unlink()
    (etc / "a.yaml").symlink_to("../theirs/a.yaml")
    return str(theirs)


WAYS = [
    give_file,
    open_file,
    share_file,
    give_folder,
    give_folder_above,
    open_folder,
    link_from_theirs,
    link_into_theirs,
]


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_change_a_file_is_seen(etc: Path, way: Callable[[Path], str]) -> None:
    assert writable_by_others(str(etc / "a.yaml"), ()) is None
    who = way(etc)
    assert writable_by_others(str(etc / "a.yaml"), ()) == who


def test_the_rightful_owner_may_and_a_group_of_one_is_its_member(etc: Path) -> None:
    give_file(etc)
    assert writable_by_others(str(etc / "a.yaml"), {NOBODY}) is None
    assert writable_by_others(str(etc / "a.yaml"), {DAEMON}) == str(etc / "a.yaml")
    os.chown(etc / "a.yaml", DAEMON, DAEMON)
    (etc / "a.yaml").chmod(0o664)
    assert writable_by_others(str(etc / "a.yaml"), {DAEMON}) is None
    os.chown(etc / "a.yaml", 0, DAEMON)
    assert writable_by_others(str(etc / "a.yaml"), ()) == str(etc / "a.yaml")


def test_in_a_sticky_folder_each_keeps_what_is_theirs(etc: Path) -> None:
    etc.chmod(0o1777)
    assert writable_by_others(str(etc / "a.yaml"), ()) is None
    os.chown(etc, NOBODY, 0)
    assert writable_by_others(str(etc / "a.yaml"), ()) == str(etc)


@pytest.mark.parametrize("way", WAYS)
def test_a_configuration_that_others_can_change_is_refused(etc: Path, way: Callable[[Path], str]) -> None:
    assert load(str(etc / "a.yaml")).mode.value == "observe"
    who = way(etc)
    with pytest.raises(SettingsError, match="cannot trust it: others than root can change") as caught:
        load(str(etc / "a.yaml"))
    assert f"can change {who};" in str(caught.value)


@pytest.mark.parametrize("way", WAYS)
def test_policies_that_others_can_change_are_refused_and_the_old_ones_stay(
    etc: Path, way: Callable[[Path], str]
) -> None:
    text = "policies:\n  - {name: a, watch: host, when: memory.used_percent > 99 %, do: [notify]}\n"
    (etc / "a.yaml").write_text(text)
    book = Rulebook([str(etc)])
    assert [policy.name for policy in book.policies] == ["a"]
    way(etc)
    if not (etc / "a.yaml").is_symlink():
        (etc / "a.yaml").write_text(text.replace("name: a", "name: evil"))
    assert not book.refresh(force=True)
    assert "cannot trust it" in " ".join(book.errors)
    assert [policy.name for policy in book.policies] == ["a"]
    with pytest.raises(PolicyErrors, match="cannot trust it"):
        load_trusted([str(etc / "a.yaml")])


def test_a_state_folder_that_others_could_replace_is_not_used(etc: Path) -> None:
    folders.own(str(etc / "state"))
    os.chown(etc, NOBODY, 0)
    with pytest.raises(PermissionError, match="others can change"):
        folders.own(str(etc / "state"))


def test_a_recipe_that_is_not_ours_is_none(etc: Path) -> None:
    path = f"{etc}/recipes/main.json"
    recipe.save(path, Recipe(("/bin/true",), "/", 0, 0, (), {}, 0o022, {}, None))
    assert recipe.load(path) is not None
    os.chown(path, NOBODY, 0)
    assert recipe.load(path) is None, "its argv would be run as root"


def test_what_a_user_may_read_is_told_by_owner_group_and_mode(etc: Path) -> None:
    file = etc / "a.yaml"
    file.chmod(0o600)
    assert (readable_by(str(file), 0), readable_by(str(file), NOBODY)) == (True, False)
    os.chown(file, 0, DAEMON)
    file.chmod(0o640)
    assert (readable_by(str(file), DAEMON), readable_by(str(file), NOBODY)) == (True, False)
    file.chmod(0o604)
    assert readable_by(str(file), NOBODY)


def test_a_users_conf_does_not_make_root_read_for_them(etc: Path) -> None:
    secret, conf = etc / "secret.conf", etc / "users.conf"
    secret.write_text("[unix_http_server]\nusername=other\npassword=of-the-other-daemon\n")
    secret.chmod(0o600)
    conf.write_text(f"[unix_http_server]\nfile=/tmp/s.sock\n[include]\nfiles={secret}\n")
    entry = SupervisorEntry("main", str(conf))
    assert read_supervisor_conf(entry, {}).username == "other", "root's own conf may"
    os.chown(conf, NOBODY, 0)
    with pytest.raises(ConfUnreadable, match="user 65534, may not read"):
        read_supervisor_conf(entry, {})
    ini, private = etc / "users.ini", etc / "secret.ini"
    private.write_text("[uwsgi]\nstats = @secret\n")
    private.chmod(0o600)
    ini.write_text(f"[uwsgi]\nini = {private}\n")
    assert read_uwsgi_conf(UwsgiEntry("web", str(ini))).stats == "@secret"
    os.chown(ini, NOBODY, 0)
    with pytest.raises(ValueError, match="the owner of the ini may not read it"):
        read_uwsgi_conf(UwsgiEntry("web", str(ini)))


def test_a_users_conf_gives_its_socket_to_nobody_else() -> None:
    conf = SupervisorConf("main", "/srv/s.conf", "/tmp/s.sock", socket_owner="daemon:root")
    assert owner_of(conf, (0, 0)) == (DAEMON, 0)
    assert owner_of(conf, (NOBODY, NOBODY)) == (NOBODY, NOBODY)


def recorded(process: subprocess.Popen[bytes], conf: Path, state: Path) -> str | None:
    """The digest that a new agent has of this daemon."""
    proc = Proc()
    me = proc.identify(process.pid)
    assert me is not None
    preparation = Preparation(Settings("", state_dir=str(state)), proc)
    preparation._keep("main", me, (str(conf),), lambda: recipe.observed(proc, me))
    found = recipe.load(recipe.path_of(str(state), "main"))
    assert found is not None
    return found.digest


def test_what_a_daemon_was_started_with_is_not_what_its_conf_became(etc: Path) -> None:
    conf, state = etc / "a.conf", etc / "state"
    folders.own(str(state))
    conf.write_text("[supervisord]\n")
    with subprocess.Popen(["/bin/sleep", "60"], env={"PATH": "/bin"}, cwd="/") as process:
        try:
            wait_for("it runs", lambda: Proc().cmdline(process.pid) == ("/bin/sleep", "60"), 5)
            first = recorded(process, conf, state)
            assert first == recipe.digest_of([str(conf)])
            me = Proc().identify(process.pid)
            wait_for("its start is past, by a clock of hundredths", lambda: me and Proc().age_s(me) > 0.05, 5)
            conf.write_text("[supervisord]\nenvironment=LD_PRELOAD=/tmp/evil.so\n")
            os.utime(conf, (0, 0))
            assert recorded(process, conf, state) == first, "an agent that starts again"
            Path(recipe.path_of(str(state), "main")).unlink()
            assert recorded(process, conf, state) is None, "an agent that sees it for the first time"
        finally:
            process.kill()


def test_the_recipe_of_roots_daemon_is_not_replaced_by_another_users(etc: Path) -> None:
    conf, state = etc / "a.conf", etc / "state"
    folders.own(str(state))
    conf.write_text("[supervisord]\n")
    path = recipe.path_of(str(state), "main")
    of_root = Recipe(("/usr/bin/supervisord", "-c", str(conf)), "/", 0, 0, (), {}, 0o022, {}, None)
    recipe.save(path, of_root)
    with subprocess.Popen(["/bin/sleep", "60"], user=NOBODY, group=NOBODY, extra_groups=[], cwd="/") as process:
        try:
            wait_for("it runs", lambda: Proc().cmdline(process.pid) == ("/bin/sleep", "60"), 5)
            with pytest.raises(PermissionError, match=r"it ran as root, and process \d+ runs as user 65534"):
                recorded(process, conf, state)
            assert recipe.load(path) == of_root
            recipe.save(path, replace(of_root, uid=NOBODY, gid=NOBODY))
            recorded(process, conf, state)
            assert (recipe.load(path) or of_root).argv == ("/bin/sleep", "60"), "one of its own user follows it"
        finally:
            process.kill()


def test_a_daemon_of_a_user_starts_from_a_conf_of_a_third_only_as_it_was(etc: Path) -> None:
    conf = etc / "a.conf"
    conf.write_text("[supervisord]\n")
    seen = Recipe(("/bin/true",), "/", DAEMON, DAEMON, (), {}, 0o022, {}, None, recipe.digest_of([str(conf)]))
    os.chown(conf, NOBODY, 0)
    assert recipe.why_untrusted(seen, (str(conf),)) is None
    conf.write_text("[supervisord]\nenvironment=LD_PRELOAD=/tmp/evil.so\n")
    assert "runs as user 1, and others can change" in (recipe.why_untrusted(seen, (str(conf),)) or "")
    os.chown(conf, DAEMON, DAEMON)
    assert recipe.why_untrusted(seen, (str(conf),)) is None, "its own conf"


def test_a_program_that_others_can_change_is_not_run_with_our_rights(etc: Path) -> None:
    program, ran = etc / "page-me", etc / "ran"
    program.write_text(f"#!/bin/sh\ncat > {ran}\n")
    program.chmod(0o755)
    spool = Spool(NotifyConf((str(program),)), str(etc / "state"))
    folders.own(str(etc / "state"))
    job = SimpleNamespace(
        act=SimpleNamespace(step=Rung("run", {"argv": (str(program),)}, 5.0), why="x"),
        incident={"id": "i-1", "subject": "host"},
    )
    spool.put({"event": "told"}, 1.0)
    assert spool._drain() is None
    assert run(job).measured == {"exit": 0}  # type: ignore[arg-type]
    ran.unlink()
    os.chown(program, NOBODY, 0)
    spool.put({"event": "told"}, 2.0)
    assert "it is not run: others can change" in (spool._drain() or "")
    with pytest.raises(Refused, match="is not run: others can change"):
        run(job)  # type: ignore[arg-type]
    assert not ran.exists()
