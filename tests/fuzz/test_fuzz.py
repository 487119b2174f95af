"""A bounded run of `make fuzz`: no crash but the documented errors, no hang, no action."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from fuzz.hands import Acted, tied
from fuzz.run import feed
from fuzz.targets import TARGETS

SEED, MOST, SECONDS = 1, 300, 0.5


@pytest.mark.parametrize("name", TARGETS)
def test_mutated_examples_are_read_or_refused(name: str) -> None:
    assert feed(name, SEED, MOST, SECONDS) > 20


@pytest.mark.parametrize("name", TARGETS)
def test_the_examples_themselves_are_good(name: str, tmp_path: Path) -> None:
    for data in TARGETS[name].corpus[:1]:
        TARGETS[name].prepare(data, tmp_path)()


def test_hands_that_are_tied_do_nothing(tmp_path: Path) -> None:
    for act in (
        lambda: subprocess.run(["/bin/true"]),
        lambda: os.kill(os.getpid(), 0),
        lambda: (tmp_path / "x").write_text(""),
        lambda: os.chmod(tmp_path, 0o700),
        lambda: os.rmdir(tmp_path),
    ):
        with pytest.raises(Acted), tied():
            act()
    assert tmp_path.is_dir()
