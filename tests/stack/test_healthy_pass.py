"""What a pass over a healthy stack does not do."""

from __future__ import annotations

import pytest

from harness.stack import EmbeddedStack
from harness.waiting import wait_for
from paramedic.act.spool import Spool
from paramedic.cycle import Cycle
from paramedic.host.proc import Proc
from paramedic.journal import Journal
from paramedic.model.readings import Identity
from paramedic.rulebook import Rulebook
from paramedic.settings import load

PASSES = 50


def test_a_healthy_pass_never_walks_all_processes(lone_stack: EmbeddedStack, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = lone_stack
    stack.sockets = {"stats": f"{{ path: {stack.folder}/tmp/stats.sock }}"}
    stack.start_uwsgi()
    stack.start_supervisord()
    stack.write_config()
    settings = load(str(stack.config))
    journal = Journal(str(stack.folder / "state" / "passes.db"), boot_id=Proc().boot_id())
    cycle = Cycle(settings, Rulebook(settings.policies), journal, Spool(settings.notify, settings.state_dir), no_repair)
    walks: list[str] = []
    pids, holders = Proc.pids, Proc.holders

    def counted_pids(self: Proc) -> list[int]:
        walks.append("pids")
        return pids(self)

    def counted_holders(self: Proc, socket_inode: int) -> list[Identity]:
        walks.append("holders")
        return holders(self, socket_inode)

    monkeypatch.setattr(Proc, "pids", counted_pids)
    monkeypatch.setattr(Proc, "holders", counted_holders)

    def is_settled() -> bool:
        walks.clear()
        cycle.run_pass()
        return not walks

    cycle.run_pass()
    assert walks, "the first look walks: the counting works"
    wait_for("a pass without a walk", is_settled, 30)
    for _ in range(PASSES):
        facts = cycle.run_pass().facts
    assert walks == []
    told = {str(one.subject): one.fields["diagnosis"] for one in facts.subjects.values() if "diagnosis" in one.fields}
    assert set(told.values()) == {"ok"}, told
    journal.close()


def no_repair(*_: object) -> None:
    """Nothing is to be repaired here."""
    raise AssertionError("a repair of a healthy stack was begun")
