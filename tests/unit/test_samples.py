"""journal: samples packed and read back, windows that survive a restart, and journals of an older version."""

from __future__ import annotations

import json
import random
import sqlite3
import zlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paramedic.journal import Journal, Recorder, facts_from_json, facts_to_json, recall_windows, recorded, subject_of
from paramedic.journal.readings import parent_of
from paramedic.journal.samples import Block, unpack
from paramedic.model.facts import Facts, Finding, Subject, SubjectFacts, Unknown, Value
from paramedic.model.policy import Window
from paramedic.model.readings import Holding, Identity, age_s
from paramedic.model.record import Incident, Slot, Status
from paramedic.model.vocabulary import DIAGNOSES
from paramedic.windows import Windows
from unit.builders import HOST, MAIN, WEB, attempt

ORPHAN = Subject("orphan", "main/daphne@7")
HELD = (Holding("postgresql.service", 5000, 12, 7), Holding("shmem (tmpfs or shared memory)", 900))
FINDING = Finding("socket-missing", MAIN, "the path is gone", DIAGNOSES["socket-missing"].repair)


def seen(step: int) -> Facts:
    """Facts with everything that is recorded; the orphan is there in every third pass only."""
    web: dict[str, Value] = {"rss": 100 + step, "uss": Unknown(f"busy {step % 2}"), "diagnosis": "ok", "uptime": 1.5}
    subjects = [
        SubjectFacts(WEB, web, identity=Identity(5, 6), unread=frozenset(["uwsgi.worker"])),
        SubjectFacts(MAIN, {"diagnosis": "socket-missing"}, (FINDING,)),
        SubjectFacts(Subject("uwsgi.worker", "web/1"), {"rss": 5}, parent=WEB),
        SubjectFacts(HOST, {"swap.in": 4096.5}, scope="cgroup /web.slice", holders=HELD if step % 2 else ()),
    ]
    if step % 3 == 0:
        subjects.append(SubjectFacts(ORPHAN, {"kind": "program"}, parent=MAIN, cause=MAIN))
    return Facts(1000.0 + step * 5, 1_780_000_000.0 + step * 5, {one.subject: one for one in subjects})


def pack(passes: Iterable[Facts], boot_id: str = "") -> bytes:
    """The block of these passes of one boot."""
    block = Block(boot_id)
    for facts in passes:
        block.add(facts)
    return block.packed()


def same(left: Facts, right: Facts) -> bool:
    """Equal but for the readings, which are not recorded."""
    return left == right


def test_facts_become_json_and_the_same_facts_again() -> None:
    for step in range(4):
        assert facts_from_json(json.loads(json.dumps(facts_to_json(seen(step))))) == seen(step)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{}", "it is no sample"),
        ("[]", "it is no sample"),
        ('{"wall": "soon", "subjects": {}}', "could not convert"),
        ('{"wall": 1, "subjects": []}', "it is no sample"),
        ('{"wall": 1, "subjects": {"web": {}}}', '"web" is no subject: write host or KIND:NAME'),
        ('{"wall": 1, "subjects": {"uwsgi": {}}}', '"uwsgi" is no subject'),
        ('{"wall": 1, "subjects": {"host:x": {}}}', '"host:x" is no subject'),
        ('{"wall": 1, "subjects": {"uwsgi:": {}}}', '"uwsgi:" is no subject'),
        ('{"wall": 1, "subjects": {"uwsgi:web": {"rss": [1]}}}', "[1] is no value"),
        ('{"wall": 1, "subjects": {"host": {"~holders": [["x", "much", 1, 0]]}}}', "invalid literal"),
        ('{"wall": 1, "subjects": {"host": {"~holders": [5]}}}', "it is no sample"),
    ],
)
def test_what_is_no_sample_says_why(text: str, why: str) -> None:
    with pytest.raises(ValueError) as caught:
        facts_from_json(json.loads(text))
    assert why in str(caught.value)


def test_a_sample_by_hand_needs_little() -> None:
    found = facts_from_json({"wall": 5, "subjects": {"uwsgi.worker:web/1": {"rss": 7, "uss": None}}})
    worker = found.subjects[Subject("uwsgi.worker", "web/1")]
    assert (found.monotonic, worker.parent, worker.fields["uss"]) == (5.0, WEB, Unknown("not read"))
    assert subject_of("host") == Subject("host", "host")


