"""Programs tried once: as whom, where, with what; and what of their words is kept."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

import pytest

from paramedic.host import launch
from paramedic.host.commands import KEPT_BYTES, MOST_ANSWERED, run
from paramedic.host.recipe import Recipe

NOBODY = 65534


def _recipe(
    code: str, folder: Path | str = "/", uid: int | None = None, limits: dict[str, tuple[int, int]] | None = None
) -> Recipe:
    who = os.geteuid() if uid is None else uid
    group = os.getegid() if uid is None else uid
    return Recipe((sys.executable, "-c", code), str(folder), who, group, (), {"SECRET": "s"}, 0o022, limits or {}, None)


def test_it_has_the_recipes_world_and_the_rest_of_stdin() -> None:
    """Its output, both streams, and apart from that its answer."""
    code = "import os, sys; print(os.environ['SECRET'], sys.stdin.read(), os.getcwd()); os.write(3, b'answer')"
    done = launch.attempt(_recipe(code, "/usr"), 20, b"document\nof two lines")
    assert (done.code, done.output, done.answer) == (0, "s document\nof two lines /usr\n", "answer")


def test_what_it_prints_for_ever_fills_neither_memory_nor_a_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of its output would have had 64 MiB here; its end is kept, of an answer its beginning."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limit[1]))
    try:
        code = "import os\nfor _ in range(64):\n os.write(1, b'x' * 1048576)\n os.write(3, b'y' * 262144)\nprint('end')"
        done = launch.attempt(_recipe(code), 20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert done.code == 0
    assert (len(done.output), done.last_line[-4:]) == (KEPT_BYTES, "xend")
    assert done.answer == "y" * MOST_ANSWERED


def test_its_end_is_not_awaited_beyond_the_deadline_though_it_prints() -> None:
    """And what it started meanwhile, which holds the pipe, is not awaited either."""
    done = run((sys.executable, "-c", "while True: print('busy')"), 0.3, {})
    assert done.code is None
    code = "import os, time\nif os.fork() == 0:\n os.setsid(); time.sleep(3)\nelse: print('done')"
    assert run((sys.executable, "-c", code), 20, {}).output == "done\n"


def test_a_limit_of_address_space_is_its_own() -> None:
    """The agent's stays."""
    code = "import resource; print(resource.getrlimit(resource.RLIMIT_AS)[0])"
    assert launch.attempt(_recipe(code, limits={"RLIMIT_AS": (1 << 30, 1 << 30)}), 20).last_line == str(1 << 30)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it becomes another user")
def test_a_folder_that_its_user_may_not_enter_is_found_and_not_skipped(tmp_path: Path) -> None:
    """Root could enter it: the user must be changed before the folder is."""
    tmp_path.chmod(0o700)
    done = launch.attempt(_recipe("print('ran')", tmp_path, NOBODY), 20)
    assert done.code == 1
    assert done.last_line.endswith("Permission denied")
    assert (
        launch.attempt(_recipe("import os; print(os.getuid(), os.getgroups())", "/", NOBODY), 20).last_line
        == f"{NOBODY} []"
    )
