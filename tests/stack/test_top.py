"""`paramedic top` on a real stack: its sums against the kernel's, and the live view in a terminal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from conftest import CAN_SWITCH, SWITCHES, make_stack
from harness.stack import BIN, EmbeddedStack, Owner
from harness.terminal import Terminal
from harness.waiting import wait_for
from paramedic.journal import Journal, Recorder
from paramedic.model.facts import Facts, Subject, SubjectFacts

PARAMEDIC = BIN / "paramedic"
LEAVES_ALTERNATE_SCREEN = "\x1b[?1049l"
MIB = 2**20


@dataclass(frozen=True)
class Rollup:
    """Bytes of smaps_rollup, read without the product."""

    pss: int
    uss: int


def rollup(pids: list[int]) -> Rollup:
    """The sums of these processes, now."""
    pss = uss = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, size, *_ = line.split()
            pss += int(size) if name == "Pss:" else 0
            uss += int(size) if name in ("Private_Clean:", "Private_Dirty:", "Private_Hugetlb:") else 0
    return Rollup(pss * 1024, uss * 1024)


def running(stack: EmbeddedStack) -> None:
    """uWSGI with one fatter worker, and supervisord with Daphne."""
    stack.start_uwsgi()
    stack.start_supervisord()
    stack.write_config()
    assert stack.status(stack.uwsgi_port, "/leak/30") == 200


@pytest.fixture(params=["lazy-apps", "prefork"])
def mode_stack(request: pytest.FixtureRequest) -> Iterator[EmbeddedStack]:
    """A running stack in each mode of uWSGI."""
    made = make_stack("agent as root" if CAN_SWITCH else "as me")
    try:
        if request.param == "prefork":
            made.ini.write_text(made.ini.read_text().replace("lazy-apps = true\n", ""))
        running(made)
        yield made
    finally:
        made.close()


def test_the_sums_are_those_of_the_kernel_within_one_percent(mode_stack: EmbeddedStack) -> None:
    stack = mode_stack
    workers, daphne = list(stack.worker_pids().values()), stack.daphnes()
    argv = [str(PARAMEDIC), "top", "--once", "--json", "--interval", "1s", "--config", str(stack.config)]
    child = subprocess.Popen(argv, env=stack.environment(), stdout=subprocess.PIPE, text=True)
    # While it runs it shares pages with what it reads, so the kernel is asked all the time: one moment must be its own.
    readings: list[tuple[Rollup, Rollup]] = []

    def measure() -> bool:
        readings.append((rollup(workers), rollup(daphne)))
        return child.poll() is not None

    wait_for("top has looked twice", measure, 20)
    document = json.loads(child.communicate()[0])
    (web,), (main,) = document["uwsgi"], document["supervisor"]
    (program,) = main["program"]
    assert child.returncode == 0, document["unknown"]
    assert sorted(row["pid"] for row in web["worker"]) == sorted(workers)
    rows = web["worker"]
    mine = {
        "workers' USS": web["uss"],
        "workers' PSS": web["pss"],
        "sum of the rows' USS": sum(row["uss"] for row in rows),
        "sum of the rows' PSS": sum(row["pss"] for row in rows),
        "Daphne's USS": program["uss"],
        "Daphne's PSS": program["pss"],
    }
    moments = [dict(zip(mine, (w.uss, w.pss, w.uss, w.pss, d.uss, d.pss), strict=True)) for w, d in readings]
    nearest = min(moments, key=lambda theirs: max(abs(mine[name] / theirs[name] - 1) for name in mine))
    for name, theirs in nearest.items():
        shown = f"{mine[name] / MIB:.2f} MiB, the kernel {theirs / MIB:.2f} MiB"
        print(f"{name}: {shown}, {100 * (mine[name] / theirs - 1):+.2f} %")
        assert mine[name] == pytest.approx(theirs, rel=0.01), name
    assert web["rss"] > 1.1 * web["pss"] > web["uss"], "a sum of RSS counts shared pages again and again"
    assert web["mode"] == ("lazy-apps" if "lazy-apps" in stack.ini.read_text() else "prefork")
    assert web["rate"] is not None


def test_without_a_configuration_it_shows_what_runs(lone_stack: EmbeddedStack) -> None:
    if Path("/etc/paramedic/paramedic.yaml").exists():
        pytest.skip("this machine has a configuration")
    lone_stack.more_environment["PWD"] = str(lone_stack.ini.parent)  # as a shell tells where it was started
    running(lone_stack)
    argv = [str(PARAMEDIC), "top", "--once", "--json"]
    found = subprocess.run(argv, env=lone_stack.environment(), capture_output=True, text=True, timeout=30)
    document = json.loads(found.stdout)
    (web,) = [one for one in document["uwsgi"] if one["ini"] == str(lone_stack.ini)]
    (main,) = [one for one in document["supervisor"] if one["conf"] == str(lone_stack.conf)]
    assert [row["status"] for row in web["worker"]] == ["idle"] * 4
    assert [(row["name"], row["state"], row["pid"]) for row in main["program"]] == [
        ("daphne", "RUNNING", lone_stack.daphnes()[0])
    ]
    assert "looking at what runs here" in document["agent"]
    assert [row["slope"] for row in web["worker"]] == [None] * 4


def test_the_agent_s_record_gives_the_slope_at_once(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    running(stack)
    (stack.folder / "state" / "paramedic").mkdir()
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    journal = Journal(str(stack.folder / "state" / "paramedic" / "journal.db"), boot_id=boot_id)
    recorder = Recorder(journal)
    document = json.loads(stack.paramedic("top", "--once", "--json").stdout)
    now, resident = document["at"], document["uwsgi"][0]["worker"][0]["rss"]
    mono = float(Path("/proc/uptime").read_text().split()[0])
    subject = Subject("uwsgi.worker", "web/1")
    for ago in range(3600, 0, -30):
        size = int(resident - ago / 3600 * 60 * MIB + (200 * MIB if ago > 1800 else 0))
        recorder.take(Facts(mono - ago, now - ago, {subject: SubjectFacts(subject, {"rss": size})}))
    recorder.flush()
    journal.close()
    found = stack.paramedic("top", "--once", "--json")
    slopes = [row["slope"] for row in json.loads(found.stdout)["uwsgi"][0]["worker"]]
    assert slopes[0] * 3600 == pytest.approx(60 * MIB, rel=0.05), "the drop of a recycling half an hour ago is no part"
    assert slopes[1:] == [None] * 3
    assert "MiB" in stack.paramedic("top", "--once", "--sort", "slope").stdout


def test_an_incident_of_the_agent_stands_beside_its_subject(lone_stack: EmbeddedStack) -> None:
    stack = lone_stack
    running(stack)
    stack.add_policies(
        "policies:\n  - name: daphne-too-big\n    watch: supervisor.program\n    when: rss > 1 MiB\n    do: [notify]\n"
    )
    stack.start_agent()
    stack.incident("daphne-too-big")
    wait_for("the incident is published", lambda: stack.paramedic("status").returncode == 1)
    document = json.loads(stack.paramedic("top", "--once", "--json").stdout)
    assert document["supervisor"][0]["program"][0]["diagnoses"] == ["daphne-too-big"]
    assert document["agent"].startswith("agent ")


@SWITCHES
def test_an_ordinary_user_is_told_why_and_what_to_do() -> None:
    stack = EmbeddedStack(None, Owner.nobody())
    try:
        running(stack)
        found = stack.paramedic("top", "--once")
        assert found.returncode == 3
        assert "not allowed to read" in found.stdout
        assert "run it as root" in found.stdout
        assert "Traceback" not in found.stderr
    finally:
        stack.close()


def test_json_needs_once(lone_stack: EmbeddedStack) -> None:
    lone_stack.write_config()
    found = lone_stack.paramedic("top", "--json")
    assert (found.returncode, found.stdout) == (2, "")
    assert "--once --json" in found.stderr


@pytest.fixture
def terminal(lone_stack: EmbeddedStack) -> Iterator[Terminal]:
    """The live view of a running stack in a terminal."""
    running(lone_stack)
    argv = [PARAMEDIC, "top", "--config", lone_stack.config, "--interval", "0.5s"]
    made = Terminal(argv, lone_stack.environment())
    try:
        wait_for("it shows the workers and Daphne", lambda: "daphne" in made.text() and "uwsgi web" in made.text())
        yield made
    finally:
        made.close()


def column(terminal: Terminal, head: str) -> list[str]:
    """The workers' values below a head, from top to bottom; sizes as `44.5 MiB` are one value."""
    rows = terminal.rows()
    at = next(number for number, row in enumerate(rows) if row.split()[:1] == ["ID"])
    end = rows[at].index(head) + len(head)
    found = []
    for row in rows[at + 1 : at + 5]:
        cell = row[:end].rstrip().rsplit("  ", 1)[-1].strip()
        found.append(cell)
    return found


