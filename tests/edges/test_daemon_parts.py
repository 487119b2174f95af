"""Journal, spool, calendar, folder watch, and the promises about imports."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import paramedic
from paramedic.act import REPAIRS
from paramedic.act.spool import Spool
from paramedic.host.calendar import Calendar, CronTrigger
from paramedic.host.watching import PathWatch
from paramedic.journal import Journal, JournalUnusable, history
from paramedic.model.actions import ACTIONS
from paramedic.model.facts import Known, Preflight, SupervisorKnown
from paramedic.model.readings import Identity
from paramedic.model.record import Hold, Incident, Status
from paramedic.model.stack import NotifyConf
from paramedic.model.supervision import ChildRecord
from paramedic.verify import JUDGES
from unit.builders import DAEMON, MAIN, WEB, attempt

INCIDENT = Incident("i", MAIN, "socket-missing", "socket-lost", "it is gone", 1_700_000_000.0, told=("opened",))


def until(look: Callable[[], object], deadline_s: float = 5.0) -> object:
    """The first true value, or the last one at the deadline."""
    end = time.monotonic() + deadline_s
    while not (found := look()) and time.monotonic() < end:
        time.sleep(0.005)
    return found


def test_what_was_intended_is_there_for_the_next_agent(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    journal = Journal(path)
    journal.save_incident(INCIDENT)
    made = journal.intend(replace(attempt(Status.RUNNING, before={"pids": {"1": 2}}), finished=None))
    journal.hold("i", Hold("p", WEB, "cooling", "a moment ago", "later"), 5.0)
    # No close: a killed agent does not say goodbye.
    later = Journal(path)
    found = later.recent_attempts(made.started_wall + 10, 5000.0)
    assert [(a.id, a.status, a.before, a.started) for a in found] == [
        (made.id, Status.RUNNING, {"pids": {"1": 2}}, 4990.0)
    ]
    assert later.open_incidents() == [INCIDENT]
    later.settle(replace(made, status=Status.MET, gained={"bytes": 7}, seconds=1.5), made.started_wall + 2)
    later.save_incident(replace(INCIDENT, closed=9.0, result="healed"))
    told = history(Journal(path, read_only=True))[0]
    assert set(told) == {"id", "subject", "diagnosis", "policy", "evidence", "opened", "closed", "result", "actions"}
    assert told["actions"][0]["gained"] == {"bytes": 7}
    assert set(told["actions"][0]) == {"action", "outcome", "seconds", "gained", "detail"}
    assert later.holds_of("i") == [{"at": 5.0, "guard": "cooling", "reason": "a moment ago", "way_out": "later"}]


def test_a_batch_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "j.db"))

    def fail() -> None:
        journal.save_incident(INCIDENT)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        journal.durably(fail)
    assert journal.open_incidents() == []
    journal.durably(lambda: journal.save_incident(INCIDENT))
    assert journal.open_incidents() == [INCIDENT]


def test_known_survives_a_restart_and_damage_is_nothing_known(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "j.db"))
    child = ChildRecord("daphne", Identity(5, 6), 5, DAEMON)
    known = Known(
        "boot",
        {"main": SupervisorKnown(DAEMON, (child,), (child,))},
        {Identity(1, 2): 3},
        {"web": Preflight("loads", "", 1.0)},
    )
    journal.save_known(known)
    assert Journal(str(tmp_path / "j.db")).load_known() == known
    journal._db.execute('update known set document = \'{"boot_id": 1, "supervisors": []}\'')
    assert journal.load_known() == Known()


def test_old_incidents_are_forgotten_and_open_ones_never(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "j.db"))
    journal.save_incident(replace(INCIDENT, closed=INCIDENT.opened))
    journal.save_incident(replace(INCIDENT, id="open"))
    journal.forget(INCIDENT.opened + 100 * 86400)
    assert [incident.id for incident in journal.incidents(10)] == ["open"]


def test_a_journal_that_is_none_says_so(tmp_path: Path) -> None:
    (tmp_path / "j.db").write_bytes(b"rubbish" * 1000)
    with pytest.raises(JournalUnusable, match="cannot open the journal"):
        Journal(str(tmp_path / "j.db"), read_only=True)


def spool_to(tmp_path: Path, code: str) -> Spool:
    """A spool whose command runs this Python."""
    script = tmp_path / "tell"
    script.write_text(f"#!{sys.executable}\nimport sys\n{code}\n")
    script.chmod(0o755)
    return Spool(NotifyConf((str(script),), retry_s=0.05), str(tmp_path))


def test_every_document_is_delivered_in_order_and_then_forgotten(tmp_path: Path) -> None:
    spool = spool_to(tmp_path, f"open({str(tmp_path / 'got')!r}, 'a').write(sys.stdin.read() + '\\n')")
    spool.start()
    for n in range(3):
        spool.tell("opened", f"sentence {n}", {"id": "i", "subject": "x"})
    assert until(lambda: not spool.waiting())
    spool.stop(5)
    got = [json.loads(line) for line in (tmp_path / "got").read_text().splitlines()]
    assert [document["sentence"] for document in got] == ["sentence 0", "sentence 1", "sentence 2"]
    assert set(got[0]) == {"event", "host", "sentence", "incident"}


def test_a_failing_command_is_tried_again_and_nothing_is_lost(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    spool = spool_to(tmp_path, f"import os\nsys.exit(0 if os.path.exists({str(ready)!r}) else 'no line out')")
    spool.start()
    spool.tell("opened", "help", {"id": "i", "subject": "x"})
    assert until(lambda: spool.failure)
    assert "no line out" in str(spool.failure)
    assert len(spool.waiting()) == 1
    ready.touch()
    assert until(lambda: not spool.waiting())
    spool.stop(5)


def test_without_a_command_nobody_is_told_and_nothing_is_kept(tmp_path: Path) -> None:
    spool = Spool(NotifyConf(), str(tmp_path))
    spool.start()
    spool.tell("opened", "x", {"id": "i", "subject": "x"})
    assert (spool.is_alive, list(tmp_path.iterdir())) == (True, [])


@pytest.mark.parametrize(
    ("zone", "fields", "after", "expected"),
    [
        ("Europe/Berlin", "30 2 * * *", "2026-03-28T12:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]),
        ("Europe/Berlin", "30 2 * * *", "2026-10-24T12:00", ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]),
        ("America/New_York", "30 2 * * *", "2026-03-07T12:00", ["2026-03-08T03:00-04:00", "2026-03-09T02:30-04:00"]),
        ("America/New_York", "30 2 * * *", "2026-10-31T12:00", ["2026-11-01T02:30-05:00", "2026-11-02T02:30-05:00"]),
        ("Europe/Berlin", "0 4 * * 7", "2026-11-23T12:00", ["2026-11-29T04:00+01:00"]),
    ],
)
def test_calendar_times_are_crons_own_once_a_day_on_change_days_too(
    zone: str, fields: str, after: str, expected: list[str]
) -> None:
    where = ZoneInfo(zone)
    trigger, moment = CronTrigger(fields, where), datetime.fromisoformat(after).replace(tzinfo=where)
    found = []
    for _ in expected:
        following = trigger.get_next_fire_time(None, moment)
        assert following
        moment = following
        found.append(moment.isoformat(timespec="minutes"))
    assert found == expected


def test_the_calendar_pokes_on_its_own_thread_and_its_heart_can_stop() -> None:
    poked = threading.Event()
    calendar = Calendar(lambda _: poked.set())
    calendar.set([("* * * * * *", UTC, (time.time() + 0.1) % 1.0)])
    assert poked.wait(5)
    assert calendar.is_alive
    calendar.stop()
    assert until(lambda: not calendar.is_alive)
    assert Calendar(lambda _: None).is_alive


def test_a_guarded_path_pokes_when_it_changes_hands_and_others_do_not(tmp_path: Path) -> None:
    pokes: list[str] = []
    watch = PathWatch(pokes.append)
    watch.start()
    path, other = tmp_path / "s.sock", tmp_path / "other"
    path.touch()
    watch.guard([str(path)])
    other.touch()
    path.unlink()
    assert until(lambda: pokes == [f"{path} deleted"]), pokes
    os.rename(other, path)
    assert until(lambda: len(pokes) == 2), pokes
    watch.guard([])
    path.unlink()
    time.sleep(0.05)
    assert len(pokes) == 2
    watch.stop()
    assert not watch.is_alive


def test_a_folder_that_was_replaced_is_watched_anew(tmp_path: Path) -> None:
    pokes: list[str] = []
    watch = PathWatch(pokes.append)
    watch.start()
    folder = tmp_path / "run"
    folder.mkdir()
    watch.guard([str(folder / "s")])
    folder.rmdir()
    watch.guard([str(folder / "s")])
    (tmp_path / "spare").mkdir()
    folder.mkdir()
    watch.guard([str(folder / "s")])
    (folder / "s").touch()
    assert until(lambda: pokes), pokes
    watch.stop()


def test_actions_judges_and_repairs_are_the_same_set() -> None:
    assert set(ACTIONS) == set(REPAIRS) == set(JUDGES)


SOURCES = sorted(Path(paramedic.__file__).parent.rglob("*.py"))


# What the agent must not carry, and why; a start that imports one of them is 1 to 10 MiB heavier for months.
HEAVY = {
    "supervisor.options": "it executes factories that a conf names",
    "supervisor.supervisord": "as supervisor.options",
    "supervisor.supervisorctl": "as supervisor.options",
    "supervisor.xmlrpc": "it brings http.client, email and medusa along; only a fault needs its codes",
    "http.client": "one plain request is enough",
    "ssl": "no TLS is spoken",
    "_hashlib": "OpenSSL for a digest of a conf",
    "asyncio": "APScheduler wants one function of it",
    "decimal": "the median of a few numbers",
    "difflib": "only a mistake in a policy needs it",
    "paramedic.rehearsal": "other verbs are not run's",
    "paramedic.top": "other verbs are not run's",
}


def test_the_agent_imports_nothing_heavy() -> None:
    code = (
        "import sys; from paramedic.cli import parser; parser(['run']); import paramedic.daemon; "
        "print(*sys.modules, sep='\\n')"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    imported = set(found.stdout.split())
    assert {"paramedic.daemon", "apscheduler.schedulers.background", "watchdog.observers", "psutil", "yaml"} <= imported
    assert {name: why for name, why in HEAVY.items() if name in imported} == {}


def test_what_was_left_out_of_an_import_can_be_imported_afterwards() -> None:
    code = (
        "import paramedic.daemon, asyncio, ssl, hashlib, _hashlib; "
        "assert asyncio.run(asyncio.sleep(0, 7)) == 7; print(ssl.OPENSSL_VERSION, hashlib.sha256(b'x').hexdigest())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert found.returncode == 0, found.stderr
    assert "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" in found.stdout


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(Path(paramedic.__file__).parent)))
def test_files_functions_and_names_keep_to_the_house(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("\n") < 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 45, f"{path.name}: {node.name} is too long"
        if isinstance(node, ast.keyword) and node.arg == "shell":
            raise AssertionError(f"{path.name} uses a shell")
        if isinstance(node, ast.ExceptHandler):
            assert not (len(node.body) == 1 and isinstance(node.body[0], ast.Pass)), f"{path.name} swallows"
