"""act/imported.py: an import that worked is believed while nothing that it read has changed, for an hour at most."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from paramedic.act.imported import MOST_BYTES, TRUSTED_S, is_unchanged, note

WALL = 1_700_000_000.0
ASKED = [["/srv/venv/bin/python", "-c", "..."], "/srv/app", 33, [["DATABASE_PASSWORD", "s3cret"]]]


class Import:
    """An app of two files whose import was noted at WALL."""

    def __init__(self, folder: Path) -> None:
        self.kept = str(folder / "preflights" / "web.json")
        self.app = folder / "app"
        self.app.mkdir()
        self.files = [self.app / "wsgi.py", self.app / "views.py"]
        for file in self.files:
            file.write_text("application = print\n")
        note(self.kept, ASKED, [str(file) for file in self.files], WALL)

    def is_believed(self, asked: object = ASKED, after_s: float = 60.0) -> bool:
        """Whether the app need not be asked again."""
        return is_unchanged(self.kept, asked, WALL + after_s)


@pytest.fixture
def imported(tmp_path: Path) -> Import:
    """An import that was noted a minute ago."""
    return Import(tmp_path)


def test_what_did_not_change_is_believed_for_an_hour_and_not_from_the_future(imported: Import) -> None:
    assert imported.is_believed(after_s=0.0)
    assert imported.is_believed(after_s=TRUSTED_S - 1.0)
    assert not imported.is_believed(after_s=TRUSTED_S)
    assert not imported.is_believed(after_s=-1.0), "the wall clock was set back"


def test_a_changed_file_is_asked_about_again(imported: Import) -> None:
    imported.files[1].write_text("raise SystemExit\n")
    assert not imported.is_believed()


def test_a_file_replaced_by_one_of_the_same_time_and_size_is_asked_about_again(imported: Import) -> None:
    before = imported.files[0].stat()
    other = imported.files[0].with_suffix(".new")
    other.write_text("application = open \n"[: before.st_size])
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(imported.files[0])
    after = imported.files[0].stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert not imported.is_believed()


def test_a_file_written_over_with_its_old_time_is_asked_about_again(imported: Import) -> None:
    before = imported.files[0].stat()
    imported.files[0].write_text("application = None\nraise SystemExit\n")
    os.utime(imported.files[0], ns=(before.st_atime_ns, before.st_mtime_ns))
    after = imported.files[0].stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert not imported.is_believed()


def test_a_new_file_beside_them_is_asked_about(imported: Import) -> None:
    (imported.app / "local_settings.py").write_text("raise SystemExit\n")
    assert not imported.is_believed(), "an import that is optional may find it now"


@pytest.mark.parametrize("by_ns", [1_000_000_000, -1_000_000_000, 1])
def test_a_touched_file_is_asked_about_again_also_when_it_became_older(imported: Import, by_ns: int) -> None:
    found = imported.files[0].stat()
    os.utime(imported.files[0], ns=(found.st_atime_ns, found.st_mtime_ns + by_ns))
    assert not imported.is_believed()


def test_a_removed_file_is_asked_about_again(imported: Import) -> None:
    imported.files[1].unlink()
    assert not imported.is_believed()


def test_a_file_that_was_not_read_may_change(imported: Import) -> None:
    other = imported.app.parent / "notes.txt"
    other.write_text("later")
    assert imported.is_believed()


@pytest.mark.parametrize("at", range(4))
def test_another_question_is_another_answer(imported: Import, at: int) -> None:
    other = [*ASKED]
    other[at] = {0: ["/srv/other/bin/python"], 1: "/srv", 2: 0, 3: [["DATABASE_PASSWORD", "other"]]}[at]
    assert not imported.is_believed(other)
    assert imported.is_believed([*ASKED])


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{",
        "[]",
        "null",
        "7",
        "\x00\xff",
        '{"asked": 1}',
        '{"wall": "soon", "asked": "x", "files": {"a": [1, 2, 3]}}',
        '{"wall": null, "asked": "x", "files": {}}',
        "[" * 5000,
    ],
)
def test_a_damaged_note_is_no_answer(imported: Import, damage: str) -> None:
    Path(imported.kept).write_bytes(damage.encode("latin-1"))
    assert not imported.is_believed()


@pytest.mark.parametrize("files", [{}, None, ["/srv/wsgi.py"], {"/nowhere": [1, 2, 3]}, {"a\0b": [1, 2, 3]}])
def test_a_note_without_files_that_can_be_looked_at_is_no_answer(imported: Import, files: object) -> None:
    kept = json.loads(Path(imported.kept).read_text())
    Path(imported.kept).write_text(json.dumps(kept | {"files": files}))
    assert not imported.is_believed()


def test_no_note_one_too_large_and_one_behind_a_link_are_no_answer(imported: Import, tmp_path: Path) -> None:
    assert not is_unchanged(str(tmp_path / "none.json"), ASKED, WALL)
    kept = Path(imported.kept)
    kept.write_text(kept.read_text() + " " * MOST_BYTES)
    assert not imported.is_believed()


def test_the_note_is_for_its_owner_alone_and_does_not_hold_the_environment(imported: Import) -> None:
    kept = Path(imported.kept)
    assert (kept.stat().st_mode & 0o777, kept.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert "s3cret" not in kept.read_text()
    assert "DATABASE_PASSWORD" not in kept.read_text()


def test_an_import_is_noted_anew_and_files_that_are_gone_already_are_left_out(imported: Import, tmp_path: Path) -> None:
    imported.files[1].write_text("changed\n")
    assert not imported.is_believed()
    names = [str(imported.files[1]), str(tmp_path / "gone.py"), "a\0b"]
    note(imported.kept, ASKED, names, WALL + 50.0)
    assert imported.is_believed()
    kept = json.loads(Path(imported.kept).read_text())["files"]
    assert [name for name in kept if not Path(name).is_dir()] == [str(imported.files[1])]
    note(imported.kept, ASKED, [str(tmp_path / "gone" / "gone.py")], WALL + 50.0)
    assert not imported.is_believed(), "an import that read nothing we can look at is not believed"
