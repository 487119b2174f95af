"""The socket that says what the agent sees: who may ask, and that nothing sent to it does anything."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import CAN_SWITCH
from harness.waiting import wait_for
from paramedic.host import status_socket
from paramedic.host.status_socket import NAME, NoAnswer, StatusSocket, ask, may_ask

DOCUMENT = b'{"sentence": "all well"}' + b" " * 300_000
ASK_AS = """
import os, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
from paramedic.host.status_socket import ask
try:
    print(len(ask(sys.argv[1])))
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[StatusSocket]:
    tmp_path.chmod(0o711)
    made = StatusSocket(str(tmp_path), lambda: DOCUMENT)
    made.start()
    yield made
    made.stop()


@pytest.mark.usefixtures("listening")
def test_it_gives_the_whole_document_and_leaves_nothing_behind(tmp_path: Path, listening: StatusSocket) -> None:
    assert ask(str(tmp_path)) == DOCUMENT
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) & 0o007 == 0
    listening.stop()
    assert not (tmp_path / NAME).exists()
    assert not listening.is_alive


@pytest.mark.usefixtures("listening")
def test_what_is_sent_is_not_read_and_who_does_not_listen_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_socket, "SENDS_S", 0.05)
    with socket.socket(socket.AF_UNIX) as rude:
        rude.settimeout(5)
        rude.connect(str(tmp_path / NAME))
        rude.sendall(b"\xff" * 4096)
        assert ask(str(tmp_path)) == DOCUMENT


@pytest.mark.skipif(not CAN_SWITCH, reason="needs root to become another user")
@pytest.mark.parametrize("mode", [0o600, 0o666])
def test_another_user_is_told_nothing(mode: int) -> None:
    folder = Path(subprocess.check_output(["mktemp", "-d", "-p", "/tmp"], text=True, timeout=10).strip())
    made = StatusSocket(str(folder), lambda: DOCUMENT)
    try:
        folder.chmod(0o711)
        made.start()
        (folder / NAME).chmod(mode)
        environ = {"PYTHONPATH": os.pathsep.join(sys.path)}
        argv = [sys.executable, "-c", ASK_AS, str(folder)]
        told = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=20, cwd="/").stdout
        assert told.startswith("NoAnswer") and "members of the group paramedic" in told
    finally:
        made.stop()
        folder.rmdir()


def test_who_may_ask() -> None:
    assert may_ask(0, 0)
    assert may_ask(os.geteuid(), 12345)
    assert not may_ask(4_000_000, 4_000_000)


def test_a_socket_that_an_ended_agent_left_is_replaced_and_an_absent_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoAnswer) as none:
        ask(str(tmp_path))
    assert none.value.is_absent
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(tmp_path / NAME))
    with pytest.raises(NoAnswer) as dead:
        ask(str(tmp_path))
    assert dead.value.is_absent
    made = StatusSocket(str(tmp_path), lambda: DOCUMENT)
    made.start()
    try:
        assert ask(str(tmp_path)) == DOCUMENT
    finally:
        made.stop()


def test_a_hung_agent_is_told_within_the_deadline(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(tmp_path / NAME))
        hung.listen(4)
        with pytest.raises(NoAnswer, match="no answer within"):
            ask(str(tmp_path), deadline_s=0.05)


def test_without_a_place_for_it_the_agent_says_so_and_lives(tmp_path: Path) -> None:
    made = StatusSocket(str(tmp_path / "none"), lambda: DOCUMENT)
    made.start()
    assert "No such file" in made.failure
    assert made.is_alive
    made.stop()


def test_a_broken_answer_does_not_end_it(tmp_path: Path) -> None:
    made = StatusSocket(str(tmp_path), lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    made.start()
    try:
        with pytest.raises(NoAnswer, match="gave no answer"):
            ask(str(tmp_path))
        assert wait_for("it still listens", lambda: made.is_alive)
    finally:
        made.stop()
