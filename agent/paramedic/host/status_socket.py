"""What the agent says of itself, to whoever may know it: a Unix socket that takes no words and gives one document.

Who asks is told by the kernel (SO_PEERCRED, unix(7)): root, the agent's own user, members of the group `paramedic`.
Nothing is read from the connection, so nothing that is sent can do harm.
"""

from __future__ import annotations

import contextlib
import grp
import logging
import os
import pwd
import socket
import struct
import threading
from collections.abc import Callable, Iterator

from paramedic.host import clock, folders

NAME = "status.sock"
GROUP = "paramedic"
BACKLOG = 16
DEADLINE_S = 5.0
SENDS_S = 2.0
MAX_BYTES = 16 << 20
_CREDENTIALS = struct.Struct("iII")
log = logging.getLogger(__name__)


class StatusSocket:
    """Answers in a thread of its own, one asker after the other, each within `SENDS_S`."""

    def __init__(self, folder: str, answer: Callable[[], bytes]) -> None:
        self._folder, self._answer = folder, answer
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._is_over = False
        self.failure = ""

    @property
    def is_alive(self) -> bool:
        """False once its thread has ended; a socket that could not be made is a `failure`, no missing heart."""
        return self._thread is None or self._thread.is_alive()

    def start(self) -> None:
        """Listen from now on; the caller holds the lock of the one agent, so what stands there is an earlier one's."""
        try:
            self._listener = _bound(self._folder)
        except OSError as error:
            self.failure = f"{error.strerror or error}: {self._folder}/{NAME}"
            return
        self._thread = threading.Thread(target=self._run, args=(self._listener,), name="status", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No more answers, and no socket left behind."""
        if self._listener is None or self._thread is None or self._is_over:
            return
        self._is_over = True
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(SENDS_S + DEADLINE_S)
        self._listener.close()
        with contextlib.suppress(OSError), folders.folder(self._folder) as there:
            os.unlink(NAME, dir_fd=there)

    def _run(self, listener: socket.socket) -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError as error:
                if self._is_over:
                    return
                log.warning("cannot take a question for the status: %s", error)
                clock.rest(1.0)  # no descriptor is left; the connection waits in the queue
                continue
            try:
                with link:
                    link.settimeout(SENDS_S)
                    if may_ask(*_peer(link)):
                        link.sendall(self._answer())
            except OSError as error:
                log.debug("whoever asked for the status did not take it: %s", error)
            except Exception:  # whoever asks must not take the agent along
                log.exception("the status could not be told")


def _bound(folder: str) -> socket.socket:
    """A listener at its path; it is there only once it listens, so that who finds it gets an answer."""
    fresh = f"{NAME}.new"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        with folders.folder(folder) as there:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(fresh, dir_fd=there)
            listener.bind(f"/proc/self/fd/{there}/{fresh}")
            os.chmod(fresh, 0o600, dir_fd=there)
            with contextlib.suppress(KeyError, PermissionError):  # no such group, or not ours to give
                os.chown(fresh, -1, grp.getgrnam(GROUP).gr_gid, dir_fd=there, follow_symlinks=False)
                os.chmod(fresh, 0o660, dir_fd=there)
            listener.listen(BACKLOG)
            os.rename(fresh, NAME, src_dir_fd=there, dst_dir_fd=there)
    except BaseException:
        listener.close()
        raise
    return listener


def _peer(link: socket.socket) -> tuple[int, int]:
    """(uid, gid) of the process that connected."""
    found = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, gid = _CREDENTIALS.unpack(found)
    return uid, gid


def may_ask(uid: int, gid: int) -> bool:
    """Whether this user may read the status: it names what runs here and what is wrong with it."""
    if uid in (0, os.geteuid()):
        return True
    try:
        group = grp.getgrnam(GROUP)
        return gid == group.gr_gid or pwd.getpwuid(uid).pw_name in group.gr_mem
    except KeyError:
        return False


class NoAnswer(Exception):
    """Nobody answered; `is_absent` when nobody listens there."""

    def __init__(self, why: str, is_absent: bool = False) -> None:
        super().__init__(why)
        self.is_absent = is_absent


def ask(folder: str, deadline_s: float = DEADLINE_S) -> bytes:
    """The document of the agent whose runtime_dir is `folder`; raises NoAnswer within the deadline."""
    until = clock.monotonic() + deadline_s
    try:
        answer = b"".join(_parts(folder, until))
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
        raise NoAnswer("nobody listens", is_absent=True) from error
    except PermissionError as error:
        raise NoAnswer(f"only root and members of the group {GROUP} may ask") from error
    except (TimeoutError, BlockingIOError) as error:
        raise NoAnswer(f"no answer within {deadline_s:.0f} s") from error
    except OSError as error:
        raise NoAnswer(error.strerror or str(error)) from error
    if not answer:
        raise NoAnswer(f"it gave no answer; only root and members of the group {GROUP} may ask")
    return answer


def _parts(folder: str, until: float) -> Iterator[bytes]:
    size = 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as link:
        link.settimeout(max(0.01, until - clock.monotonic()))
        fd = os.open(f"{folder}/{NAME}", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            link.connect(f"/proc/self/fd/{fd}")
        finally:
            os.close(fd)
        while size <= MAX_BYTES:
            link.settimeout(max(0.01, until - clock.monotonic()))
            part = link.recv(1 << 18)
            if not part:
                return
            size += len(part)
            yield part
    raise OSError("the answer is too large")
