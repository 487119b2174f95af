"""A supervised program that is well is not looked at from the ground up again, and whatever changes of it is seen."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from harness.waiting import wait_for
from paramedic.host import inet
from paramedic.host.proc import Proc
from paramedic.model.readings import Identity, MemoryReading
from paramedic.model.supervision import ProgramReading
from paramedic.sense import programs as module
from paramedic.sense.memory import Rollups
from paramedic.sense.path import Holders
from paramedic.sense.programs import LISTENS_AGAIN_S, TABLE_FOR_S, Programs
from unit.builders import supervisor

PROC = Proc()
CONF = supervisor().conf
SERVES = r"""
import os, socket, sys
kept = [] if "later" in sys.argv else [socket.create_server(("127.0.0.1", 0))]
print(kept[0].getsockname()[1] if kept else 0, flush=True)
for line in sys.stdin:
    if line == "open\n":
        kept.append(socket.create_server(("127.0.0.1", 0)))
    if line == "fork\n" and os.fork() == 0:
        os.read(0, 1)
        os._exit(0)
    if line == "grow\n":
        kept.append(bytearray(os.urandom(1 << 24)))
    print("done", flush=True)
"""


class Played:
    """A program, and how many of its looks went down to the ground."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
        argv = [sys.executable, "-I", "-S", "-c", SERVES, *words]
        self.child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.says())
        self.rollups = Rollups(PROC, 1.0)
        self.programs = Programs(PROC, Holders(PROC), self.rollups)
        self.looks = 0
        whole = self.programs._look

        def look(*given: Any) -> tuple[ProgramReading, bool]:
            self.looks += 1
            return whole(*given)

        monkeypatch.setattr(self.programs, "_look", look)
        monkeypatch.setattr(module, "LISTENS_AFTER_S", -10.0)
        monkeypatch.setattr(module, "CPU_SHARE", 1e9)
        self.row: dict[str, object] = {
            "group": "shop",
            "name": "shop",
            "pid": self.child.pid,
            "statename": "RUNNING",
            "start": 5,
            "spawnerr": "",
        }

    def says(self) -> str:
        assert self.child.stdout is not None
        return self.child.stdout.readline()

    def does(self, what: str) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write(f"{what}\n")
        self.child.stdin.flush()
        assert self.says() == "done\n"

    def read(self, now: float, daemon: Identity | None = None) -> ProgramReading:
        me = daemon or PROC.identify(os.getpid())
        assert me is not None
        reading = self.programs.read(self.row, CONF, {}, me, now)
        self.rollups.refresh(self.programs.resident, now)
        return reading


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Played]:
    """A child of ours, as if we were its supervisord."""
    made = Played(monkeypatch, *getattr(request, "param", ()))
    yield made
    assert made.child.stdin is not None
    made.child.stdin.close()
    made.child.wait(10)
    assert made.child.stdout is not None
    made.child.stdout.close()


def test_one_that_is_well_is_looked_at_once_and_its_numbers_go_on(played: Played) -> None:
    first = played.read(100.0)
    assert (first.ports, first.processes, first.watched_s, first.connections) == ((played.port,), 1, 0.0, 0)
    second = played.read(101.0)
    assert played.looks == 1
    assert isinstance(second.memory, MemoryReading)
    assert second == first._replace(age_s=second.age_s, watched_s=1.0, memory=second.memory, rss_bytes=second.rss_bytes)
    played.does("grow")
    third = played.read(102.0)
    assert isinstance(first.rss_bytes, int)
    assert isinstance(third.rss_bytes, int)
    assert third.rss_bytes >= first.rss_bytes + (1 << 24)
    assert third.age_s >= second.age_s >= first.age_s
    assert played.looks == 1
    with socket.create_connection(("127.0.0.1", played.port)):
        assert played.read(101.0 + TABLE_FOR_S).connections == 1
    before = played.looks  # somebody else may have begun to listen somewhere
    played.read(101.0 + TABLE_FOR_S + LISTENS_AGAIN_S)
    assert played.looks == before + 1, "from the ground up again after a while"


