"""Every diagnosis: the real fault made, named, repaired or refused as documented, and seen from outside.

The run writes docs/fault-table.md of what it saw, when all versions and users were run.
"""

from __future__ import annotations

import os
import time

import pytest

from conftest import CAN_SWITCH, SWITCHES
from harness.stack import BIN, EmbeddedStack, Owner
from harness.table import note
from stack.fault_site import Site
from stack.fault_table import ROWS

VENVS = sorted(BIN.parent.glob("supervisor-*/bin"))
VERSIONS = {"4.3.0": BIN} | {venv.parent.name.removeprefix("supervisor-"): venv for venv in VENVS}
if os.environ.get("CI") and len(VERSIONS) < 3:
    pytest.exit(f"the older supervisors are not set up: {list(VERSIONS)}", 2)
USERS = [
    pytest.param("both root", marks=SWITCHES),
    pytest.param("root", marks=SWITCHES),
    pytest.param("user", marks=SWITCHES),
    pytest.param("me", marks=pytest.mark.skipif(CAN_SWITCH, reason="the others cover it")),
]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("version", sorted(VERSIONS))
def test_every_fault_of_the_table(version: str, user: str) -> None:
    owner = Owner.nobody() if user in ("root", "user") else None
    stack = EmbeddedStack(owner, owner if user == "user" else None, VERSIONS[version])
    site = Site(stack, is_root=user != "user" and os.geteuid() == 0)
    try:
        site.lay_out()
        stack.start_supervisord()
        site.begin()
        for number, row in list(enumerate(ROWS))[int(os.environ.get("ROW_FROM", "0")) :]:
            began = time.monotonic()
            try:
                programs = row.run(site)
                site.await_ok()
            except AssertionError as failed:
                raise AssertionError(f"{row.diagnosis}, {row.fault}: {failed}\n{stack.agent_log()[-2000:]}") from failed
            note(version, user, number, programs)
            print(f"{time.monotonic() - began:6.1f} s  {row.diagnosis}: {row.fault}")
    finally:
        stack.close()


def test_every_diagnosis_of_supervisor_has_a_row() -> None:
    from paramedic.model.vocabulary import KINDS

    named = {w for kind in ("supervisor", "supervisor.program", "socket") for w in KINDS[kind]["diagnosis"].words}
    assert named - {"ok"} == {row.diagnosis for row in ROWS} - {"orphan"}
