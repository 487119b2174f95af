"""The socket disappears, or something else stands in its place: supervisorctl works again, nothing restarts."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from harness.processes import start_ticks
from harness.stack import EmbeddedStack
from harness.waiting import stays, wait_for

INTERVAL_S = 120  # so that only the event of the folder can be in time; how long it takes is the bench's to say


def control_works(stack: EmbeddedStack) -> bool:
    """supervisorctl, asked from outside."""
    return "RUNNING" in stack.ctl("status")


def await_healed(stack: EmbeddedStack, inode: int) -> None:
    """The live inode is at its path again and supervisorctl answered through it, long before the next pass is due."""
    is_back = lambda: stack.socket.is_socket() and stack.socket.stat().st_ino == inode  # noqa: E731
    wait_for("the live socket is back", is_back)
    wait_for("supervisorctl works", lambda: control_works(stack))


def healed(stack: EmbeddedStack) -> int:
    """How many incidents have ended so."""
    return sum(incident["result"] == "healed" for incident in stack.history())


def prove_fault_is_real(stack: EmbeddedStack) -> None:
    """Without an agent a deleted socket stays deleted and supervisorctl is helpless; then put it back."""
    spare = stack.folder / "tmp" / "spare"
    os.link(stack.socket, spare)
    stack.socket.unlink()
    assert "no such file" in stack.ctl("status")
    stays("the socket does not come back by itself", lambda: not stack.socket.exists(), 1.0)
    os.rename(spare, stack.socket)
    assert control_works(stack)


def test_a_deleted_socket_is_healed_at_once_twenty_times(stack: EmbeddedStack) -> None:
    daemon = stack.start_supervisord()
    prove_fault_is_real(stack)
    stack.interval = f"{INTERVAL_S}s"
    stack.start_agent()
    daphne, inode = stack.daphnes(), stack.socket.stat().st_ino
    born = start_ticks(daphne[0])
    for turn in range(20):
        stack.socket.unlink()
        await_healed(stack, inode)
        wait_for("it is verified", lambda told=turn + 1: healed(stack) == told)  # type: ignore[misc]
    assert (stack.supervisords(), stack.daphnes(), start_ticks(daphne[0])) == ([daemon], daphne, born)
    told = stack.history()[-1]
    assert (told["diagnosis"], told["policy"]) == ("socket-missing", "socket-lost")
    action = told["actions"][0]
    assert (action["action"], action["outcome"]) == ("restore_socket", "met")
    assert action["gained"] == {"programs_untouched": 1}
    assert action["seconds"] > 0


@pytest.mark.parametrize("content", ["", "somebody's notes\n"])
def test_a_plain_file_at_the_path_is_moved_aside_and_not_lost(stack: EmbeddedStack, content: str) -> None:
    stack.start_supervisord()
    inode = stack.socket.stat().st_ino
    os.link(stack.socket, stack.folder / "tmp" / "spare")
    touched = stack.folder / "tmp" / "touched"
    stack.as_owner(lambda: touched.write_text(content), lambda: os.rename(touched, stack.socket))
    assert "refused connection" in stack.ctl("status")
    stays("the plain file does not go away by itself", stack.socket.is_file, 0.5)
    os.rename(stack.folder / "tmp" / "spare", stack.socket)
    stack.start_agent()
    stack.as_owner(lambda: touched.write_text(content), lambda: os.rename(touched, stack.socket))
    await_healed(stack, inode)
    aside = list(Path(stack.folder / "tmp").glob("supervisor.sock.aside-*"))
    assert [path.read_text() for path in aside] == ([content] if content else [])
    told = stack.incident("socket-lost", "healed")
    assert told["diagnosis"] == "socket-replaced"


def put_folder(folder: Path, path: Path) -> None:
    """Put a folder where the socket is, before the agent can put the socket back."""

    def attempt() -> bool:
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            os.rename(folder, path)
        return not folder.exists()

    wait_for("the folder stands at the path", attempt)


def test_a_folder_at_the_path_is_moved_aside_with_what_is_in_it(stack: EmbeddedStack) -> None:
    stack.start_supervisord()
    inode = stack.socket.stat().st_ino
    stack.start_agent()
    precious = stack.folder / "tmp" / "precious"
    stack.as_owner(precious.mkdir, lambda: (precious / "letter").write_text("dear"), stack.socket.unlink)
    await_healed(stack, inode)
    stack.as_owner(lambda: os.rename(stack.socket, stack.folder / "tmp" / "other-name"))
    await_healed(stack, inode)
    stack.as_owner(lambda: os.unlink(stack.folder / "tmp" / "other-name"))
    stack.as_owner(lambda: put_folder(precious, stack.socket))
    await_healed(stack, inode)
    found = [*stack.folder.glob("tmp/precious/letter"), *stack.folder.glob("tmp/supervisor.sock.aside-*/letter")]
    assert [path.read_text() for path in found] == ["dear"]


def test_another_servers_live_socket_is_told_and_left_alone(stack: EmbeddedStack) -> None:
    stack.start_supervisord()
    stack.start_agent()
    other = stack.listen_at(stack.folder / "tmp" / "thief.sock")
    stack.as_owner(lambda: os.rename(stack.folder / "tmp" / "thief.sock", stack.socket))
    told = stack.incident("socket-lost", "refused")
    assert told["diagnosis"] == "socket-replaced"
    assert "it is never touched" in told["actions"][0]["detail"]
    stays("the other server keeps the path", lambda: stack.socket.stat().st_ino == other, 1.5)


def test_a_stale_socket_without_a_daemon_leads_to_a_start_by_the_configured_command(stack: EmbeddedStack) -> None:
    daemon = stack.start_supervisord()
    stack.end(daemon)
    for daphne in stack.daphnes():
        stack.end(daphne)
    assert "refused connection" in stack.ctl("status")
    stack.extra = stack.configured_command()
    stack.start_agent()
    told = stack.incident("daemon-dead", "healed", 20)
    assert told["diagnosis"] == "socket-stale"
    assert control_works(stack)
    assert (len(stack.supervisords()), len(stack.daphnes())) == (1, 1)
    assert os.stat(f"/proc/{stack.supervisords()[0]}").st_uid == stack.uid


def test_a_stale_socket_without_any_recipe_is_told_with_the_line_to_write(stack: EmbeddedStack) -> None:
    daemon = stack.start_supervisord()
    stack.end(daemon)
    stack.start_agent()
    told = stack.incident("daemon-dead", "refused")
    assert "write stack.supervisor.main.command" in told["actions"][0]["detail"]
    assert stack.supervisords() == []
    assert stack.status(stack.daphne_port) == 200
