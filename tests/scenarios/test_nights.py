"""Whole nights through the engine: samples in, a timeline out, compared with the golden file of that name.

A change of a golden file is a change of behaviour: run with GOLDEN=write, read the difference, and mean it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from paramedic.cron import next_after
from paramedic.engine import Stance, think
from paramedic.facts import join, learn
from paramedic.mind import Mind, book_of, intent, reported
from paramedic.model.facts import Known
from paramedic.model.readings import (
    Holding,
    HostReading,
    Identity,
    MemoryReading,
    PathKind,
    PathReading,
    Unreadable,
    UwsgiGone,
    UwsgiReading,
)
from paramedic.model.record import Act, Report
from paramedic.model.sample import Sample
from paramedic.model.supervision import ChildRecord, OrphanReading, ProgramReading, RpcReading, SupervisorReading
from paramedic.rulebook import files_of, load_files
from paramedic.schedule import shift_s
from paramedic.windows import Windows
from unit.builders import DAEMON, MIB, SOCKET, gone, supervisor, uwsgi, worker

GOLDEN = Path(__file__).parent / "golden"
WALL = 1_700_000_000.0


class Night:
    """The shipped policies, a clock that a test moves, and the timeline of what changed."""

    def __init__(self) -> None:
        self.book = book_of(load_files(files_of(["shipped"])))
        self.past = Windows(self.book.needed)
        self.mind, self.known = Mind(), Known()
        self.now, self.lines, self.acting = 1000.0, list[str](), list[int]()
        self.supervisor: SupervisorReading | Unreadable = supervisor()
        self.uwsgi: UwsgiReading | UwsgiGone | Unreadable = uwsgi(worker(1, 11), worker(2, 12))
        self.used = 40
        self.holders: tuple[Holding, ...] = ()
        self.wall = WALL

    def look(self, times: int = 1, every_s: float = 5.0) -> None:
        """Some passes; what is new in each becomes a line."""
        for _ in range(times):
            self.now += every_s
            total = 1000 * MIB
            left = total * (100 - self.used) // 100
            host = HostReading(total, left, 0, 0, 0, 0.0, 0.0, 0.0, holders=self.holders)
            sample = Sample(self.now, self.wall + self.now, host, {"web": self.uwsgi}, {"main": self.supervisor})
            facts = join(sample, self.known)
            self.known = learn(self.known, sample)
            self.past.take(facts)
            thought = think(self.mind, self.book, facts, self.past, Stance())
            self.say([f"{a.action} {a.status}: {a.detail}" for a in thought.judged])
            self.say([f"hold {hold.guard} on {hold.subject}: {hold.reason}" for _, hold in thought.held])
            self.say(
                [f"tell {e.name} {e.incident.diagnosis} on {e.incident.subject}: {e.sentence}" for e in thought.events]
            )
            self.say(
                [f"closed {one.diagnosis} on {one.subject}: {one.result}" for one in thought.changed if one.closed]
            )
            self.mind = thought.mind
            for act in thought.acts:
                self.begin(act, facts)

    def begin(self, act: Act, facts: Any) -> None:
        """Book the intent as the journal would."""
        number = len(self.mind.attempts) + 1
        made = replace(intent(act, self.mind, facts, self.now), id=number)
        self.mind = replace(self.mind, attempts=(*self.mind.attempts, made))
        self.acting.append(number)
        self.say([f"act {act.step.action} on {act.target}"])

    def report(self, detail: str, refused: bool = False, **measured: object) -> None:
        """The repair under way says how it ended, and what it measured."""
        report = Report(refused, detail, measured=measured)
        self.mind, _ = reported(self.mind, self.acting.pop(), report, self.now + 0.5)

    def say(self, lines: list[str]) -> None:
        """Add to the timeline."""
        self.lines += [f"{self.now - 1000:6.0f} s  {line}" for line in lines]


def a_socket_is_deleted_and_linked_back(night: Night) -> None:
    night.look(2)
    night.supervisor = supervisor(
        path=PathReading(PathKind.ABSENT),
        rpc=RpcReading("/tmp/.paramedic-0/supervisor.sock", "RUNNING", 100, "shop", ()),
    )
    night.look()
    night.report("linked the live socket back")
    night.supervisor = supervisor()
    night.look(2)


ORPHAN = OrphanReading(ChildRecord("daphne", Identity(101, 5001), 101, DAEMON), "daphne", 5 * MIB, 60.0, None)


def a_daemon_dies_its_start_is_refused_then_it_is_healed(night: Night) -> None:
    night.look(2)
    night.supervisor = gone()._replace(recorded=(ORPHAN.child,), orphans=(ORPHAN,))
    night.look(2)
    night.report("it cannot start, so nothing was stopped: can't find command 'daphne'", refused=True)
    night.look(3)
    night.report("started supervisord")
    program = ProgramReading("daphne", "STARTING", Identity(201, 1), "", 0.5)
    new = supervisor(daemon=Identity(200, 1), rpc=RpcReading(SOCKET, "RUNNING", 200, "shop", (program,)))
    night.supervisor = new
    night.look()
    running = program._replace(state="RUNNING", age_s=5.5)
    night.supervisor = new._replace(rpc=RpcReading(SOCKET, "RUNNING", 200, "shop", (running,)))
    night.look(3)


def a_daemon_that_cannot_be_told_about_is_left_alone(night: Night) -> None:
    night.look(2)
    for _ in range(20):
        night.supervisor = Unreadable("PermissionError")
        night.look()
        night.supervisor = supervisor(rpc=Unreadable("no answer within the deadline"))
        night.look()
    night.supervisor = supervisor()
    night.look()


FAT = {"rss_bytes": 400 * MIB, "memory": MemoryReading(400 * MIB, 400 * MIB, 0, 1000.0), "age_s": 9000.0}


def memory_climbs(night: Night, used: int) -> None:
    """Three workers that were small are fat, for longer than five minutes; a worker is recycled and comes back."""
    night.uwsgi = uwsgi(worker(1, 11, age_s=70.0), worker(2, 12, age_s=70.0), worker(3, 13, age_s=70.0))
    night.look(2)
    night.uwsgi = uwsgi(worker(1, 11, **FAT), worker(2, 12, **FAT), worker(3, 13, **FAT))
    night.used = 93
    night.look(61)
    night.report("asked worker 2 (12) to leave", recycled={"2": 12}, uss=400 * MIB)
    night.uwsgi = uwsgi(worker(1, 11, **FAT), worker(2, 22, accepting=False, apps=0, age_s=1.0), worker(3, 13, **FAT))
    night.look()
    night.uwsgi = uwsgi(worker(1, 11, **FAT), worker(2, 22, age_s=6.0), worker(3, 13, **FAT))
    night.used = used
    night.look(4)


def memory_climbs_and_one_worker_gives_enough_back(night: Night) -> None:
    memory_climbs(night, used=70)


def memory_climbs_until_a_chain_reload_gives_it_back(night: Night) -> None:
    memory_climbs(night, used=82)
    night.report("touched /srv/reload")
    night.uwsgi = uwsgi(worker(1, 21, age_s=3.0), worker(2, 22, age_s=60.0), worker(3, 13, **FAT))
    night.look(2)
    night.uwsgi = uwsgi(worker(1, 21, age_s=12.0), worker(2, 32, age_s=8.0), worker(3, 33, age_s=3.0))
    night.used = 45
    night.look(3)


def memory_climbs_and_no_worker_can_be_spared(night: Night) -> None:
    night.uwsgi = uwsgi(worker(1, 11, age_s=70.0))
    night.look(2)
    night.uwsgi, night.used = uwsgi(worker(1, 11, **FAT)), 93
    night.look(61)
    night.report("it is the only worker that accepts: without it nobody would answer", refused=True)
    night.look(120)


def uwsgi_dies_and_is_started(night: Night) -> None:
    conf = night.uwsgi.conf if isinstance(night.uwsgi, UwsgiReading) else uwsgi().conf
    night.look(2)
    night.uwsgi = UwsgiGone(conf, seen_alive=True, survivors=(Identity(12, 120),))
    night.look(2)
    night.report("the app on disk no longer imports (shop.wsgi): SyntaxError", refused=True)
    night.look(3)
    night.report("ended 1 workers of the dead master; started uwsgi")
    night.uwsgi = uwsgi(worker(1, 21, accepting=False, apps=0, age_s=1.0), worker(2, 22))._replace(uptime_s=1.0)
    night.look()
    night.uwsgi = uwsgi(worker(1, 21), worker(2, 22))._replace(uptime_s=6.0)
    night.look(3)


def uwsgi_is_stopped_on_purpose(night: Night) -> None:
    conf = night.uwsgi.conf if isinstance(night.uwsgi, UwsgiReading) else uwsgi().conf
    night.look(2)
    night.uwsgi = UwsgiGone(conf, seen_alive=True, farewell='its log /srv/log says "goodbye to uWSGI."')
    night.look(13)
    night.report("handed to its spool")
    night.look(7)
    night.uwsgi = uwsgi(worker(1, 21), worker(2, 22))
    night.look(2)


def memory_that_somebody_else_holds_is_not_answered_by_a_reload(night: Night) -> None:
    night.uwsgi = uwsgi(worker(1, 11, age_s=70.0), worker(2, 12, age_s=70.0))
    night.look(2)
    night.used, night.holders = 95, (Holding("postgresql.service", 700 * MIB, 12), Holding("backup.sh", 20 * MIB, 1))
    night.look(120)


def a_wobble_below_five_minutes_disturbs_nobody(night: Night) -> None:
    for _ in range(5):
        night.used = 90
        night.look(50)
        night.used = 50
        night.look(10)


def until_half_past_three(night: Night) -> float:
    """Seconds by which the wall clock must go on for the next look to be the nightly one, without the day between."""
    wall = night.wall + night.now
    nightly = night.book.by_name["nightly-reclaim"]
    return (next_after("30 3 * * *", UTC, wall) or wall) + shift_s(nightly, "") - wall


def the_night_is_used_only_when_the_day_has_leaked(night: Night) -> None:
    night.uwsgi = uwsgi(worker(1, 11, age_s=70.0), worker(2, 12, age_s=70.0))
    night.look(2)
    night.wall += until_half_past_three(night)
    night.look()
    fat = {"memory": MemoryReading(120 * MIB, 120 * MIB, 0, 1000.0)}
    night.uwsgi = uwsgi(worker(1, 11, age_s=9000.0, **fat), worker(2, 12, age_s=9000.0, **fat))
    night.look(3)
    night.wall += until_half_past_three(night)
    night.look()
    night.report("touched /srv/reload")
    night.uwsgi = uwsgi(worker(1, 21, age_s=9.0), worker(2, 22, age_s=3.0))
    night.look(3)


NIGHTS = [
    a_socket_is_deleted_and_linked_back,
    a_daemon_dies_its_start_is_refused_then_it_is_healed,
    a_daemon_that_cannot_be_told_about_is_left_alone,
    memory_climbs_and_one_worker_gives_enough_back,
    memory_climbs_until_a_chain_reload_gives_it_back,
    memory_climbs_and_no_worker_can_be_spared,
    uwsgi_dies_and_is_started,
    uwsgi_is_stopped_on_purpose,
    memory_that_somebody_else_holds_is_not_answered_by_a_reload,
    a_wobble_below_five_minutes_disturbs_nobody,
    the_night_is_used_only_when_the_day_has_leaked,
]


@pytest.mark.parametrize("play", NIGHTS, ids=lambda play: play.__name__)
def test_nights(play: Callable[[Night], None]) -> None:
    night = Night()
    play(night)
    golden = GOLDEN / f"{play.__name__}.txt"
    got = "\n".join(night.lines) + "\n"
    if os.environ.get("GOLDEN") == "write":
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(got)
    assert got == golden.read_text()
