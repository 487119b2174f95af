"""Paths, processes and confs of strangers: never followed to a third one, never believed of another, never endless."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.waiting import wait_for
from paramedic.act.chain_reload import _who_named_it, write_fifo
from paramedic.act.job import Refused
from paramedic.act.preflight import LOADS, _import, _Place, prove_loads
from paramedic.act.spool import Spool
from paramedic.act.workers import available
from paramedic.host import files, folders, lock, relaying
from paramedic.host.commands import Person
from paramedic.host.proc import Proc
from paramedic.host.uwsgi_stats import stats_socket_inode
from paramedic.model.facts import Facts, Subject, SubjectFacts
from paramedic.model.readings import Identity, UwsgiReading
from paramedic.model.stack import NotifyConf, Settings, Stack, UwsgiConf, UwsgiEntry

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes files of two users")
NOBODY = 65534
HOST = Subject("host", "host")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder that a user owns, below one that root owns and everybody may enter."""
    tmp_path.chmod(0o755)
    (tmp_path / "home").mkdir()
    os.chown(tmp_path / "home", NOBODY, NOBODY)
    return tmp_path / "home"


@ROOT
def test_a_touch_file_is_not_reached_through_a_users_link_in_its_path(home: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "reload").write_text("")
    os.utime(precious / "reload", (1e9, 1e9))
    os.mkfifo(precious / "fifo")
    (home / "app").symlink_to(precious)
    os.lchown(home / "app", NOBODY, NOBODY)
    with pytest.raises(PermissionError, match="a folder that is not theirs"):
        files.touch_newer(str(home / "app" / "reload"), 2e9)
    with pytest.raises(PermissionError, match="a folder that is not theirs"):
        write_fifo(str(home / "app" / "fifo"), b"r", 0)
    assert (precious / "reload").stat().st_mtime == 1e9


PLANTS = """set -e
mount -t tmpfs none "$1"
mkdir "$1/run"
touch "$1/run/s.sock"
mount --bind "$2" "$1/run/s.sock"
echo ready
cat
"""


@ROOT
def test_a_path_is_not_led_into_a_users_own_file_system_tree() -> None:
    """There a user's mounts give any file any name: the kernel itself calls it by the very path."""
    top = Path(tempfile.mkdtemp())
    top.chmod(0o755)
    home, precious = top / "home", top / "precious"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    argv = ["unshare", "-Urm", "sh", "-c", PLANTS, "sh", home, precious]
    precious.touch(0o600)
    as_nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    user = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **as_nobody)  # type: ignore[call-overload]
    try:
        if user.stdout.readline() != b"ready\n":
            pytest.skip("users may not make namespaces here")
        (home / "run").symlink_to(f"/proc/{user.pid}/root{home}/run")
        os.lchown(home / "run", NOBODY, NOBODY)
        path, before = str(home / "run" / "s.sock"), precious.stat()
        assert os.path.samestat(os.stat(path), before), "the fault is real"
        with pytest.raises(OSError, match="symbolic link"):
            os.close(files.open_path(path))
        with pytest.raises(OSError, match="symbolic link"):
            files.touch_newer(path, before.st_mtime + 100, None)
        assert precious.stat().st_mtime == before.st_mtime
    finally:
        user.communicate()
        shutil.rmtree(top)


def test_a_path_that_a_link_makes_longer_than_any_path_costs_no_descriptor(tmp_path: Path) -> None:
    name, top = "d" * 250, os.open(tmp_path, os.O_RDONLY)
    deepest = top
    for _ in range(20):
        os.mkdir(name, dir_fd=deepest)
        deepest = os.open(name, os.O_RDONLY, dir_fd=deepest)
    os.symlink("/".join([name] * 10), "half", dir_fd=top)
    half = os.open("half", os.O_RDONLY, dir_fd=top)
    os.symlink("/".join([name] * 10), "rest", dir_fd=half)
    os.symlink("half/rest", "run", dir_fd=top)
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=deepest))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        found = files.open_path(str(tmp_path / "run" / "file"))
        assert os.path.samestat(os.fstat(found), os.stat(tmp_path / "run" / "file"))
        os.close(found)
    assert len(os.listdir("/proc/self/fd")) == before


