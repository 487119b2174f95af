"""Rules that keep a repair from making things worse, each for itself."""

from __future__ import annotations

import argparse
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from paramedic.act.imported import MOST_FILES, note
from paramedic.cli.doctor import _print, main
from paramedic.cli.history import _print as print_incident
from paramedic.cli.history import add_arguments
from paramedic.host.daphne_lock import stranger_in
from paramedic.host.lineage import _users_of
from paramedic.host.proc import Proc
from paramedic.host.uwsgi_processes import _output
from paramedic.model.facts import Subject
from paramedic.model.policy import Rung
from paramedic.model.record import Status
from paramedic.model.stack import ProgramConf, SupervisorConf, SupervisorEntry
from paramedic.model.supervision import Rival
from paramedic.sense.discover import named
from paramedic.sense.programs import ports_of
from paramedic.sense.rivals import keeper_of
from paramedic.sense.supervisor_conf import read_as_started
from paramedic.verify import deadline, judge
from unit.builders import MAIN, attempt, facts, subject, supervisor

NOBODY = 65534
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it starts a process of another user")


@pytest.fixture
def sleepers() -> Iterator[list[subprocess.Popen[bytes]]]:
    """A process of ours and one of nobody's."""
    made = [subprocess.Popen(["/bin/sleep", "60"], user=user) for user in (os.geteuid(), NOBODY)]
    yield made
    for one in made:
        one.kill()
        one.wait(5)


@AS_ROOT
def test_nobodys_daemon_is_stopped_in_favour_of_another_users(sleepers: list[subprocess.Popen[bytes]]) -> None:
    proc = Proc()
    ours, theirs = (Rival(proc.identify(one.pid), 1, (), ("daphne",)) for one in sleepers)  # type: ignore[arg-type]
    keeper, why = keeper_of((ours, theirs), ours.identity, proc)
    assert keeper is None
    assert why == f"they run as different users (0, {NOBODY})"
    assert keeper_of((ours, ours), ours.identity, proc)[0] == ours.identity


@AS_ROOT
def test_a_conf_that_others_can_write_names_no_process_of_roots(tmp_path: Path) -> None:
    conf = tmp_path / "s.conf"
    conf.write_text("[supervisord]\n")
    found = SupervisorConf("main", str(conf), files=(str(conf),))
    programs = (ProgramConf("web", "web", user="root"), ProgramConf("web", "web"))
    os.chown(conf, NOBODY, NOBODY)
    assert [_users_of(program, found, Proc(), None) for program in programs] == [{NOBODY}, {NOBODY}]
    me = Proc().identify(os.getpid())
    assert _users_of(programs[0], found, Proc(), me) == {NOBODY}, "a daemon of root's does not change whose word it is"


@AS_ROOT
def test_roots_output_goes_to_no_file_that_a_user_can_replace(tmp_path: Path) -> None:
    log, proc = tmp_path / "srv" / "uwsgi.log", Proc()
    log.parent.mkdir()
    with log.open("wb") as output:
        writes = subprocess.Popen(["/bin/sleep", "60"], stderr=output)
    try:
        one = proc.identify(writes.pid)
        assert one is not None
        assert _output(one, proc) == str(log)
        os.chown(log.parent, NOBODY, NOBODY)
        assert _output(one, proc) is None
    finally:
        writes.kill()
        writes.wait(5)


@pytest.mark.parametrize("target", ["²", "٣", "0", "-1", "1" * 40, "web"])
def test_a_lock_that_names_no_pid_names_nobody(tmp_path: Path, target: str) -> None:
    os.symlink(target, tmp_path / "lock")
    assert stranger_in(str(tmp_path / "lock"), Proc()) is None
    assert stranger_in("/a\0b", Proc()) is None


def test_relative_paths_count_from_where_a_daemon_is_not_from_what_its_environment_says(tmp_path: Path) -> None:
    conf = tmp_path / "s.conf"
    conf.write_text("[supervisord]\n")
    entry, here = SupervisorEntry("main", str(conf)), str(tmp_path)
    assert read_as_started(entry, {}, (), "/root", here).logfile == f"{here}/supervisord.log"
    assert read_as_started(entry, {}, (), here, here).pidfile == f"{here}/supervisord.pid"
    argv = ("/usr/bin/supervisord", "-d", "/")
    assert read_as_started(entry, {}, argv, here, "/").logfile == f"{here}/supervisord.log", "it went there by itself"
    conf.write_text("[supervisord]\ndirectory=/\n")
    assert read_as_started(entry, {}, (), here, "/").logfile == f"{here}/supervisord.log"


