"""What users plant in folders of theirs, and in those of everybody, where root keeps what a repair needs."""

from __future__ import annotations

import json
import os
import signal
import sys
import xmlrpc.client

import pytest

from harness.processes import start_ticks
from harness.stack import EmbeddedStack
from harness.stranger import STRANGER, serve_lies
from harness.waiting import stays, wait_for
from paramedic.host import files

# The owner of a socket's folder deletes everything, and while root starts a relay puts a link in its folder's place.
SWAP = """
import os, sys, time
os.chdir(sys.argv[1])
def starts():
    for pid in filter(str.isdigit, os.listdir('/proc')):
        if pid == str(os.getpid()):
            continue
        try:
            words = open(f'/proc/{pid}/cmdline', 'rb').read()
        except OSError:
            continue
        if b'relay.py' in words and sys.argv[1].encode() in words:
            return True
    return False
os.rename('.paramedic-0', 'away')
os.unlink('supervisor.sock')
until = time.time() + 30
while time.time() < until:
    if os.path.isdir('.paramedic-0') and starts():
        os.rename('.paramedic-0', 'away-too')
        os.symlink(sys.argv[2], '.paramedic-0')
        print('swapped', flush=True)
        break
"""
ROW = {
    "group": "daphne",
    "name": "daphne",
    "pid": 0,
    "state": 0,
    "statename": "STOPPED",
    "start": 1,
    "stop": 2,
    "now": 3,
}
EMPTY = dict.fromkeys(("spawnerr", "stdout_logfile", "stderr_logfile", "description", "logfile"), "")


@pytest.fixture
def shared(lone_stack: EmbeddedStack) -> EmbeddedStack:
    """A stack of an ordinary user below an agent of root's, in a folder where everybody may make files."""
    if lone_stack.owner is None or os.geteuid() != 0:
        pytest.skip("needs root: the attacker is another user")
    return lone_stack


def test_a_folder_that_is_swapped_while_a_relay_starts_leads_root_nowhere(shared: EmbeddedStack) -> None:
    stack = shared
    roots = stack.folder / "etc" / "supervisor.sock.relay"
    roots.write_text("root's\n")
    stack.start_supervisord()
    stack.start_agent()
    wait_for("a link is kept", (stack.socket.parent / ".paramedic-0" / stack.socket.name).exists)
    swapper = stack.spawn([sys.executable, "-c", SWAP, stack.socket.parent, roots.parent], stack.owner, "swap.log")
    wait_for("it is over", lambda: swapper.poll() is not None, 40)
    assert "swapped" in (stack.folder / "swap.log").read_text(), "the moment was found"
    try:
        wait_for("a relay stands there", stack.socket.exists)
    except AssertionError as late:
        raise AssertionError(f"{late}\n{stack.history()}\n{stack.agent_log()}") from late
    stays("root's file is as it was", lambda: roots.read_text() == "root's\n", 1.0)
    assert sorted(os.listdir(roots.parent)) == sorted({*os.listdir(roots.parent)} - {"supervisor.sock"})


def test_a_record_in_a_strangers_folder_makes_no_relay_of_their_server(shared: EmbeddedStack) -> None:
    stack = shared
    stack.socket = stack.folder / "supervisor.sock"
    stack.conf.write_text(stack._conf())
    theirs = stack.folder / ".paramedic-0"
    theirs.mkdir()
    os.chown(theirs, STRANGER.uid, STRANGER.gid)
    daemon = stack.start_supervisord()
    served = files.number(stack.socket.lstat())
    stack.start_agent()
    wait_for("it is well", lambda: stack.published()["facts"]["subjects"]["supervisor:main"]["diagnosis"] == "ok")
    answer = [{"statename": "RUNNING", "statecode": 1}, daemon, "shop", [{**ROW, **EMPTY, "exitstatus": 0}]]
    body = xmlrpc.client.dumps((answer,), methodresponse=True)
    head = f"HTTP/1.0 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
    child = serve_lies(stack, stack.folder / "theirs.sock", head + body, is_asked=True)
    os.rename(stack.folder / "theirs.sock", stack.socket)
    record = theirs / f"{stack.socket.name}.relay"
    pairs = {"process": [child.pid, start_ticks(child.pid)], "serves": [daemon, start_ticks(daemon)]}
    numbers = {"inode": files.number(stack.socket.lstat()), "live_inode": served}
    record.write_text(json.dumps(pairs | numbers))
    os.chown(record, STRANGER.uid, STRANGER.gid)
    wait_for("it is told", lambda: _diagnosis(stack) == "socket-replaced")
    stays("and stays so", lambda: _diagnosis(stack) == "socket-replaced", 3.0)
    known = stack.published()["facts"]["subjects"].get("supervisor.program:main/daphne", {})
    assert known.get("state") != "STOPPED", "what they say of the programs is nothing"
    os.kill(child.pid, signal.SIGKILL)


def _diagnosis(stack: EmbeddedStack) -> object:
    return stack.published()["facts"]["subjects"]["supervisor:main"]["diagnosis"]
