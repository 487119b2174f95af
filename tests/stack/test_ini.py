"""Real uWSGI reads the same inis: its --show-config, its workers, its files, and an Emperor's vassals."""

from __future__ import annotations

import json
import os
import pwd
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.stack import BIN, EmbeddedStack, free_port
from harness.waiting import wait_for
from paramedic.host.proc import Proc
from paramedic.host.uwsgi_stats import fetch_stats
from paramedic.model.facts import Known
from paramedic.model.readings import UwsgiReading
from paramedic.model.stack import Stack, UwsgiEntry
from paramedic.sense.discover import discover
from paramedic.sense.host import Sensors
from paramedic.sense.uwsgi_ini import read_options, read_uwsgi_conf
from paramedic.sense.uwsgi_magic import Launch
from paramedic.sense.uwsgi_options import ENDS, LOGIC
from stack.inis import LOGICAL, PLAIN

DEADLINE_S = 30.0
# It reads everything, prints it, and then cannot find such a clock: nothing is bound, written or started.
NEVER_STARTS = ("--show-config", "--clock", "none")
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "SHOP": "green", "EMPTY": "", "NESTED": "$(SHOP)%(base)"}


def write(folder: Path, files: dict[str, str]) -> Path:
    """The files below the folder; its web.ini."""
    for name, text in files.items():
        (folder / name).write_bytes(text.encode("latin-1"))
    return folder / "web.ini"


def shown(ini: Path) -> list[tuple[str, str]]:
    """The options as uWSGI itself understood them, without those of our command line."""
    argv = [str(BIN / "uwsgi"), "--ini", str(ini), *NEVER_STARTS]
    done = subprocess.run(argv, cwd=ini.parent, env=ENVIRONMENT, capture_output=True, timeout=DEADLINE_S)
    text = (done.stdout + done.stderr).decode("utf-8", "replace")
    body = text.partition(";uWSGI instance configuration\n[uwsgi]\n")[2].partition(";end of configuration")[0]
    assert body, text
    pairs = [(key, value) for key, _, value in (line.partition(" = ") for line in body.rstrip("\n").split("\n"))]
    return [pair for pair in pairs if pair not in (("ini", str(ini)), ("show-config", "true"), ("clock", "none"))]


def ours(ini: Path) -> tuple[list[tuple[str, str]], set[str]]:
    """The options as we understand them, and the names of those we leave undecided."""
    options = read_options(str(ini), Launch(ENVIRONMENT, (str(ini.parent),)))[0].options
    undecided = {option.key for option in options if not option.is_known}
    return [(option.key, option.value) for option in options if option.is_known], undecided


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_ini_is_understood_as_uwsgi_does_option_by_option(name: str, tmp_path: Path) -> None:
    ini = write(tmp_path, PLAIN[name])
    found, undecided = ours(ini)
    assert not undecided
    assert found == shown(ini)


@pytest.mark.parametrize("name", LOGICAL)
def test_with_loops_and_conditions_all_that_is_claimed_is_so(name: str, tmp_path: Path) -> None:
    ini = write(tmp_path, LOGICAL[name])
    found, undecided = ours(ini)
    skipped = undecided | ENDS | LOGIC
    claimed = [pair for pair in found if pair[0] not in skipped]
    assert undecided
    assert claimed
    assert claimed == [pair for pair in shown(ini) if pair[0] not in skipped]


@pytest.mark.parametrize(
    "files",
    [
        {"web.ini": "[uwsgi]\nini = gone.ini\n"},
        {"web.ini": "[uwsgi]\nset = nothing\n"},
    ],
)
def test_what_we_call_an_error_is_one(files: dict[str, str], tmp_path: Path) -> None:
    ini = write(tmp_path, files)
    with pytest.raises(ValueError, match=r"gone\.ini|nothing"):
        ours(ini)
    with pytest.raises(AssertionError):
        shown(ini)


RUNNING = """[uwsgi]
set-placeholder = port={port}
processes = 1
workers = 2 of them
threads = 3
mules = 1
mule
cheaper-algo = spare
lazy-apps = whatever
need-app
harakiri-verbose = off
chdir = %dsite
wsgi = shop:application
http-socket = 127.0.0.1:%(port)
socket = app.sock
chmod-socket = 660
stats = run.stats
master-fifo = one.fifo
spooler = spool
spooler-processes = 2
logto = one.log
logto2 = two.log
env = SEEN=$(SHOP_SECRET)
{pidfiles}"""
PIDFILES = ("pidfile", "pidfile2", "safe-pidfile", "safe-pidfile2")


def serving(ini: Path) -> dict[str, Any]:
    """What the uWSGI of this ini tells of itself, once every worker accepts."""
    address = read_uwsgi_conf(UwsgiEntry("web", str(ini))).stats or ""

    def look() -> dict[str, Any] | None:
        try:
            found = fetch_stats(address)[0]
        except OSError:
            return None
        return found if all(worker["accepting"] for worker in found["workers"]) else None

    found = wait_for(f"every worker of {ini} accepts", look, DEADLINE_S)
    assert found
    return found


