"""Which silent thread keeps the agent from saying to systemd that it is well."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.waiting import wait_for
from paramedic import orders
from paramedic.act import REPAIRS
from paramedic.act.job import Job, longest_s
from paramedic.cli.common import settings_at
from paramedic.cycle import Passed
from paramedic.daemon import Daemon
from paramedic.host import clock
from paramedic.host.proc import Proc
from paramedic.model.record import Attempt, Report
from paramedic.rulebook import Rulebook

POLICY = """policies:
  - { name: always, watch: host, when: memory.total > 1 MiB, do: [notify] }
"""


@pytest.fixture
def agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[tuple[Daemon, socket.socket]]:
    """An agent whose pass begins a repair, or as the test says, and the socket at which systemd would listen."""
    (tmp_path / "policies.yaml").write_text(getattr(request, "param", POLICY))
    config = tmp_path / "paramedic.yaml"
    config.write_text(f"state_dir: {tmp_path}/state\nruntime_dir: {tmp_path}/run\npolicies: [policies.yaml]\n")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    settings = settings_at(str(config))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        made = Daemon(settings, Rulebook(settings.policies))
        with made._alive():
            yield made, systemd


def _said(systemd: socket.socket) -> str:
    said = b""
    while True:
        try:
            said += systemd.recv(4096) + b"\n"
        except BlockingIOError:
            return said.decode()


def test_a_repair_that_hangs_is_a_silent_heart_until_it_ends(
    agent: tuple[Daemon, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds its target for ever; passes alone would call that well."""
    made, systemd = agent
    gate, began = threading.Event(), threading.Event()

    def hang(_job: Job) -> Report:
        began.set()
        gate.wait(20)
        return Report(False, "done")

    monkeypatch.setitem(REPAIRS, "notify", hang)
    made._pass()
    assert began.wait(5)
    made._pass()
    assert "WATCHDOG=1" in _said(systemd)
    made._under_way = {key: (action, 0.0) for key, (action, _) in made._under_way.items()}
    made._pass()
    assert "WATCHDOG=1" not in _said(systemd)
    assert made._silent_hearts() == ["notify hangs"]
    gate.set()
    wait_for("it has said how it ended", lambda: made._reports)
    made._pass()
    assert "WATCHDOG=1" in _said(systemd)


def test_a_thread_that_ended_is_named(agent: tuple[Daemon, socket.socket]) -> None:
    """watchdog's observer, whose end would leave the interval alone to see anything."""
    made, systemd = agent
    made.watch.stop()
    made._pass()
    assert made._silent_hearts() == ["observer has ended"]
    assert "WATCHDOG=1" not in _said(systemd)


@pytest.mark.parametrize("agent", [POLICY.replace(">", "<")], indirect=True)
def test_while_all_is_well_a_sign_of_life_comes_every_ten_seconds_and_at_once_with_news(
    agent: tuple[Daemon, socket.socket],
) -> None:
    made, systemd = agent

    def signs() -> list[str]:
        made._pass()
        said = _said(systemd).splitlines()
        assert said.count("WATCHDOG=1") <= 1
        return [line.partition(":")[0] for line in said if line.startswith("STATUS=")]

    assert [signs(), signs(), signs()] == [["STATUS=all well"], [], []]
    made._beats_at -= 10.0
    assert [signs(), signs()] == [["STATUS=all well"], []]
    state, now = made.settings.state_dir, clock.monotonic()
    orders.pause(state, 60.0, "a person is here", clock.wall(), now, made.cycle.proc.boot_id())
    assert signs()[0].startswith("STATUS=paused until ")
    orders.resume(state)
    assert [signs(), signs()] == [["STATUS=all well"], []], "that it goes on is news"
    made.cycle.rulebook.errors = ("p.yaml:1:1: cannot read it",)
    assert [signs(), signs()] == [["STATUS=changed policies are not used"], []]
    made.cycle.rulebook.errors = ()
    assert [signs(), signs()] == [["STATUS=all well"], []]
    made._try_pass()
    made.cycle.run_pass, whole = _broken, made.cycle.run_pass  # type: ignore[method-assign]
    made._try_pass()
    assert "a pass broke" in _said(systemd)
    made.cycle.run_pass = whole  # type: ignore[method-assign]
    assert signs() == ["STATUS=all well"], "what broke is not said any longer than it is so"


def _broken() -> Passed:
    raise MemoryError


def test_a_reload_is_told_from_its_begin_to_its_end(agent: tuple[Daemon, socket.socket]) -> None:
    """systemd 252 needs both words, and the time."""
    made, systemd = agent
    made._must_reload = True
    made._pass()
    lines = _said(systemd).splitlines()
    assert lines[0] == "RELOADING=1"
    assert lines[1].startswith("MONOTONIC_USEC=")
    assert lines[2] == "READY=1"


def test_sixteen_workers_one_after_the_other_are_no_hanging_repair() -> None:
    """`most` and `pause` count."""
    one = Attempt(0, "", "", None, "recycle_worker", None, 0, 0.0, 0.0, 120.0, {}, {})  # type: ignore[arg-type]
    assert longest_s(replace(one, args={"most": 16, "pause": 30.0})) == 16 * 150 + longest_s(one) - 120


def test_a_look_that_breaks_leaves_none_of_its_moments_behind(
    agent: tuple[Daemon, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ages of the next look would all be as many seconds too small."""
    sensors, moments = agent[0].cycle.sensors, []

    def breaks(*_what: object) -> None:
        moments.append(sensors.proc.up())
        raise OSError(errno.EMFILE, "no descriptor is left")

    monkeypatch.setattr(sensors._rollups, "refresh", breaks)
    with pytest.raises(OSError, match="no descriptor"):
        agent[0].cycle.run_pass()
    wait_for("a later moment", lambda: Proc().up() > moments[0])
    assert sensors.proc.up() > moments[0]
