"""`run`: how a program ended decides, not what the action says of itself."""

from __future__ import annotations

import pytest

from paramedic.model.actions import is_disruptive
from paramedic.model.record import Status
from paramedic.verify import judge
from unit.builders import HOST, attempt, facts


@pytest.mark.parametrize(
    ("code", "status"), [(0, Status.MET), (1, Status.MISSED), (None, Status.MISSED), (256, Status.MISSED)]
)
def test_exit_0_is_met_and_everything_else_missed_at_once(code: int | None, status: Status) -> None:
    ran = attempt(Status.DONE, action="run", target=HOST, before={"exit": code}, detail="/bin/x: exit")
    judged = judge(ran, facts(at=911.0))
    assert (judged.status, judged.detail.partition(";")[0]) == (status, "/bin/x: exit")


def test_a_program_whose_end_nobody_saw_is_neither_met_nor_missed() -> None:
    left = attempt(Status.DONE, action="run", target=HOST, interrupted=True)
    assert judge(left, facts(at=9999.0)).status is Status.INTERRUPTED


def test_it_is_disruptive_where_the_policy_says_so() -> None:
    assert not is_disruptive("run", {"argv": ("/bin/true",)})
    assert is_disruptive("run", {"argv": ("/bin/true",), "disruptive": "true"})