def test_a_block_gives_every_pass_back_and_is_small() -> None:
    packed = pack([seen(step) for step in range(12)], "boot")
    assert list(recorded([packed], 0.0)) == [seen(step) for step in range(12)]
    assert len(packed) < len(json.dumps([facts_to_json(seen(step)) for step in range(12)])) / 5
    assert list(recorded([packed], seen(9).wall)) == [seen(9), seen(10), seen(11)]


def test_a_block_gives_back_what_came_went_and_stayed() -> None:
    """Fields and subjects that are absent from time to time, in every order."""
    for seed in range(200):
        dice = random.Random(seed)
        documents = []
        for step in range(dice.randint(1, 9)):
            subjects: dict[str, object] = {}
            for name in ("uwsgi:web", "uwsgi:api"):
                fields = {
                    path: dice.choice((1, 2, {"unknown": "why"})) for path in ("rss", "uss") if dice.random() < 0.6
                }
                subjects |= {name: fields} if fields else {}
            documents.append({"wall": 100.0 + step, "monotonic": 5.0 + step, "subjects": subjects})
        expected = [facts_from_json(document) for document in documents]
        assert list(recorded([pack(expected)], 0.0)) == expected, seed


@pytest.mark.parametrize("damage", [b"", b"rubbish", b"x\x9c\x03\x00\x00\x00\x00\x01"])
def test_a_damaged_block_costs_a_minute_and_not_the_rest(damage: bytes) -> None:
    good = pack([seen(0)])
    assert list(recorded([good, damage, good], 0.0)) == [seen(0), seen(0)]
    with pytest.raises(ValueError):
        unpack(damage)


def test_blocks_come_in_the_order_of_their_making_though_the_clock_was_set_back(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "j.db"))
    for first, block in ((7200.0, b"before"), (3600.0, b"after"), (3660.0, b"last")):
        journal.save_samples(first, first + 60.0, block)
    assert list(journal.samples(0.0)) == [b"before", b"after", b"last"]


def test_a_minute_is_one_block_and_the_rest_is_written_at_the_end(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "j.db"))
    recorder = Recorder(journal)
    for step in range(30):
        recorder.take(seen(step))
    assert len(list(journal.samples(0.0))) == 2
    recorder.flush()
    recorder.flush()
    assert len(list(journal.samples(0.0))) == 3
    assert list(recorded(journal.samples(0.0), 0.0)) == [seen(step) for step in range(30)]
    assert list(recorded(journal.samples(seen(29).wall), seen(29).wall)) == [seen(29)]
    journal.forget(seen(29).wall + 9 * 86400)
    assert not list(journal.samples(0.0))


def test_a_journal_that_cannot_be_written_costs_the_record_and_is_told(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "j.db"))
    recorder = Recorder(journal)
    journal._db.execute("pragma query_only = on")
    recorder.take(seen(0))
    recorder.flush()
    assert recorder.failure is not None
    assert "readonly" in recorder.failure
    journal._db.execute("pragma query_only = off")
    recorder.take(seen(1))
    recorder.flush()
    assert recorder.failure is None


def recalled(journal: Journal, wall: float, monotonic: float) -> Windows:
    """Windows filled from a journal."""
    windows = Windows({"uwsgi": (Window("max", "rss", 60.0),)})
    recall_windows(journal, windows, wall, monotonic)
    return windows


@pytest.mark.parametrize(("boot", "shift"), [("boot-1", 0.0), ("boot-1", 40_000.0), ("boot-2", 0.0)])
def test_windows_survive_a_restart_whatever_the_wall_clock_did(tmp_path: Path, boot: str, shift: float) -> None:
    path = str(tmp_path / "j.db")
    recorder = Recorder(Journal(path, boot_id="boot-1"))
    for step in range(24):
        recorder.take(seen(step))
    recorder.flush()
    later = Journal(path, boot_id=boot)
    wall, monotonic = seen(24).wall, seen(24).monotonic if boot == "boot-1" else 50.0
    windows = recalled(later, wall + min(shift, 0.0), monotonic)
    windows.take(replace(seen(24), monotonic=monotonic))
    assert windows.value(WEB, Window("max", "rss", 60.0), monotonic) == 124.0


