"""host/: the floor against real files, sockets and processes of this test's own."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from paramedic.host import files, folders, lock, recipe
from paramedic.host.commands import run
from paramedic.host.pidfd import Unproven, end_all, open_proven
from paramedic.host.proc import Proc
from paramedic.host.supervisor_rpc import RpcFailure, ask, results
from paramedic.host.systemd import notify
from paramedic.host.unix_diag import listeners
from paramedic.host.wake import Wake
from paramedic.model.readings import Identity, PathKind

PROC = Proc()
WAIT = (sys.executable, "-c", "import signal; print(1, flush=True); signal.pause()")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); signal.pause()",
)


@contextlib.contextmanager
def child(argv: tuple[str, ...] = WAIT) -> Iterator[Identity]:
    """A process of this test, ready, and ended afterwards."""
    made = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert made.stdout
    made.stdout.readline()
    identity = PROC.identify(made.pid)
    assert identity
    try:
        yield identity
    finally:
        made.kill()
        made.wait(5)
        made.stdout.close()


@contextlib.contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """A listening Unix socket."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        yield server


def test_look_names_what_stands_there_without_following_links(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "fifo")
    with listening(tmp_path / "sock"):
        kinds = {
            name: files.look(str(tmp_path / name)).kind for name in ("file", "folder", "link", "fifo", "sock", "no")
        }
    assert kinds == {
        "file": PathKind.FILE,
        "folder": PathKind.DIRECTORY,
        "link": PathKind.SYMLINK,
        "fifo": PathKind.OTHER,
        "sock": PathKind.SOCKET,
        "no": PathKind.ABSENT,
    }
    assert not files.look(str(tmp_path / "gone" / "x")).parent


def test_a_kept_link_is_linked_back_and_reaches_the_same_server(tmp_path: Path) -> None:
    path, kept = tmp_path / "s.sock", files.keep_link(str(tmp_path / "s.sock"))
    with listening(path):
        inode = files.number(path.stat())
        files.refresh_link(str(path), kept, inode)
        assert Path(kept).parent.stat().st_mode & 0o777 == 0o700
        path.unlink()
        files.link_back(kept, str(path), inode)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_linking_back_never_overwrites_and_never_links_another_inode(tmp_path: Path) -> None:
    path, kept = tmp_path / "s.sock", files.keep_link(str(tmp_path / "s.sock"))
    with listening(path):
        inode = files.number(path.stat())
        files.refresh_link(str(path), kept, inode)
        with pytest.raises(FileExistsError):
            files.link_back(kept, str(path), inode)
        path.unlink()
        with pytest.raises(OSError, match="not the live socket"):
            files.link_back(kept, str(path), inode + 1)
    assert not path.exists()


def test_a_keep_folder_that_is_not_private_is_refused(tmp_path: Path) -> None:
    folder = Path(files.keep_folder(str(tmp_path / "s.sock")))
    folder.mkdir(mode=0o755)
    with pytest.raises(PermissionError, match="not a private folder of ours"):
        folders.own(str(folder))
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(PermissionError):
        folders.own(str(folder))


def test_a_link_on_the_way_is_followed_but_not_out_of_a_world_writable_folder(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "run").symlink_to(tmp_path / "run")
    with folders.folder(str(tmp_path / "var" / "run")) as fd:
        assert os.fstat(fd).st_ino == (tmp_path / "run").stat().st_ino
    (tmp_path / "var").chmod(0o1777)
    with (
        pytest.raises(PermissionError, match="in a folder others can write"),
        folders.folder(str(tmp_path / "var" / "run")),
    ):
        pass


def test_moving_aside_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    path.write_text("precious")
    aside = files.move_aside(str(path), "1", files.number(path.stat()))
    assert aside is not None
    assert Path(aside).read_text() == "precious"
    path.write_text("second")
    second = files.move_aside(str(path), "1", files.number(path.stat()))
    assert (second, Path(second or "").read_text()) == (f"{aside}-2", "second")
    assert Path(aside).read_text() == "precious"
    (path).mkdir()
    (path / "inside").write_text("deep")
    folder = files.move_aside(str(path), "2", files.number(path.stat()))
    assert folder is not None
    assert (Path(folder) / "inside").read_text() == "deep"


