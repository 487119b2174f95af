"""A daemon's files are looked at again when they could have changed, and what changed is seen at the next look."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from paramedic.host import accounts, files
from paramedic.host.proc import Proc
from paramedic.model.readings import Identity
from paramedic.sense.condition import LOOKED_FOR_S, PIDFILE_AFTER_S, Access, Logs, Pidfiles
from paramedic.sense.path import Holders
from unit.builders import supervisor

PROC, NOBODY = Proc(), 65534


def me() -> Identity:
    """This process, in the place of the daemon."""
    found = PROC.identify(os.getpid())
    assert found is not None
    return found


def test_a_log_that_is_deleted_or_replaced_under_its_writer_is_seen_at_the_next_look(tmp_path: Path) -> None:
    path, logs = tmp_path / "log", Logs(PROC)
    named = [str(path), "syslog", ""]
    with path.open("w"):
        assert [logs.deleted(me(), named) for _ in range(2)] == [(), ()]
        path.unlink()
        assert [logs.deleted(me(), named) for _ in range(2)] == [(str(path),)] * 2
        path.touch()
        assert logs.deleted(me(), named) == (str(path),), "another file of that name is not what it writes to"
    assert logs.deleted(me(), named) == (), "it was opened anew"


def test_a_pidfile_that_changes_is_seen_at_the_next_look(tmp_path: Path) -> None:
    path, pidfiles = tmp_path / "pid", Pidfiles(Holders(PROC))
    path.write_text(f"{os.getpid()}\n")

    def shown() -> str | None:
        wrong = pidfiles.wrong(str(path), me(), PIDFILE_AFTER_S)
        return None if wrong is None else wrong.content

    assert [shown(), shown()] == [None, None]
    path.write_text("1\n")
    assert [shown(), shown()] == ["1", "1"]
    path.unlink()
    assert shown() == ""
    path.write_text(f"{os.getpid()}\n")
    assert shown() is None
    assert pidfiles.wrong(str(path), Identity(1, 0), PIDFILE_AFTER_S) is not None, "right for another daemon only"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a socket of another user")
def test_who_is_kept_from_a_socket_is_seen_at_once_and_who_may_not_enter_its_folder_soon() -> None:
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    path, access = str(folder / "s.sock"), Access()
    conf = replace(supervisor().conf, socket=path)

    def kept_out(now: float) -> str | None:
        at = files.look(path)
        reading = supervisor(conf=conf, path=at, listening_inode=at.inode, owner=(NOBODY, NOBODY))
        found = access.denied(reading, now)
        return found.why if found else None

    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
            os.chown(path, NOBODY, NOBODY)
            os.chmod(path, 0o700)
            assert kept_out(100.0) is None
            os.chown(path, 0, 0)
            assert str(kept_out(101.0)).startswith(f"{path} has mode 0700")
            os.chown(path, NOBODY, NOBODY)
            assert kept_out(102.0) is None
            folder.chmod(0o700)
            assert kept_out(102.0 + LOOKED_FOR_S) == kept_out(102.1 + LOOKED_FOR_S) == f"{folder} may not be entered"
            folder.chmod(0o755)
            assert kept_out(102.2 + LOOKED_FOR_S) is None
    finally:
        shutil.rmtree(folder)


def test_an_account_is_what_the_name_service_says() -> None:
    root = accounts.of("root")
    assert (root.uid, root.name) == (0, "root")
    assert root == accounts.of(0)
    assert os.getgrouplist("root", root.gid) == sorted(root.groups, key=os.getgrouplist("root", root.gid).index)
