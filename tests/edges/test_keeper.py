"""The record while its disk is full, and the place for that is damaged, too: what was begun is not forgotten."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from paramedic.journal import Journal, schema

INCIDENT = "insert into incidents values ('INC3', 'uwsgi', 'web', 'd', 'p', 'e', 1, null, '', '[]', 1)"
ROW = (
    "insert into attempts (id, incident, policy, kind, name, action, target_kind, target_name, rung, started, deadline,"
    " before, args, status, detail, gained, seconds) values (?, ?, 'p', 'uwsgi', 'web', 'chain_reload', 'uwsgi', 'web',"
    " 0, 4e9, 60, '{}', '{}', ?, '', '{}', 0)"
)


def test_a_damaged_spare_forgets_no_intent_and_replaces_no_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, spare = str(tmp_path / "own.db"), str(tmp_path / "spare.db")
    Journal(own, boot_id="b", spare=spare).close()
    with sqlite3.connect(own) as db:
        for number, status in enumerate(("met", "met", "running"), 1):
            db.execute(ROW, (number, f"INC{number}", status))
        db.execute(INCIDENT)
    Path(spare).write_bytes(b"garbage" * 500)
    real = schema.writable

    def full(path: str) -> sqlite3.Connection:
        if path == own:
            raise sqlite3.OperationalError("database or disk is full")
        return real(path)

    monkeypatch.setattr(schema, "writable", full)
    journal = Journal(own, boot_id="b", spare=spare)
    try:
        assert [incident.id for incident in journal.open_incidents()] == ["INC3"]
        assert [one.id for one in journal.recent_attempts(4e9, 0)] == [1, 2, 3]
        assert "damaged" in str(journal.troubles)
    finally:
        journal.close()
