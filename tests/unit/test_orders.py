"""orders.py: a pause survives the agent and ends by itself; what cannot be read is taken for one."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

import pytest

from paramedic import orders
from paramedic.model.record import Orders, Pause

WALL, MONO, BOOT = 1_780_000_000.0, 5000.0, "boot-1"


@pytest.fixture
def state(tmp_path: Path) -> str:
    """A state folder of ours."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return str(folder)


def test_without_orders_nothing_is_ordered(state: str) -> None:
    assert orders.read(state, WALL, MONO, BOOT) == Orders()


def test_a_pause_holds_for_its_time_and_ends_by_itself(state: str) -> None:
    orders.pause(state, 600.0, "deploying", WALL, MONO, BOOT)
    assert orders.read(state, WALL + 10, MONO + 10, BOOT).pause == Pause("deploying", WALL, WALL + 600.0)
    assert orders.read(state, WALL + 599, MONO + 599, BOOT).pause is not None
    assert orders.read(state, WALL + 600, MONO + 600, BOOT).pause is None


def test_a_clock_step_neither_ends_nor_lengthens_it(state: str) -> None:
    orders.pause(state, 600.0, "deploying", WALL, MONO, BOOT)
    for step in (-86400.0, -3600.0, 3600.0, 86400.0):
        assert orders.read(state, WALL + step + 10, MONO + 10, BOOT).pause is not None
        assert orders.read(state, WALL + step + 600, MONO + 600, BOOT).pause is None


def test_over_a_reboot_the_wall_clock_counts(state: str) -> None:
    orders.pause(state, 600.0, "deploying", WALL, MONO, BOOT)
    assert orders.read(state, WALL + 100, 20.0, "boot-2").pause == Pause("deploying", WALL, WALL + 600.0)
    assert orders.read(state, WALL + 700, 20.0, "boot-2").pause is None


def test_resume_ends_it_and_keeps_what_was_acknowledged(state: str) -> None:
    orders.pause(state, 600.0, "deploying", WALL, MONO, BOOT)
    orders.acknowledge(state, "i-1", "mine")
    orders.resume(state)
    assert orders.read(state, WALL, MONO, BOOT) == Orders(None, {"i-1": "mine"})
    orders.give_back(state, "i-1")
    assert orders.read(state, WALL, MONO, BOOT) == Orders()


def test_orders_about_incidents_that_are_over_are_forgotten(state: str) -> None:
    for name in ("i-1", "i-2"):
        orders.acknowledge(state, name, "mine")
    orders.keep_only(state, {"i-2"})
    assert orders.read(state, WALL, MONO, BOOT).acknowledged == {"i-2": "mine"}


UNREADABLE = ["{", "[]", '{"pause": {"why": 1}}', '{"pause": 5}', '{"acknowledged": []}', "\0", "x" * 300_000]


@pytest.mark.parametrize("text", UNREADABLE)
def test_orders_that_cannot_be_read_are_a_pause_until_somebody_resumes(state: str, text: str) -> None:
    Path(orders.path_of(state)).write_text(text)
    found = orders.read(state, WALL, MONO, BOOT).pause
    assert found is not None
    assert "cannot be read" in found.why
    assert "paramedic resume" in found.why
    orders.resume(state)
    if text in ("{", "[]", "\0") or text.startswith("x"):
        assert orders.read(state, WALL, MONO, BOOT) == Orders()


def test_a_fifo_in_its_place_does_not_hang_the_agent(state: str) -> None:
    os.mkfifo(orders.path_of(state))
    found = orders.read(state, WALL, MONO, BOOT).pause
    assert found is not None
    assert "not a regular file" in found.why


def test_two_people_order_at_once_and_both_are_heard(state: str) -> None:
    threads = [threading.Thread(target=orders.acknowledge, args=(state, f"i-{n}", "mine")) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(orders.read(state, WALL, MONO, BOOT).acknowledged) == 8


def test_a_lock_that_is_never_given_back_is_told(state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "PATIENCE_S", 0.1)
    with open(f"{state}/orders.lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(TimeoutError, match="somebody else has been changing the orders"):
            orders.resume(state)


def test_the_file_is_private(state: str) -> None:
    orders.pause(state, 600.0, "deploying", WALL, MONO, BOOT)
    assert os.stat(orders.path_of(state)).st_mode & 0o777 == 0o600
