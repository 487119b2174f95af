"""Two sockets whose files have the same number on two file systems are two sockets."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from paramedic.host import files, inodes, unix_diag
from paramedic.host.proc import Proc
from paramedic.model.readings import Unreadable
from paramedic.model.stack import SocketEntry
from paramedic.model.supervision import SocketReading
from paramedic.sense.sockets import SocketSensor

TWO = ("ours", "theirs")


@pytest.fixture
def twins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Path]]:
    """A place on each of two file systems that number their files alike."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    mounted = []
    try:
        for name in TWO:
            (tmp_path / name).mkdir()
            if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path / name], check=False).returncode != 0:
                pytest.skip("mounting is not allowed here")
            mounted.append(tmp_path / name)
        monkeypatch.setattr(inodes, "_looked_at", float("-inf"))
        yield tmp_path / TWO[0] / "s.sock", tmp_path / TWO[1] / "s.sock"
    finally:
        for folder in mounted:
            subprocess.run(["umount", "-l", folder], check=True)


def serve(path: Path) -> socket.socket:
    """A server at a path."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    return server


def test_they_are_told_apart_and_a_strangers_does_not_answer_for_a_dead_one(twins: tuple[Path, Path]) -> None:
    ours, theirs = twins
    with serve(ours) as own, serve(theirs):
        assert ours.stat().st_ino == theirs.stat().st_ino, "the fault is real"
        found = {one.name: one.file_inode for one in unix_diag.listeners()}
        assert found[str(ours)] == files.number(ours.stat()) != found[str(theirs)]
        sensor = SocketSensor(SocketEntry("app", str(ours)), Proc())
        alive = sensor.read(None, lambda _: unix_diag.listeners())
        assert isinstance(alive, SocketReading)
        assert alive.listening_inode == alive.path.inode
        own.close()
        dead = sensor.read(None, lambda _: unix_diag.listeners())
        assert isinstance(dead, SocketReading | Unreadable)
        assert isinstance(dead, Unreadable) or (dead.owner, dead.at_path) == (None, None)


def test_sockets_of_a_file_system_that_becomes_known_are_numbered_anew(
    twins: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inodes, "_looked_at", time.monotonic())
    monkeypatch.setattr(inodes, "_plain", frozenset())
    monkeypatch.setattr(inodes, "_bases", {})
    with serve(twins[0]), serve(twins[1]):

        def told(path: Path) -> int:
            return {one.name: one.file_inode for one in unix_diag.listeners()}[str(path)]

        assert told(twins[0]) == told(twins[1]) == files.look(str(twins[0])).inode, "nobody knows this mount yet"
        assert unix_diag.listeners() is unix_diag.listeners()
        monkeypatch.setattr(inodes, "_looked_at", float("-inf"))
        assert files.look(str(twins[0])).inode == told(twins[0]) != told(twins[1])