@pytest.mark.parametrize(
    "change",
    [{"statename": "STOPPING"}, {"start": 6}, {"spawnerr": "no such file"}, {"pid": 1}, {"pid": 0}, {"name": "other"}],
)
def test_whatever_supervisor_says_otherwise_is_looked_at(played: Played, change: dict[str, object]) -> None:
    played.read(100.0)
    played.row = {**played.row, **change}
    found = played.read(101.0)
    assert played.looks == 2
    plain = Programs(PROC, Holders(PROC), played.rollups)
    me = PROC.identify(os.getpid())
    assert me is not None
    fresh = plain.read(played.row, CONF, {}, me, 101.0)
    assert (found.identity, found.state, found.name, found.spawnerr) == (
        fresh.identity,
        fresh.state,
        fresh.name,
        fresh.spawnerr,
    )
    assert found.starts == ("start" in change)


def test_its_processes_and_who_listens_beside_it_are_looked_at(played: Played) -> None:
    played.read(100.0)
    played.does("fork")
    assert played.read(101.0).processes == 2
    assert played.looks == 2
    with socket.create_server(("127.0.0.1", 0)):
        played.read(101.0 + TABLE_FOR_S + 1)
        assert played.looks == 3, "another listens somewhere"


def test_one_that_ended_or_is_somebody_elses_is_not_well_any_more(played: Played) -> None:
    assert played.read(100.0).identity is not None
    other = Identity(1, 1)
    assert played.read(101.0, other).identity is None, "its pid is no child of that daemon"
    assert played.read(102.0).identity is not None
    assert played.child.stdin is not None
    played.child.stdin.close()
    wait_for("it has ended", lambda: PROC.identify(played.child.pid) is None)
    assert played.read(103.0).identity is None


def test_what_the_daemon_tells_no_more_is_forgotten(played: Played) -> None:
    first = played.read(100.0)
    assert played.programs.resident
    played.programs.keep([first])
    assert played.programs.resident
    played.programs.keep([first._replace(name="another")])
    assert not played.programs.resident
    assert not any((played.programs._starts, played.programs._since, played.programs._ports, played.programs._well))
    assert played.read(101.0).watched_s == 0.0, "it is new"


@pytest.mark.parametrize("played", [["later"]], indirect=True)
def test_one_without_a_port_is_looked_for_it_again_after_a_while_and_asks_not_who_listens_meanwhile(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    whole = inet.listening

    def listening(proc: Proc) -> dict[int, list[int]]:
        asked.append(time.monotonic())
        return whole(proc)

    monkeypatch.setattr(inet, "listening", listening)
    assert played.read(100.0).ports == ()
    played.does("open")
    times = [100.0 + step for step in range(5, int(LISTENS_AGAIN_S), 5)]
    assert [played.read(at).ports for at in times] == [()] * len(times)
    assert (played.looks, len(asked)) == (1, 1)
    played.read(100.0 + LISTENS_AGAIN_S - 1.0)
    played.row = {**played.row, "statename": "STOPPING"}
    played.read(100.0 + LISTENS_AGAIN_S - 0.5)
    played.row = {**played.row, "statename": "RUNNING"}
    assert played.read(100.0 + LISTENS_AGAIN_S - 0.2).ports == ()
    assert len(played.read(100.0 + LISTENS_AGAIN_S).ports) == 1, "half a minute after it was looked for"


@pytest.mark.parametrize("names", ["ever new ones", "ever new behind what is kept of one"])
def test_a_daemon_that_tells_ever_new_names_fills_no_memory(
    played: Played, names: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be a user's, and break its answers off."""
    monkeypatch.setattr(module, "MOST_FOLLOWED", 50)
    long = "g" * module.MOST_NAME if names != "ever new ones" else ""
    for number in range(200):
        played.row = {**played.row, "group": f"{long}{number}", "name": "x"}
        played.read(100.0)
    one = played.programs
    most = [len(one._starts), len(one._since), len(one._ports), len(one._well), len(one._trees)]
    assert max(most) <= (50 if not long else 1)


@pytest.mark.parametrize("group", [["a"], {"a": 1}, None, 7, True])
def test_a_name_of_a_strange_kind_is_a_name(played: Played, group: object) -> None:
    played.row = {**played.row, "group": group}
    assert [played.read(at).name for at in (100.0, 101.0)] == [f"{group}:shop"] * 2