def test_moving_aside_removes_only_what_is_empty_or_dead(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    path.touch()
    assert files.move_aside(str(path), "1", files.number(path.stat())) is None
    path.symlink_to("/etc/passwd")
    link = files.move_aside(str(path), "2", files.number(path.lstat()))
    assert link is not None
    assert os.readlink(link) == "/etc/passwd"
    assert [p.name for p in tmp_path.iterdir()] == ["s.sock.aside-2"]


def test_a_socket_somebody_listens_on_is_never_removed(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with listening(path):
        assert files.is_listening(str(path))
        with pytest.raises(OSError, match="something else stands there now"):
            files.move_aside(str(path), "1", files.look(str(path)).inode)
        assert files.is_listening(str(path))
    assert not files.is_listening(str(path))
    assert files.move_aside(str(path), "1", files.look(str(path)).inode) is None


def test_what_changed_since_it_was_judged_is_put_back(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    path.write_text("new")
    with pytest.raises(OSError, match="something else stands there now"):
        files.move_aside(str(path), "1", files.number(path.stat()) + 1)
    assert path.read_text() == "new"


def test_a_touch_is_always_a_strictly_newer_whole_second(tmp_path: Path) -> None:
    path = tmp_path / "reload"
    path.touch()
    now = time.time()
    first = files.touch_newer(str(path), now)
    second = files.touch_newer(str(path), now)
    assert (int(now) < second, second) == (True, first + 1)
    os.utime(path, (now + 5000, now + 5000))
    assert files.touch_newer(str(path), now) == int(now + 5000) + 1
    with pytest.raises(FileNotFoundError):
        files.touch_newer(str(tmp_path / "none"), now)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(OSError) as caught:
        files.touch_newer(str(tmp_path / "link"), now)
    assert caught.value.errno == errno.EINVAL


def test_private_files_are_private_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    files.write_private(str(path), b"one")
    files.write_private(str(path), b"two")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"two", 0o600)
    assert [p.name for p in tmp_path.iterdir()] == ["secret"]


def test_the_kernel_tells_the_inode_of_a_deleted_listening_socket(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with listening(path):
        inode = files.number(path.stat())
        path.unlink()
        found = [x for x in listeners() if x.name == str(path)]
        assert [x.file_inode for x in found] == [inode]
        assert PROC.holds_socket(os.getpid(), found[0].socket_inode)
    assert not [x for x in listeners() if x.name == str(path)]


def test_stat_survives_a_hostile_process_name(tmp_path: Path) -> None:
    fields = "S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 25"
    (tmp_path / "9").mkdir()
    (tmp_path / "9" / "stat").write_bytes(b"9 (a) R 1 (\n\xff) " + fields.encode() + b"\n")
    found = Proc(str(tmp_path)).stat(9)
    assert found is not None
    assert (found.identity, found.state, found.ppid, found.pgid) == (Identity(9, 4242), "S", 1, 7)


def test_a_zombie_is_dead() -> None:
    made = subprocess.Popen([sys.executable, "-c", ""])
    until = time.monotonic() + 10
    while (found := PROC.stat(made.pid)) and found.state != "Z" and time.monotonic() < until:
        time.sleep(0.01)
    assert PROC.identify(made.pid) is None
    made.wait(5)


def test_no_signal_goes_to_a_process_that_is_not_the_proven_one() -> None:
    with child() as identity:
        later = Identity(identity.pid, identity.start_ticks + 1)
        assert open_proven(PROC, later, lambda _: None) is None
        with pytest.raises(Unproven, match="it is somebody else"):
            open_proven(PROC, identity, lambda _: "it is somebody else")
        assert PROC.is_alive(identity)


@pytest.mark.parametrize("argv", [WAIT, STUBBORN])
def test_term_then_kill_end_a_proven_process(argv: tuple[str, ...]) -> None:
    with child(argv) as identity:
        fd = open_proven(PROC, identity, lambda _: None)
        assert fd is not None
        assert end_all([fd], term_s=0.1) is None
        assert end_all([fd], term_s=0.1) is None
        os.close(fd)
        assert not PROC.is_alive(identity)


def test_a_command_is_ended_at_its_deadline_with_all_it_started() -> None:
    script = f"import subprocess, sys; subprocess.run([{sys.executable!r}, '-c', 'import time; time.sleep(60)'])"
    began = time.monotonic()
    found = run((sys.executable, "-c", script), 0.2, {})
    assert found.code is None
    assert time.monotonic() - began < 30


def test_a_commands_output_is_bounded() -> None:
    found = run((sys.executable, "-c", "print('x' * 1_000_000); print('last')"), 10, {})
    assert (found.code, found.last_line) == (0, "last")
    assert len(found.output) <= 16 * 1024


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("python", "supervisord", "-c", "rel.conf"), ("python", "supervisord", "-c", "/abs")),
        (("python", "supervisord", "-crel.conf", "-n"), ("python", "supervisord", "-n", "-c", "/abs")),
        (("python", "-s", "/x/supervisord", "-nc", "rel"), ("python", "-s", "/x/supervisord", "-n", "-c", "/abs")),
        (
            ("python", "-m", "supervisor.supervisord", "--conf", "x"),
            ("python", "-m", "supervisor.supervisord", "-c", "/abs"),
        ),
        (("supervisord", "--no-such-option"), ("supervisord", "--no-such-option")),
        (("python", "supervisord", "--configuration=x"), ("python", "supervisord", "-c", "/abs")),
        (("python", "supervisord", "--configuration", "x"), ("python", "supervisord", "-c", "/abs")),
        (("python", "supervisord", "-n"), ("python", "supervisord", "-n", "-c", "/abs")),
    ],
)
def test_a_recipe_names_its_conf_by_an_absolute_path(argv: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert recipe.with_conf(argv, "/abs") == expected


def test_a_recipe_is_recorded_whole_and_only_for_its_owners_eyes(tmp_path: Path) -> None:
    with child() as identity:
        found = recipe.observe(PROC, identity, "/srv/supervisord.conf")
    assert found is not None
    assert (found.uid, found.cwd, found.argv[-2:]) == (os.geteuid(), os.getcwd(), ("-c", "/srv/supervisord.conf"))
    assert found.limits["RLIMIT_NOFILE"][0] > 0
    path = tmp_path / "recipes" / "main.json"
    recipe.save(str(path), found)
    assert recipe.load(str(path)) == found
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("{")
    assert recipe.load(str(path)) is None


def test_an_answer_is_waited_for_no_longer_than_the_deadline_in_all(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"

    def dribble(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
                while True:
                    connection.sendall(b"x")
                    time.sleep(0.02)

    with listening(path) as server:
        thread = threading.Thread(target=dribble, args=(server,))
        thread.start()
        began = time.monotonic()
        with pytest.raises(RpcFailure):
            results(ask(str(path), [("supervisor.getState", ())]), 0.15)
        assert time.monotonic() - began < 10
    thread.join(5)


@pytest.mark.parametrize(
    "answer", [b"", b"rubbish\r\n\r\n", b"HTTP/1.1 500 No\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n<a><b>"]
)
def test_any_other_answer_is_a_failure_and_nothing_worse(tmp_path: Path, answer: bytes) -> None:
    path = tmp_path / "s.sock"

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(answer)

    with listening(path) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        with pytest.raises(RpcFailure):
            results(ask(str(path), [("supervisor.getState", ())]), 2)
        thread.join(5)


def test_a_wake_up_comes_from_a_poke_and_from_the_end_of_a_process() -> None:
    wake = Wake(PROC)
    threading.Timer(0.05, wake.poke, args=("poked",)).start()
    assert wake.wait(5)
    assert not wake.wait(0)
    with child() as identity:
        wake.watch([identity])
        fd = open_proven(PROC, identity, lambda _: None)
        assert fd is not None
        end_all([fd], 2)
        os.close(fd)
        assert wake.wait(5)
        wake.watch([identity])
        assert not wake.wait(0), "a process that has ended is not watched again"
    wake.close()


def test_a_lock_names_its_holder(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    assert lock.holder(path) is None
    held = lock.take(path)
    assert lock.holder(path) == os.getpid()
    with pytest.raises(lock.Locked, match=f"process {os.getpid()}"):
        lock.take(path)
    os.close(held)
    assert lock.holder(path) is None


def test_systemd_is_told_in_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify(READY=1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "n"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
        assert notify(READY=1, STATUS="all\nwell")
        assert server.recv(1000) == b"READY=1\nSTATUS=all well"
