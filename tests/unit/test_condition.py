"""A daemon's files are looked at again when they could have changed, and what changed is seen at the next look."""

from __future__ import annotations

import os
from pathlib import Path

from paramedic.host import accounts
from paramedic.host.proc import Proc
from paramedic.model.readings import Identity
from paramedic.sense.condition import PIDFILE_AFTER_S, Logs, Pidfiles
from paramedic.sense.path import Holders

PROC = Proc()


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


def test_an_account_is_what_the_name_service_says() -> None:
    root = accounts.of("root")
    assert (root.uid, root.name) == (0, "root")
    assert root == accounts.of(0)
    assert os.getgrouplist("root", root.gid) == sorted(root.groups, key=os.getgrouplist("root", root.gid).index)
