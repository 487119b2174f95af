"""rulebook.py: changed files are taken over all or none, and not what an editor takes away for a moment."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from paramedic.host import clock
from paramedic.policy.load import PolicyErrors
from paramedic.rulebook import Rulebook, files_of, shipped_policies

ONE = "policies:\n  - { name: a, watch: host, when: swap.used_percent > 5 %, do: [notify] }\n"
TWO = ONE.replace("> 5 %", "> 50 %")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A valid policy file."""
    path = tmp_path / "p.yaml"
    path.write_text(ONE)
    return path


def change(file: Path, text: str) -> None:
    """As a deployment does it."""
    other = file.with_suffix(".new")
    other.write_text(text)
    os.replace(other, file)


def test_a_change_counts_when_two_looks_saw_the_same(file: Path) -> None:
    book = Rulebook([str(file)])
    before = book.policies
    assert not book.refresh()
    change(file, TWO)
    assert not book.refresh()
    assert book.policies is before
    assert book.refresh()
    assert book.policies != before
    assert not book.refresh()


def test_a_file_that_is_added_counts_whatever_time_its_folder_is_given(file: Path, tmp_path: Path) -> None:
    """Copies keep the times of their originals."""
    long_ago = (1_600_000_000, 1_600_000_000)
    os.utime(tmp_path, long_ago)
    book = Rulebook([str(tmp_path)])
    book.refresh()
    (tmp_path / "q.yaml").write_text(TWO.replace("name: a", "name: b"))
    os.utime(tmp_path, long_ago)
    assert [book.refresh(), book.refresh()] == [False, True]
    assert [policy.name for policy in book.policies] == ["a", "b"]
    file.unlink()
    os.utime(tmp_path, long_ago)
    assert [book.refresh(), book.refresh()] == [False, True]


@pytest.mark.usefixtures("file")
def test_a_file_that_is_added_in_the_tick_of_another_change_is_looked_at_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before Linux 6.13 what changes within one tick (1 to 10 ms) bears one time: here it lasts as long as it takes."""
    real, tick = os.stat, [0]

    def in_ticks(path: str, **how: bool) -> os.stat_result:
        found = real(path, **how)
        if path != str(tmp_path):
            return found
        tick[0] = tick[0] or found.st_ctime_ns
        return cast(
            os.stat_result,
            SimpleNamespace(st_dev=found.st_dev, st_ino=found.st_ino, st_ctime_ns=tick[0], st_ctime=tick[0] / 1e9),
        )

    book = Rulebook([str(tmp_path)])
    (tmp_path / "q.yaml").write_text(TWO.replace("name: a", "name: b"))
    monkeypatch.setattr(os, "stat", in_ticks)
    book.refresh()
    other = tmp_path / "r.yaml"
    other.write_text(TWO.replace("name: a", "name: c"))
    monkeypatch.setattr(clock, "wall", lambda: time.time() + 60.0)
    book.refresh()
    book.refresh()
    assert str(other) in book.files()
    other.write_text(TWO.replace("name: a", "name: edited"))
    assert [book.refresh(), book.refresh()] == [False, True]
    assert [policy.name for policy in book.policies] == ["a", "b", "edited"]


def test_a_signal_does_not_wait(file: Path) -> None:
    book = Rulebook([str(file)])
    change(file, TWO)
    assert book.refresh(force=True)


def test_the_same_policies_in_other_words_change_nothing(file: Path) -> None:
    book = Rulebook([str(file)])
    before = book.policies
    change(file, f"# a comment\n{ONE}")
    assert not book.refresh(force=True)
    assert book.policies is before


def test_invalid_files_keep_the_old_policies_and_say_why(file: Path) -> None:
    book = Rulebook([str(file)])
    before = book.policies
    for text in ("policies: [", TWO.replace("host", "hots"), "policies: []\n"):
        change(file, text)
        assert not book.refresh(force=True)
        assert book.policies is before
        assert book.errors
    change(file, ONE)
    assert not book.refresh(force=True)
    assert book.errors == ()


def test_a_file_that_is_away_for_one_look_takes_nothing_along(file: Path, tmp_path: Path) -> None:
    book = Rulebook([str(tmp_path)])
    before = book.policies
    away = file.rename(tmp_path / "away")
    assert not book.refresh()
    away.rename(file)
    assert not book.refresh()
    assert not book.refresh()
    assert (book.policies, book.errors) == (before, ())
    file.unlink()
    assert not book.refresh()
    assert not book.refresh()
    assert book.policies == before, "and an empty folder is no set of policies"
    assert book.errors == (f"{tmp_path}:1:1: cannot find any policy: the old ones stay",)


def test_what_cannot_be_used_at_the_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyErrors):
        Rulebook([str(tmp_path / "gone.yaml")])


def test_shipped_is_the_folder_that_came_along() -> None:
    assert {path.parent for path in files_of(["shipped"])} == {shipped_policies()}
