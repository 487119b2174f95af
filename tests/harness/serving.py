"""A server of a test's own, in a thread beside it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable


def serve_each(server: socket.socket, talk: Callable[[socket.socket], None]) -> threading.Thread:
    """Give every client to `talk`, one after the other, until the server is shut down."""

    def run() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            with client:
                talk(client)

    thread = threading.Thread(target=run)
    thread.start()
    return thread