@ROOT
def test_a_touch_file_with_a_second_name_or_of_a_third_user_is_not_touched(home: Path, tmp_path: Path) -> None:
    shadow = tmp_path / "shadow"
    shadow.write_text("")
    os.utime(shadow, (1e9, 1e9))
    os.link(shadow, home / "reload")
    with pytest.raises(PermissionError, match="is a hard link"):
        files.touch_newer(str(home / "reload"), 2e9)
    (home / "reload").unlink()
    with pytest.raises(PermissionError, match="belongs to user 0, and another one names it"):
        files.touch_newer(str(shadow), 2e9, {NOBODY})
    assert shadow.stat().st_mtime == 1e9
    os.chown(shadow, NOBODY, NOBODY)
    assert files.touch_newer(str(shadow), 2e9, {NOBODY}) == 2e9


class Asked:
    """A job, as far as it is asked here."""

    def __init__(self, entry: UwsgiEntry) -> None:
        self.settings = Settings("", stack=Stack(uwsgi=(entry,)))


@ROOT
def test_whose_file_may_be_touched_depends_on_who_could_name_it(home: Path) -> None:
    ini = home.parent / "u.ini"
    ini.write_text("[uwsgi]\n")
    conf = UwsgiConf("web", str(ini), files=(str(ini),))
    reading = UwsgiReading(conf, Identity(1, 1), 0, 1.0, "2.0.31", 0, (), None)

    def named(entry: UwsgiEntry) -> set[int] | None:
        return _who_named_it(reading, Asked(entry))  # type: ignore[arg-type]

    assert named(UwsgiEntry("web", str(ini))) is None, "root alone"
    os.chown(ini, NOBODY, NOBODY)
    assert named(UwsgiEntry("web", str(ini))) == {NOBODY}, "a master of root's gives a user nothing of root's"
    assert named(UwsgiEntry("web", str(ini), chain_reload="/srv/reload")) is None, "root's configuration"


def listening(address: tuple[str, int]) -> socket.socket:
    server = socket.socket()
    server.bind(address)
    server.listen()
    return server


def test_a_listener_on_another_address_does_not_hide_the_stats_server() -> None:
    with listening(("127.0.0.1", 0)) as real:
        port = real.getsockname()[1]
        with listening(("127.0.0.2", port)) as other, listening(("127.0.0.3", port)) as third:
            for name, server in (("127.0.0.1", real), ("127.0.0.2", other), ("127.0.0.3", third), ("", real)):
                assert stats_socket_inode(f"{name}:{port}", Proc()) == os.fstat(server.fileno()).st_ino
            assert stats_socket_inode(f"127.0.0.4:{port}", Proc()) is None
    with listening(("0.0.0.0", 0)) as every:
        inode = os.fstat(every.fileno()).st_ino
        assert stats_socket_inode(f"127.0.0.1:{every.getsockname()[1]}", Proc()) == inode


def test_a_socket_that_was_bound_under_the_same_name_does_not_hide_it_either(tmp_path: Path) -> None:
    path = str(tmp_path / "stats")
    with socket.socket(socket.AF_UNIX) as left, socket.socket(socket.AF_UNIX) as real:
        for server in (left, real):
            server.bind(path)
            server.listen()
            os.rename(path, f"{path}.{server.fileno()}")
        for server in (left, real):
            os.rename(f"{path}.{server.fileno()}", path)
            assert stats_socket_inode(path, Proc()) == os.fstat(server.fileno()).st_ino
            os.rename(path, f"{path}.{server.fileno()}")