OLD_SCHEMA = """
create table incidents (
  id text primary key, kind text not null, name text not null, diagnosis text not null, policy text not null,
  evidence text not null, opened real not null, closed real, result text not null, told text not null);
create table attempts (
  id integer primary key, incident text not null, policy text not null, kind text not null, name text not null,
  action text not null, target_kind text not null, target_name text not null, rung integer not null,
  started real not null, deadline real not null, before text not null, args text not null,
  status text not null, finished real, detail text not null, gained text not null, seconds real not null);
create table holds (
  at real not null, incident text not null, guard text not null, reason text not null, way_out text not null);
create table known (only_row integer primary key check (only_row = 1), document text not null);
insert into incidents values ('i', 'uwsgi', 'web', 'memory-high', 'p', 'so', 5.0, null, 'open', '["opened"]');
insert into attempts values (1, 'i', 'p', 'uwsgi', 'web', 'chain_reload', 'uwsgi', 'web', 0, 5.0, 60.0, '{}', '{}',
  'met', 7.0, 'done', '{}', 2.0);
pragma user_version = 1;
"""


def test_a_journal_of_the_first_version_is_brought_up_with_all_it_has(tmp_path: Path) -> None:
    path = str(tmp_path / "j.db")
    old = sqlite3.connect(path)
    old.executescript(OLD_SCHEMA)
    old.close()
    early = Journal(path, read_only=True)
    assert [one.round for one in early.open_incidents()] == [1], "a reader does not need it brought up"
    assert early.recent_attempts(10.0, 10.0)[0].status is Status.MET
    assert list(early.samples(0.0)) == []
    for _ in range(2):
        journal = Journal(path, boot_id="boot-1")
        assert journal.open_incidents()[0] == Incident("i", WEB, "memory-high", "p", "so", 5.0, told=("opened",))
        (found,) = journal.recent_attempts(10.0, 100.0)
        assert (found.started, found.finished) == (95.0, 97.0)
        journal.save_incident(Incident("j", WEB, "memory-high", "p", "so", 6.0, round=3))
        assert [one.round for one in journal.open_incidents()] == [1, 3]
        journal.close()


def test_a_journal_of_a_newer_version_is_not_touched(tmp_path: Path) -> None:
    path = str(tmp_path / "j.db")
    newer = sqlite3.connect(path)
    newer.execute("pragma user_version = 99")
    newer.close()
    with pytest.raises(Exception, match="a newer paramedic wrote it"):
        Journal(path)


def test_within_one_boot_times_do_not_follow_the_wall_clock(tmp_path: Path) -> None:
    path = str(tmp_path / "j.db")
    journal = Journal(path, boot_id="boot-1")
    made = journal.intend(attempt(Status.RUNNING, started=900.0, started_wall=5000.0, finished=None))
    journal.settle(replace(made, status=Status.MET, finished=910.0), 5010.0)
    (same_boot,) = Journal(path, boot_id="boot-1").recent_attempts(500_000.0, 1000.0)
    assert (same_boot.started, same_boot.finished) == (900.0, 910.0)
    (other_boot,) = Journal(path, boot_id="boot-2").recent_attempts(5100.0, 50.0)
    assert (other_boot.started, other_boot.finished) == (-50.0, -40.0)


def test_slots_are_kept(tmp_path: Path) -> None:
    path = str(tmp_path / "j.db")
    slots = {"nightly": Slot("30 3 * * *", 5.0, 4.0), "never": Slot("x", None, 4.0)}
    Journal(path).save_slots(slots)
    assert Journal(path).load_slots() == slots
    Journal(path).save_slots({})
    assert Journal(path).load_slots() == {}


def test_readings_that_another_boots_clock_puts_after_now_are_not_taken(tmp_path: Path) -> None:
    path = str(tmp_path / "j.db")
    recorder = Recorder(Journal(path, boot_id="boot-1"))
    for step in range(24):
        recorder.take(seen(step))
    recorder.flush()
    windows = recalled(Journal(path, boot_id="boot-2"), seen(0).wall - 86400.0, 50.0)
    for step in range(20):
        windows.take(replace(seen(0), monotonic=51.0 + step * 5))
    assert windows.value(WEB, Window("max", "rss", 60.0), 146.0) == 100.0, "they would shut out what is read now"


def test_subjects_of_another_version_cost_neither_the_start_nor_the_replay(tmp_path: Path) -> None:
    block = json.loads(zlib.decompress(pack([seen(1)])))
    block["subjects"]["gadget:redis"] = {"diagnosis": ["ok"]}
    journal = Journal(str(tmp_path / "j.db"))
    journal.save_samples(seen(1).wall, seen(1).wall, zlib.compress(json.dumps(block).encode()))
    assert list(recorded(journal.samples(0.0), 0.0)) == [seen(1)]
    recalled(journal, seen(1).wall, 50.0)


