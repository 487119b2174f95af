"""What happens to programs and to the ports they need, each made for real."""

from __future__ import annotations

import shutil
import signal
import sys

from harness.processes import is_alive
from harness.stack import BIN, EmbeddedStack
from harness.waiting import wait_for
from stack.fault_site import SAME, Site, row


@row("program-fatal", "its command is not in the PATH of the launch", "told, with that PATH and where the command is")
def fatal(site: Site) -> str:
    """Somebody started it from another shell."""
    stack = site.stack
    conf, place = stack.conf.read_text(), stack.conf.parent / "venv" / "bin" / "ghost-of-a-command"
    stack.as_owner(lambda: place.parent.mkdir(parents=True, exist_ok=True), place.touch, lambda: place.chmod(0o755))
    ghost = "[program:ghost]\ncommand=ghost-of-a-command --now\nstartretries=0\n"
    ghost += f"directory={stack.conf.parent}\n"
    with site.untouched():
        stack.conf.write_text(conf + ghost)
        stack.ctl("update", "ghost")
        told = site.told("program-fatal", "program-fatal", "told")
        assert "can't find command 'ghost-of-a-command'" in told["evidence"]
        assert f"PATH {BIN}:/usr/bin:/bin" in told["evidence"]
        assert f"it is at {place}: write command={place} ..." in told["evidence"]
        stack.conf.write_text(conf)
        stack.ctl("update", "ghost")
    return SAME


@row("program-flapping", "a program ends soon after every start", "told, with how often")
def flapping(site: Site) -> str:
    """Supervisor calls it RUNNING at most looks."""
    with site.untouched():
        site.stack.ctl("start", "flappy")
        told = site.told("program-troubled", "program-flapping", "told")
        assert "times in" in told["evidence"]
        wait_for("it is stopped", lambda: _stopped(site.stack, "flappy"))
    _forget(site)
    return SAME


def _stopped(stack: EmbeddedStack, program: str) -> bool:
    """Supervisor stops no program that has just ended, and then starts it again: it is told until it holds."""
    stack.ctl("stop", program)
    return "STOPPED" in stack.ctl("status", program)


def _forget(site: Site) -> None:
    """An agent without a memory of starts: the two minutes of a flapping program are not waited for."""
    site.rest()
    site.agent = site.stack.start_agent()


@row("port-held", "a stranger listens on the program's port, Supervisor says RUNNING", "told, with who")
def port_held(site: Site) -> str:
    """It serves old code, or nothing of ours at all."""
    stack = site.stack
    code = "import signal,socket,sys; s=socket.create_server(('127.0.0.1', int(sys.argv[1]))); signal.pause()"
    stranger = stack.spawn([sys.executable, "-c", code, site.mute_port], stack.owner, "stranger.log")
    with site.untouched():
        stack.ctl("start", "mute")
        told = site.told("program-troubled", "port-held", "told")
        assert f"process {stranger.pid}" in told["evidence"]
        assert is_alive(stranger.pid)
        stack.ctl("stop", "mute")
        stack.stop(stranger, signal.SIGKILL)
    return SAME


@row("orphan", "kill -9 and a start by hand: the recorded child holds the port", "ended by its record")
def orphan(site: Site) -> str:
    """The new Daphne cannot listen until the old one is gone."""
    before = site.programs()
    site.stack.end(site.stack.supervisords()[0])
    assert site.stack.spawn_supervisord().wait(20) == 0
    site.told("orphaned", "orphan", "healed", 40)
    return _after_orphan(site, before)


@row("orphan", "the same, before paramedic ever looked", "ended by its variables, group, user, command and folder")
def unrecorded_orphan(site: Site) -> str:
    """There is no record: everything must agree with the conf."""
    stack = site.stack
    site.rest()
    before = site.programs()
    stack.end(stack.supervisords()[0])
    shutil.rmtree(stack.folder / "state" / "paramedic")
    assert stack.spawn_supervisord().wait(20) == 0
    site.agent = stack.start_agent()
    told = site.told("orphaned", "orphan", "healed", 40)
    assert "by its variables" in told["evidence"]
    return _after_orphan(site, before)


def _after_orphan(site: Site, before: dict[int, int]) -> str:
    for pid in before:
        wait_for("the orphan is gone", lambda pid=pid: not is_alive(pid))  # type: ignore[misc]
    wait_for("Daphne was started again", lambda: site.stack.daphnes() or site.stack.ctl("start", "daphne") == "", 30)
    return site.renewed(before)