def test_it_draws_sorts_resizes_scrolls_pauses_helps_and_quits(terminal: Terminal, lone_stack: EmbeddedStack) -> None:
    rows = terminal.rows()
    assert rows[0].startswith("memory ")
    assert rows[-1].startswith("by id:")
    assert column(terminal, "ID") == ["1", "2", "3", "4"]
    assert all("MiB" in size for size in column(terminal, "USS"))
    assert any("master" in row for row in rows)

    def sizes(head: str) -> list[float]:
        return [float(size.split()[0]) for size in column(terminal, head)]

    def is_sorted_by(name: str) -> bool:
        return terminal.rows()[-1].startswith(f"by {name}:")

    for key, head in (("r", "RSS"), ("p", "PSS"), ("u", "USS")):
        terminal.type(key)
        terminal.await_seen(f"sorted by {head}", partial(is_sorted_by, head.lower()))
        assert sizes(head) == sorted(sizes(head), reverse=True)
        assert sizes(head)[0] > sizes(head)[-1] + 20, "the worker that leaks is first"
    terminal.type("i")
    terminal.await_seen("sorted by id", lambda: column(terminal, "ID") == ["1", "2", "3", "4"])

    assert lone_stack.status(lone_stack.uwsgi_port, "/leak/40") == 200
    served = sum(worker["requests"] for worker in lone_stack.workers())
    terminal.await_seen("the request is counted", lambda: sum(map(int, column(terminal, "REQUESTS"))) >= served)

    terminal.type(" ")
    terminal.await_seen("paused", lambda: terminal.rows()[-1].startswith("PAUSED"))
    terminal.type(" ")
    terminal.await_seen("goes on", lambda: terminal.rows()[-1].startswith("by id"))

    terminal.resize(12, 60)
    terminal.await_seen("redrawn in the small terminal", lambda: terminal.rows()[-1].startswith("by id"))
    assert "HARAKIRI" not in terminal.text()
    assert all(len(row) < 60 for row in terminal.rows())
    terminal.type("\x1b[6~\x1b[6~\x1b[6~")
    terminal.await_seen("Daphne is scrolled into sight", lambda: "daphne" in terminal.text())
    terminal.resize(40, 160)
    terminal.await_seen("redrawn in the large one", lambda: "HARAKIRI" in terminal.text())

    terminal.type("h")
    terminal.await_seen("help", lambda: "sort by PSS" in terminal.text())
    terminal.type("h")
    terminal.await_seen("no more help", lambda: "sort by PSS" not in terminal.text())
    leaves_well(terminal, "q")


