"""A user who is nobody of the stack's, and a server of theirs at a path that was somebody else's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from harness.stack import EmbeddedStack, Owner
from harness.waiting import wait_for

STRANGER = Owner(61000, 61000)
_SERVER = """
import os, socket, sys
path, answer, is_asked = sys.argv[1], sys.argv[2].encode(), sys.argv[3] == 'True'
server = socket.socket(socket.AF_UNIX)
server.bind(path)
os.chmod(path, 0o777)
server.listen(50)
print('listening', flush=True)
while True:
    client, _ = server.accept()
    if is_asked:
        client.recv(65536)
    client.sendall(answer)
    client.close()
"""


def serve_lies(stack: EmbeddedStack, path: Path, answer: str, is_asked: bool) -> subprocess.Popen[bytes]:
    """A process of the stranger's that gives this answer to everybody at a Unix socket; `is_asked`: to a question."""
    child = stack.spawn([sys.executable, "-c", _SERVER, path, answer, is_asked], STRANGER, "stranger.log")
    wait_for("the stranger listens", lambda: "listening" in (stack.folder / "stranger.log").read_text())
    return child