def test_a_migration_that_was_killed_half_way_is_done_again(tmp_path: Path) -> None:
    path = str(tmp_path / "j.db")
    old = sqlite3.connect(path)
    old.executescript(OLD_SCHEMA)
    old.execute("begin")
    old.execute("alter table incidents add column round integer not null default 1")
    old.close()
    assert Journal(path).open_incidents()[0].round == 1


def aged(step: int) -> Facts:
    """Processes and how old they are when the host has been up for 5000 s and five for each step; one was replaced."""
    up_s, born = 5000.0 + step * 5, [Identity(7, 12_345), Identity(8 + step // 3, 400_000 + step // 3)]
    workers = [
        SubjectFacts(Subject("uwsgi.worker", f"web/{number}"), {"rss": 5, "age": age_s(one, up_s)}, identity=one)
        for number, one in enumerate(born)
    ]
    web = SubjectFacts(WEB, {"uptime": age_s(born[0], up_s), "rss": 100 + step}, identity=born[0])
    odd = SubjectFacts(MAIN, {"uptime": 1.5}, identity=Identity(9, 9))
    unread = SubjectFacts(ORPHAN, {"age": Unknown("gone")}, parent=MAIN, identity=Identity(10, 10))
    found = [web, *workers, odd, unread]
    return Facts(1000.0 + step * 5, 1_780_000_000.0 + step * 5, {one.subject: one for one in found})


def test_ages_are_told_from_starts_and_come_back_to_the_hundredth() -> None:
    packed = pack([aged(step) for step in range(12)], "boot")
    assert list(recorded([packed], 0.0)) == [
        replace(facts, subjects={s: one._replace(parent=parent_of(s)) for s, one in facts.subjects.items()})
        for facts in map(aged, range(12))
    ]
    table = json.loads(zlib.decompress(packed))["subjects"]["uwsgi.worker:web/0"]
    assert table == {"=": {"rss": 5, "age": "~aged", "~id": [7, 12_345]}}


def test_a_block_of_an_earlier_version_is_read() -> None:
    """A column for each field, of one value where it is constant; ages as they were seen."""
    old = {
        "wall": [100.0, 105.0],
        "monotonic": [5.0, 10.0],
        "boot": "b",
        "subjects": {
            "uwsgi:web": {"uptime": [1.25, 6.25], "rss": [7], "uss": [{"unknown": "why"}, 3], "~id": [[1, 2]]}
        },
    }
    found = list(recorded([zlib.compress(json.dumps(old).encode())], 0.0))
    assert [one.subjects[WEB].fields for one in found] == [
        {"uptime": 1.25, "rss": 7, "uss": Unknown("why")},
        {"uptime": 6.25, "rss": 7, "uss": 3},
    ]
    assert found[0].subjects[WEB].identity == Identity(1, 2)


@pytest.mark.parametrize(
    "damage",
    [
        {"up": []},
        {"up": [1.0, 2.0, 3.0]},
        {"up": ["soon", "late"]},
        {"up": 5},
        {"subjects": {"uwsgi:web": {"=": {"uptime": "~aged"}}}},
        {"subjects": {"uwsgi:web": {"=": {"uptime": "~aged", "~id": [1]}}}},
        {"subjects": {"uwsgi:web": {"=": {"uptime": "~aged", "~id": "x"}}}},
        {"subjects": {"uwsgi:web": {"=": []}}},
        {"subjects": {"uwsgi:web": []}},
    ],
)
def test_damaged_ages_cost_their_block_only(damage: dict[str, object]) -> None:
    block: dict[str, object] = {"wall": [100.0, 105.0], "monotonic": [5.0, 10.0], "up": [50.0, 55.0], "boot": "b"}
    block |= {"subjects": {"uwsgi:web": {"=": {"uptime": "~aged", "~id": [1, 2]}}}}
    whole = zlib.compress(json.dumps(block).encode())
    assert [one.subjects[WEB].fields["uptime"] for one in recorded([whole], 0.0)] == [49.98, 54.98]
    assert list(recorded([zlib.compress(json.dumps(block | damage).encode())], 0.0)) == []


@pytest.mark.parametrize(
    "document",
    [
        {"wall": 10**400, "subjects": {}},
        {"wall": 1.0, "monotonic": 10**400, "subjects": {}},
        {"wall": 1.0, "subjects": {"host": {"memory.available": 10**400}}},
        {"wall": 1.0, "subjects": {"orphan:main/x@1": {"~id": [1, 2], "rss": -(10**400)}}},
    ],
)
def test_a_number_beyond_all_measure_is_refused_with_that_word(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="beyond all measure"):
        facts_from_json(document)