def leaves_well(terminal: Terminal, keys: str) -> None:
    """It leaves with 0, and the terminal is as it was."""
    assert terminal.settings() != terminal.before
    terminal.type(keys)
    assert terminal.ended() == 0
    assert terminal.settings() == terminal.before
    assert LEAVES_ALTERNATE_SCREEN in terminal.written
    assert "Traceback" not in terminal.written


def test_ctrl_c_ends_it_cleanly(terminal: Terminal) -> None:
    leaves_well(terminal, "\x03")


def test_a_sigterm_gives_the_terminal_back(terminal: Terminal) -> None:
    os.kill(terminal.pid, signal.SIGTERM)
    assert terminal.ended() == 0
    assert terminal.settings() == terminal.before


def test_keys_work_while_a_server_hangs(terminal: Terminal, lone_stack: EmbeddedStack) -> None:
    master = int(lone_stack.stats()["pid"])
    os.kill(master, signal.SIGSTOP)
    try:
        terminal.await_seen("the hung master is told", lambda: "gave no answer within" in terminal.text())
        terminal.type("q")
        assert terminal.ended(1.5) == 0
    finally:
        os.kill(master, signal.SIGCONT)


RED = "\x1b[31m"


def is_told(made: Terminal) -> bool:
    """Whether the dead daemon is on the screen."""
    return "supervisor main: socket-stale" in made.text()


@pytest.mark.parametrize("no_color", ["", "1"])
def test_colour_is_for_what_is_not_well_and_only_where_it_is_wanted(lone_stack: EmbeddedStack, no_color: str) -> None:
    running(lone_stack)
    lone_stack.end(lone_stack.supervisords()[0])
    argv: list[Any] = [PARAMEDIC, "top", "--config", lone_stack.config]
    for more in ([], ["--once"]):
        made = Terminal([*argv, *more], {**lone_stack.environment(), "NO_COLOR": no_color})
        try:
            wait_for("the dead daemon is told", partial(is_told, made))
            assert (RED in made.written) is not bool(no_color)
            if not more:
                made.type("q")
            made.ended()
        finally:
            made.close()


def test_a_terminal_that_cannot_place_the_cursor_gets_one_page_after_the_other(lone_stack: EmbeddedStack) -> None:
    running(lone_stack)
    argv = [PARAMEDIC, "top", "--config", lone_stack.config, "--interval", "0.3s"]
    made = Terminal(argv, {**lone_stack.environment(), "TERM": "dumb"})
    try:
        wait_for("two pages", lambda: (made.rows(), made.written.count("uwsgi web") >= 2)[1])
        assert "\x1b" not in made.written
        made.type("\x03")
        assert made.ended() == 0
    finally:
        made.close()