def test_a_program_with_a_process_name_of_its_own_is_found_by_its_group() -> None:
    celery = ProgramConf("celery", "celery worker", stopwaitsecs=120.0)
    conf = SupervisorConf("main", "/srv/s.conf", programs=(celery, ProgramConf("web", "web")))
    assert conf.program("celery:worker") == celery
    assert conf.program("other:worker") is None


@pytest.mark.parametrize("command", ["autossh -N -p 22 host", "/usr/bin/redis-cli -p 6379", "docker run -p 80:8000 x"])
def test_the_port_of_somebody_else_is_no_port_of_a_client(command: str) -> None:
    assert ports_of(command) == ()
    assert ports_of("daphne -p 8001 site:application") == (8001,)


def test_no_two_files_get_one_name() -> None:
    found = named(["/a/x y.conf", "/b/x-y.conf", f"/c/{'z' * 80}1.conf", f"/c/{'z' * 80}2.conf"])
    assert len(set(found.values())) == 4
    assert max(map(len, found.values())) <= 64


def test_an_app_that_names_endless_files_is_not_noted(tmp_path: Path) -> None:
    path = tmp_path / "kept" / "web.json"
    note(str(path), "asked", (f"/f{number}" for number in range(MOST_FILES + 1)), 1.0)
    assert not path.exists()


def test_a_program_that_takes_minutes_to_count_as_running_is_waited_for() -> None:
    slow = ProgramConf("slow", "slow", startsecs=300.0, stopwaitsecs=60.0)
    reading = supervisor(conf=SupervisorConf("main", "/srv/s.conf", programs=(slow,)))
    seen = facts(subject(MAIN, {"diagnosis": "ok"}, reading=reading))
    program = Subject("supervisor.program", "main/slow")
    assert deadline(Rung("restart_supervisord"), MAIN, seen) == 420.0
    assert deadline(Rung("restart_program"), program, seen) == 450.0


@pytest.mark.parametrize("diagnosis", ["daemon-dead", "daemon-stopped"])
def test_a_repair_that_a_daemon_ended_over_did_not_heal_it(diagnosis: str) -> None:
    done = attempt(Status.DONE, action="reopen_logs", target=MAIN)
    assert judge(done, facts(subject(MAIN, {"diagnosis": diagnosis}), at=920.0)).status is Status.MISSED
    assert judge(done, facts(subject(MAIN, {"diagnosis": "socket-missing"}), at=920.0)).status is Status.MET


def test_what_strangers_named_reaches_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "/tmp/\x1b]0;owned\x07"
    _print([{"diagnosis": "socket-stale", "subject": evil, "evidence": evil, "repair": evil}], {evil: evil}, [])
    assert "/tmp/?]0;owned?" in (said := capsys.readouterr().out)
    assert "\x1b" not in said


def test_policies_that_cannot_be_used_hide_no_diagnosis(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the middle of an incident somebody may have broken them; the agent goes on with the old ones."""
    ini, policies, config = tmp_path / "u.ini", tmp_path / "bad.yaml", tmp_path / "paramedic.yaml"
    ini.write_text("[uwsgi]\nmaster = true\n")
    policies.write_text("policies:\n  - { name: p, watch: uwsgi, when: uss > , do: [notify] }\n")
    config.write_text(
        f"state_dir: {tmp_path}/state\npolicies: [bad.yaml]\nstack: {{ uwsgi: {{ web: {{ ini: {ini} }} }} }}\n"
    )
    code = main(argparse.Namespace(config=str(config), json=False))
    said = capsys.readouterr().out
    assert code == 1, said
    assert "uwsgi-stopped on uwsgi:web" in said
    assert (
        f"cannot tell about policies\n    they cannot be used, and what they look at is left out: {policies}:2:" in said
    )


def test_what_lasted_less_than_no_time_is_told_as_a_clock_set_back(capsys: pytest.CaptureFixture[str]) -> None:
    found = {"opened": 7200.0, "diagnosis": "socket-missing", "subject": "supervisor:main", "result": "healed"}
    found |= {"id": "1", "policy": "p", "evidence": "it is gone", "actions": []}
    for closed, lasted in ((7205.0, "healed (5s)"), (3600.0, "healed (the clock was set back)"), (None, "healed\n")):
        print_incident({**found, "closed": closed})
        assert lasted in capsys.readouterr().out


@pytest.mark.parametrize("text", ["0", "-5", "many"])
def test_no_number_of_incidents_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--last 0` said that there were none."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["--last", text])
    assert "is no number of incidents" in (said := capsys.readouterr().err) or "expected one argument" in said
    assert parser.parse_args(["--last", "10"]).last == 10
