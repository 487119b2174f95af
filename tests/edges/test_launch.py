"""What is started for good or for a try: by a recipe, as it says, and told as failed where it could not be begun."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from paramedic.host import recipe
from paramedic.host.commands import run
from paramedic.host.launch import BECOME, attempt
from paramedic.host.pidfd import end_all, open_proven
from paramedic.host.proc import Proc

PROC = Proc()


def test_a_launched_daemon_is_nobodys_child_and_has_the_recipes_world(tmp_path: Path) -> None:
    script = (
        "import os,sys,time; open('out','w').write("
        "f'{os.getcwd()} {os.environ} {os.getppid()} {os.getsid(0)} {oct(os.umask(0))} {os.getpid()}'); time.sleep(60)"
    )
    path = str(tmp_path / "r" / "x.json")
    here = recipe.Recipe(
        (sys.executable, "-c", script), str(tmp_path), os.geteuid(), os.getegid(), (), {"A": "b"}, 0o027, {}, None
    )
    recipe.save(path, here)
    done = run((*BECOME, "--detach", path), 10, {})
    assert done.code == 0, done.output
    until = time.monotonic() + 10
    while not (tmp_path / "out").exists() or not (tmp_path / "out").read_text():
        assert time.monotonic() < until
        time.sleep(0.01)
    words = (tmp_path / "out").read_text()
    pid = int(words.split()[-1])
    identity = PROC.identify(pid)
    assert identity
    fd = open_proven(PROC, identity, lambda _: None)
    assert fd is not None
    end_all([fd], 2)
    os.close(fd)
    assert words.startswith(f"{tmp_path} environ({{'A': 'b'")
    assert "0o27" in words
    assert int(words.split()[-4]) != os.getpid()


def test_a_recipe_that_cannot_be_run_says_why(tmp_path: Path) -> None:
    path = str(tmp_path / "r" / "x.json")
    recipe.save(path, recipe.Recipe(("/no/such/python",), "/", os.geteuid(), os.getegid(), (), {}, 0, {}, None))
    done = run((*BECOME, "--detach", path), 10, {})
    assert done.code == 1
    assert "cannot launch: [Errno 2] No such file or directory" in done.last_line


def test_what_is_no_whole_recipe_of_ours_is_not_launched(tmp_path: Path) -> None:
    path = tmp_path / "r" / "x.json"
    out = tmp_path / "out"
    here = recipe.Recipe(("/bin/touch", str(out)), "/", os.geteuid(), os.getegid(), (), {}, 0o022, {}, None)
    recipe.save(str(path), here)
    whole = path.read_text()

    def is_refused(at: Path = path) -> bool:
        done = run((*BECOME, "--detach", str(at)), 10, {})
        return (done.code, done.last_line) == (1, "cannot launch: the recipe cannot be read") and not out.exists()

    values: tuple[tuple[str, object], ...] = (
        ("env", {"A": None}),
        ("argv", []),
        ("argv", [7]),
        ("cwd", None),
        ("umask", None),
        ("gid", float("inf")),
        ("limits", {"RLIMIT_CORE": [float("inf"), 0]}),
        ("output", [1]),
    )
    wrong = [json.dumps(json.loads(whole) | {name: value}) for name, value in values]
    for damaged in (
        "",
        "{",
        "[]",
        "7",
        "null",
        "{}",
        whole.replace('"env"', '"e"'),
        whole[:-9],
        f"\ufeff{whole}",
        *wrong,
    ):
        path.write_text(damaged)
        assert is_refused(), damaged
        assert recipe.load(str(path)) is None, f"the agent sees it before it stops anything: {damaged}"
    path.write_text(whole)
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(path)
    os.mkfifo(pipe)
    assert is_refused(link)
    assert recipe.load(str(link)) is None
    assert is_refused(pipe)
    assert is_refused(tmp_path)
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
        assert is_refused(), "somebody else's says what root is to run"
        assert recipe.load(str(path)) is None
        os.chown(path, 0, 0)
    assert run((*BECOME, "--detach", str(path)), 10, {}).code == 0
    until = time.monotonic() + 10
    while not out.exists():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("asked", [BECOME, (sys.executable, "-I", "-m", "paramedic.host.launch")])
def test_what_cannot_be_begun_is_never_told_as_begun(tmp_path: Path, asked: tuple[str, ...]) -> None:
    """The second way is how an agent of before an upgrade asks while it still runs."""
    path = str(tmp_path / "r" / "x.json")
    here = recipe.Recipe(("/bin/true",), "/", os.geteuid(), os.getegid(), (), {}, 0o022, {}, None)
    large = {f"A{number}": "x" * 100_000 for number in range(15)}
    for wrong in (
        replace(here, argv=("/no/such/program",)),
        replace(here, argv=("/bin/true", "a\0b")),
        replace(here, cwd="/no/such"),
        replace(here, env=large, limits={"RLIMIT_AS": (8 << 20, 8 << 20)}),
    ):
        recipe.save(path, wrong)
        done = run((*asked, "--detach", path), 10, {})
        assert done.code == 1
        assert done.last_line.startswith("cannot launch: ") and done.last_line != "cannot launch: "
        given = json.dumps(asdict(wrong)).encode() + b"\n"
        assert run((*asked, "--try"), 10, {}, "/", given, answers=True).code == 1
    recipe.save(path, here)
    assert run((*asked, "--detach", path), 10, {}).code == 0
    given = json.dumps(asdict(replace(here, argv=("/bin/echo", "1")))).encode() + b"\n"
    done = run((*asked, "--try"), 10, {}, "/", given, answers=True)
    assert (done.code, done.output) == (0, "1\n")


def test_a_program_that_is_tried_gets_its_own_stdin_world_and_answer() -> None:
    code = (
        "import os,resource,sys; os.write(3, sys.stdin.buffer.read()); "
        "print(os.getcwd(), os.environ['A'], oct(os.umask(0)), resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    given = "".join(chr(number) for number in range(1, 300)).encode() * 100
    argv = (sys.executable, "-I", "-S", "-c", code)
    limits = {"RLIMIT_NOFILE": (77, 88), "RLIMIT_NOBODY_KNOWS": (1, 1)}
    here = recipe.Recipe(argv, "/tmp", os.geteuid(), os.getegid(), (), {"A": "b\udcff"}, 0o027, limits, None)
    done = attempt(here, 20, given)
    assert (done.code, done.answer) == (0, given.decode())
    assert done.output.startswith("/tmp b") and done.output.rstrip().endswith("0o27 (77, 88)"), done.output
    done = attempt(replace(here, cwd="/no/such"), 20)
    assert (done.code, done.last_line) == (1, f"cannot run {sys.executable} in /no/such: No such file or directory")
