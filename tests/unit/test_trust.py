"""What a local user controls must not make a root agent act for them: each was an attack that worked."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from paramedic.act.job import Refused
from paramedic.act.rungs import Guarded, plan
from paramedic.host import files, folders, pidfile, recipe
from paramedic.host.lineage import doubt_of, unclaimed
from paramedic.host.proc import Proc
from paramedic.host.processes import MIXED, Row, of_conf, runs_python, supervisords
from paramedic.host.recipe import Recipe
from paramedic.model.readings import Identity
from paramedic.model.stack import ProgramConf, SupervisorConf
from paramedic.model.supervision import ChildRecord

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes files of two users")
NOBODY = 65534


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A folder that a user owns, below one that root owns and everybody may enter."""
    tmp_path.chmod(0o755)
    made = tmp_path / "home"
    made.mkdir()
    os.chown(made, NOBODY, NOBODY)
    yield made


@ROOT
def test_a_users_link_to_a_folder_that_is_not_theirs_is_not_followed(home: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (home / "run").symlink_to(precious)
    os.lchown(home / "run", NOBODY, NOBODY)
    with pytest.raises(PermissionError, match="a folder that is not theirs"), folders.folder(str(home / "run")):
        pass
    (precious / "s.sock").write_text("secret")
    with pytest.raises(PermissionError):
        files.move_aside(str(home / "run" / "s.sock"), "1", files.number(os.stat(precious / "s.sock")))
    assert (precious / "s.sock").read_text() == "secret"
    own = home / "releases"
    own.mkdir()
    os.chown(own, NOBODY, NOBODY)
    (home / "current").symlink_to(own)
    with folders.folder(str(home / "current")) as fd:
        assert os.fstat(fd).st_ino == own.stat().st_ino, "a link to a folder of their own is an ordinary deployment"


def test_links_that_lead_nowhere_or_round_are_errors(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(OSError), folders.folder(str(tmp_path / "a")):
        pass
    with pytest.raises(OSError), folders.folder(str(tmp_path / "nothing")):
        pass


@ROOT
def test_a_folder_is_made_again_only_where_its_maker_could_have_made_it(home: Path, tmp_path: Path) -> None:
    folders.make(str(home / "run"), NOBODY, NOBODY, 0o755, NOBODY)
    assert (home / "run").stat().st_uid == NOBODY
    with pytest.raises(PermissionError, match="could not make it there"):
        folders.make(str(tmp_path / "x.service.d"), NOBODY, NOBODY, 0o755, NOBODY)
    assert not (tmp_path / "x.service.d").exists()


@ROOT
def test_a_pidfile_is_written_only_where_the_daemon_could_write_it(home: Path, tmp_path: Path) -> None:
    pidfile.write(str(home / "pid"), 77, NOBODY, NOBODY)
    assert ((home / "pid").read_text(), (home / "pid").stat().st_uid) == ("77\n", NOBODY)
    with pytest.raises(PermissionError, match="so root does not"):
        pidfile.write(str(tmp_path / "ld.so.preload"), 77, NOBODY, NOBODY)
    victim = home / "victim"
    victim.write_text("12\n")
    with pytest.raises(PermissionError, match="does not belong to the daemon's user"):
        pidfile.write(str(victim), 77, NOBODY, NOBODY)
    assert victim.read_text() == "12\n"


def test_a_pidfile_that_holds_anything_else_is_not_overwritten(tmp_path: Path) -> None:
    path, uid, gid = tmp_path / "pid", os.geteuid(), os.getegid()
    for content in ("precious", "12 34", "9" * 200):
        path.write_text(content)
        with pytest.raises(OSError, match="no pid"):
            pidfile.write(str(path), 77, uid, gid)
        assert path.read_text() == content
    path.unlink()
    path.symlink_to("/etc/passwd")
    with pytest.raises(OSError):
        pidfile.write(str(path), 77, uid, gid)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(OSError):
        pidfile.read(str(path))
    path.unlink()
    assert (pidfile.read(str(path)), path.write_text(""), pidfile.read(str(path))) == (None, 0, 0)


def test_only_sockets_are_pinned_by_their_number(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("x")
    with pytest.raises(OSError, match="something else"):
        files.set_owner_and_mode(str(plain), files.number(plain.stat()), os.geteuid(), os.getegid(), 0o777)
    assert stat.S_IMODE(plain.stat().st_mode) != 0o777


class FakeProc(Proc):
    """A host of one process whose parts can be chosen."""

    def __init__(self, **parts: object) -> None:
        super().__init__()
        self.parts = parts

    def link(self, pid: int, name: str) -> str | None:
        return str(self.parts[name]) if name in self.parts else super().link(pid, name)


def test_a_set_uid_program_with_the_arguments_of_a_supervisord_is_nobodys_daemon(tmp_path: Path) -> None:
    conf = tmp_path / "supervisord.conf"
    conf.write_text("[supervisord]\n")
    argv = ("/usr/bin/python3", "/usr/bin/supervisord", "-c", str(conf))
    mine = Identity(os.getpid(), Proc().stat(os.getpid()).identity.start_ticks)  # type: ignore[union-attr]
    assert len(of_conf([Row(mine, 1, os.geteuid(), argv)], str(conf), Proc())) == 1
    assert of_conf([Row(mine, 1, MIXED, argv)], str(conf), Proc()) == []
    assert supervisords([Row(mine, 1, 0, argv)], FakeProc(exe="/usr/bin/su")) == []
    assert not runs_python(os.getpid(), FakeProc(exe="/usr/bin/sudo"))


def test_a_program_below_a_supervisord_is_a_supervisord_of_its_own_but_a_fork_is_not() -> None:
    outer = Row(Identity(os.getpid(), 1), 1, 0, ("python3", "supervisord", "-c", "/etc/a.conf"))
    fork = Row(Identity(os.getppid(), 2), os.getpid(), 0, outer.argv)
    inner = Row(Identity(os.getppid(), 3), os.getpid(), 0, ("python3", "supervisord", "-c", "/etc/b.conf"))
    proc = FakeProc(exe="/usr/bin/python3")
    assert [conf for _, conf in supervisords([outer, fork, inner], proc)] == ["/etc/a.conf", "/etc/b.conf"]


def recipe_of(uid: int, digest: str | None) -> Recipe:
    """A launch."""
    return Recipe(("/usr/bin/python3",), "/", uid, uid, (), {}, 0o022, {}, None, digest)


@ROOT
def test_a_root_daemon_starts_from_a_users_conf_only_as_it_was_seen_healthy(home: Path) -> None:
    conf = home / "supervisord.conf"
    conf.write_text("[supervisord]\n")
    os.chown(conf, NOBODY, NOBODY)
    paths = (str(conf),)
    seen = recipe.digest_of(paths)
    assert recipe.why_untrusted(recipe_of(0, seen), paths) is None
    assert recipe.why_untrusted(recipe_of(0, None), paths) is not None
    conf.write_text("[supervisord]\nenvironment=LD_PRELOAD=/tmp/evil.so\n")
    assert "is not what it was when it was last seen healthy" in (recipe.why_untrusted(recipe_of(0, seen), paths) or "")
    assert recipe.why_untrusted(recipe_of(NOBODY, seen), paths) is None, "a user's daemon is the user's affair"


CONF = SupervisorConf(
    "main", "/srv/s.conf", "/tmp/s.sock", programs=(ProgramConf("web", "daphne -p 8001 app", directory="/srv/app"),)
)


class Orphan(FakeProc):
    """A process that looks like an orphan of the conf in everything, until a part is changed."""

    def __init__(self, **changed: object) -> None:
        env = {
            "SUPERVISOR_ENABLED": "1",
            "SUPERVISOR_SERVER_URL": "unix:///tmp/s.sock",
            "SUPERVISOR_PROCESS_NAME": "web",
        }
        whole = {
            "env": env,
            "argv": ("python", "/venv/bin/daphne", "-p", "8001", "app"),
            "ppid": 1,
            "sid": 9,
            "pgid": 40,
        }
        super().__init__(**{"cwd": "/srv/app", "uid": os.geteuid(), **whole, **changed})

    def environ(self, pid: int) -> dict[str, str] | None:
        return self.parts["env"]  # type: ignore[return-value]

    def cmdline(self, pid: int) -> tuple[str, ...] | None:
        return self.parts["argv"] if pid == 40 else ()  # type: ignore[return-value]

    def uid(self, pid: int) -> int | None:
        return self.parts["uid"]  # type: ignore[return-value]

    def stat(self, pid: int):  # type: ignore[no-untyped-def]  # noqa: ANN201
        from paramedic.host.stat_text import Stat

        one = self.parts
        return Stat(Identity(40, 900), "S", one["ppid"], one["pgid"], 0, one["sid"])  # type: ignore[arg-type]


UNRECORDED = ChildRecord("web", Identity(40, 900), 40, None)


def test_an_orphan_without_a_record_is_proven_by_everything_together() -> None:
    assert doubt_of(UNRECORDED, CONF, Orphan()) is None


@pytest.mark.parametrize(
    ("changed", "missing"),
    [
        ({"ppid": 7}, "its parent 7 lives"),
        ({"sid": 40}, "it detached itself"),
        ({"pgid": 39}, "does not lead the process group"),
        ({"uid": 4711}, "runs as user 4711"),
        ({"uid": None}, "runs as user None"),
        ({"argv": ("python", "/venv/bin/daphne", "-p", "8002", "app")}, "its command line"),
        ({"argv": ("vim", "daphne.py")}, "its command line"),
        ({"cwd": "/home/somebody"}, "its folder is /home/somebody"),
        ({"env": None}, "cannot be read"),
        ({"env": {}}, "does not name this Supervisor"),
        (
            {"env": {"SUPERVISOR_ENABLED": "1", "SUPERVISOR_SERVER_URL": "unix:///tmp/other.sock"}},
            "does not name this Supervisor",
        ),
    ],
)
def test_and_left_alone_as_soon_as_one_part_is_missing(changed: dict[str, object], missing: str) -> None:
    assert missing in (doubt_of(UNRECORDED, CONF, Orphan(**changed)) or "")


def test_one_younger_than_the_running_daemon_is_its_own() -> None:
    assert "younger" in (doubt_of(UNRECORDED, CONF, Orphan(), Identity(1, 800)) or "")
    assert doubt_of(UNRECORDED, CONF, Orphan(), Identity(1, 1000)) is None


def test_copies_of_a_program_are_recognised_by_their_number() -> None:
    numbered = ProgramConf("web", "daphne -p 80%(process_num)02d app", directory="/srv/app")
    conf = replace(CONF, programs=(numbered,))
    assert doubt_of(UNRECORDED, conf, Orphan(argv=("python", "/v/daphne", "-p", "8001", "app"))) is None
    assert doubt_of(UNRECORDED, conf, Orphan(argv=("python", "/v/daphne", "-p", "8x01", "app"))) is not None


def test_only_processes_without_a_parent_are_asked_whose_they_are() -> None:
    rows = [Row(Identity(40, 900), 1, 0, ("daphne",)), Row(Identity(41, 901), 7, 0, ("daphne",))]
    assert [child.identity.pid for child in unclaimed(rows, CONF, (), Orphan())] == [40]
    assert unclaimed(rows, CONF, (UNRECORDED,), Orphan()) == [], "it is known already"


@ROOT
def test_a_socket_bound_elsewhere_under_that_name_is_not_given_the_path(tmp_path: Path) -> None:
    elsewhere, here = tmp_path / "elsewhere", tmp_path / "here"
    elsewhere.mkdir(), here.mkdir()  # type: ignore[func-returns-value]
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(elsewhere / "s.sock"))
        server.listen()
        inode = files.number((elsewhere / "s.sock").stat())
        kernel = os.fstat(server.fileno()).st_ino
        me = Proc().identify(os.getpid())
        assert me is not None
        (elsewhere / "s.sock").unlink()
        made = Guarded(str(here / "s.sock"), me, kernel, inode, 0, 0, 0o600, (0, 0), may_relay=True, is_proven=False)
        with pytest.raises(Refused, match="was bound at"):
            plan(made, Proc(), lambda _: None)
        right = replace(made, path=str(elsewhere / "s.sock"))
        assert plan(right, Proc(), lambda _: None).startswith("put a relay at")
        with pytest.raises(Refused, match="changes its user"):
            plan(replace(right, runs_as=(-1, -1)), Proc(), lambda _: None)