@pytest.mark.parametrize(("scope", "told"), [("", {"available": 5 << 10}), ("cgroup /a", {})])
def test_what_is_available_is_measured_when_it_acts_not_when_it_decided(
    tmp_path: Path, scope: str, told: dict[str, int]
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable: 5 kB\n")
    facts = Facts(1.0, 1.0, {HOST: SubjectFacts(HOST, {"memory.available": 3 << 10}, scope=scope)})
    job = SimpleNamespace(facts=facts, proc=Proc(str(tmp_path)))
    assert available(job) == told  # type: ignore[arg-type]


def test_who_looks_for_the_agent_is_not_in_the_way_of_one_that_starts(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    os.close(lock.take(path))
    look = f"from paramedic.host import lock\nprint(flush=True)\nwhile True: lock.holder({path!r})"
    with subprocess.Popen([sys.executable, "-c", look], stdout=subprocess.PIPE) as looking:
        try:
            assert looking.stdout is not None
            looking.stdout.readline()
            for _ in range(3000):
                fd = lock.take(path)
                assert lock.holder(path) == os.getpid()
                with pytest.raises(lock.Locked, match=f"process {os.getpid()}"):
                    lock.take(path)
                os.close(fd)
        finally:
            looking.kill()
    assert lock.holder(path) is None


@ROOT
def test_the_app_is_imported_as_its_workers_user_and_never_as_root() -> None:
    code = "import os\nopen('as', 'w').write(repr((os.getuid(), os.getgid(), os.getgroups())))\napplication = print\n"
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        os.chown(name, NOBODY, NOBODY)
        Path(name, "app.py").write_text(code)
        conf = UwsgiConf("web", "/srv/u.ini", module="app", pythonpath=(name,))
        place = _Place(("/usr/bin/python3",), "/usr/bin/python3", {}, name, Person(NOBODY, NOBODY, ()))
        assert _import(conf, place, 0.0, "").result == LOADS
        assert Path(name, "as").read_text() == repr((NOBODY, NOBODY, []))


@ROOT
def test_nothing_is_imported_for_a_master_of_roots_whose_launch_was_not_recorded(tmp_path: Path) -> None:
    conf = UwsgiConf("web", str(tmp_path / "u.ini"), preflight=("/bin/touch", str(tmp_path / "run")))
    reading = UwsgiReading(conf, Identity(1, 1), 0, 1.0, "2.0.31", 0, (), None)
    job = SimpleNamespace(settings=Settings("", state_dir=str(tmp_path)), proc=Proc())
    with pytest.raises(Refused, match="runs as root, and how it was launched was not recorded"):
        prove_loads(reading, job)  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_a_notice_is_an_argument_vector_whatever_it_says(tmp_path: Path) -> None:
    evil = f"$(touch {tmp_path}/evil); `touch {tmp_path}/evil` && touch {tmp_path}/evil"
    program = tmp_path / "page-me"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nopen(sys.argv[1], 'w').write(repr(sys.argv[2:]) + sys.stdin.read())\n"
    )
    program.chmod(0o755)
    spool = Spool(NotifyConf((str(program), str(tmp_path / "got"), evil)), str(tmp_path / "state"))
    folders.own(str(tmp_path / "state"))
    spool.start()
    try:
        spool.tell("told", evil, {"id": "i-1", "subject": evil})
        wait_for("it is delivered", lambda: (tmp_path / "got").exists() and "i-1" in (tmp_path / "got").read_text())
    finally:
        spool.stop(10)
    assert repr([evil]) in (tmp_path / "got").read_text()
    assert not (tmp_path / "evil").exists()


@ROOT
def test_a_relay_runs_as_the_servers_user(home: Path) -> None:
    proc, path = Proc(), home / "s.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        live = os.open(path, os.O_PATH)
        path.unlink()
        me = proc.identify(os.getpid())
        assert me is not None
        wanted = relaying.Wanted(
            str(path), live, files.number(os.fstat(live)), me, NOBODY, NOBODY, 0o600, (NOBODY, NOBODY)
        )
        relay = relaying.start(wanted, proc)
        try:
            wait_for("it drops", lambda: proc.uid(relay.process.pid) == NOBODY)
            assert proc.status(relay.process.pid)["Groups"] == []
            assert path.stat().st_uid == NOBODY
        finally:
            relaying.end(relay, proc)
            os.close(live)
            wait_for("it leaves", lambda: not proc.is_alive(relay.process))


@pytest.mark.parametrize(
    "name", ["--host=evil.example.service", "-Hevil.service", "a b.service", "a\nb.service", ".service"]
)
def test_a_cgroup_whose_name_would_be_an_option_of_systemctl_is_no_unit(tmp_path: Path, name: str) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cgroup").write_text(f"0::/user.slice/user@1000.service/{name}\n")
    assert Proc(str(tmp_path)).unit(7) is None
    (tmp_path / "7" / "cgroup").write_text("0::/system.slice/system-my\\x2dapp.slice/my-app@1:2.service\n")
    assert Proc(str(tmp_path)).unit(7) == "my-app@1:2.service"


@ROOT
def test_a_users_conf_has_no_lock_of_others_removed(home: Path) -> None:
    lock_file = home / "d.sock.lock"
    lock_file.symlink_to("1")
    with pytest.raises(PermissionError, match=f"does not belong to user {NOBODY}"):
        files.unlink_link(str(lock_file), "1", NOBODY)
    os.lchown(lock_file, NOBODY, NOBODY)
    files.unlink_link(str(lock_file), "1", NOBODY)
    assert not lock_file.is_symlink()