def test_a_running_uwsgi_is_what_its_ini_was_read_as(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    every = "".join(f"{name} = {name}.pid\n" for name in PIDFILES)
    stack.ini.write_text(RUNNING.format(port=stack.uwsgi_port, pidfiles=every))
    conf = read_uwsgi_conf(UwsgiEntry("web", str(stack.ini)))
    assert conf.undecided == ("env",)
    child = stack.spawn([BIN / "uwsgi", "--ini", stack.ini.name], stack.owner, "uwsgi.log", stack.ini.parent)
    stats = serving(stack.ini)
    assert (stats["pid"], conf.master) == (child.pid, True)
    assert len(stats["workers"]) == conf.processes == 2
    assert {len(worker["cores"]) for worker in stats["workers"]} == {conf.threads} == {3}
    assert sorted(each["name"] for each in stats["sockets"]) == sorted(
        os.path.relpath(name, stack.site) if name.startswith("/") else name for name in conf.sockets
    )
    assert stat.S_IMODE((stack.site / "app.sock").stat().st_mode) == conf.chmod_socket == 0o660
    assert (conf.mules, len(conf.spoolers)) == (2, 2)
    wait_for("all its children", lambda: len(Proc().children(child.pid)) == 2 + conf.mules + len(conf.spoolers))
    assert Path(conf.spoolers[0]).is_dir()
    assert stat.S_ISFIFO(os.stat(conf.master_fifo or "").st_mode)
    assert "spawned uWSGI worker 2" in Path(conf.logto or "").read_text()
    for name in PIDFILES:
        stack.ini.with_name(f"{name}.ini").write_text(
            RUNNING.format(port=1, pidfiles=f"{name} = {name}.pid\n"),
        )
        pidfile = read_uwsgi_conf(UwsgiEntry("web", str(stack.ini.with_name(f"{name}.ini")))).pidfile
        assert Path(pidfile or "").read_text().strip() == str(child.pid), name
    sensors = Sensors(Stack(uwsgi=(UwsgiEntry("web", str(stack.ini)),)), Proc())
    assert isinstance(sensors.read(Known()).uwsgi["web"], UwsgiReading)
    known = sensors.uwsgi["web"].conf()
    assert (known.env, known.undecided, known.is_vassal) == ((("SEEN", "not for the journal"),), (), False)


def test_the_vassals_of_an_emperor_are_found_and_read_like_any_other_and_the_emperor_is_not(
    lone_stack: EmbeddedStack,
) -> None:
    stack = lone_stack
    vassals = stack.folder / "srv" / "vassals"
    vassals.mkdir()
    for name in ("one", "two"):
        text = f"[uwsgi]\nhttp-socket = 127.0.0.1:{free_port()}\nprocesses = 1\nstats = %d%n.stats\ndie-on-term = 1\n"
        (vassals / f"{name}.ini").write_text(text)
    emperor = stack.folder / "srv" / "emperor.ini"
    # The wheel's uWSGI takes the Python that runs it for its own program; a wrapper names the right one.
    emperor.write_text(
        f"[uwsgi]\nmaster = true\nemperor = vassals\nemperor-wrapper = {BIN / 'uwsgi'}\ndie-on-term = 1\n"
    )
    if stack.owner:
        os.chown(vassals, stack.owner.uid, stack.owner.gid)
    started = stack.spawn([BIN / "uwsgi", "--ini", emperor.name], stack.owner, "uwsgi.log", emperor.parent)
    for name in ("one", "two"):
        serving(vassals / f"{name}.ini")
    here = discover(Proc())
    found = [entry for entry in here.stack.uwsgi if entry.ini.startswith(f"{stack.folder}/")]
    assert (
        f"uWSGI {started.pid} of {pwd.getpwuid(stack.uid).pw_name} is an Emperor: its vassals are what serves"
        in here.notes
    )
    assert sorted(entry.ini for entry in found) == [f"{vassals}/one.ini", f"{vassals}/two.ini"]
    sensors = Sensors(Stack(uwsgi=(*found, UwsgiEntry("emperor", str(emperor)))), Proc())
    readings = sensors.read(Known()).uwsgi
    for entry in found:
        assert isinstance(readings[entry.name], UwsgiReading)
        conf = sensors.uwsgi[entry.name].conf()
        assert (conf.is_vassal, conf.master, conf.undecided) == (True, True, ())
    assert f"in stack.uwsgi instead: {vassals}/one.ini, {vassals}/two.ini" in str(readings["emperor"])
    assert "it runs an Emperor" in sensors.unreadable_confs()[0]


def test_doctor_gives_advice_apart_from_the_findings_and_the_exit_code_stays(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    stack.ini.write_text(stack.ini.read_text() + "threads = 2\nmax-requests = 500\n")
    with stack.ini.open("a") as ini:
        ini.write(f"if-env = HOME\nvacuum = 1\nendif =\ntouch-reload = {stack.folder}/reload\n")
    argv = [BIN / "uwsgi", "--ini", stack.ini.name, "--max-requests-delta", "7"]
    stack.spawn(argv, stack.owner, "uwsgi.log", stack.ini.parent)
    serving(stack.ini)
    stack.start_supervisord()
    stack.write_config()
    told = stack.paramedic("doctor")
    assert told.returncode == 0, told.stdout
    healthy, _, advice = told.stdout.partition("\n\n")
    assert healthy.startswith("healthy: ")
    assert advice.startswith("advice on the inis, of which nothing is broken now:\n")
    assert "safe-pidfile on uwsgi:web\n    a second start that fails" in advice
    document = json.loads(stack.paramedic("doctor", "--json").stdout)
    assert document["healthy"] is True
    lines = {one["option"]: one["line"] for one in document["advice"]}
    assert lines == {
        "touch-reload": "touch-reload = /var/lib/web/reload",
        "touch-chain-reload": "touch-chain-reload = /var/lib/web/reload",
        "worker-reload-mercy": "worker-reload-mercy = 30",
        "safe-pidfile": f"safe-pidfile = {stack.folder}/tmp/uwsgi.pid",
    }
    assert {one["subject"] for one in document["advice"]} == {"uwsgi:web"}
    assert set(document["advice"][0]) == {"subject", "option", "why", "line"}
