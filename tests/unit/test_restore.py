"""A socket's link is put back; what happens meanwhile decides whether that was a refusal or has to be done again."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from paramedic.act.job import Refused
from paramedic.act.rungs import Guarded, restore
from paramedic.host import files
from paramedic.host.proc import Proc


@pytest.fixture
def deleted(tmp_path: Path) -> Iterator[Guarded]:
    """A listening socket of ours whose name is gone and whose link was kept."""
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        inode = files.number(path.stat())
        files.refresh_link(str(path), files.keep_link(str(path)), inode)
        path.unlink()
        me = Proc().identify(os.getpid())
        assert me is not None
        kernel = os.fstat(server.fileno()).st_ino
        yield Guarded(str(path), me, kernel, inode, os.geteuid(), os.getegid(), 0o600, (0, 0), may_relay=False)


def test_one_that_is_deleted_again_at_once_was_restored_and_is_no_refusal(deleted: Guarded) -> None:
    """A refusal waits ten seconds for the next try, what was undone one."""

    def deletes(place: str | int) -> None:
        if place == deleted.path:
            Path(deleted.path).unlink()
            raise Refused("nothing there")

    assert restore(deleted, Proc(), 7, deletes).endswith("and somebody removed it again at once")
    assert restore(deleted, Proc(), 7, lambda _: None) == f"linked the live socket back to {deleted.path}"


def test_a_daemon_that_does_not_answer_through_its_own_socket_is_a_refusal(deleted: Guarded) -> None:
    def says_no(place: str | int) -> None:
        if place == deleted.path:
            raise Refused("no answer")

    with pytest.raises(Refused, match="no answer"):
        restore(deleted, Proc(), 7, says_no)
