"""The journal under what disks do: torn and damaged files, full and read-only file systems, readers, the years."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.figures import note
from paramedic.host import clock
from paramedic.journal import Journal, JournalUnusable
from paramedic.model.facts import Known, Subject
from paramedic.model.record import Attempt, Hold, Incident, Status

HOST = Subject("host", "host")
WEB = Subject("uwsgi", "web")
DAY = 86400.0
MOUNTS = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it mounts small file systems")
SEED, TORN = 23, 60


def incident(number: int, closed: float | None = None) -> Incident:
    return Incident(f"i{number}", WEB, "memory-high", "p", "it grew", clock.wall(), closed, "healed" if closed else "")


def attempt(number: int, status: Status = Status.RUNNING) -> Attempt:
    wall = clock.wall()
    return Attempt(0, f"i{number}", "p", WEB, "chain_reload", WEB, 0, clock.monotonic(), wall, 60.0, {}, {}, status)


def fill(journal: Journal, first: int, count: int) -> list[int]:
    """Incidents with an attempt each, every one a transaction; the ids of the attempts."""

    def write(number: int) -> int:
        journal.save_incident(incident(number))
        return journal.intend(attempt(number)).id

    return [journal.durably(lambda number=number: write(number)) for number in range(first, first + count)]  # type: ignore[misc]


def numbers(journal: Journal) -> list[str]:
    return [one.id for one in journal.open_incidents()]


def attempts(journal: Journal) -> list[str]:
    return [one.incident for one in journal.recent_attempts(clock.wall(), clock.monotonic())]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], check=True, timeout=10)
    try:
        yield folder
    finally:
        subprocess.run(["/bin/umount", "-l", folder], check=True, timeout=10)


def stuff(folder: Path) -> Path:
    """Write until the disk is full."""
    ballast = folder / "ballast"
    with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    return ballast


def read_only(folder: Path, how: str) -> None:
    subprocess.run(["/bin/mount", "-o", f"remount,{how}", folder], check=True, timeout=10)


def test_a_journal_cut_off_anywhere_keeps_a_whole_beginning(tmp_path: Path) -> None:
    """As a power cut leaves it: the log of writes is torn at any byte, or the end of it is rubbish."""
    path, dice = tmp_path / "j.db", random.Random(SEED)
    journal = Journal(str(path))
    stages: list[tuple[int, Path]] = []
    for stage in range(6):
        fill(journal, stage * 5, 5)
        copy = tmp_path / f"stage{stage}"
        copy.mkdir()
        for ending in ("", "-wal"):
            shutil.copy(f"{path}{ending}", copy / f"j.db{ending}")
        stages.append((stage * 5 + 5, copy))
    kept = []
    for case in range(TORN):
        written, copy = dice.choice(stages)
        torn = tmp_path / "torn"
        shutil.rmtree(torn, ignore_errors=True)
        shutil.copytree(copy, torn)
        wal = torn / "j.db-wal"
        at = dice.randrange(wal.stat().st_size + 1)
        with open(wal, "r+b") as file:
            if case % 2:
                file.truncate(at)
            else:
                file.seek(at)
                file.write(dice.randbytes(min(4096, wal.stat().st_size - at)))
        again = Journal(str(torn / "j.db"))
        assert not again.troubles, again.troubles
        found = numbers(again)
        assert found == [f"i{number}" for number in range(len(found))] and len(found) <= written
        assert attempts(again) == found, "an incident and its attempt were one transaction"
        fill(again, 1000, 1)
        again.close()
        kept.append(len(found))
    journal.close()
    assert len(set(kept)) > 5, "the cuts were at many places"
    note("journal", "torn", {"torn": TORN})


def test_a_journal_with_broken_bytes_is_kept_aside_and_a_new_one_begun_or_it_is_as_it_was(tmp_path: Path) -> None:
    path, dice = tmp_path / "j.db", random.Random(SEED)
    journal = Journal(str(path))
    fill(journal, 0, 40)
    journal.save_known(Known("boot"))
    journal.close()
    whole, results = path.read_bytes(), set()
    for case in range(TORN):
        for left in tmp_path.glob("b.db*"):
            left.unlink()
        broken = bytearray(whole)
        for _ in range(dice.choice((1, 16, 400))):
            broken[dice.randrange(len(broken))] ^= 1 << dice.randrange(8)
        if case % 5 == 0:
            del broken[dice.randrange(len(broken)) :]
        (tmp_path / "b.db").write_bytes(broken)
        again = Journal(str(tmp_path / "b.db"))
        asides = [path for path in tmp_path.glob("b.db.damaged-*") if path.suffix.removeprefix(".damaged-").isdigit()]
        results.add(bool(asides))
        if asides:
            assert "an older record is lost" in again.troubles
            assert asides[0].read_bytes()[:100] == bytes(broken[:100])
        again.load_known(), again.load_slots(), again.count(), numbers(again)
        ids = fill(again, 1000, 2)
        assert len(set(ids)) == 2 and set(numbers(again)) >= {"i1000", "i1001"}
        again.close()
    assert results == {True, False}
    note("journal", "flipped", {"flipped": TORN})


@MOUNTS
def test_on_a_full_disk_the_record_goes_on_elsewhere_and_comes_back(
    tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spare = tmp_path / "spare.db"
    journal = Journal(str(small / "j.db"), spare=str(spare))
    before = fill(journal, 0, 3)
    ballast = stuff(small)
    with pytest.raises(OSError) as full, open(small / "more", "wb") as file:
        file.write(b"x" * 8192)
    assert full.value.errno == errno.ENOSPC, "the fault is real"
    ids = fill(journal, 3, 400)
    assert {path.stat().st_mode & 0o077 for path in tmp_path.glob("spare.db*")} == {0}, "its folder is not private"
    assert spare.exists() and "full" in str(journal.troubles["the record is kept elsewhere"])
    assert min(ids) > max(before) and journal.is_durable
    journal.settle(replace(attempt(0, Status.MET), id=before[0]), clock.wall())
    with pytest.raises(sqlite3.OperationalError):
        journal.save_samples(1.0, 2.0, b"x")
    ballast.unlink()
    later = clock.monotonic() + 61
    monkeypatch.setattr(clock, "monotonic", lambda: later)
    fill(journal, 403, 1)
    assert not journal.troubles and not spare.exists()
    journal.close()
    again = Journal(str(small / "j.db"))
    assert numbers(again) == [f"i{number}" for number in range(404)]
    statuses = {one.incident: one.status for one in again.recent_attempts(clock.wall(), clock.monotonic())}
    assert len(statuses) == 404 and statuses["i0"] is Status.MET
    again.close()


@MOUNTS
@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_an_agent_that_starts_on_such_a_disk_knows_what_was_open_and_the_next_one_takes_all_back(
    tmp_path: Path, small: Path, fault: str
) -> None:
    path, spare = str(small / "j.db"), str(tmp_path / "spare.db")
    journal = Journal(path)
    fill(journal, 0, 3)
    journal.close()
    ballast = stuff(small) if fault == "full" else None
    if fault == "read-only":
        read_only(small, "ro")
    killed = Journal(path, spare=spare)
    assert "kept elsewhere" in str(killed.troubles) and numbers(killed) == ["i0", "i1", "i2"]
    fill(killed, 3, 2)
    second = Journal(path, spare=spare)
    assert numbers(second) == [f"i{number}" for number in range(5)], "after a kill -9 the intents are there"
    killed.close()
    second.close()
    if ballast:
        ballast.unlink()
    else:
        read_only(small, "rw")
    third = Journal(path, spare=spare)
    assert not third.troubles and attempts(third) == [f"i{number}" for number in range(5)]
    assert not Path(spare).exists()
    third.close()


@MOUNTS
def test_where_nothing_can_be_written_the_record_is_in_memory_and_says_so(small: Path) -> None:
    journal = Journal(str(small / "j.db"), spare=str(small / "spare.db"))
    fill(journal, 0, 2)
    ballast = stuff(small)
    fill(journal, 2, 200)
    assert not journal.is_durable
    assert list(journal.troubles) == ["nothing is recorded, so nothing disruptive is begun"]
    assert len(numbers(journal)) == 202
    ballast.unlink()
    journal.close()


def test_a_journal_that_another_program_holds_is_left_and_gets_all_when_it_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paramedic.journal.schema.BUSY_MS", 20)
    journal = Journal(str(tmp_path / "j.db"), spare=str(tmp_path / "spare.db"))
    person = sqlite3.connect(tmp_path / "j.db", isolation_level=None)
    person.execute("begin immediate")
    fill(journal, 0, 2)
    assert "locked" in str(journal.troubles)
    person.execute("rollback")
    later = clock.monotonic() + 61
    monkeypatch.setattr(clock, "monotonic", lambda: later)
    fill(journal, 2, 1)
    assert not journal.troubles
    assert numbers(Journal(str(tmp_path / "j.db"), read_only=True)) == ["i0", "i1", "i2"]
    person.close()


def test_readers_beside_the_writer_always_see_a_whole_record(tmp_path: Path) -> None:
    path = str(tmp_path / "j.db")
    journal = Journal(path)
    over, wrong, looks = threading.Event(), [], []

    def read() -> None:
        while not over.is_set():
            reader = Journal(path, read_only=True)
            found, tried = numbers(reader), attempts(reader)
            looks.append(len(found))
            if found != [f"i{number}" for number in range(len(found))] or len(tried) < len(found):
                wrong.append((found, tried))
            reader.close()

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    fill(journal, 0, 150)
    over.set()
    for thread in threads:
        thread.join(10)
    journal.close()
    assert not wrong and len(set(looks)) > 3, "they looked while it wrote"


def test_the_file_shrinks_when_the_years_go_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, dice = tmp_path / "j.db", random.Random(SEED)
    journal = Journal(str(path))

    def write(day: int) -> None:
        for block in range(20):
            journal.save_samples(day * DAY + block, day * DAY + block, dice.randbytes(4000))

    sizes = []
    for day in range(60):
        journal.durably(lambda day=day: write(day))  # type: ignore[misc]
        journal.forget(day * DAY + 1)
        sizes.append(path.stat().st_size + path.with_name("j.db-wal").stat().st_size)
    assert max(sizes[10:]) <= 1.2 * sizes[10], "it does not grow beyond its eight days"
    journal.forget(200 * DAY)
    assert path.stat().st_size < sizes[-1] / 5, "what was dropped is given back to the disk"
    monkeypatch.setattr("paramedic.journal.store.MOST_BYTES", 400_000)
    journal.durably(lambda: write(1000))
    journal.durably(lambda: write(1001))
    journal.durably(lambda: write(1002))
    for number in range(30):
        journal.hold("i", Hold("p", HOST, "cooling", f"{number}", "wait"), 0.0)
    monkeypatch.setattr("paramedic.journal.store.MOST_HOLDS", 10)
    journal.forget(1002 * DAY)
    assert path.stat().st_size < 450_000, "nor beyond its bound, however much a day brings"
    assert [row["reason"] for row in journal.holds_of("i")] == [str(number) for number in range(20, 30)]
    journal.close()


def test_an_older_journal_learns_to_shrink(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    journal = Journal(str(path))
    fill(journal, 0, 3)
    journal.close()
    old = sqlite3.connect(path, isolation_level=None)
    old.execute("pragma journal_mode = delete")
    old.execute("pragma auto_vacuum = none")
    old.execute("vacuum")
    assert old.execute("pragma auto_vacuum").fetchone()[0] == 0
    old.close()
    again = Journal(str(path))
    assert numbers(again) == ["i0", "i1", "i2"]
    again.close()
    assert sqlite3.connect(path).execute("pragma auto_vacuum").fetchone()[0] == 2


def test_a_newer_journal_is_not_touched_even_with_a_spare_place(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    Journal(str(path)).close()
    newer = sqlite3.connect(path)
    newer.execute("pragma user_version = 99")
    newer.close()
    with pytest.raises(JournalUnusable, match="a newer paramedic"):
        Journal(str(path), spare=str(tmp_path / "spare.db"))
    assert not list(tmp_path.glob("*damaged*")) and not (tmp_path / "spare.db").exists()
